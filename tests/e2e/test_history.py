"""Rooms remember: who was away, comes late, or was cut off has what the others have."""

import pytest

from tests.support.worlds.machines import Machine
from tests.support.worlds.meeting import eventually

pytestmark = pytest.mark.timeout(90)

ROOM = "feature-a"


async def titles(machine: Machine) -> list[str]:
    """Return the titles of what this machine has, sorted."""
    listed = await machine.command("memory", "list", "--room", ROOM, "--limit", "50")
    return sorted(memory["title"] for memory in listed["results"])


async def test_a_late_joiner_gets_all_though_the_author_is_gone(
    alice: Machine, bob: Machine, carol: Machine
) -> None:
    await alice.command("join", ROOM)
    ticket = (await alice.command("ticket", ROOM))["ticket"]
    await bob.command("join", ROOM, "--ticket", ticket)
    for number in range(5):
        await alice.command("memory", "store", f"note {number}", "--room", ROOM)
    stored = sorted(f"note {number}" for number in range(5))
    await eventually(lambda: titles(bob), stored.__eq__)
    await alice.kill_daemon()
    await bob.kill_daemon()  # and with it what it would announce to a new neighbor

    ticket = (await bob.command("ticket", ROOM))["ticket"]
    await carol.command("join", ROOM, "--ticket", ticket)

    await eventually(lambda: titles(carol), stored.__eq__)

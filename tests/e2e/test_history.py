"""Rooms remember: who was away, comes late, or was cut off has what the others have."""

import asyncio
import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Any

from tests.support.worlds.machines import Agent, Machine, agent_on, some_machines
from tests.support.worlds.meeting import eventually, meet

ROOM = "feature-a"
LONG = "all of it " * 104_857
"""1 MiB."""
CATCHES_UP_WITHIN_S = 60.0


async def titles(machine: Machine) -> list[str]:
    """Return the titles of what this machine has, sorted."""
    listed = await machine.command("memory", "list", "--room", ROOM, "--limit", "50")
    return sorted(memory["title"] for memory in listed["results"])


async def verified(machine: Machine) -> set[str]:
    """Return how what this machine has is verified."""
    listed = await machine.command("memory", "list", "--room", ROOM)
    return {memory["verified"] for memory in listed["results"]}


async def test_a_late_joiner_gets_all_though_the_author_is_gone(
    alice: Machine, bob: Machine, carol: Machine
) -> None:
    alice = alice.with_environment(BUDDIES_SIGNER="generated")
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
    # And bob has told her whose key vouches for alice.
    await eventually(partial(verified, carol), {"signer"}.__eq__)


async def listed(agent: Agent) -> list[str]:
    """Return the titles of all memories that an agent's machine has, sorted.

    A title that the content begins with is left out of the list.
    """
    answer = await agent.call("list_memories", room=ROOM, limit=100)
    return sorted(it.get("title", it["content"]) for it in answer["results"])


async def has_all(agents: Sequence[Agent], wanted: Sequence[str]) -> None:
    """Wait until all machines have these; being asked also starts those that were killed."""

    async def look() -> list[list[str]]:
        return [await listed(agent) for agent in agents]

    await eventually(look, ([sorted(wanted)] * len(agents)).__eq__, CATCHES_UP_WITHIN_S)


async def whole_content(agent: Agent, id: str) -> str | None:
    """Return all of a memory's content as this agent reads it; None while it is not all there."""
    content = ""
    offset: int | None = 0
    while offset is not None:
        page: dict[str, Any] = await agent.call("get_memory", id=id, offset=offset, limit=40_000)
        if not page["content"]:
            return None
        content += page["content"]
        offset = page.get("next_offset")
    return content


async def test_a_sixth_machine_has_all_of_five_though_the_author_was_killed_for_good() -> None:
    """Hash-equal sets, also the content of 1 MiB, which no broadcast carries."""
    with some_machines("ann", "ben", "cem", "dan", "eva", "fay") as machines:
        author, *others = machines
        async with asyncio.TaskGroup() as group:
            for machine in machines:
                group.create_task(machine.command("daemon", "start"))
        async with agent_on(others[0]) as ben, agent_on(others[1]) as cem:
            async with (
                agent_on(author) as ann,
                agent_on(others[2]) as dan,
                agent_on(others[3]) as eva,
            ):
                await meet(ann, ben, cem, dan, eva)
                stored = [f"note {number}" for number in range(30)]
                for text in stored:
                    await ann.call("store_memory", room=ROOM, content=text)
                long = await ann.call("store_memory", room=ROOM, title="long", content=LONG)
                stored.append("long")
                assert long["told"] == 4
                await has_all((ben, cem, dan, eva), stored)
                await eventually(partial(whole_content, ben, long["id"]), LONG.__eq__)
            for machine in (author, others[2], others[3]):
                await machine.kill_daemon()
            ticket = (await ben.call("join_room", room=ROOM))["ticket"]
            async with agent_on(machines[5]) as fay:
                await fay.call("join_room", room=ROOM, ticket=ticket)

                await has_all((fay,), stored)

                read = await eventually(partial(whole_content, fay, long["id"]), bool)
                assert hashlib.sha256(read.encode()).digest() == (
                    hashlib.sha256(LONG.encode()).digest()
                )


async def test_what_is_acknowledged_is_at_all_members_though_daemons_are_killed_meanwhile() -> None:
    """A crash between the disk and the broadcast loses nothing: history carries it."""
    with some_machines("ann", "ben", "cem") as machines:
        one, two, three = machines
        async with agent_on(one) as ann, agent_on(two) as ben, agent_on(three) as cem:
            agents = (ann, ben, cem)
            await meet(*agents)
            stored = [f"note {number}" for number in range(9)]
            for number, text in enumerate(stored):
                await agents[number % 3].call("store_memory", room=ROOM, content=text)
                await machines[number % 3].kill_daemon()

            await has_all(agents, stored)

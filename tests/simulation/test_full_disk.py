"""A full disk ends no daemon, whatever else has befallen the machine."""

import asyncio
from pathlib import Path

from tests.support.memories import DEMO
from tests.support.virtual_time import run_virtually
from tests.support.worlds.whole_nodes import World


def test_a_daemon_without_neighbors_outlives_a_full_disk(tmp_path: Path) -> None:
    assert run_virtually(_ends_alone_on_a_full_disk(tmp_path)) == []


async def _ends_alone_on_a_full_disk(directory: Path) -> list[str]:
    """Return which daemons have ended while nobody answers and nothing can be written."""
    async with World(1, directory) as world:
        alice, bob = world.machine("alice"), world.machine("bob")
        ticket = None
        for machine in (alice, bob):
            await machine.start()
            ticket = await machine.join(DEMO, ticket)
        world.quic.islands.append(frozenset({bob.key.endpoint}))
        # Until QUIC takes the connection for lost, and the other is still shown as present.
        await asyncio.sleep(25)
        alice.disk_full = True
        await asyncio.sleep(300)
        return world.faults

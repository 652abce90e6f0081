"""What somebody stores whose clock is behind stands in the others' lists where it came."""

import asyncio
from pathlib import Path

from buddies_core.daemon.build import Parts
from buddies_core.model.memory import MemoryFilter, MemoryKind
from tests.support.eventually import until
from tests.support.memories import DEMO
from tests.support.virtual_time import run_virtually
from tests.support.worlds.whole_nodes import Machine, World

HOUR_MS = 3_600_000


def test_a_list_since_lately_has_in_its_order_what_an_author_with_a_clock_behind_stores(
    tmp_path: Path,
) -> None:
    assert run_virtually(_titles_at_alices(tmp_path, skew_ms=-HOUR_MS)) == [
        "before",
        "by the one behind",
        "after",
    ]


def test_what_came_long_after_it_was_made_keeps_the_time_of_its_author(tmp_path: Path) -> None:
    made_at_s, shown_at_s = run_virtually(_joined_late(tmp_path))

    assert shown_at_s == made_at_s


async def _joined_late(directory: Path) -> tuple[int, int]:
    async with World(1, directory) as world:
        alice, bob = world.machine("alice"), world.machine("bob")
        bob.clock.skew_ms = -HOUR_MS
        await bob.start()
        ticket = await bob.join(DEMO, None)
        await _store(bob, "long ago")
        await asyncio.sleep(1200)
        await alice.start()
        await alice.join(DEMO, ticket)
        await until(lambda: alice.store.count_memories() == 1, timeout_s=60)
        made, shown = [await it.call(_listed) for it in (bob, alice)]
        return made, shown


async def _listed(parts: Parts) -> int:
    [view] = (await parts.memories.list(MemoryFilter(room=DEMO), 10)).results
    return view.created_at_s


async def _titles_at_alices(directory: Path, skew_ms: int) -> list[str]:
    async with World(1, directory) as world:
        alice, bob = world.machine("alice"), world.machine("bob")
        bob.clock.skew_ms = skew_ms
        ticket = None
        for machine in (alice, bob):
            await machine.start()
            ticket = await machine.join(DEMO, ticket)
        await _store(alice, "before")
        await _store(bob, "by the one behind")
        await until(lambda: alice.store.count_memories() == 2)
        await _store(alice, "after")
        since_ms = alice.clock.wall_ms() - HOUR_MS // 2
        lately = MemoryFilter(room=DEMO, since_ms=since_ms, oldest_first=True)
        listed = await alice.call(lambda it: it.memories.list(lately, 10))
        return [it.title for it in listed.results]


async def _store(machine: Machine, title: str) -> None:
    async def store(parts: Parts) -> None:
        await parts.memories.store(
            DEMO, title, "words", MemoryKind.CONTEXT, (), (), agent="claude", user=""
        )

    await machine.call(store)

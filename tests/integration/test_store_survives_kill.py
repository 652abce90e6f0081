"""What a store has acknowledged outlives its process, however that ends."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from buddies_core.model.memory import MemoryFilter
from buddies_core.store.rocks import RocksStore
from tests.support.memories import a_memory, an_entry
from tests.support.worlds.store_until_killed import a_presence

KILLS = 3
ACKNOWLEDGED_BEFORE_KILL = 300
PROCESS_S_MAX = 60


async def acknowledged_until_killed(path: Path, first: int) -> set[int]:
    """Return the numbers that a storing process had acknowledged when it was killed midway."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.worlds.store_until_killed",
        path,
        str(first),
        stdout=PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PROCESS_S_MAX):
            lines = [await process.stdout.readline() for _ in range(ACKNOWLEDGED_BEFORE_KILL)]
            process.kill()
            lines += (await process.stdout.read()).splitlines(keepends=True)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    return {int(line) for line in lines if line.endswith(b"\n")}


async def test_every_acknowledged_memory_outlives_kill_9(tmp_path: Path) -> None:
    acknowledged: set[int] = set()
    for kill in range(KILLS):
        acknowledged |= await acknowledged_until_killed(tmp_path, first=kill * 100_000 + 1)

        async with RocksStore.open(tmp_path) as store:
            for number in acknowledged:
                memory = a_memory(an_entry(number, content=f"{number} " * 100))
                assert store.get_memory(memory.key) == memory
                presence = a_presence(number)  # It is not synced, but outlives its process.
                assert store.get_presence(presence.room_id, presence.endpoint) == presence
            # What was under way when the process died is there with all its entries, or not at all.
            listed, damaged = await store.list_memories(MemoryFilter(), 1_000_000)
            logged = await store.memories_since(0, 1_000_000)
            assert damaged == 0
            assert {memory.key for memory in listed} == {memory.key for _, memory in logged}
            assert len(acknowledged) <= len(listed) == store.count_memories()
            assert len(acknowledged) >= (kill + 1) * ACKNOWLEDGED_BEFORE_KILL

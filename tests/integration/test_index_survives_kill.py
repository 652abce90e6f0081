"""What was indexed when the process died is found by the next, which only reads on."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from buddies_core.finding.document import scope
from buddies_core.finding.index import Index
from buddies_core.memory.documents import MemoryDocuments
from buddies_core.store.rocks import RocksStore
from tests.support.fakes.embedder import ToyEmbedder
from tests.support.memories import DEMO
from tests.support.worlds.index_until_killed import indexed_memory

KILLS = 3
INDEXED_BEFORE_KILL = 100
PROCESS_S_MAX = 60


async def indexed_until_killed(path: Path, first: int) -> set[int]:
    """Return the numbers that an indexing process had found when it was killed midway."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.worlds.index_until_killed",
        path,
        str(first),
        stdout=PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PROCESS_S_MAX):
            lines = [await process.stdout.readline() for _ in range(INDEXED_BEFORE_KILL)]
            process.kill()
            lines += (await process.stdout.read()).splitlines(keepends=True)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    return {int(line) for line in lines if line.endswith(b"\n")}


async def test_every_stored_memory_is_found_after_kill_9(tmp_path: Path) -> None:
    in_demo, database = scope(room=DEMO), ToyEmbedder().vector("database")
    indexed: set[int] = set()
    for kill in range(KILLS):
        indexed |= await indexed_until_killed(tmp_path, first=kill * 100_000 + 1)

        embedder = ToyEmbedder()
        async with (
            RocksStore.open(tmp_path / "store") as store,
            Index.open(tmp_path / "index", MemoryDocuments(store), embedder) as index,
        ):
            assert await index.catch_up(60)
            assert index.state() == f"{store.count_memories():,} memories, 0 waiting"
            assert store.count_memories() >= len(indexed) >= (kill + 1) * INDEXED_BEFORE_KILL
            again = {indexed_memory(number).entry.content for number in indexed}
            assert again.isdisjoint(embedder.texts)
            for number in indexed:
                hits = await index.search(f"number{number}", None, in_demo, 2)
                assert [hit.key for hit in hits] == [indexed_memory(number).key]
            assert len(await index.search("unheard", database, in_demo, 50)) == 50

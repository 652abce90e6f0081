"""A process that stores and indexes memories until it is killed: python -m … DIRECTORY FIRST.

The number of each is written to stdout once it is found by words and by meaning.
"""

import asyncio
import itertools
import sys
from pathlib import Path

from buddies_core.finding.index import Index
from buddies_core.memory.documents import MemoryDocuments
from buddies_core.model.memory import Memory
from buddies_core.store.rocks import RocksStore
from tests.support.fakes.embedder import ToyEmbedder
from tests.support.memories import a_memory, an_entry


def indexed_memory(number: int) -> Memory:
    """Return the memory with this number; its meaning is that of all others."""
    return a_memory(an_entry(number, title="", content=f"number{number} is on postgresql"))


async def index_until_killed(path: Path, first: int) -> None:
    """Store and index without end, from the memory with this number on."""
    numbers = itertools.count(first)

    async def store_one_after_the_other() -> None:
        for number in numbers:
            await store.put_memory(indexed_memory(number))
            index.notice()
            if await index.catch_up(10):
                sys.stdout.write(f"{number}\n")
                sys.stdout.flush()

    async with (
        RocksStore.open(path / "store") as store,
        Index.open(path / "index", MemoryDocuments(store), ToyEmbedder()) as index,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(10):
            group.create_task(store_one_after_the_other())


if __name__ == "__main__":
    asyncio.run(index_until_killed(Path(sys.argv[1]), int(sys.argv[2])))

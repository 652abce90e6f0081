"""The engine, as `quality` measures it."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from buddies_core.finding.document import scope
from buddies_core.finding.embedder import Embedder
from buddies_core.finding.index import Index
from buddies_core.memory.documents import MemoryDocuments
from tests.bench.quality import Engine, Search
from tests.support.in_memory.store import InMemoryStore
from tests.support.memories import DEMO, a_memory, an_entry

IN_DEMO = scope(room=DEMO)


@asynccontextmanager
async def open_engine(directory: Path, nodes: int = 1) -> AsyncIterator[Engine]:
    """Give an engine that spreads notes over so many nodes and merges what they find."""
    numbers = count()
    async with Embedder.open() as embedder, contextlib.AsyncExitStack() as stack:

        async def index(notes: Sequence[str]) -> Search:
            indexes: list[Index] = []
            by_key: dict[bytes, int] = {}
            for node in range(nodes):
                store = InMemoryStore()
                for number, note in enumerate(notes):
                    if number % nodes == node:
                        memory = a_memory(an_entry(number, title="", content=note))
                        await store.put_memory(memory)
                        by_key[memory.key] = number
                at = directory / str(next(numbers))
                opened = Index.open(at, MemoryDocuments(store), embedder)
                indexes.append(await stack.enter_async_context(opened))
            for opened_index in indexes:
                assert await opened_index.catch_up(600)

            async def search(query: str) -> list[tuple[int, float]]:
                vector = await embedder.embed_query(query)
                hits = [
                    hit
                    for it in indexes
                    for hit in await it.search(query, vector, IN_DEMO, 20, wait_s=60)
                ]
                hits.sort(key=lambda hit: -hit.score)
                return [(by_key[hit.key], hit.score) for hit in hits][:20]

            return search

        yield index

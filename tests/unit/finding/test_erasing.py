"""What was deleted is erased from both halves of the index, also from their files."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from buddies_core.finding.document import Scope, scope
from buddies_core.finding.index import Index
from buddies_core.finding.vector_file import row_of
from buddies_core.identity.node_key import NodeKey
from buddies_core.memory.documents import MemoryDocuments
from buddies_core.model.memory import Memory
from tests.support.amendments import a_deletion
from tests.support.fakes.embedder import ToyEmbedder
from tests.support.in_memory.store import InMemoryStore
from tests.support.memories import DEMO, a_memory, an_entry

ANN = NodeKey(b"a" * 32)
IN_DEMO = scope(room=DEMO)


@asynccontextmanager
async def index_of(store: InMemoryStore, directory: Path) -> AsyncIterator[Index]:
    async with Index.open(directory, MemoryDocuments(store), ToyEmbedder()) as index:
        yield index


async def keep(store: InMemoryStore, *contents: str) -> list[Memory]:
    memories = [
        a_memory(an_entry(number, author=ANN.endpoint, title="", content=content))
        for number, content in enumerate(contents, start=1)
    ]
    for memory in memories:
        assert await store.put_memory(memory)
    return memories


async def delete(store: InMemoryStore, memory: Memory) -> None:
    await store.amendments.put(a_deletion(memory, ANN), (), 9)


async def by_words(index: Index, query: str, within: Scope = IN_DEMO) -> list[bytes]:
    return [hit.key for hit in await index.search(query, None, within, 10)]


async def by_meaning(index: Index, query: str, within: Scope = IN_DEMO) -> list[bytes]:
    """Ask with words that no memory has, so that only the vector finds."""
    found = await index.search("xyzzy", ToyEmbedder().vector(query), within, 10)
    return [hit.key for hit in found]


def vectors_on_disk(directory: Path) -> list[bool]:
    """Return of each row of the vectors whether anything but zeros is in it."""
    [rows] = directory.glob("vectors-*/rows")
    records = np.fromfile(rows, row_of(ToyEmbedder().dimensions))
    return [bool(record["vector"].any() or record["scale"]) for record in records]


@pytest.mark.parametrize("last", [False, True])
async def test_a_deleted_memory_is_in_neither_half_also_after_opening_again(
    tmp_path: Path, last: bool
) -> None:
    store = InMemoryStore()
    async with index_of(store, tmp_path) as index:
        memories = await keep(store, "it is postgresql", "postgresql again")
        gone, stays = memories[::-1] if last else memories
        assert await index.catch_up(60)
        assert len(await by_words(index, "postgresql")) == 2
        await delete(store, gone)
        assert await index.catch_up(60)
        for found in (by_words(index, "postgresql"), by_meaning(index, "database")):
            assert await found == [stays.key]
        assert index.state() == "1 memories, 0 waiting"
    assert vectors_on_disk(tmp_path) == ([True, False] if last else [False, True])
    async with index_of(store, tmp_path) as index:
        assert await index.catch_up(60)
        for found in (by_words(index, "postgresql"), by_meaning(index, "database")):
            assert await found == [stays.key]
        assert index.state() == "1 memories, 0 waiting"


async def test_what_was_deleted_while_the_index_was_closed_is_erased_when_it_opens(
    tmp_path: Path,
) -> None:
    store = InMemoryStore()
    async with index_of(store, tmp_path) as index:
        [gone, stays] = await keep(store, "it is postgresql", "postgresql again")
        assert await index.catch_up(60)
    await delete(store, gone)
    async with index_of(store, tmp_path) as index:
        assert await index.catch_up(60)
        assert await by_words(index, "postgresql") == [stays.key]
        assert await by_meaning(index, "database") == [stays.key]
    assert vectors_on_disk(tmp_path) == [False, True]


async def test_what_was_deleted_before_it_was_indexed_never_is(tmp_path: Path) -> None:
    store = InMemoryStore()
    [gone, stays] = await keep(store, "it is postgresql", "postgresql again")
    await delete(store, gone)
    async with index_of(store, tmp_path) as index:
        assert await index.catch_up(60)
        assert await by_words(index, "postgresql") == [stays.key]
        assert index.progress().note() == ""
    assert vectors_on_disk(tmp_path) == [True]


async def test_what_comes_after_a_deletion_is_found(tmp_path: Path) -> None:
    store = InMemoryStore()
    async with index_of(store, tmp_path) as index:
        [gone] = await keep(store, "it is postgresql")
        assert await index.catch_up(60)
        await delete(store, gone)
        later = a_memory(an_entry(2, author=ANN.endpoint, title="", content="postgresql again"))
        await store.put_memory(later)
        assert await index.catch_up(60)
        assert await by_words(index, "postgresql") == [later.key]
        assert await by_meaning(index, "database") == [later.key]

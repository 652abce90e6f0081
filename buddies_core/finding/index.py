"""The search index: words and meanings of every memory, derived from the store.

Two halves, each with what it needs on disk and a mark of how far it got in the store's log. A
feeder for each reads on from its mark, so that a crash, a missing directory or a damaged one only
means that more is read again. Words are indexed at once; meanings follow as fast as the model goes,
and the words never wait for them.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from buddies_core.errors import InvalidInput, StoreError
from buddies_core.finding.chunks import chunks
from buddies_core.finding.embedder import DIMENSIONS, ModelUnavailable, Vectors
from buddies_core.finding.labels import labels_of
from buddies_core.finding.lexical import IndexDamaged, LexicalIndex
from buddies_core.finding.ranking import fuse
from buddies_core.finding.vector_file import EmbeddedMemory, quantized
from buddies_core.finding.vectors import VectorIndex
from buddies_core.model.memory import Memory, MemoryFilter, MemoryKey

_log = logging.getLogger(__name__)

T = TypeVar("T")

_CANDIDATES_MIN = 50
"""Of each half; what lies behind changes the first ten hardly ever."""
_MEMORIES_AT_ONCE = 500
"""In one commit of words, which takes 10 to 20 ms however few they are."""
_EMBEDDED_AT_ONCE = 32
_FEW = 32
"""A search waits for the vectors of so many memories: with few words each some 0.2 s."""
_LINGER_S = 0.2
"""What is stored in this time is committed together, unless a search wants it sooner."""


class MemorySource(Protocol):
    """The store's log of memories."""

    async def memories_since(self, sequence: int, limit: int) -> tuple[tuple[int, Memory], ...]:
        """Return what arrived after `sequence`, in order; none only at the end."""

    def last_sequence(self) -> int:
        """Return the sequence of the latest arrival; 0 if there was none."""


class TextEmbedder(Protocol):
    """What makes vectors; see `embedder.Embedder`."""

    @property
    def model_id(self) -> bytes:
        """The model's name, 32 bytes: vectors of two models can't be compared."""

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return a row for each text; raises ModelUnavailable."""


@dataclass(frozen=True, slots=True)
class IndexHit:
    """A memory that was found."""

    key: MemoryKey
    score: float
    """Its relevance to the query, from 0 to 1.5, which means the same at every node."""


class _Half:
    """How far one half of the index is, and who waits for it to get further."""

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        """All that the store has up to here is in this half."""
        self.trouble = ""
        """Why it does not get further at the moment, in words."""
        self.wanted = asyncio.Event()
        """Set when there may be something to read."""
        self._changed = asyncio.Condition()

    async def change(self, *, sequence: int | None = None, trouble: str = "") -> None:
        """Note how far it is, or that it is stuck, and wake those who wait."""
        async with self._changed:
            self.sequence = self.sequence if sequence is None else sequence
            self.trouble = trouble
            self._changed.notify_all()

    async def wait_for(self, sequence: int) -> None:
        """Return when it has got to `sequence`, or is stuck."""
        self.wanted.set()
        async with self._changed:
            await self._changed.wait_for(lambda: self.sequence >= sequence or self.trouble)


class MemoryIndex:
    """What finds memories. Made by `open`; one thread owns what is on disk and in memory."""

    def __init__(
        self,
        source: MemorySource,
        embedder: TextEmbedder,
        lexical: LexicalIndex,
        vectors: VectorIndex,
        worker: ThreadPoolExecutor,
    ) -> None:
        self._source = source
        self._embedder = embedder
        self._lexical = lexical
        self._vectors = vectors
        self._worker = worker
        self._words = _Half(lexical.sequence)
        self._meanings = _Half(vectors.sequence)
        self._damaged = False
        """Whether the words are to be read again from the start; only their feeder does it."""
        self._lingering: asyncio.TimerHandle | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls, directory: Path, source: MemorySource, embedder: TextEmbedder
    ) -> AsyncIterator["MemoryIndex"]:
        """Give the index in this directory, which is caught up or rebuilt in the background.

        A half that is missing, damaged, of another version or model, or further than the store, is
        begun anew.

        Raises:
            StoreError: the directory can't be written.
        """
        worker = ThreadPoolExecutor(1, thread_name_prefix="index")
        halves = contextlib.ExitStack()

        def open_halves() -> tuple[LexicalIndex, VectorIndex]:
            lexical = LexicalIndex(directory / "words")
            halves.callback(lexical.close)
            vectors = VectorIndex(directory / "vectors", embedder.model_id)
            halves.callback(vectors.close)
            for half in (lexical, vectors):
                if half.sequence > source.last_sequence():
                    _log.warning("index_rebuilt reason=%s", "it is further than the store")
                    half.reset()
            return lexical, vectors

        def close() -> None:
            worker.shutdown(cancel_futures=True)
            halves.close()

        try:
            opened = await asyncio.get_running_loop().run_in_executor(worker, open_halves)
            index = cls(source, embedder, *opened, worker)
            async with asyncio.TaskGroup() as group:
                feeders = (
                    group.create_task(_keep_feeding(index._words, index._feed_words)),
                    group.create_task(_keep_feeding(index._meanings, index._feed_meanings)),
                )
                try:
                    yield index
                finally:
                    for feeder in feeders:
                        feeder.cancel()
                    if index._lingering:
                        index._lingering.cancel()
        finally:
            await asyncio.to_thread(close)

    def notice(self) -> None:
        """Have what was just stored indexed soon; without it, that is done at the next search."""
        self._meanings.wanted.set()
        if self._lingering is None or self._lingering.when() < asyncio.get_running_loop().time():
            self._lingering = asyncio.get_running_loop().call_later(
                _LINGER_S, self._words.wanted.set
            )

    async def catch_up(self, timeout_s: float) -> bool:
        """Return whether all that is stored now is found by words and by meaning; wait for it."""
        last = self._source.last_sequence()
        return await _reached(last, (self._words, self._meanings), timeout_s)

    async def search(
        self,
        query: str,
        vector: Vectors | None,
        filter: MemoryFilter,
        limit: int,
        *,
        wait_s: float = 1.0,
    ) -> tuple[IndexHit, ...]:
        """Return the memories of a room that answer the query, best first.

        Waits for what was stored before the call: for its words, and for its meaning too if there
        is little of it, as with "store, then search".

        Args:
            query: In words. What has no word in common with it is found by `vector` alone.
            vector: What the embedder makes of the query; None finds by words alone.
            filter: What to look at; its room is given.
            limit: How many to return at most.
            wait_s: How long to wait at most; then what is indexed already is searched.

        Raises:
            InvalidInput: the vector is not float32[384].
            StoreError: the index is damaged and can't be rebuilt, or the store can't be read.
        """
        assert filter.room is not None
        if vector is not None and vector.shape != (DIMENSIONS,):
            raise InvalidInput(f"a query's vector has {DIMENSIONS} numbers, not {vector.size}")
        last = self._source.last_sequence()
        halves = [self._words]
        if vector is not None and last - self._meanings.sequence <= _FEW:
            halves.append(self._meanings)
        find = partial(self._search, query, vector, filter, limit)
        await _reached(last, halves, wait_s)
        try:
            return await self._run(find)
        except IndexDamaged as error:
            self._start_again(error)
        await _reached(last, [self._words], wait_s)
        try:
            return await self._run(find)
        except IndexDamaged as error:
            raise _unusable(error) from error

    def state(self) -> str:
        """Return in a few words how many memories are found, and how many not yet."""
        last = self._source.last_sequence()
        waiting = last - self._words.sequence
        parts = [f"{self._lexical.count:,} memories, {waiting:,} waiting"]
        if waiting > _MEMORIES_AT_ONCE:
            parts = [f"rebuilding: {self._words.sequence:,} of {last:,}"]
        if last > self._meanings.sequence:
            parts.append(f"{last - self._meanings.sequence:,} not yet found by meaning")
        if self._words.trouble:
            parts.append(self._words.trouble)
        return "; ".join(parts)

    def _search(
        self, query: str, vector: Vectors | None, filter: MemoryFilter, limit: int
    ) -> tuple[IndexHit, ...]:
        candidates = max(limit, _CANDIDATES_MIN)
        by_words = self._lexical.search(query, filter, candidates)
        by_meaning = [] if vector is None else self._vectors.search(vector, filter, candidates)
        fused = fuse(by_meaning, by_words)[:limit]
        return tuple(IndexHit(key, relevance) for key, relevance in fused)

    async def _feed_words(self) -> None:
        """Index words up to the end of the log."""
        rebuilt = False
        while True:
            if self._damaged:
                await self._run(self._lexical.reset)
                self._damaged, self._words.sequence = False, 0
            last = self._source.last_sequence()
            if self._words.sequence >= last:
                return
            batch = await self._source.memories_since(self._words.sequence, _MEMORIES_AT_ONCE)
            try:
                if batch:
                    await self._run(partial(self._lexical.add, batch))
            except IndexDamaged as error:
                if rebuilt:
                    raise _unusable(error) from error
                rebuilt = True
                self._start_again(error)
            if not self._damaged:
                await self._words.change(sequence=batch[-1][0] if batch else last)

    async def _feed_meanings(self) -> None:
        """Embed memories up to the end of the log, in its order."""
        while (last := self._source.last_sequence()) > self._meanings.sequence:
            batch = await self._source.memories_since(self._meanings.sequence, _EMBEDDED_AT_ONCE)
            for sequence, memory in batch:
                await self._embed(sequence, memory)
                await self._meanings.change(sequence=sequence)
            if not batch:
                await self._meanings.change(sequence=last)

    async def _embed(self, sequence: int, memory: Memory) -> None:
        entry = memory.entry
        texts = await self._run(partial(chunks, entry.title, entry.content))
        scales, rows = quantized(await self._embedder.embed(texts))
        embedded = EmbeddedMemory(
            sequence=sequence,
            key=memory.key,
            labels=labels_of(memory),
            created_at_s=memory.at_s,
            scales=scales,
            rows=rows,
        )
        await self._run(partial(self._vectors.add, embedded))

    def _start_again(self, error: IndexDamaged) -> None:
        _log.warning("index_rebuilt half=words reason=%s", error)
        self._damaged = True
        self._words.sequence = 0

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)


async def _keep_feeding(half: _Half, feed: Callable[[], Awaitable[None]]) -> None:
    while True:
        half.wanted.clear()
        trouble = ""
        try:
            await feed()
        except (StoreError, ModelUnavailable) as error:
            trouble = str(error)
            if trouble != half.trouble:
                _log.warning("index_stuck reason=%s", trouble)
        await half.change(trouble=trouble)
        await half.wanted.wait()


async def _reached(sequence: int, halves: Sequence[_Half], timeout_s: float) -> bool:
    """Return whether the halves are at this sequence; wait until they are, or are stuck."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            for half in halves:
                await half.wait_for(sequence)
    return all(half.sequence >= sequence for half in halves)


def _unusable(error: IndexDamaged) -> StoreError:
    return StoreError(
        f"the search index fails again and again ({error}); see that there is space on the disk, "
        "then: buddies-cli daemon restart; no memory is lost"
    )

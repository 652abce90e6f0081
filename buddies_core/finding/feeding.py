"""Keeps the index up to date with the store.

Each half has its own feeder, which opens that half and then reads the store's log from where the
half stands. A step that fails is tried again, at longer and longer intervals or as soon as there is
something new. Until then, searches use what is indexed, and `IndexProgress` says what is missing.
"""

import asyncio
import contextlib
import logging
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from buddies_core.errors import StoreError
from buddies_core.finding.chunks import EMBEDDED_MAX, passages
from buddies_core.finding.document import Document, Erasure
from buddies_core.finding.embedder import ModelUnavailable, Vectors
from buddies_core.finding.lexical import (
    DocumentsRefused,
    IndexDamaged,
    LexicalIndex,
    WriteRefused,
)
from buddies_core.finding.vector_file import EmbeddedDocument
from buddies_core.finding.vectors import VectorIndex

_log = logging.getLogger(__name__)

T = TypeVar("T")

DOCUMENTS_AT_ONCE = 500
"""The most documents in one commit of words; any commit takes at least 10 to 20 ms."""
_EMBEDDED_AT_ONCE = 32
_LONG = 64
"""A search doesn't wait for a document with more vectors: they take over half a second."""
_RETRY_FIRST_S, _RETRY_MAX_S = 1.0, 60.0
"""The pause before a failed step is tried again; it doubles each time, up to the maximum."""
_COMPARED = 64
"""How many of the latest documents are checked against the store, which should have them too."""
_LINGER_S = 0.2
"""Documents stored within this time are committed together, unless a search needs them sooner."""


class DocumentSource(Protocol):
    """The store's log of documents."""

    async def documents_since(
        self, sequence: int, limit: int
    ) -> tuple[tuple[int, Document | Erasure], ...]:
        """Return arrivals after `sequence`, in order; an empty tuple only at the end."""

    @property
    def store_id(self) -> bytes:
        """The store's id: an index made from another store is of no use."""

    def key_at(self, sequence: int) -> bytes | None:
        """Return the key of the arrival with this sequence; None if it has been replaced."""

    def last_sequence(self) -> int:
        """Return the latest arrival's sequence; 0 if nothing has arrived."""


class TextEmbedder(Protocol):
    """Makes vectors from texts; see `embedder.Embedder`."""

    @property
    def model_id(self) -> bytes:
        """The model's id, 32 bytes: vectors of different models can't be compared."""

    @property
    def dimensions(self) -> int:
        """How many numbers the model's vectors have, a multiple of 64."""

    @property
    def knows_spaceless(self) -> bool:
        """Whether the model tells words apart in scripts without spaces."""

    @property
    def noise(self) -> float:
        """The cosine of texts that have nothing in common."""

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return a row for each text, zeros if the model can't take it; raises ModelUnavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexProgress:
    """How many of the stored documents a search can find at the moment."""

    stored: int
    by_words: int
    by_meaning: int
    trouble: str = ""
    """Why indexing is stuck; empty if it isn't."""

    def note(self) -> str:
        """Return in a few words how much a search can't find yet; "" if it finds everything."""
        if self.by_words == self.by_meaning == self.stored:
            return ""
        if self.by_words == self.by_meaning:
            said = f"{self.by_words:,} of {self.stored:,} indexed"
        else:
            said = (
                f"{self.by_words:,} of {self.stored:,} indexed by words, {self.by_meaning:,} by "
                "meaning"
            )
        return f"{said}: {self.trouble}" if self.trouble else said


class Half:
    """How far one half of the index has got, for its feeder and those who wait for it."""

    def __init__(self) -> None:
        self.opened = False
        self.sequence = 0
        """This half has everything in the store up to this sequence."""
        self.trouble = ""
        """Why this half is stuck at the moment, in words; empty if it isn't."""
        self.slow = False
        """Whether the current document takes longer than a search should wait."""
        self.wanted = asyncio.Event()
        """Set when there may be something to read."""
        self._changed = asyncio.Condition()

    async def change(self, *, sequence: int | None = None, trouble: str = "") -> None:
        """Note how far this half has got, or why it is stuck, and wake those who wait."""
        async with self._changed:
            self.sequence = self.sequence if sequence is None else sequence
            self.trouble = trouble
            self._changed.notify_all()

    async def wait_until_opened(self) -> None:
        """Return when this half has been opened, or can't be."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.opened or self.trouble)

    @asynccontextmanager
    async def being_slow(self) -> AsyncIterator[None]:
        """During the block, delay only those who also wait for slow documents."""
        try:
            async with self._changed:
                self.slow = True
                self._changed.notify_all()
            yield
        finally:
            self.slow = False

    async def wait_for(self, sequence: int, *, for_slow: bool) -> None:
        """Return when it has reached `sequence` or is stuck; or is slow, unless `for_slow`."""
        self.wanted.set()
        async with self._changed:
            await self._changed.wait_for(
                lambda: self.sequence >= sequence or self.trouble or (self.slow and not for_slow)
            )


class Feeding:
    """The feeders of both halves, and the single thread that owns both. `going` runs them."""

    def __init__(
        self,
        source: DocumentSource,
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
        self.words = Half()
        self.meanings = Half()
        self._documents_at_once = DOCUMENTS_AT_ONCE
        self._damaged = False
        """Whether the words must be read again from the start; only their feeder does that."""
        self.missing = 0
        """How many indexed documents the store no longer has."""
        self._lingering: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def going(self) -> AsyncIterator[None]:
        """Feed both halves in the background."""
        async with asyncio.TaskGroup() as group:
            halves = (
                (self.words, self._feed_words, self._lexical.directory),
                (self.meanings, self._feed_meanings, self._vectors.directory),
            )
            feeders = [
                group.create_task(_keep_feeding(half, feed, partial(self._tidy, directory)))
                for half, feed, directory in halves
            ]
            try:
                yield
            finally:
                for feeder in feeders:
                    feeder.cancel()
                if self._lingering:
                    self._lingering.cancel()

    def notice(self) -> None:
        """Index new documents soon; without this call, the next search has them indexed."""
        self.meanings.wanted.set()
        if self._lingering is None or self._lingering.when() < asyncio.get_running_loop().time():
            self._lingering = asyncio.get_running_loop().call_later(
                _LINGER_S, self.words.wanted.set
            )

    async def opened(self, timeout_s: float) -> None:
        """Wait until both halves have been opened or can't be, or time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.words.wait_until_opened()
                await self.meanings.wait_until_opened()

    def progress(self) -> IndexProgress:
        """Return how far both halves have got."""
        stored = self._source.last_sequence()
        return IndexProgress(
            stored=stored,
            by_words=min(self.words.sequence, stored),
            by_meaning=min(self.meanings.sequence, stored),
            trouble=self.words.trouble or self.meanings.trouble,
        )

    async def catch_up(self, timeout_s: float) -> bool:
        """Wait until words and meanings of all stored documents are indexed; return if they are."""
        last = self._source.last_sequence()
        return await reached(last, (self.words, self.meanings), timeout_s)

    async def run(self, work: Callable[[], T]) -> T:
        """Run this on the thread that owns both halves, and return its result."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    def start_again(self, error: IndexDamaged) -> None:
        """Have all words indexed again from the start."""
        _log.warning("index_rebuilt half=words reason=%s", error)
        self._damaged = True
        self.words.sequence = 0

    async def _tidy(self, directory: Path) -> None:
        """Remove the files of earlier versions, models or stores once this half is up to date."""

        def remove() -> None:
            for path in directory.parent.glob(f"{directory.name.partition('-')[0]}*"):
                if path.is_file():
                    path.unlink(missing_ok=True)
                elif path != directory:
                    shutil.rmtree(path, ignore_errors=True)

        with contextlib.suppress(OSError):
            await self.run(remove)

    async def _open(self, half: Half, index: LexicalIndex | VectorIndex) -> None:
        await self.run(index.open)
        while strange := await self._strange(index):
            _log.warning("index_cut after=%d reason=the store has something else", strange - 1)
            await self.run(partial(index.cut_after, strange - 1))
        half.opened = True
        await half.change(sequence=index.sequence)

    async def _strange(self, index: LexicalIndex | VectorIndex) -> int:
        """Return the first of the latest documents that the store doesn't have; 0 if it has all.

        A store that was restored from a copy may have received other documents since.
        """
        last = self._source.last_sequence()
        if index.sequence > last:
            self.missing = max(self.missing, index.sequence - last)
            return last + 1
        for sequence, key in await self.run(partial(index.latest, _COMPARED)):
            if self._source.key_at(sequence) not in (None, key):
                return sequence
        return 0

    async def _feed_words(self) -> None:
        """Index words up to the end of the log."""
        rebuilt, suspect = False, 0
        while True:
            if self._damaged:
                await self.run(self._lexical.reset)
                self._damaged, self.words.sequence = False, 0
            elif not self._lexical.opened:
                await self._open(self.words, self._lexical)
            last = self._source.last_sequence()
            if self.words.sequence >= last:
                return
            batch = await self._source.documents_since(self.words.sequence, self._documents_at_once)
            try:
                if batch:
                    await self.run(partial(self._lexical.add, batch))
            except IndexDamaged as error:
                if rebuilt:
                    raise unusable(error) from error
                rebuilt = True
                self.start_again(error)
            except (WriteRefused, DocumentsRefused) as error:
                # Some may be accepted one by one. One that is refused alone, twice, is at fault.
                alone, self._documents_at_once = len(batch) == 1, 1
                if alone and isinstance(error, WriteRefused):
                    raise StoreError(f"words can't be indexed at the moment: {error}") from error
                if alone and suspect == batch[0][0]:
                    _log.warning("document_passed_over sequence=%d reason=%s", suspect, error)
                    await self.words.change(sequence=suspect)
                suspect = batch[0][0] if alone else 0
            else:
                if not self._damaged:
                    await self.words.change(sequence=batch[-1][0] if batch else last)
                self._documents_at_once = min(4 * self._documents_at_once, DOCUMENTS_AT_ONCE)

    async def _feed_meanings(self) -> None:
        """Embed documents up to the end of the log, in its order."""
        if not self._vectors.opened:
            await self._open(self.meanings, self._vectors)
        while (last := self._source.last_sequence()) > self.meanings.sequence:
            batch = await self._source.documents_since(self.meanings.sequence, _EMBEDDED_AT_ONCE)
            for sequence, document in batch:
                await self._embed(sequence, document)
                await self.meanings.change(sequence=sequence)
            if not batch:
                await self.meanings.change(sequence=last)

    async def _embed(self, sequence: int, document: Document | Erasure) -> None:
        if isinstance(document, Erasure):
            await self.run(partial(self._vectors.erase, sequence, document.key))
            return
        made = await self.run(partial(passages, document.title, document.text))
        texts = [passage.text for passage in made[:EMBEDDED_MAX]]
        if len(texts) > _LONG:
            async with self.meanings.being_slow():
                vectors = await self._embedder.embed(texts)
        else:
            vectors = await self._embedder.embed(texts)
        embedded = EmbeddedDocument(
            sequence=sequence,
            key=document.key,
            labels=document.labels,
            created_at_s=document.created_at_s,
            vectors=vectors,
        )
        await self.run(partial(self._vectors.add, [embedded]))


async def _keep_feeding(
    half: Half, feed: Callable[[], Awaitable[None]], tidy: Callable[[], Awaitable[None]]
) -> None:
    retry_s = _RETRY_FIRST_S
    tidied = False
    while True:
        half.wanted.clear()
        try:
            await feed()
        except (StoreError, ModelUnavailable) as error:
            if str(error) != half.trouble:
                _log.warning("index_stuck reason=%s", error)
            await half.change(trouble=str(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(retry_s):
                    await half.wanted.wait()
            retry_s = min(2 * retry_s, _RETRY_MAX_S)
        else:
            await half.change()
            if not tidied:
                tidied = True
                await tidy()
            await half.wanted.wait()
            retry_s = _RETRY_FIRST_S


async def reached(
    sequence: int, halves: Sequence[Half], timeout_s: float, *, for_slow: bool = True
) -> bool:
    """Wait until the halves reach this sequence or are stuck; return whether they reached it.

    If `for_slow` is false, this doesn't wait for a half that is busy with a long text.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            for half in halves:
                await half.wait_for(sequence, for_slow=for_slow)
    return all(half.sequence >= sequence for half in halves)


def unusable(error: IndexDamaged) -> StoreError:
    """Return the error for a caller when the index is damaged again and again."""
    return StoreError(
        f"the search index is damaged again and again ({error}); see that the disk is sound; no "
        "memory is lost"
    )

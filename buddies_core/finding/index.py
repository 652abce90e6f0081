"""The search index: words and meanings of every document, derived from the store.

The index has two halves. Each keeps its own files on disk, with a mark of how far it has got in the
store's log, and has a feeder that reads on from that mark. After a crash, or if a directory is
missing or damaged, the feeder only has more to read again. Words are indexed at once; meanings
follow as fast as the model allows, and words never wait for them.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from buddies_core.errors import InvalidInput
from buddies_core.finding.chunks import VERSION
from buddies_core.finding.document import Scope
from buddies_core.finding.embedder import Vectors
from buddies_core.finding.feeding import (
    DOCUMENTS_AT_ONCE,
    DocumentSource,
    Feeding,
    IndexProgress,
    TextEmbedder,
    reached,
    unusable,
)
from buddies_core.finding.lexical import IndexDamaged, LexicalIndex
from buddies_core.finding.ranking import SHOWN_FROM, relevance
from buddies_core.finding.vectors import VectorIndex, number_of, sequence_of
from buddies_core.finding.words import question

_log = logging.getLogger(__name__)

_OPEN_PATIENCE_S = 1.0
_FEW = 32
"""A search waits for the vectors of up to this many memories, some 0.2 s if they are short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexHit:
    """A document that a search found, with its best passage."""

    key: bytes
    score: float
    """From 0 to 1.5, and comparable between nodes; see `ranking`."""
    coverage: float = 0.0
    """The share of the question's words that the passage has."""
    passage: int = 0
    """The passage's number within the document."""


class Index:
    """Finds documents. Made by `open`; one thread owns the data on disk and in memory."""

    def __init__(
        self,
        source: DocumentSource,
        lexical: LexicalIndex,
        vectors: VectorIndex,
        feeding: Feeding,
        embedder: TextEmbedder,
    ) -> None:
        self._source = source
        self._lexical = lexical
        self._vectors = vectors
        self._feeding = feeding
        self._embedder = embedder

    @classmethod
    @asynccontextmanager
    async def open(
        cls, directory: Path, source: DocumentSource, embedder: TextEmbedder
    ) -> AsyncIterator["Index"]:
        """Yield the index in this directory, and catch up or rebuild it in the background.

        A half that is missing, damaged, or from another version, model or store is built anew, and
        documents that this store does not have are removed. A half that can't be opened now, or
        takes longer than a second, is opened in the background; until then it finds nothing.
        """
        worker = ThreadPoolExecutor(1, thread_name_prefix="index")
        lexical = LexicalIndex(directory / _named("words", source.store_id))
        vectors = VectorIndex(
            directory / _named("vectors", source.store_id, embedder.model_id, bytes([VERSION])),
            embedder.dimensions,
        )

        def close() -> None:
            worker.shutdown(cancel_futures=True)
            lexical.close()
            vectors.close()

        feeding = Feeding(source, embedder, lexical, vectors, worker)
        try:
            async with feeding.going():
                await feeding.opened(_OPEN_PATIENCE_S)
                yield cls(source, lexical, vectors, feeding, embedder)
        finally:
            await asyncio.to_thread(close)

    def notice(self) -> None:
        """Index new documents soon; without this call, the next search has them indexed."""
        self._feeding.notice()

    async def catch_up(self, timeout_s: float) -> bool:
        """Wait until words and meanings of all stored documents are indexed; return if they are."""
        return await self._feeding.catch_up(timeout_s)

    async def search(
        self,
        query: str,
        vector: Vectors | None,
        scope: Scope,
        limit: int,
        *,
        wait_s: float = 1.0,
    ) -> tuple[IndexHit, ...]:
        """Return the documents that answer the query, best first.

        First waits until documents stored before the call are indexed: by words, and by meaning too
        if only a few are missing, as in "store, then search".

        Args:
            query: The question. Documents that share no word with it are found by `vector` alone.
            vector: The query's vector, from the embedder; None searches by words alone.
            scope: Which documents to search.
            limit: The most documents to return.
            wait_s: The longest to wait before searching the documents that are indexed.

        Raises:
            InvalidInput: the vector is not float32[dimensions].
            StoreError: the index is damaged and can't be rebuilt, or the store can't be read.
        """
        dimensions = self._embedder.dimensions
        if vector is not None and vector.shape != (dimensions,):
            raise InvalidInput(f"a query's vector has {dimensions} numbers, not {vector.size}")
        await self._feeding.opened(wait_s)
        last = self._source.last_sequence()
        halves = [self._feeding.words]
        if vector is not None and last - self._feeding.meanings.sequence <= _FEW:
            halves.append(self._feeding.meanings)
        find = partial(self._search, query, vector, scope, limit)
        await reached(last, halves, wait_s, for_slow=False)
        try:
            return await self._feeding.run(find)
        except IndexDamaged as error:
            self._feeding.start_again(error)
        await reached(last, [self._feeding.words], wait_s)
        try:
            return await self._feeding.run(find)
        except IndexDamaged as error:
            raise unusable(error) from error

    def progress(self) -> IndexProgress:
        """Return how many of the stored documents a search can find now."""
        return self._feeding.progress()

    def state(self) -> str:
        """Return in a few words how many memories are indexed, and how many are waiting."""
        last = self._source.last_sequence()
        waiting = last - self._feeding.words.sequence
        parts = [f"{self._lexical.count:,} memories, {waiting:,} waiting"]
        if waiting > DOCUMENTS_AT_ONCE:
            parts = [f"rebuilding: {self._feeding.words.sequence:,} of {last:,}"]
        if last > self._feeding.meanings.sequence:
            parts.append(f"{last - self._feeding.meanings.sequence:,} not yet found by meaning")
        if self._vectors.refused:
            parts.append(f"{self._vectors.refused:,} by words alone, as the model can't take them")
        troubles = (self._feeding.words.trouble, self._feeding.meanings.trouble)
        parts += dict.fromkeys(trouble for trouble in troubles if trouble)
        return "; ".join(parts)

    def warnings(self) -> tuple[str, ...]:
        """Return a warning if the store has lost documents: only stored ones are ever indexed."""
        missing = self._feeding.missing
        if not missing:
            return ()
        return (
            f"the search index has {missing:,} more than the store, which has lost them. What "
            "other members have comes back by itself. Was the data directory or the disk damaged? "
            "Look with: buddies-cli store verify",
        )

    def _search(
        self, query: str, vector: Vectors | None, scope: Scope, limit: int
    ) -> tuple[IndexHit, ...]:
        """Return the best documents of both halves.

        A passage that has a word of the question gets its whole score, and any other is scored by
        meaning alone. So the best passages overall are among the best of the two halves.
        """
        asked = question(query)
        if self._embedder.knows_spaceless:
            asked = replace(asked, trust=1.0)
        found = self._lexical.search(asked, scope)
        near = [] if vector is None else self._vectors.search(vector, scope, limit)
        passages = np.array([*found.passages.tolist(), *(it.passage for it in near)], np.uint64)
        coverage = np.zeros(len(passages), np.float32)
        coverage[: len(found.passages)] = found.coverage
        cosines = np.zeros(len(passages), np.float32)
        if vector is not None:
            noise = self._embedder.noise

            def worth(cosines: Vectors) -> Vectors:
                return relevance((cosines - noise) / (1 - noise), coverage, asked.trust)

            cosines = self._vectors.cosines(vector, passages, worth)
            cosines = (cosines - noise) / (1 - noise)
        scores = relevance(cosines, coverage, asked.trust)
        best: dict[bytes, IndexHit] = {}
        seen: set[int] = set()
        for at in np.argsort(-scores, kind="stable").tolist():
            score, passage = float(scores[at]), int(passages[at])
            if len(best) == limit or (vector is not None and score < SHOWN_FROM):
                break
            if sequence_of(passage) in seen:
                continue
            seen.add(sequence_of(passage))
            behind = at - len(found.passages)
            key = near[behind].key if behind >= 0 else self._lexical.key(found.addresses[at])
            # While one half lags behind, a document may appear in its old and its new version.
            best.setdefault(
                key,
                IndexHit(
                    key=key,
                    score=score,
                    coverage=float(coverage[at]),
                    passage=number_of(passage),
                ),
            )
        return tuple(best.values())


def _named(half: str, *made_by: bytes) -> str:
    """Return a directory name that differs with everything that a half is made from."""
    return f"{half}-{hashlib.sha256(b''.join(made_by)).hexdigest()[:16]}"

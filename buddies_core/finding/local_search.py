"""Search on this machine alone: the index, and the model that turns a query into a vector."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np

from buddies_core.errors import StoreError
from buddies_core.finding.document import Scope
from buddies_core.finding.embedder import ModelUnavailable, Vectors
from buddies_core.finding.feeding import IndexProgress
from buddies_core.finding.index import IndexHit

_INDEX_PATIENCE_S = 1.0
_DEPTH_MIN, _DEPTH_MAX = 200, 3200
"""How many hits to examine if the first ones are hidden. The maximum takes 0.15 s (measured), and a
hit that ranks lower hardly ever answers the question."""
_READ_AT_ONCE_MAX = 100
"""The most hits to read on the event loop; this many take 2 ms (measured)."""

_log = logging.getLogger(__name__)


H = TypeVar("H")
_In = TypeVar("_In", contravariant=True)


class IndexPort(Protocol):
    """The search index, by words and by meaning; see `index.Index`."""

    async def search(
        self,
        query: str,
        vector: Vectors | None,
        scope: Scope,
        limit: int,
        *,
        wait_s: float,
    ) -> tuple[IndexHit, ...]:
        """Return hits, best first, after waiting for earlier documents to be indexed."""

    def progress(self) -> IndexProgress:
        """Return how many of the stored documents are indexed."""


class EmbedderPort(Protocol):
    """The embedding model; see `embedder.Embedder`."""

    @property
    def model_id(self) -> bytes:
        """The model's id; vectors of different models can't be compared."""

    @property
    def dimensions(self) -> int:
        """How many numbers the model's vectors have."""

    async def embed_query(self, text: str) -> Vectors:
        """Return float32[dimensions] of norm 1, as soon as the model is loaded."""


class DocumentsPort(Protocol[H]):
    """The items that documents are made from, such as `memory.documents.MemoryDocuments`."""

    def get_head(self, key: bytes) -> H | None:
        """Return the head of the item under this key."""

    def admits(self, scope: Scope, head: H) -> bool:
        """Return whether the item, in its present state, is in the scope."""


class HiddenPort(Protocol[_In]):
    """The items that a person has hidden; see `trust.revocations.Revocations`."""

    def hides(self, item: _In) -> bool:
        """Return whether this item must be neither shown nor passed on."""


class LocalSearch(Generic[H]):
    """Finds items on this machine, such as memories; their heads are of type `H`."""

    def __init__(
        self,
        index: IndexPort,
        embedder: EmbedderPort,
        documents: DocumentsPort[H],
        hidden: HiddenPort[H],
    ) -> None:
        self._index = index
        self._embedder = embedder
        self._documents = documents
        self._hidden = hidden

    @property
    def model_id(self) -> bytes:
        """The id of the model that makes our vectors."""
        return self._embedder.model_id

    async def vector(self, query: str, patience_s: float) -> tuple[Vectors | None, str]:
        """Return the query's vector and ""; or None and the reason."""
        try:
            async with asyncio.timeout(patience_s):
                return await self._embedder.embed_query(query), ""
        except TimeoutError:
            return None, "the embedding model was not ready in time, so this went by words alone"
        except ModelUnavailable as error:
            return None, str(error)

    def vector_of_peer(self, data: bytes, model: bytes) -> Vectors | None:
        """Return the vector that a peer sent, if it can be compared with ours."""
        if model != self._embedder.model_id or len(data) != 4 * self._embedder.dimensions:
            return None
        vector = np.frombuffer(data, "<f4").astype(np.float32)
        norm = float(np.linalg.norm(vector))
        return vector / norm if np.isfinite(norm) and norm > 0 else None

    def progress(self) -> IndexProgress:
        """Return how many of the stored documents a search can find now."""
        return self._index.progress()

    async def find(
        self,
        query: str,
        vector: Vectors | None,
        scope: Scope,
        limit: int,
        timeout_s: float,
    ) -> tuple[list[tuple[H, IndexHit]], int]:
        """Return this machine's items, best first, and how many records were damaged.

        Waits for documents stored before the call, but for half of the time at most. Hidden items
        don't count towards the limit: the next hits take their place.

        Raises:
            TimeoutError: it took too long.
            StoreError: the index can't be read.
        """
        wait_s = min(_INDEX_PATIENCE_S, timeout_s / 2)
        depth = limit
        async with asyncio.timeout(timeout_s):
            while True:
                hits = await self._index.search(query, vector, scope, depth, wait_s=wait_s)
                if len(hits) <= _READ_AT_ONCE_MAX:
                    found, damaged = self._shown(hits, scope)
                else:  # So many would block the event loop.
                    found, damaged = await asyncio.to_thread(self._shown, hits, scope)
                if len(found) >= limit or len(hits) < depth or depth >= _DEPTH_MAX:
                    return found[:limit], damaged
                depth = min(max(4 * depth, _DEPTH_MIN), _DEPTH_MAX)

    def _shown(
        self, hits: Sequence[IndexHit], scope: Scope
    ) -> tuple[list[tuple[H, IndexHit]], int]:
        """Return the items to be shown, and how many could not be read."""
        found: list[tuple[H, IndexHit]] = []
        damaged = 0
        for hit in hits:
            try:
                head = self._documents.get_head(hit.key)
            except StoreError as error:
                _log.warning("record_damaged reason=%s", error)
                damaged += 1
            else:
                # The index may lag behind the item's present state, and ignores what is hidden.
                if (
                    head is not None
                    and self._documents.admits(scope, head)
                    and not self._hidden.hides(head)
                ):
                    found.append((head, hit))
        return found, damaged

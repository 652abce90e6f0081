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
"""How many hits are looked at where the first ones are hidden. The most take 0.15 s (measured), and
what lies behind so many better hits answers hardly any question."""
_READ_AT_ONCE_MAX = 100
"""Hits that are read on the loop; it takes 2 ms (measured)."""

_log = logging.getLogger(__name__)


H = TypeVar("H")
_In = TypeVar("_In", contravariant=True)


class IndexPort(Protocol):
    """Words and meanings of the documents on disk; see `index.Index`."""

    async def search(
        self,
        query: str,
        vector: Vectors | None,
        scope: Scope,
        limit: int,
        *,
        wait_s: float,
    ) -> tuple[IndexHit, ...]:
        """Return what it knows, best first; waits for what was stored before."""

    def progress(self) -> IndexProgress:
        """Return how much of what is stored it knows."""


class EmbedderPort(Protocol):
    """The embedding model; see `embedder.Embedder`."""

    @property
    def model_id(self) -> bytes:
        """Vectors of another model can't be compared."""

    @property
    def dimensions(self) -> int:
        """How many numbers its vectors have."""

    async def embed_query(self, text: str) -> Vectors:
        """Return float32[dimensions] of norm 1, as soon as the model is loaded."""


class DocumentsPort(Protocol[H]):
    """What the documents are made of, such as `memory.documents.MemoryDocuments`."""

    def get_head(self, key: bytes) -> H | None:
        """Return the head of the item under this key."""

    def admits(self, scope: Scope, head: H) -> bool:
        """Return whether the item passes, as it is now."""


class HiddenPort(Protocol[_In]):
    """What a person has had hidden; see `trust.revocations.Revocations`."""

    def hides(self, item: _In) -> bool:
        """Return whether this item is not to be shown, nor to be handed on."""


class LocalSearch(Generic[H]):
    """Finds items of this machine, such as memories, whose heads are `H`."""

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
        """What our vectors are made by."""
        return self._embedder.model_id

    async def vector(self, query: str, patience_s: float) -> tuple[Vectors | None, str]:
        """Return the query's vector; or None, and why there is none."""
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
        """Return how much of what is stored a search can find now."""
        return self._index.progress()

    async def find(
        self,
        query: str,
        vector: Vectors | None,
        scope: Scope,
        limit: int,
        timeout_s: float,
    ) -> tuple[list[tuple[H, IndexHit]], int]:
        """Return what this machine holds, best first, and how many records were damaged.

        What was stored before is waited for, but for half of the time at most. What is hidden takes
        no place: the hits behind it are looked at.

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
                else:  # So many that the loop would stand still.
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
                # The index may lag behind what an item has become, and knows of nothing hidden.
                if (
                    head is not None
                    and self._documents.admits(scope, head)
                    and not self._hidden.hides(head)
                ):
                    found.append((head, hit))
        return found, damaged

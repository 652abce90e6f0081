"""The store's memories as the search engine reads them."""

from typing import Protocol

from buddies_core.finding.document import Document, Erasure, Scope
from buddies_core.model.amendment import Erased
from buddies_core.model.memory import Memory, MemoryHead, MemoryKey


class StorePort(Protocol):
    """The memories on disk; see `store.rocks.RocksStore`."""

    @property
    def id(self) -> bytes:
        """The store's id, made at random with the store."""

    async def memories_since(
        self, sequence: int, limit: int
    ) -> tuple[tuple[int, Memory | Erased], ...]:
        """Return what arrived after `sequence`, in order; empty only at the end."""

    def key_at(self, sequence: int) -> MemoryKey | None:
        """Return the key of the `sequence`-th arrival, unless something has replaced it."""

    def last_sequence(self) -> int:
        """Return the sequence of the latest arrival; 0 if there was none."""

    def get_head(self, key: MemoryKey) -> MemoryHead | None:
        """Return the head of the memory under this key."""


class LinksPort(Protocol):
    """Which memories replace others; see `memory.links.Links`."""

    def is_superseded(self, memory: MemoryHead) -> bool:
        """Return whether another memory has taken the place of this one."""


class MemoryDocuments:
    """What `finding.index` and `finding.local_search` need of a store."""

    def __init__(self, store: StorePort, links: LinksPort | None = None) -> None:
        """Read this store; without `links` no memory takes another one's place."""
        self._store = store
        self._links = links

    async def documents_since(
        self, sequence: int, limit: int
    ) -> tuple[tuple[int, Document | Erasure], ...]:
        """Return what arrived after `sequence`, in order; empty only at the end."""
        arrived = await self._store.memories_since(sequence, limit)
        return tuple(
            (number, document_of(it) if isinstance(it, Memory) else Erasure(it.key))
            for number, it in arrived
        )

    @property
    def store_id(self) -> bytes:
        """The store's id, made at random with the store."""
        return self._store.id

    def key_at(self, sequence: int) -> bytes | None:
        """Return the key of the `sequence`-th arrival, unless something has replaced it."""
        return self._store.key_at(sequence)

    def last_sequence(self) -> int:
        """Return the sequence of the latest arrival; 0 if there was none."""
        return self._store.last_sequence()

    def get_head(self, key: bytes) -> MemoryHead | None:
        """Return the head of the memory under this key."""
        return self._store.get_head(MemoryKey(key))

    def admits(self, scope: Scope, head: MemoryHead) -> bool:
        """Return whether the memory, as it is now, passes the scope's limits."""
        if not scope.admits(head.labels, head.at_s):
            return False
        if scope.include_superseded or self._links is None:
            return True
        return not self._links.is_superseded(head)


def document_of(memory: Memory) -> Document:
    """Return what the engine reads of a memory."""
    return Document(
        key=memory.key,
        title=memory.entry.title,
        text=memory.entry.content,
        tags=memory.entry.tags,
        labels=memory.labels,
        created_at_s=memory.at_s,
    )

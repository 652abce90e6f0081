"""The store's memories as the search engine reads them."""

from typing import Protocol

from buddies_core.finding.document import Document, Scope
from buddies_core.model.memory import Memory, MemoryHead, MemoryKey


class StorePort(Protocol):
    """The memories on disk; see `store.rocks.RocksStore`."""

    async def memories_since(self, sequence: int, limit: int) -> tuple[tuple[int, Memory], ...]:
        """Return what arrived after `sequence`, in order; none only at the end."""

    def last_sequence(self) -> int:
        """Return the sequence of the latest arrival; 0 if there was none."""

    def get_head(self, key: MemoryKey) -> MemoryHead | None:
        """Return the head of the memory under this key."""


class MemoryDocuments:
    """What `finding.index` and `finding.local_search` need of a store."""

    def __init__(self, store: StorePort) -> None:
        self._store = store

    async def documents_since(self, sequence: int, limit: int) -> tuple[tuple[int, Document], ...]:
        """Return what arrived after `sequence`, in order; none only at the end."""
        arrived = await self._store.memories_since(sequence, limit)
        return tuple((number, document_of(memory)) for number, memory in arrived)

    def last_sequence(self) -> int:
        """Return the sequence of the latest arrival; 0 if there was none."""
        return self._store.last_sequence()

    def get_head(self, key: bytes) -> MemoryHead | None:
        """Return the head of the memory under this key."""
        return self._store.get_head(MemoryKey(key))

    def admits(self, scope: Scope, head: MemoryHead) -> bool:
        """Return whether the memory passes, as it is now."""
        return scope.admits(head.labels, head.at_s)


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

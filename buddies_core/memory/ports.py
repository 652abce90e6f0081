"""What memories need from the layers below, in addition to `asking.ports`."""

from collections.abc import Callable, Sequence
from typing import Protocol

from buddies_core.model.amendment import Amendment, Kept, Places
from buddies_core.model.ids import MemoryId
from buddies_core.model.memory import (
    Memory,
    MemoryFilter,
    MemoryHead,
    MemoryKey,
    MemoryPlace,
)


class AmendmentStore(Protocol):
    """The amendments to memories; see `store.amendments.RocksAmendments`."""

    async def put(self, amendment: Amendment, early: Sequence[Places], proposals_max: int) -> Kept:
        """Keep an amendment and apply it; on return both are on disk."""

    def deletion(self, memory: Memory | MemoryHead) -> bool:
        """Return whether this memory, or the one that it is a copy of, was deleted in its room."""

    def deletions(self, id: MemoryId) -> tuple[Amendment, ...]:
        """Return the deletions of memories with this id; damaged records are left out."""

    def superseding(self, old: MemoryKey) -> tuple[tuple[MemoryKey, Amendment], ...]:
        """Return the replacements for a memory, with their amendments; its author's come first."""

    def superseded(self, new: MemoryKey) -> tuple[tuple[MemoryKey, Amendment], ...]:
        """Return the memories that this one is meant to replace, with the amendments."""

    def referring_to(self, id: MemoryId, limit: int) -> tuple[MemoryKey, ...]:
        """Return the keys of memories that name this id among their references."""

    async def forget(self, id: MemoryId, key: MemoryKey, at_ms: int) -> None:
        """Stop showing a memory here; on return this is on disk."""

    async def remember(self, id: MemoryId) -> tuple[MemoryKey, ...]:
        """Show again all memories with this id; return the keys of those that were not shown."""

    def is_forgotten(self, id: MemoryId, key: MemoryKey) -> bool:
        """Return whether a memory was forgotten here, so that it must not be shown."""


class StorePort(Protocol):
    """The memories on disk; see `store.rocks.RocksStore`."""

    @property
    def amendments(self) -> AmendmentStore:
        """The amendments to these memories."""

    async def put_memory(self, memory: Memory) -> bool:
        """Keep a memory unless a prevailing one is already kept; return whether it is kept now."""

    def get_memory(self, key: MemoryKey) -> Memory | None:
        """Return the memory under this key."""

    def get_head(self, key: MemoryKey) -> MemoryHead | None:
        """Return the head of the memory under this key."""

    def find_heads(self, id: MemoryId) -> tuple[MemoryHead, ...]:
        """Return the heads of all memories with this id."""

    def ids_beginning(self, digits: str) -> tuple[MemoryId, ...]:
        """Return the ids that begin with these hex digits, in order, at most two."""

    async def list_memories(
        self,
        filter: MemoryFilter,
        limit: int,
        hides: Callable[[MemoryHead], bool],
        after: MemoryPlace | None,
    ) -> tuple[tuple[MemoryHead, ...], int]:
        """Return the newest shown that pass the filter, and how many damaged were skipped."""

    def truncated_memories(
        self, limit: int, after: MemoryKey | None = None
    ) -> tuple[MemoryKey, ...]:
        """Return the keys after this one, in order, of memories whose content is incomplete."""


class IndexPort(Protocol):
    """The search index; see `finding.index.Index`."""

    def notice(self) -> None:
        """Have recent stores and deletions indexed soon."""


class HiddenPort(Protocol):
    """The memories that must not be shown; see `memory.hidden.Hidden`."""

    def hides(self, item: Memory | MemoryHead) -> bool:
        """Return whether this memory must be neither shown nor handed on."""

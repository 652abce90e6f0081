"""What memories need from the layers below, beside `asking.ports`."""

from collections.abc import Callable
from typing import Protocol

from buddies_core.model.ids import MemoryId
from buddies_core.model.memory import (
    Memory,
    MemoryFilter,
    MemoryHead,
    MemoryKey,
    MemoryPlace,
)
from buddies_core.model.revocation import Revocation


class StorePort(Protocol):
    """The memories on disk; see `store.rocks.RocksStore`."""

    async def put_memory(self, memory: Memory) -> bool:
        """Keep it unless one that prevails is kept, and return whether it is kept now."""

    def get_memory(self, key: MemoryKey) -> Memory | None:
        """Return the memory under this key."""

    def get_head(self, key: MemoryKey) -> MemoryHead | None:
        """Return the head of the memory under this key."""

    def find_heads(self, id: MemoryId) -> tuple[MemoryHead, ...]:
        """Return the heads of all memories with this id."""

    def ids_beginning(self, digits: str) -> tuple[MemoryId, ...]:
        """Return the ids that begin with these hex digits, in order, two at most."""

    async def list_memories(
        self,
        filter: MemoryFilter,
        limit: int,
        hides: Callable[[MemoryHead], bool],
        after: MemoryPlace | None,
    ) -> tuple[tuple[MemoryHead, ...], int]:
        """Return the newest to be shown that pass the filter; and how many damaged were skipped."""

    def truncated_memories(
        self, limit: int, after: MemoryKey | None = None
    ) -> tuple[MemoryKey, ...]:
        """Return the keys of memories whose content is not all there, in order, after this one."""


class HiddenPort(Protocol):
    """What a person has had hidden; see `trust.revocations.Revocations`."""

    def hides(self, item: Memory | MemoryHead) -> bool:
        """Return whether this memory is not to be shown, nor to be handed on."""

    def hiding(self, item: Memory | MemoryHead) -> Revocation | None:
        """Return why, if it is not to be."""

"""The results of a memory search, here and at peers: each memory once, in one order."""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from sys import getsizeof
from typing import TypeAlias

from buddies_core.asking.findings import Findings
from buddies_core.asking.ports import RoomsPort
from buddies_core.asking.question import Hit, merge
from buddies_core.clock import Clock
from buddies_core.errors import StoreError
from buddies_core.memory.copies import received_memory
from buddies_core.memory.links import Links
from buddies_core.memory.ports import HiddenPort, StorePort
from buddies_core.model.identity import Verified
from buddies_core.model.ids import MemoryId, endpoint_in
from buddies_core.model.memory import (
    Memory,
    MemoryFilter,
    MemoryHead,
    MemoryKey,
    prevails,
    same_words,
    verified_key,
)
from buddies_core.trust.admitted import Admitted

Found: TypeAlias = Memory | MemoryHead
"""A memory on this machine is found as a head."""

_KEPT_MAX = 1000
_KEPT_BYTES_MAX = 16 << 20
"""The most memory that recent finds may take. A character may need four bytes."""


class MemoryFindings(Findings[Found]):
    """Reads the answers to one question."""

    def __init__(
        self,
        filter: MemoryFilter,
        store: StorePort,
        rooms: RoomsPort,
        hidden: HiddenPort,
        links: Links,
        clock: Clock,
        counters: Counter[str],
    ) -> None:
        super().__init__(rooms, counters)
        # Only peers that have heard an author's name can resolve it, so the answering peer decides.
        self._filter = replace(filter, author=None)
        self._store = store
        self._hidden = hidden
        self._links = links
        self._clock = clock
        self._known: dict[MemoryKey, Found] = {}
        """Set when all answers have been read."""

    async def read(self, admitted: Admitted) -> Memory | None:
        """Return the memory in a copy, unless it is hidden here or not what was asked for."""
        memory = received_memory(admitted, self._rooms, self._clock.wall_ms())
        return memory if self._filter.admits(memory) and not self._hides(memory) else None

    def ranked(self, hits: Iterable[Hit[Found]]) -> list[Hit[Found]]:
        """Return what was found, each memory once, best first."""
        once = merge(hits, prevails)
        self._known = {hit.item.key: hit.item for hit in once}
        proven = merge([replace(hit, item=self._proven(hit.item)) for hit in once], prevails)
        if self._filter.include_superseded:
            return proven
        # A member may not have heard yet that there is a newer one.
        return [hit for hit in proven if not self._links.is_superseded(hit.item)]

    def _hides(self, memory: Memory) -> bool:
        """Return whether a copy is hidden here; our own record is older, and decides."""
        if memory.verified is not Verified.UNVERIFIED and not self._hidden.hides(memory):
            return False
        try:
            kept = self._store.get_memory(memory.key)
        except StoreError:
            kept = None
        known = kept if kept is not None and same_words(kept, memory) else self._proven(memory)
        return self._hidden.hides(known)

    def _proven(self, memory: Found) -> Found:
        """Return the original of an unproven copy, if its author's bytes are known.

        0.1.4 peers hand on even our own memories without those bytes.
        """
        author = endpoint_in(memory.entry.author)
        if memory.verified is not Verified.UNVERIFIED or author is None:
            return memory
        key = verified_key(author, memory.entry.id)
        try:
            proven = self._known.get(key) or self._store.get_head(key)
        except StoreError:
            return memory
        return memory if proven is None or self._hidden.hides(proven) else proven


class RecentFinds:
    """Memories found at peers lately, so that they can be read whole. None of them is on disk."""

    def __init__(self) -> None:
        self._memories: OrderedDict[MemoryKey, Memory] = OrderedDict()
        self._bytes = 0

    def keep(self, memory: Memory) -> None:
        """Keep a memory, replacing any earlier copy; if there are too many, forget the oldest."""
        self._forget(memory.key)
        self._memories[memory.key] = memory
        self._bytes += _bytes_of(memory)
        while len(self._memories) > _KEPT_MAX or self._bytes > _KEPT_BYTES_MAX:
            self._forget(next(iter(self._memories)))

    def drop(self, key: MemoryKey) -> None:
        """Forget a memory; calling again does nothing."""
        self._forget(key)

    def find(self, id: MemoryId) -> tuple[Memory, ...]:
        """Return the memories with this id."""
        return tuple(memory for memory in self._memories.values() if memory.entry.id == id)

    def ids(self) -> set[MemoryId]:
        """Return the ids of all kept memories."""
        return {memory.entry.id for memory in self._memories.values()}

    def _forget(self, key: MemoryKey) -> None:
        memory = self._memories.pop(key, None)
        if memory is not None:
            self._bytes -= _bytes_of(memory)


def _bytes_of(memory: Memory) -> int:
    return getsizeof(memory.entry.content) + getsizeof(memory.proof)

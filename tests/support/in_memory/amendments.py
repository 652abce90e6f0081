"""Amendments in plain dicts, for tests; see `amendments.RocksAmendments`."""

from collections import Counter
from collections.abc import Callable, Sequence

from buddies_core.model.amendment import (
    Amendment,
    Kept,
    Places,
    replaces_deletion,
    superseding_key,
)
from buddies_core.model.bodies import MemorySuperseded
from buddies_core.model.ids import MemoryId, RoomName
from buddies_core.model.memory import Memory, MemoryHead, MemoryKey, id_of_key, proven_key


class InMemoryAmendments:
    """The amendments of a store in memory."""

    def __init__(
        self, memories: dict[MemoryKey, tuple[int, Memory]], arrive: Callable[[], int]
    ) -> None:
        """Change these memories; `arrive` returns the sequence of something that arrives."""
        self._memories = memories
        self._arrive = arrive
        self._amendments: dict[bytes, Amendment] = {}
        self._deletions: dict[MemoryKey, Amendment] = {}
        self._erased: list[tuple[int, MemoryKey]] = []
        self._taken: Counter[bytes] = Counter()
        self._forgotten: dict[tuple[MemoryId, MemoryKey], int] = {}

    async def put(self, amendment: Amendment, early: Sequence[Places], proposals_max: int) -> Kept:
        """Keep an amendment, and do what it says."""
        if amendment.item in self._amendments:
            return Kept.KNOWN
        change = amendment.change
        if isinstance(change, MemorySuperseded):
            kept = self._supersede(amendment, change, early, proposals_max)
        else:
            kept = self._delete(amendment, early)
        if kept is Kept.NEW:
            self._amendments[amendment.item] = amendment
        return kept

    def get(self, item: bytes) -> Amendment | None:
        """Return the amendment with this id."""
        return self._amendments.get(item)

    def deletion(self, memory: Memory | MemoryHead) -> bool:
        """Return whether this memory, or the one that it is a copy of, was deleted in its room."""
        key = proven_key(memory)
        found = None if key is None else self._deletions.get(key)
        return found is not None and found.room == memory.entry.room

    def deletions(self, id: MemoryId) -> tuple[Amendment, ...]:
        """Return what has deleted memories with this id."""
        found = sorted(self._deletions.items())
        return tuple(amendment for key, amendment in found if id_of_key(key) == id)

    def erased(self) -> list[tuple[int, MemoryKey]]:
        """Return the sequences and keys of what was here when it was deleted."""
        return self._erased

    def proofs(self, room: RoomName) -> list[bytes]:
        """Return the proofs of what was said in a room."""
        return [it.proof for it in self._amendments.values() if it.room == room]

    def deleted_ids(self) -> set[MemoryId]:
        """Return the ids of all memories that were deleted."""
        return {id_of_key(key) for key in self._deletions}

    def superseding(self, old: MemoryKey) -> tuple[tuple[MemoryKey, Amendment], ...]:
        """Return what is to take a memory's place, with who said so; its author's come first."""
        links = [(it, new) for it, was, new in self._links() if was == old]
        links.sort(key=lambda link: (not link[0].is_by_author, link[0].item))
        return tuple((new, amendment) for amendment, new in links)

    def superseded(self, new: MemoryKey) -> tuple[tuple[MemoryKey, Amendment], ...]:
        """Return what a memory is to take the place of, with who said so."""
        links = [(it, old) for it, old, it_is in self._links() if it_is == new]
        links.sort(key=lambda link: link[0].item)
        return tuple((old, amendment) for amendment, old in links)

    def referring_to(self, id: MemoryId, limit: int) -> tuple[MemoryKey, ...]:
        """Return the keys of memories that name this id among their references."""
        found = sorted(
            key for key, (_, memory) in self._memories.items() if id in memory.entry.references
        )
        return tuple(found[:limit])

    async def forget(self, id: MemoryId, key: MemoryKey, at_ms: int) -> None:
        """Remember that a memory is not to be shown here."""
        self._forgotten[id, key] = at_ms

    async def remember(self, id: MemoryId) -> tuple[MemoryKey, ...]:
        """Show again all memories with this id; return the keys of those that were not shown."""
        found = sorted(place for place in self._forgotten if place[0] == id)
        for place in found:
            del self._forgotten[place]
        return tuple(key for _, key in found)

    def is_forgotten(self, id: MemoryId, key: MemoryKey) -> bool:
        """Return whether a memory is not to be shown here."""
        return (id, key) in self._forgotten

    def _delete(self, amendment: Amendment, early: Sequence[Places]) -> Kept:
        key = amendment.key
        if key in self._deletions:
            known = self._deletions[key]
            if known.room != amendment.room:
                return Kept.ELSEWHERE
            if not replaces_deletion(amendment, known):
                return Kept.KNOWN
            del self._amendments[known.item]
        elif key in self._memories and self._memories[key][1].entry.room != amendment.room:
            return Kept.ELSEWHERE
        elif key not in self._memories and not self._take(early):
            return Kept.FULL
        self._deletions[key] = amendment
        for copy in self._with_copies(amendment):
            del self._memories[copy]
            self._erased.append((self._arrive(), copy))
        return Kept.NEW

    def _with_copies(self, amendment: Amendment) -> list[MemoryKey]:
        """Return the keys of a deleted memory and of its unproven copies that are here."""
        found = [
            key
            for key, (_, memory) in self._memories.items()
            if memory.entry.room == amendment.room and proven_key(memory) == amendment.key
        ]
        return sorted(found, key=lambda key: (key != amendment.key, key))

    def _supersede(
        self,
        amendment: Amendment,
        change: MemorySuperseded,
        early: Sequence[Places],
        proposals_max: int,
    ) -> Kept:
        old, new = change.old, superseding_key(change, amendment.by)
        alike = [
            it
            for it, was, _ in self._links()
            if was == old and it.is_by_author == amendment.is_by_author
        ]
        if len(alike) >= proposals_max:
            return Kept.FULL
        both_here = old in self._memories and new in self._memories
        return Kept.NEW if both_here or self._take(early) else Kept.FULL

    def _take(self, early: Sequence[Places]) -> bool:
        if any(self._taken[wanted.of] >= wanted.count_max for wanted in early):
            return False
        self._taken.update(wanted.of for wanted in early)
        return True

    def _links(self) -> list[tuple[Amendment, MemoryKey, MemoryKey]]:
        return [
            (it, it.change.old, superseding_key(it.change, it.by))
            for it in self._amendments.values()
            if isinstance(it.change, MemorySuperseded)
        ]

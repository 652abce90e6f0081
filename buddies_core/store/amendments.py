"""Amendments on disk: deletions, what supersedes what, and what refers to what.

A deletion erases its memory in the same batch, and from then on the store does not take that memory
in again, wherever it comes from.
"""

import itertools
import logging
import struct
from collections.abc import Sequence

from buddies_core.errors import StoreError
from buddies_core.model.amendment import (
    Amendment,
    Kept,
    Places,
    replaces_deletion,
    superseding_key,
)
from buddies_core.model.bodies import MemorySuperseded
from buddies_core.model.ids import MemoryId
from buddies_core.model.memory import Memory, MemoryHead, MemoryKey, id_of_key, proven_key
from buddies_core.store import amendment_keys as places
from buddies_core.store import keys
from buddies_core.store.database import Changes, Database, Read
from buddies_core.store.items import Kept as Item
from buddies_core.store.items import disk_bytes, item_changes
from buddies_core.store.listing import Listing
from buddies_core.store.memories import read_memory, removed, totals
from buddies_core.store.records import decode_amendment, encode_amendment

_log = logging.getLogger(__name__)

_COUNT = struct.Struct(">I")
_MOMENT = struct.Struct(">Q")


class RocksAmendments:
    """The amendments of a store; a part of `RocksStore`."""

    def __init__(self, database: Database, listing: Listing) -> None:
        self._database = database
        self._listing = listing

    async def put(self, amendment: Amendment, early: Sequence[Places], proposals_max: int) -> Kept:
        """Keep an amendment and apply it; on return both are on disk.

        Nothing is left of a deleted memory here, except the bytes that record its deletion.

        Args:
            amendment: The amendment; its sender's right to make it is not checked here.
            early: The places it takes if the memory that it concerns is not here.
            proposals_max: How many may supersede one memory, besides those of its author.

        Raises:
            StoreError: the disk refused; nothing has changed.
        """

        def decide(read: Read) -> tuple[Kept, Changes]:
            if read(places.amendment(amendment.item)) is not None:
                return Kept.KNOWN, {}
            change = amendment.change
            if isinstance(change, MemorySuperseded):
                kept, changes = self._supersede(amendment, change, early, proposals_max, read)
            else:
                kept, changes = self._delete(amendment, early, read)
            if kept is not Kept.NEW:
                return kept, {}
            written = dict(changes)
            written[places.amendment(amendment.item)] = encode_amendment(amendment)

            def current(place: bytes) -> bytes | None:
                return written[place] if place in written else read(place)

            # No quota applies here: deleting something is a way to use less.
            written |= item_changes(current, new=[_among_items(current, amendment)])
            return kept, written

        return await self._database.commit(decide)

    def get(self, item: bytes) -> Amendment | None:
        """Return the amendment with this id.

        Raises:
            StoreError: its record is damaged.
        """
        return self._get(self._database.get, item)

    def deletion(self, memory: Memory | MemoryHead) -> bool:
        """Return whether this memory, or the one that it is a copy of, was deleted in its room."""
        return places.is_deleted(self._database.get, memory)

    def deletions(self, id: MemoryId) -> tuple[Amendment, ...]:
        """Return the deletions of memories with this id; damaged records are left out."""
        prefix = keys.memories_by_id(id)
        keys_of_id = (MemoryKey(it.removeprefix(prefix)) for it, _ in self._database.scan(prefix))
        found = filter(None, (self._database.get(places.deletion(key)) for key in keys_of_id))
        # Each once: unproven copies are erased by the deletion of what they are copies of.
        items = dict.fromkeys(places.decode_deletion(data)[0] for data in found)
        return tuple(self._readable([*items]))

    def superseding(self, old: MemoryKey) -> tuple[tuple[MemoryKey, Amendment], ...]:
        """Return the replacements for a memory, with their amendments; its author's come first."""
        prefix = places.superseded(old)
        found = self._database.scan(prefix)
        return self._with_amendments([(places.item_of(place), key) for place, key in found])

    def superseded(self, new: MemoryKey) -> tuple[tuple[MemoryKey, Amendment], ...]:
        """Return the memories that this one is meant to replace, with the amendments."""
        found = self._database.scan(places.supersedes(new))
        return self._with_amendments([(places.item_of(place), key) for place, key in found])

    def referring_to(self, id: MemoryId, limit: int) -> tuple[MemoryKey, ...]:
        """Return the keys of memories that name this id among their references."""
        prefix = places.references_to(id)
        found = itertools.islice(self._database.scan(prefix), limit)
        return tuple(MemoryKey(place.removeprefix(prefix)) for place, _ in found)

    async def forget(self, id: MemoryId, key: MemoryKey, at_ms: int) -> None:
        """Stop showing a memory here; on return this is on disk."""
        changes = {places.forgotten(id, key): _MOMENT.pack(at_ms)}
        await self._database.commit(lambda _: (None, changes))

    async def remember(self, id: MemoryId) -> tuple[MemoryKey, ...]:
        """Show again all memories with this id; return the keys of those that were not shown."""

        def decide(_: Read) -> tuple[tuple[MemoryKey, ...], Changes]:
            prefix = places.forgotten_ids(id)
            found = [place for place, _ in self._database.scan(prefix)]
            shown = tuple(MemoryKey(place.removeprefix(prefix)) for place in found)
            return shown, dict.fromkeys(found)

        return await self._database.commit(decide)

    def is_forgotten(self, id: MemoryId, key: MemoryKey) -> bool:
        """Return whether a memory was forgotten here, so that it must not be shown."""
        return self._database.get(places.forgotten(id, key)) is not None

    def _delete(
        self, amendment: Amendment, early: Sequence[Places], read: Read
    ) -> tuple[Kept, Changes]:
        key, place = amendment.key, places.deletion(amendment.key)
        changes: dict[bytes, bytes | None] = {}
        known = read(place)
        if known is not None:
            item, sequence, room = places.decode_deletion(known)
            if room != amendment.room:
                return Kept.ELSEWHERE, {}
            kept = self._get(read, item)
            if kept is not None and not replaces_deletion(amendment, kept):
                return Kept.KNOWN, {}
            changes[places.amendment(item)] = None
            if kept is not None:
                changes |= item_changes(read, gone=[_among_items(read, kept)])
            changes[place] = places.encode_deletion(amendment.item, sequence, amendment.room)
            return Kept.NEW, changes
        sequence = 0
        there = [key] if read(keys.memory(key)) is not None else []
        if there:
            memory = self._memory(read, key)
            if memory is not None and memory[1].entry.room != amendment.room:
                return Kept.ELSEWHERE, {}
        else:
            taken = self._taken(early, read)
            if taken is None:
                return Kept.FULL, {}
            changes |= taken
        last_sequence, count = totals(self._database, read)

        def current(place: bytes) -> bytes | None:
            return changes[place] if place in changes else read(place)

        for number, gone in enumerate((*there, *self._copies(read, amendment)), start=1):
            at = last_sequence + number
            changes |= removed(self._listing, gone, self._memory(read, gone), current)
            changes[keys.log(at)] = gone
            changes[keys.TOTALS] = struct.pack(">QQ", at, count - number)
            changes[places.deletion(gone)] = places.encode_deletion(
                amendment.item, at, amendment.room
            )
            sequence = at if gone == key else sequence
        changes[place] = places.encode_deletion(amendment.item, sequence, amendment.room)
        changes[keys.memory_by_id(id_of_key(key), key)] = b""
        return Kept.NEW, changes

    def _copies(self, read: Read, amendment: Amendment) -> list[MemoryKey]:
        """Return the keys of unproven copies, as 0.1.4 peers hand them on, of a deleted memory."""
        prefix = keys.memories_by_id(id_of_key(amendment.key))
        found = (MemoryKey(it.removeprefix(prefix)) for it, _ in self._database.scan(prefix))
        known = [(key, self._memory(read, key)) for key in found if key != amendment.key]
        return [
            key
            for key, memory in known
            if memory is not None
            and memory[1].entry.room == amendment.room
            and proven_key(memory[1]) == amendment.key
        ]

    def _memory(self, read: Read, key: MemoryKey) -> tuple[int, Memory] | None:
        """Return a memory with its sequence; None also if it can't be read."""
        try:
            return read_memory(read, key)
        except StoreError:
            return None

    def _supersede(
        self,
        amendment: Amendment,
        change: MemorySuperseded,
        early: Sequence[Places],
        proposals_max: int,
        read: Read,
    ) -> tuple[Kept, Changes]:
        old, new = change.old, superseding_key(change, amendment.by)
        ranked = places.superseded_ranked(old, is_by_author=amendment.is_by_author)
        others = itertools.islice(self._database.scan(ranked), proposals_max)
        if sum(1 for _ in others) == proposals_max:
            return Kept.FULL, {}
        changes: dict[bytes, bytes | None] = {
            places.superseded_by(old, amendment): new,
            places.supersedes(new) + amendment.item: old,
        }
        if read(keys.memory(old)) is None or read(keys.memory(new)) is None:
            taken = self._taken(early, read)
            if taken is None:
                return Kept.FULL, {}
            changes |= taken
        return Kept.NEW, changes

    def _taken(self, early: Sequence[Places], read: Read) -> Changes | None:
        """Return the changes that take one of each of these places; None if there is none left."""
        changes: dict[bytes, bytes | None] = {}
        for wanted in early:
            place = places.places(wanted.of)
            count = int.from_bytes(read(place) or b"", "big")
            if count >= wanted.count_max:
                return None
            changes[place] = _COUNT.pack(count + 1)
        return changes

    def _with_amendments(
        self, links: Sequence[tuple[bytes, bytes]]
    ) -> tuple[tuple[MemoryKey, Amendment], ...]:
        return tuple(
            (MemoryKey(key), amendment)
            for item, key in links
            for amendment in self._readable([item])
        )

    def _readable(self, items: Sequence[bytes]) -> list[Amendment]:
        found: list[Amendment] = []
        for item in items:
            try:
                amendment = self.get(item)
            except StoreError as error:
                _log.warning("record_damaged reason=%s", error)
                continue
            if amendment is not None:
                found.append(amendment)
        return found

    def _get(self, read: Read, item: bytes) -> Amendment | None:
        try:
            data = read(places.amendment(item))
            return None if data is None else decode_amendment(data)
        except ValueError as error:
            raise StoreError(
                f"the record of amendment {item.hex()[:16]} is damaged ({error}); nothing else is "
                "affected"
            ) from error


def _among_items(read: Read, amendment: Amendment) -> Item:
    place = places.amendment(amendment.item)
    return Item(amendment.room, amendment.proof, place, disk_bytes(read, place))

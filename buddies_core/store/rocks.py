"""The store on disk: memories, joined rooms, members last seen, tasks, high-water marks."""

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from buddies_core.model.amendment import Erased
from buddies_core.model.ids import EndpointId, MemoryId, RoomId, RoomName
from buddies_core.model.item import Bound, Item
from buddies_core.model.memory import (
    Memory,
    MemoryFilter,
    MemoryHead,
    MemoryKey,
    MemoryPlace,
)
from buddies_core.model.revocation import Revocation
from buddies_core.model.transfer import Verified
from buddies_core.store import keys
from buddies_core.store.amendments import RocksAmendments
from buddies_core.store.arrivals import arrivals
from buddies_core.store.database import Changes, Database, Read
from buddies_core.store.invites import RocksInvites
from buddies_core.store.item_records import Record, records
from buddies_core.store.items import ItemSet, RocksItems
from buddies_core.store.listing import Listing
from buddies_core.store.marks import RocksMarks
from buddies_core.store.memories import (
    ids_beginning,
    list_memories,
    put_memory,
    read_arrival,
    read_head,
    read_memory,
    totals,
)
from buddies_core.store.policies import RocksPolicies
from buddies_core.store.quotas import DEFAULT_QUOTAS, Quotas, Usage
from buddies_core.store.records import (
    BindingRecord,
    PresenceRecord,
    RoomRecord,
    decode_binding,
    decode_presence,
    decode_revocation,
    decode_room,
    encode_binding,
    encode_presence,
    encode_revocation,
    encode_room,
)
from buddies_core.store.skills import RocksSkills
from buddies_core.store.tasks import RocksTasks, decoded
from buddies_core.store.upgrade import forget_derived, note_complete, takes_time, upgrade
from buddies_core.store.verifying import verify

T = TypeVar("T")


def _nothing(_: MemoryHead) -> bool:
    return False


class RocksStore(RocksMarks, RocksTasks):
    """Everything that outlives the daemon, but for the node key. Made by `open`.

    A record that can't be read does no harm to others: what reads it alone raises and names it,
    what reads many skips it.
    """

    def __init__(self, database: Database, quotas: Quotas = DEFAULT_QUOTAS) -> None:
        RocksMarks.__init__(self, database)
        RocksTasks.__init__(self, database)
        self._quotas = quotas
        self._listing = Listing(keys.BITS, keys.TIMES, keys.SPANS)
        self.amendments = RocksAmendments(database, self._listing)
        self.policies = RocksPolicies(database)
        self._items = RocksItems(database)
        self.skills = RocksSkills(database, quotas)
        self.invites = RocksInvites(database)

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, quotas: Quotas = DEFAULT_QUOTAS) -> AsyncIterator["RocksStore"]:
        """Give the store in this directory, which is made if missing; close it afterwards.

        What an older buddies wrote is read as it is, until `upgrade` has brought it into today's
        layout.

        Raises:
            StoreError: it is in use, damaged or not writable; the text says what to do.
        """
        async with Database.open(path) as database:
            store = cls(database, quotas)
            if database.was_damaged:
                await forget_derived(database)
            if takes_time(database):
                note_complete(database, store._listing, store.skills.listing)
            else:
                await store.upgrade()
            yield store

    async def upgrade(self) -> None:
        """Bring what an older buddies wrote into today's layout.

        Lists with a filter are slow until then. Cut short, it goes on where it was the next time.
        """
        await upgrade(self._database, self._listing, self.skills.listing, self._items)

    def items(self, room: RoomName) -> ItemSet:
        """Return the items of a room: the proofs of its memories, skills and votes."""
        return self._items.of(room)

    async def records(
        self, room: RoomName, lower: Item | Bound, limit: int
    ) -> list[tuple[Item, Record]]:
        """Return the records of a room's first items from `lower` on, each with its item."""
        items = self._items.of(room)
        return await self._database.read(lambda: records(self._database, items, lower, limit))

    async def checkpoint(self, path: Path) -> int:
        """Write a copy into a directory that does not exist; return how many memories it has.

        Raises:
            StoreError: the disk refused.
        """
        return await self._database.checkpoint(path, self.count_memories)

    async def change_id(self) -> None:
        """Be another store from now on: what was derived from this one is made anew."""
        await self._database.change_id()

    def verify(self) -> AsyncIterator[Verified]:
        """Read every record, and yield what is damaged."""
        return verify(self._database, self._items)

    def usage(self) -> Usage:
        """Return how much of the disk rooms and authors use, and may use."""
        return Usage(
            quotas=self._quotas,
            rooms=self._items.used(),
            authors=self._items.used_by_authors(),
        )

    def gone(self) -> str:
        """Return what to say if its files were deleted or replaced; else an empty text."""
        return self._database.gone()

    def peer_before(self, endpoint: EndpointId) -> EndpointId | None:
        """Return which peer this machine was when the store was last open, if that is another."""
        before = self._database.get(keys.OWN_ENDPOINT)
        return EndpointId(before) if before and before != endpoint else None

    async def note_peer(self, endpoint: EndpointId) -> None:
        """Remember which peer this machine is."""
        if self._database.get(keys.OWN_ENDPOINT) != endpoint:
            await self._put(keys.OWN_ENDPOINT, endpoint)

    @property
    def was_damaged(self) -> bool:
        """Whether something was lost since it was last open, which members may have."""
        return self._database.was_damaged

    def warnings(self) -> tuple[str, ...]:
        """Return warnings about damage to the store."""
        return self._database.warnings()

    @property
    def items_complete(self) -> bool:
        """Whether all records are among the items, including those that an older buddies wrote."""
        return self._items.complete

    async def read(self, work: Callable[[], T]) -> T:
        """Run `work` on a reading thread, and return its result."""
        return await self._database.read(work)

    async def put_memory(self, memory: Memory) -> bool:
        """Keep a memory unless one that prevails has its key; return whether it is kept now.

        On return it is on disk. One that is kept gets the next sequence, also in place of another.
        Storing the same memory twice changes nothing and returns False.

        Raises:
            QuotaExceeded: its room or its author would use more of the disk than it may.
            StoreError: the disk refused.
        """
        put = partial(put_memory, self._database, self._listing, self._quotas, memory)
        return await self._database.commit(put)

    def get_memory(self, key: MemoryKey) -> Memory | None:
        """Return the memory under this key.

        Raises:
            StoreError: its record is damaged.
        """
        kept = read_memory(self._database.get, key)
        return kept[1] if kept else None

    def get_head(self, key: MemoryKey) -> MemoryHead | None:
        """Return the head of the memory under this key.

        Raises:
            StoreError: its record is damaged.
        """
        kept = read_head(self._database.get, key)
        return kept[1] if kept else None

    def find_heads(self, id: MemoryId) -> tuple[MemoryHead, ...]:
        """Return the heads of all memories with this id, by key.

        There is one an author, and any number of unverified ones, each with up to 1 MiB of content.

        Raises:
            StoreError: a record is damaged.
        """
        prefix = keys.memories_by_id(id)
        found = [
            self.get_head(MemoryKey(place.removeprefix(prefix)))
            for place, _ in self._database.scan(prefix)
        ]
        return tuple(head for head in found if head is not None)

    def ids_beginning(self, digits: str) -> tuple[MemoryId, ...]:
        """Return the ids that begin with these hex digits, in order, two at most."""
        return ids_beginning(self._database, digits)

    def truncated_memories(
        self, limit: int, after: MemoryKey | None = None
    ) -> tuple[MemoryKey, ...]:
        """Return the keys of memories whose content is not all there, in order, after this one."""
        start = None if after is None else keys.truncated(after) + b"\0"
        places = (place for place, _ in self._database.scan(keys.TRUNCATED, start=start))
        return tuple(MemoryKey(place[1:]) for place in itertools.islice(places, limit))

    async def list_memories(
        self,
        filter: MemoryFilter,
        limit: int,
        hides: Callable[[MemoryHead], bool] = _nothing,
        after: MemoryPlace | None = None,
    ) -> tuple[tuple[MemoryHead, ...], int]:
        """Return the first memories that pass the filter, in its order, and the damaged ones met.

        Of two made in the same second the one that arrived later is newer. What `hides` says is to
        be left out takes no place; it is asked on another thread. With `after` the list goes on
        behind that place. If the memory there can't be read any more, it begins anew with that
        memory's second, so that none is left out.
        """
        return await self._database.view(
            lambda view: list_memories(view, self._listing, filter, limit, hides, after)
        )

    async def memories_since(
        self, sequence: int, limit: int
    ) -> tuple[tuple[int, Memory | Erased], ...]:
        """Return what arrived after `sequence`, in order, each with its own sequence.

        At most `limit`, fewer if they are large, and none only at the end. What was replaced is
        left out, for its replacement comes later; so are damaged ones. That a memory was deleted
        arrives as well.
        """
        return await arrivals(
            self._database,
            keys.LOG,
            sequence,
            limit,
            lambda key: read_arrival(self._database.get, MemoryKey(key)),
            lambda arrived: len(arrived.entry.content) if isinstance(arrived, Memory) else 0,
        )

    async def heads_since(self, sequence: int, limit: int) -> tuple[tuple[int, MemoryHead], ...]:
        """Return the heads of what arrived after `sequence`; see `memories_since`."""
        return await arrivals(
            self._database,
            keys.LOG,
            sequence,
            limit,
            lambda key: read_head(self._database.get, MemoryKey(key)),
            lambda head: len(head.entry.content),
        )

    @property
    def id(self) -> bytes:
        """The store's id, made at random with the store."""
        return self._database.id

    def key_at(self, sequence: int) -> MemoryKey | None:
        """Return the key of the `sequence`-th arrival, unless something has replaced it."""
        key = self._database.get(keys.log(sequence))
        return None if key is None else MemoryKey(key)

    def last_sequence(self) -> int:
        """Return the sequence of the latest arrival; 0 if there was none."""
        return totals(self._database, self._database.get)[0]

    def count_memories(self) -> int:
        """Return how many memories are kept."""
        return totals(self._database, self._database.get)[1]

    async def keeps_any_of(self, room: RoomName) -> bool:
        """Return whether memories, skills or tasks of a room are kept, also damaged ones."""
        memories = await self.list_memories(MemoryFilter(room=room), 1)
        skills = await self.skills.list_skills(room, (), 1)
        orders = [it.order for it in await self.tasks()] + [it.order for it in await self.offers()]
        return any((*memories, *skills)) or any(order.room == room for order in orders)

    async def put_room(self, room: RoomRecord) -> None:
        """Remember a joined room, in place of what was known of it. On return it is on disk."""
        await self._put(keys.room(room.name), encode_room(room))

    async def delete_room(self, name: RoomName) -> None:
        """Forget a room, if it was known. On return that is on disk."""
        await self._put(keys.room(name), None)

    def rooms(self) -> tuple[RoomRecord, ...]:
        """Return the joined rooms, by name; damaged ones are left out."""
        return tuple(decoded(self._database.scan(keys.ROOMS), decode_room))

    async def put_presence(self, presence: PresenceRecord) -> None:
        """Remember a member's latest presence, in place of the last.

        It outlives this process, not the machine: the next one comes within half a minute.
        """
        key = keys.presence(presence.room_id, presence.endpoint)
        await self._put(key, encode_presence(presence), synced=False)

    def presences(self, room_id: RoomId) -> tuple[PresenceRecord, ...]:
        """Return the latest presence of each member, by endpoint; damaged ones are left out."""
        return tuple(decoded(self._database.scan(keys.presences(room_id)), decode_presence))

    def get_presence(self, room_id: RoomId, endpoint: EndpointId) -> PresenceRecord | None:
        """Return a member's latest presence; raises StoreError if its record is damaged."""
        return self._read(keys.presence(room_id, endpoint), decode_presence, "a presence")

    async def delete_presence(self, room_id: RoomId, endpoint: EndpointId) -> None:
        """Forget a member of a room, and the mark of its newest word on whether it is here.

        This outlives this process, not the machine.
        """
        mark = keys.watermark(keys.presence_mark(room_id, endpoint))
        changes = {keys.presence(room_id, endpoint): None, mark: None}
        await self._database.commit(lambda _: (None, changes), synced=False)

    async def delete_presences(self, room_id: RoomId) -> None:
        """Forget the members of a room. On return that is on disk."""

        def decide(_: Read) -> tuple[None, Changes]:
            places = (place for place, _ in self._database.scan(keys.presences(room_id)))
            return None, dict.fromkeys(places)

        await self._database.commit(decide)

    async def put_binding(self, record: BindingRecord) -> None:
        """Remember the signer of an endpoint, in place of the one before.

        It outlives this process, not the machine: it comes again with each presence.
        """
        await self._put(keys.binding(record.endpoint), encode_binding(record), synced=False)

    async def delete_binding(self, endpoint: EndpointId) -> None:
        """Forget the signer of an endpoint. This outlives this process, not the machine."""
        await self._put(keys.binding(endpoint), None, synced=False)

    def bindings(self) -> tuple[BindingRecord, ...]:
        """Return the bindings of all endpoints; damaged records are left out."""
        return tuple(decoded(self._database.scan(keys.BINDINGS), decode_binding))

    async def put_revocation(self, revocation: Revocation) -> None:
        """Remember that an identity is revoked, in place of since when it was."""
        await self._put(keys.revocation(revocation.label), encode_revocation(revocation))

    def revocations(self) -> tuple[Revocation, ...]:
        """Return the revoked identities, by label; damaged records are left out."""
        return tuple(decoded(self._database.scan(keys.REVOCATIONS), decode_revocation))

    async def delete_revocation(self, label: str) -> None:
        """Forget that an identity is revoked, if it is. On return that is on disk."""
        await self._put(keys.revocation(label), None)

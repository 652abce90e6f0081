"""The items of a room: what its members compare, kept beside the records that they are of.

    item  := "I" · length:u16be · room · at_ms:u64be · id:32 → nothing
    by id := "J" · length:u16be · room · id:32               → place of the record
    set   := "S" · length:u16be · room                       → count:u64be · sum of the ids:u256le

An item is written and deleted in the batch of its record, and so is the sum of the whole set, which
makes equal sets known at once. The sums of parts are kept in memory, one for each block of some
hundreds of items. They are made when they are first asked for, and forgotten when an item of their
block comes or goes.
"""

import itertools
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from threading import Lock
from typing import Protocol, TypeAlias

from google.protobuf.message import DecodeError

from buddies_core.model.ids import RoomName
from buddies_core.model.item import BEGIN, END, ID_BYTES, Bound, Item
from buddies_core.pb import records_pb2 as pb
from buddies_core.store import keys, skill_keys
from buddies_core.store.database import Changes, Database, Read
from buddies_core.wire.items import item_of

ITEMS, BY_ID, SETS = b"I", b"J", b"S"

BLOCK = 512
"""Items. Of shorter blocks there are more to add up, of longer ones more is read for a change."""
_MODULUS = 1 << 256
_EMPTY = bytes(8 + ID_BYTES)

Fingerprint: TypeAlias = tuple[int, int]
"""The sum of the ids as little-endian numbers modulo 2^256, and how many there are."""
Place: TypeAlias = Item | Bound


class ItemSet(Protocol):
    """The items of one room, in order. What both stores promise about them."""

    def __len__(self) -> int:
        """Return how many there are."""

    def fingerprint(self, lower: Place, upper: Place) -> Fingerprint:
        """Return the fingerprint of the items from `lower` on that lie before `upper`."""

    def list(self, lower: Place, upper: Place, limit: int) -> list[Item]:
        """Return the first `limit` items from `lower` on that lie before `upper`."""

    def nth(self, lower: Place, number: int) -> Item | None:
        """Return the item with `number` others between `lower` and itself; None if there is none.

        However large the number is, it takes no longer than a fingerprint.
        """

    def read(self, id: bytes) -> bytes | None:
        """Return the proof with this hash; None if it is not here, or damaged."""


def item_changes(
    read: Read,
    *,
    gone: Iterable[tuple[RoomName, bytes]] = (),
    new: Iterable[tuple[RoomName, bytes, bytes]] = (),
) -> Changes:
    """Return the changes that take these proofs out of their rooms' items, and put these in.

    A new one comes with the place of its record. What is already in or out stays so.
    """
    changes: dict[bytes, bytes | None] = {}

    def current(key: bytes) -> bytes | None:
        return changes[key] if key in changes else read(key)

    def change(room: RoomName, proof: bytes, place: bytes | None) -> None:
        prefix, id = _in_room(room), sha256(proof).digest()
        by_id = BY_ID + prefix + id
        if (current(by_id) is None) == (place is None):
            return
        changes[by_id] = place
        changes[ITEMS + prefix + _packed(item_of(proof))] = None if place is None else b""
        count, sum = _total(current(SETS + prefix))
        step = -1 if place is None else 1
        sum = (sum + step * _number(id)) % _MODULUS
        changes[SETS + prefix] = struct.pack(">Q", count + step) + sum.to_bytes(ID_BYTES, "little")

    for room, proof in gone:
        change(room, proof, None)
    for room, proof, place in new:
        change(room, proof, place)
    return changes


class RocksItems:
    """The items of all rooms in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sets: dict[RoomName, RocksItemSet] = {}
        self.complete = False
        """Whether all records are among them, including those that an older buddies wrote."""
        database.applied.append(self._applied)

    def of(self, room: RoomName) -> "RocksItemSet":
        """Return the items of a room, in which others that come and go show at once."""
        return self._sets.setdefault(room, RocksItemSet(self._database, room))

    def _applied(self, changes: Changes) -> None:
        """Take note of the items that have come or gone; called on the writer's thread."""
        for key in changes:
            if key[:1] == ITEMS:
                known = self._sets.get(RoomName(key[3 : -8 - ID_BYTES].decode()))
                if known is not None:
                    known.forget(_item_at(key))


class RocksItemSet:
    """The items of one room on disk; see `ItemSet`.

    Any thread may call it. The sum of a part of a million items takes seconds the first time, so it
    is to be asked for on a thread for reading.
    """

    def __init__(self, database: Database, room: RoomName) -> None:
        self._database = database
        self._prefix = _in_room(room)
        self._reading = Lock()
        """Held by the one that makes sums."""
        self._lock = Lock()
        """Guards what follows, and is held for microseconds."""
        self._starts: list[Place] = [BEGIN]
        self._sums: list[Fingerprint | None] = [None]
        """Of the items from each start to the next; None where that is not known."""
        self._forgotten: list[Item] = []
        """What has come or gone since the sums that are being made were begun."""

    def __len__(self) -> int:
        """Return how many items there are."""
        return _total(self._database.get(SETS + self._prefix))[0]

    def fingerprint(self, lower: Place, upper: Place) -> Fingerprint:
        """Return the fingerprint of the items from `lower` on that lie before `upper`.

        Raises:
            StoreError: the disk could not be read.
        """
        if lower <= BEGIN and upper >= END:
            count, ids = _total(self._database.get(SETS + self._prefix))
            return ids, count
        parts = [part for _, part in self._parts(lower, upper)]
        return sum(it[0] for it in parts) % _MODULUS, sum(it[1] for it in parts)

    def list(self, lower: Place, upper: Place, limit: int) -> list[Item]:
        """Return the first `limit` items from `lower` on that lie before `upper`.

        Raises:
            StoreError: the disk could not be read.
        """
        return list(itertools.islice(self._scan(lower, upper), limit))

    def nth(self, lower: Place, number: int) -> Item | None:
        """Return the item with `number` others between `lower` and itself; None if there is none.

        Raises:
            StoreError: the disk could not be read.
        """
        for start, (_, count) in self._parts(lower, END):
            if number < count:
                return next(itertools.islice(self._scan(start, END), number, None), None)
            number -= count
        return None

    def read(self, id: bytes) -> bytes | None:
        """Return the proof with this hash; None if it is not here, or damaged.

        Raises:
            StoreError: the disk could not be read.
        """
        place = self._database.get(BY_ID + self._prefix + id)
        record = None if place is None else self._database.get(place)
        if place is None or record is None:
            return None
        try:
            proof = PROOFS[place[:1]](record)
        except DecodeError:
            return None
        return proof if sha256(proof).digest() == id else None

    def forget(self, item: Item) -> None:
        """Take note that an item has come or gone."""
        with self._lock:
            self._forgotten.append(item)
            self._sums[self._index(item)] = None

    def _parts(self, lower: Place, upper: Place) -> Iterator[tuple[Place, Fingerprint]]:
        """Yield from where on each part of this range goes, and its fingerprint."""
        with self._reading:
            while lower < upper:
                start, end, known = self._block(lower)
                if known is None:
                    known = self._make_sums(start, end)
                    if start < lower or end > upper:  # What it was divided into is smaller.
                        start, end, known = self._block(lower)
                if known is None or start < lower or end > upper:
                    end = min(end, upper)
                    known = _add_up(self._scan(lower, end))
                yield lower, known
                lower = end

    def _block(self, at: Place) -> tuple[Place, Place, Fingerprint | None]:
        """Return from where to where the block of a place goes, and its sum if that is known."""
        with self._lock:
            index = self._index(at)
            end = self._starts[index + 1] if index + 1 < len(self._starts) else END
            return self._starts[index], end, self._sums[index]

    def _make_sums(self, start: Place, end: Place) -> Fingerprint:
        """Return the fingerprint of a block, which is divided if it has become too large."""
        with self._lock:
            self._forgotten.clear()
        starts, sums = [start], [(0, 0)]
        for item in self._scan(start, end):
            if sums[-1][1] == BLOCK:
                starts.append(item)
                sums.append((0, 0))
            sums[-1] = sums[-1][0] + _number(item.id), sums[-1][1] + 1
        if len(sums) > 1 and sums[-1][1] < BLOCK:  # else a block would be cut off for one item
            starts.pop()
            last = sums.pop()
            sums[-1] = sums[-1][0] + last[0], sums[-1][1] + last[1]
        with self._lock:
            index = self._index(start)
            self._starts[index : index + 1] = starts
            self._sums[index : index + 1] = sums
            for item in self._forgotten:
                self._sums[self._index(item)] = None
        return sum(it[0] for it in sums), sum(it[1] for it in sums)

    def _index(self, at: Place) -> int:
        return bisect_right(self._starts, at) - 1

    def _scan(self, lower: Place, upper: Place) -> Iterator[Item]:
        prefix = ITEMS + self._prefix
        for key, _ in self._database.scan(prefix, start=prefix + _packed(lower)):
            item = _item_at(key)
            if item >= upper:
                return
            yield item


class SortedItems:
    """The items of proofs that lie in memory; it keeps to `ItemSet`, for tests."""

    def __init__(self, proofs: Callable[[], Iterable[bytes]]) -> None:
        self._proofs = proofs

    def __len__(self) -> int:
        """Return how many items there are."""
        return len(self._items())

    def fingerprint(self, lower: Place, upper: Place) -> Fingerprint:
        """Return the fingerprint of the items from `lower` on that lie before `upper`."""
        sum, count = _add_up(it for it in self._items() if lower <= it < upper)
        return sum % _MODULUS, count

    def list(self, lower: Place, upper: Place, limit: int) -> list[Item]:
        """Return the first `limit` items from `lower` on that lie before `upper`."""
        return [it for it in sorted(self._items()) if lower <= it < upper][:limit]

    def nth(self, lower: Place, number: int) -> Item | None:
        """Return the item with `number` others between `lower` and itself, if there is one."""
        return next(iter([it for it in sorted(self._items()) if lower <= it][number:]), None)

    def read(self, id: bytes) -> bytes | None:
        """Return the proof with this hash; None if it is not here."""
        return next((proof for item, proof in self._items().items() if item.id == id), None)

    def _items(self) -> Mapping[Item, bytes]:
        return {item_of(proof): proof for proof in self._proofs()}


PROOFS: dict[bytes, Callable[[bytes], bytes]] = {
    keys.MEMORIES: lambda record: pb.MemoryRecord.FromString(record).proof,
    skill_keys.SKILLS: lambda record: pb.SkillRecord.FromString(record).proof,
    skill_keys.VOTES: lambda record: pb.VoteRecord.FromString(record).proof,
}
"""How the proof is read out of a record, by the letter that its place begins with."""


def _in_room(room: RoomName) -> bytes:
    name = room.encode()
    return struct.pack(">H", len(name)) + name


def _packed(place: Place) -> bytes:
    return struct.pack(">Q", place[0]) + place[1]


def _item_at(key: bytes) -> Item:
    return Item(int.from_bytes(key[-8 - ID_BYTES : -ID_BYTES], "big"), key[-ID_BYTES:])


def _number(id: bytes) -> int:
    return int.from_bytes(id, "little")


def _add_up(items: Iterable[Item]) -> Fingerprint:
    sum = count = 0
    for item in items:
        sum += _number(item.id)
        count += 1
    return sum, count


def _total(data: bytes | None) -> tuple[int, int]:
    data = data or _EMPTY
    return int.from_bytes(data[:8], "big"), _number(data[8:])

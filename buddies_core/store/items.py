"""The items of a room, which its members compare, kept beside their records.

    item  := "I" · length:u16be · room · at_ms:u64be · id:32 → nothing
    by id := "J" · length:u16be · room · id:32               → place of the record
    set   := "S" · length:u16be · room → count:u64be · bytes:u64be · sum of the ids:u256le

An item is written and deleted in the batch of its record, and so is the sum of the whole set, which
makes equal sets known at once, and how much of the disk room and author use; see `quotas`. The sums
of parts are kept in memory, one for each block of some hundreds of items. They are made when they
are first asked for, and forgotten when an item of their block comes or goes.
"""

import itertools
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock
from typing import Literal, NamedTuple, Protocol, TypeAlias

from google.protobuf.message import DecodeError

from buddies_core.model.ids import RoomName
from buddies_core.model.item import BEGIN, END, ID_BYTES, Bound, Item
from buddies_core.pb import records_pb2 as pb
from buddies_core.store import amendment_keys, keys, skill_keys
from buddies_core.store.database import Changes, Database, Read
from buddies_core.store.quotas import AUTHORS, Quotas
from buddies_core.wire.items import describe

ITEMS, BY_ID, SETS = b"I", b"J", b"S"

BLOCK = 512
"""Items in a block. Shorter blocks mean more sums to add, longer ones more to read per change."""
_MODULUS = 1 << 256
_SET = struct.Struct(">QQ")

Fingerprint: TypeAlias = tuple[int, int]
"""The sum of the ids as little-endian numbers modulo 2^256, and how many there are."""
Place: TypeAlias = Item | Bound


class ItemSet(Protocol):
    """The items of one room, in order, on disk or, in tests, in memory."""

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

    def __contains__(self, id: bytes) -> bool:
        """Return whether there is an item with this id."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A record that is among the items."""

    room: RoomName
    proof: bytes
    place: bytes
    size: int
    """The size in bytes, including content stored apart."""


def item_changes(
    read: Read,
    *,
    gone: Iterable[Kept] = (),
    new: Iterable[Kept] = (),
    quotas: Quotas | None = None,
) -> Changes:
    """Return the changes that take records out of their rooms' items, and put others in.

    What is already in or out stays so.

    Raises:
        QuotaExceeded: with the new ones a room or an author would use more than it may.
    """
    changes: dict[bytes, bytes | None] = {}

    def current(key: bytes) -> bytes | None:
        return changes[key] if key in changes else read(key)

    def change(kept: Kept, step: Literal[1, -1]) -> None:
        prefix, id = _in_room(kept.room), sha256(kept.proof).digest()
        by_id = BY_ID + prefix + id
        if (current(by_id) is None) == (step < 0):
            return
        described = describe(kept.proof)
        changes[by_id] = kept.place if step > 0 else None
        changes[ITEMS + prefix + _packed(described.item)] = b"" if step > 0 else None
        total = _total(current(SETS + prefix))
        in_room = max(0, total.size + step * kept.size)
        ids = (total.ids + step * _number(id)) % _MODULUS
        changes[SETS + prefix] = _SET.pack(total.items + step, in_room) + ids.to_bytes(
            ID_BYTES, "little"
        )
        by = AUTHORS + described.author
        of_author = max(0, _size(current(by)) + step * kept.size)
        changes[by] = struct.pack(">Q", of_author) if of_author else None
        if quotas is not None and step > 0:
            grows = in_room > _total(read(SETS + prefix)).size
            if grows:
                quotas.check(kept.room, described.author, in_room=in_room, of_author=of_author)

    for kept in gone:
        change(kept, -1)
    for kept in new:
        change(kept, 1)
    return changes


def disk_bytes(read: Read, place: bytes) -> int:
    """Return the bytes that a record takes, including content stored apart."""
    return len(read(place) or b"") + len(read(keys.content(place)) or b"")


def size_of(changes: Changes, place: bytes) -> int:
    """Return the bytes that a record written by these changes will take."""
    return disk_bytes(changes.get, place)


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

    def used(self) -> dict[RoomName, int]:
        """Return how many bytes of the disk each room uses, the largest first."""
        found = {
            RoomName(key[3:].decode()): _total(data).size for key, data in self._database.scan(SETS)
        }
        return dict(sorted(found.items(), key=lambda it: (-it[1], it[0])))

    def used_by_authors(self) -> dict[bytes, int]:
        """Return how many bytes of the disk each author uses, the largest first."""
        found = {key[1:]: _size(data) for key, data in self._database.scan(AUTHORS)}
        return dict(sorted(found.items(), key=lambda it: (-it[1], it[0])))

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
        """Held while sums are being made."""
        self._lock = Lock()
        """Guards what follows, and is held for microseconds."""
        self._starts: list[Place] = [BEGIN]
        self._sums: list[Fingerprint | None] = [None]
        """Of the items from each start to the next; None where that is not known."""
        self._forgotten: list[Item] = []
        """What has come or gone since the sums that are being made were begun."""

    def __len__(self) -> int:
        """Return how many items there are."""
        return _total(self._database.get(SETS + self._prefix)).items

    def fingerprint(self, lower: Place, upper: Place) -> Fingerprint:
        """Return the fingerprint of the items from `lower` on that lie before `upper`.

        Raises:
            StoreError: the disk could not be read.
        """
        if lower <= BEGIN and upper >= END:
            total = _total(self._database.get(SETS + self._prefix))
            return total.ids, total.items
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
        place = self.place(id)
        record = None if place is None else self._database.get(place)
        if place is None or record is None:
            return None
        try:
            proof = PROOFS[place[:1]](record)
        except DecodeError:
            return None
        return proof if sha256(proof).digest() == id else None

    def __contains__(self, id: bytes) -> bool:
        """Return whether there is an item with this id."""
        return self.place(id) is not None

    def place(self, id: bytes) -> bytes | None:
        """Return where the record of an item lies; None if there is no such item."""
        return self._database.get(BY_ID + self._prefix + id)

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


PROOFS: dict[bytes, Callable[[bytes], bytes]] = {
    keys.MEMORIES: lambda record: pb.MemoryRecord.FromString(record).proof,
    amendment_keys.AMENDMENTS: lambda record: pb.AmendmentRecord.FromString(record).proof,
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


class _Total(NamedTuple):
    items: int
    size: int
    """The size in bytes."""
    ids: int


def _total(data: bytes | None) -> _Total:
    if data is None:
        return _Total(0, 0, 0)
    items, size = _SET.unpack_from(data)
    return _Total(items, size, _number(data[_SET.size :]))


def _size(data: bytes | None) -> int:
    return int.from_bytes(data or b"", "big")

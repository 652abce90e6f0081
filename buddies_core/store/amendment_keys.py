"""The keys of amendments, forgotten memories, and references to a memory; see `keys`.

    amendment  := "M" · item:32                          → AmendmentRecord
    deletion   := "D" · MemoryKey                        → item:32 · sequence:u64be · room
    superseded := "U" · old MemoryKey · rank:1 · item:32 → new MemoryKey
    supersedes := "P" · new MemoryKey · item:32          → old MemoryKey
    reference  := "B" · id:16 · MemoryKey                → nothing
    places     := "E" · whose                            → count:u32be
    forgotten  := "F" · id:16 · MemoryKey                → at_ms:u64be

An item is the SHA-256 of an amendment's proof. The sequence of a deletion is its place in the log,
from which the index learns of it; 0 if the memory was not here. The rank is 0 for the author of the
old memory and 1 for others. A reference names the memory that has it. Places are taken by
amendments that concern memories which were not here when they came.
"""

import struct

from buddies_core.model.amendment import Amendment
from buddies_core.model.ids import MemoryId, RoomName
from buddies_core.model.memory import Memory, MemoryHead, MemoryKey, proven_key
from buddies_core.store.database import Read

AMENDMENTS = b"M"
REFERENCES = b"B"
DELETIONS = b"D"

_ITEM_BYTES = 32
_SEQUENCE = struct.Struct(">Q")


def amendment(item: bytes) -> bytes:
    """Return where an amendment lies."""
    return AMENDMENTS + item


def deletion(key: MemoryKey) -> bytes:
    """Return the key of a memory's deletion."""
    return DELETIONS + key


def encode_deletion(item: bytes, sequence: int, room: RoomName) -> bytes:
    """Return the value stored under `deletion`."""
    return item + _SEQUENCE.pack(sequence) + room.encode()


def decode_deletion(data: bytes) -> tuple[bytes, int, RoomName]:
    """Return the item, the sequence and the room that `encode_deletion` was given."""
    sequence_at, room_at = _ITEM_BYTES, _ITEM_BYTES + _SEQUENCE.size
    (sequence,) = _SEQUENCE.unpack(data[sequence_at:room_at])
    return data[:sequence_at], sequence, RoomName(data[room_at:].decode())


def superseded(old: MemoryKey) -> bytes:
    """Return the prefix of the entries of all that supersede a memory."""
    return b"U" + old


def superseded_by(old: MemoryKey, by: Amendment) -> bytes:
    """Return the entry that says that something supersedes a memory."""
    return superseded_ranked(old, is_by_author=by.is_by_author) + by.item


def superseded_ranked(old: MemoryKey, *, is_by_author: bool) -> bytes:
    """Return the prefix of those entries by the memory's author, or by others."""
    return superseded(old) + (b"\0" if is_by_author else b"\1")


def supersedes(new: MemoryKey) -> bytes:
    """Return the prefix of the entries of all that a memory supersedes."""
    return b"P" + new


def item_of(place: bytes) -> bytes:
    """Return the item with which an entry about superseding ends."""
    return place[-_ITEM_BYTES:]


def references_to(id: MemoryId) -> bytes:
    """Return the prefix of the entries of all memories that refer to this id."""
    return REFERENCES + id.bytes


def references(memory: Memory | MemoryHead) -> tuple[bytes, ...]:
    """Return the entries that say what a memory refers to."""
    return tuple(references_to(id) + memory.key for id in memory.entry.references)


def places(of: bytes) -> bytes:
    """Return the key of the number of places taken."""
    return b"E" + of


def forgotten_ids(id: MemoryId) -> bytes:
    """Return the prefix of the entries of all forgotten memories with this id."""
    return b"F" + id.bytes


def forgotten(id: MemoryId, key: MemoryKey) -> bytes:
    """Return the entry that says that a memory is not to be shown here."""
    return forgotten_ids(id) + key


def is_deleted(read: Read, memory: Memory | MemoryHead) -> bool:
    """Return whether this memory, or the one that it is a copy of, was deleted in its room."""
    key = proven_key(memory)
    data = None if key is None else read(deletion(key))
    return data is not None and decode_deletion(data)[2] == memory.entry.room

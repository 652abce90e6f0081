"""The key of each record. One database, one ordered key space, one letter in front of each kind.

    memory    := "m" · MemoryKey                      → MemoryRecord
    by id     := "i" · id:16 · MemoryKey              → nothing
    log       := "l" · sequence:u64be                 → MemoryKey
    timeline  := "t" · length:u16be · room · at_s:u64be · sequence:u64be → MemoryKey
    truncated := "f" · MemoryKey                      → nothing
    room      := "r" · name                           → RoomRecord
    presence  := "p" · room id:32 · endpoint:32         → PresenceRecord
    binding   := "b" · endpoint:32                    → BindingRecord
    watermark := "w" · name                           → value:u64be
    task      := "k" · id:16                          → TaskRecord
    offer     := "o" · id:16                          → OfferRecord
    policy    := "q" · room id:32                     → PolicyRecord
    revoked   := "x" · label of an identity           → RevocationRecord
    content   := "d" · place of a record              → a content of over 4 KiB
    bits      := "g" · hash of a label:8 · page:u32be → bit[256]; see `listing`
    times     := "h" · page:u32be                     → at_s:u64le[1 … 256]
    span      := "H" · page:u32be                     → first at_s:u64be · last at_s:u64be
    id        := "y"                                  → 16 random bytes
    own       := "Y"                                  → the endpoint that this machine was last:32
    totals    := "z"                                  → last sequence:u64be · memories:u64be

What begins with "B", "D", "E", "F", "M", "P" or "U" is about changes to memories and about what
refers to them; see `amendment_keys`. What begins with "c", "e", "j", "n", "s", "u" or "v" is about
skills; see `skill_keys`. What begins with "a" is an invite to a private room; see `store.invites`.
What begins with "A", "I", "J" or "S" is about what members compare; see `store.items`.

Each memory is in two timelines, its room's and that of all rooms, which has the empty name. A log
entry counts only if the memory it names still carries that sequence, or its deletion does. Those
under "f" are the memories whose content has yet to be fetched. The record of a memory or skill with
a long content has only the beginning of it, so that a list does not read the rest.
"""

import struct
from uuid import UUID

from buddies_core.model.ids import EndpointId, MemoryId, RoomId, RoomName, TaskId, short
from buddies_core.model.memory import MemoryKey

LOG = b"l"
MEMORIES = b"m"
TRUNCATED = b"f"
ROOMS = b"r"
BINDINGS = b"b"
TOTALS = b"z"
TASKS = b"k"
OFFERS = b"o"
REVOCATIONS = b"x"
PRESENCES = b"p"
OWN_ENDPOINT = b"Y"
BITS = b"g"
TIMES = b"h"
SPANS = b"H"

SEQUENCE_MAX = (1 << 64) - 1

_VERIFIED_KEY_BYTES = 1 + 32 + 16


def memory(key: MemoryKey) -> bytes:
    """Return the key of a memory's record."""
    return MEMORIES + key


def memory_ids_beginning(beginning: bytes) -> bytes:
    """Return the prefix of the by-id entries of all memories whose ids begin this way."""
    return b"i" + beginning


def memories_by_id(id: MemoryId) -> bytes:
    """Return the prefix of the by-id entries of all memories with this id."""
    return memory_ids_beginning(id.bytes)


def id_in(place: bytes) -> MemoryId:
    """Return the id that a by-id entry is for."""
    return MemoryId(UUID(bytes=place[1:17]))


def memory_by_id(id: MemoryId, key: MemoryKey) -> bytes:
    """Return the by-id entry of one memory."""
    return memories_by_id(id) + key


def log(sequence: int) -> bytes:
    """Return the place in the order of arrival."""
    return LOG + struct.pack(">Q", sequence)


def log_sequence(key: bytes) -> int:
    """Return the sequence that `log` packed."""
    return int.from_bytes(key[-8:], "big")


def truncated(key: MemoryKey) -> bytes:
    """Return the entry that says that a memory's content is not all there."""
    return TRUNCATED + key


def timeline(room: RoomName | None) -> bytes:
    """Return the prefix of a room's timeline; None means the timeline of all rooms."""
    name = (room or "").encode()
    return b"t" + struct.pack(">H", len(name)) + name


def timeline_entry(room: RoomName | None, at_s: int, sequence: int) -> bytes:
    """Return a memory's place in a timeline: by `Memory.at_s`, then by arrival."""
    return timeline(room) + struct.pack(">QQ", at_s, sequence)


def timeline_place(key: bytes) -> tuple[int, int]:
    """Return the time and the sequence that `timeline_entry` packed."""
    return int.from_bytes(key[-16:-8], "big"), int.from_bytes(key[-8:], "big")


def content(record: bytes) -> bytes:
    """Return where the content of the record in this place lies, if it is long."""
    return b"d" + record


def room(name: RoomName) -> bytes:
    """Return the key of a joined room."""
    return ROOMS + name.encode()


def presences(room_id: RoomId) -> bytes:
    """Return the prefix of all presences of a room."""
    return PRESENCES + room_id


def presence(room_id: RoomId, endpoint: EndpointId) -> bytes:
    """Return the key of a member's latest presence."""
    return presences(room_id) + endpoint


def presence_mark(room_id: RoomId, endpoint: EndpointId) -> bytes:
    """Return the name of the mark of a member's newest word on whether it is here."""
    return b"presence" + room_id + endpoint


def binding(endpoint: EndpointId) -> bytes:
    """Return the key of an endpoint's binding."""
    return BINDINGS + endpoint


def watermark(name: bytes) -> bytes:
    """Return the key of a high-water mark."""
    return b"w" + name


def task(id: TaskId) -> bytes:
    """Return the key of a task that this node asked for."""
    return TASKS + id.bytes


def offer(id: TaskId) -> bytes:
    """Return the key of a task that this node was asked to do."""
    return OFFERS + id.bytes


def revocation(label: str) -> bytes:
    """Return the key of an identity's revocation."""
    return REVOCATIONS + label.encode()


def name_of(key: MemoryKey) -> str:
    """Return what a person can use to find a memory whose record can't be read."""
    if key[:1] == b"v" and len(key) == _VERIFIED_KEY_BYTES:
        return f"{UUID(bytes=key[-16:])} by {short(EndpointId(key[1:33]))}"
    return key.hex()

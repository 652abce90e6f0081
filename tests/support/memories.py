"""Memories to test with: whole and valid unless told otherwise."""

import hashlib
from uuid import UUID

from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId, MemoryId, RoomName
from buddies_core.model.memory import (
    Memory,
    MemoryEntry,
    MemoryHead,
    MemoryKind,
    Whole,
    unverified_key,
    verified_key,
)

ALICE = EndpointId(b"a" * 32)
BOB = EndpointId(b"b" * 32)
CAROL = EndpointId(b"c" * 32)
DEMO = RoomName("demo")


def memory_id(number: int) -> MemoryId:
    """Return the id with this number, a valid UUIDv4."""
    return MemoryId(UUID(int=number << 80 | 4 << 76 | 8 << 60))


def an_entry(
    number: int = 1,
    *,
    author: EndpointId = ALICE,
    created_at_s: int = 1_700_000_000,
    room: RoomName = DEMO,
    kind: MemoryKind = MemoryKind.DECISION,
    title: str = "Database",
    content: str = "We're using PostgreSQL for the user table",
    tags: tuple[str, ...] = (),
    references: tuple[MemoryId, ...] = (),
) -> MemoryEntry:
    """Return an entry; `number` decides its id."""
    return MemoryEntry(
        id=memory_id(number),
        author=author.hex(),
        created_at_s=created_at_s,
        room=room,
        kind=kind,
        title=title,
        content=content,
        tags=tags,
        references=references,
    )


def a_memory(
    entry: MemoryEntry | None = None,
    *,
    author_name: str = "alice",
    verified: Verified = Verified.PEER,
    whole: Whole | None = None,
    proof: bytes | None = None,
    received_at_ms: int | None = None,
) -> Memory:
    """Return the memory of an entry; its proof is made up, and differs where the entry does.

    Unless told otherwise, it came in the second in which it was made.
    """
    entry = entry or an_entry()
    if received_at_ms is None:
        received_at_ms = entry.created_at_s * 1000 + 123
    described = repr(entry).encode()
    return Memory(
        key=unverified_key(described)
        if verified is Verified.UNVERIFIED
        else verified_key(EndpointId(bytes.fromhex(entry.author)), entry.id),
        entry=entry,
        author_name=author_name,
        agent="claude",
        verified=verified,
        whole=whole,
        proof=b"proof of " + described if proof is None else proof,
        received_at_ms=received_at_ms,
    )


def heads(*memories: Memory) -> tuple[MemoryHead, ...]:
    """Return what lists show of them."""
    return tuple(memory.head() for memory in memories)


def whole_of(content: str) -> Whole:
    """Return what an author announces of a content that does not fit."""
    data = content.encode()
    return Whole(hashlib.sha256(data).digest(), len(data))

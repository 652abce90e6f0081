"""Memories: facts that an agent shares with the team."""

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NewType
from uuid import UUID

from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId, MemoryId, RoomName, endpoint_in
from buddies_core.model.labels import groups_of, labels_of

CONTENT_BYTES_MAX = 1 << 20
TITLE_BYTES_MAX = 512
TAGS_MAX = 32
TAG_BYTES_MAX = 64
REFERENCES_MAX = 32
REASON_BYTES_MAX = 512
"""The longest reason for deleting a memory."""
SNIPPET_CHARS_MAX = 1000
"""How much of a content lists and searches show; `get_memory` reads the rest."""

MemoryKey = NewType("MemoryKey", bytes)
"""The key that a memory is stored under: see `verified_key` and `unverified_key`."""


class MemoryKind(StrEnum):
    """What a memory is about. The order is the wire's: postcard writes the index."""

    DECISION = "decision"
    IMPLEMENTATION = "implementation"
    CONTEXT = "context"
    SKILL = "skill"
    STATUS = "status"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEntry:
    """A memory as its author wrote it, with the fields of 0.1.4's wire."""

    id: MemoryId
    author: str
    """The author's endpoint id in hex; free text if it came from a 0.1.4 peer."""
    created_at_s: int
    room: RoomName
    kind: MemoryKind
    title: str
    content: str
    tags: tuple[str, ...] = ()
    references: tuple[MemoryId, ...] = ()


@dataclass(frozen=True, slots=True)
class MemoryRef:
    """A caller's reference to a memory."""

    id: MemoryId
    author: str = ""
    """The beginning of its author's id in hex, where several memories share this id; else empty."""


@dataclass(frozen=True, slots=True)
class Whole:
    """The hash and size of the whole content, where a message carries only its beginning."""

    sha256: bytes
    """SHA-256 of the content as UTF-8."""
    size: int
    """In bytes of UTF-8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """The entry, and its origin as far as it is known."""

    key: MemoryKey
    entry: MemoryEntry
    author_name: str
    agent: str
    verified: Verified
    whole: Whole | None
    """The content that the author's message announced; None where it carried everything."""
    proof: bytes
    """The author's bytes as received, P2PMessage ‖ trailer; copies are admitted by these."""
    received_at_ms: int
    signed_by: str = ""
    """The label of the key that signed the message itself, where a 0.1.4 peer signed it."""

    @property
    def room(self) -> RoomName:
        """The room in which it was sent."""
        return self.entry.room

    @property
    def at_s(self) -> int:
        """When it was made, for display and sorting.

        This is its author's time, but no later than its arrival here: a clock that is ahead can't
        put a memory in front of later ones.
        """
        return min(self.entry.created_at_s, self.received_at_ms // 1000)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels by which filters can select it."""
        return labels_of(
            room=self.entry.room,
            kind=self.entry.kind,
            tags=self.entry.tags,
            authors=(self.entry.author, self.author_name),
            agent=self.agent,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory(_Kept):
    """A memory with as much of its content as is here."""

    @property
    def size(self) -> int:
        """How much of the content is here, in bytes of UTF-8."""
        return len(self.entry.content.encode())

    @property
    def truncated(self) -> bool:
        """Whether the rest of the content has not been fetched yet."""
        return self.whole is not None and self.size < self.whole.size

    def head(self) -> "MemoryHead":
        """Return the part of it that lists and searches show."""
        return MemoryHead(
            key=self.key,
            entry=replace(self.entry, content=self.entry.content[:SNIPPET_CHARS_MAX]),
            author_name=self.author_name,
            agent=self.agent,
            verified=self.verified,
            whole=self.whole,
            proof=self.proof,
            received_at_ms=self.received_at_ms,
            signed_by=self.signed_by,
            size=self.size,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryHead(_Kept):
    """A memory with the first `SNIPPET_CHARS_MAX` characters of its content.

    Reading a content of 1 MiB takes milliseconds, and lists show many memories.
    """

    size: int
    """How much of the content is here, in bytes of UTF-8."""

    @property
    def truncated(self) -> bool:
        """Whether the rest of the content has not been fetched yet."""
        return self.whole is not None and self.size < self.whole.size


@dataclass(frozen=True, slots=True)
class MemoryPlace:
    """A memory's place in a list ordered by time; it stays the same when other memories arrive."""

    at_s: int
    key: MemoryKey


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryFilter:
    """The limits of a list or a search; None and empty mean no limit."""

    room: RoomName | None = None
    kind: MemoryKind | None = None
    tags: tuple[str, ...] = ()
    """An item passes if it has any of these tags."""
    author: str | None = None
    """An endpoint id in hex or a display name, compared without case."""
    agent: str | None = None
    """The agent's name, compared without case."""
    since_ms: int | None = None
    include_superseded: bool = False
    """Whether to include memories that were replaced by others; `admits` ignores this."""
    oldest_first: bool = False
    """Whether a list begins with the oldest; a search has its own order."""

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The groups of labels; a memory must have one label of each."""
        return groups_of(
            room=self.room, kind=self.kind, tags=self.tags, author=self.author, agent=self.agent
        )

    def admits(self, memory: Memory | MemoryHead) -> bool:
        """Whether this memory passes every limit."""
        if self.since_ms is not None and memory.at_s * 1000 < self.since_ms:
            return False
        labels = set(memory.labels)
        return all(not labels.isdisjoint(group) for group in self.groups)


def verified_key(author: EndpointId, id: MemoryId) -> MemoryKey:
    """Return `"v" ‖ author:32 ‖ id:16`: nobody else can write under it."""
    return MemoryKey(b"v" + author + id.bytes)


def author_of_key(key: MemoryKey) -> EndpointId:
    """Return the author from whom `verified_key` made this key."""
    assert key[:1] == b"v", "nobody is known to be the author of an unverified one"
    return EndpointId(key[1:33])


def id_of_key(key: MemoryKey) -> MemoryId:
    """Return the id from which `verified_key` made this key."""
    assert is_verified_key(key), "the key of an unverified memory does not tell its id"
    return MemoryId(UUID(bytes=key[-16:]))


def unverified_key(encoded_entry: bytes) -> MemoryKey:
    """Return `"u" ‖ SHA-256(entry as postcard)`: it can neither hide nor replace a verified one."""
    return MemoryKey(b"u" + hashlib.sha256(encoded_entry).digest())


def is_verified_key(key: bytes) -> bool:
    """Return whether these bytes are a key made by `verified_key`."""
    return key[:1] == b"v" and len(key) == 1 + 32 + 16


def is_memory_key(key: bytes) -> bool:
    """Return whether these bytes are the key of a memory, verified or not."""
    return is_verified_key(key) or (key[:1] == b"u" and len(key) == 1 + 32)


def proven_key(memory: "Memory | MemoryHead") -> MemoryKey | None:
    """Return the key of the memory, or of the original that an unproven copy claims to be of.

    None if it names no endpoint as its author.
    """
    if is_verified_key(memory.key):
        return memory.key
    author = endpoint_in(memory.entry.author)
    return None if author is None else verified_key(author, memory.entry.id)


def prevails(new: Memory | MemoryHead, kept: Memory | MemoryHead) -> bool:
    """Return whether `new` replaces `kept`, which has the same key. Every node decides alike.

    The same memory with more of its content prevails; of two different ones, the one with the
    smaller SHA-256 of the author's bytes. A signed 0.1.4 memory prevails over an unsigned one.
    """
    if new.proof == kept.proof:
        return kept.truncated and not new.truncated
    if bool(new.signed_by) != bool(kept.signed_by):
        return bool(new.signed_by)
    return hashlib.sha256(new.proof).digest() < hashlib.sha256(kept.proof).digest()


def succeeding(new: Memory, kept: Memory) -> Memory:
    """Return `new` as it is kept in place of `kept`: with the time of its first arrival.

    It inherits the time of `kept` only if both have the same words and the same signer. Otherwise
    anyone who obtains a key could put new words under an old memory's id, or a new signature under
    old words, and they would pass as old.
    """
    same = same_words(new, kept) and new.signed_by == kept.signed_by
    earlier_ms = min(new.received_at_ms, kept.received_at_ms)
    return replace(new, received_at_ms=earlier_ms) if same else new


def same_words(one: Memory, other: Memory) -> bool:
    """Return whether two memories are the same, although some of the content may be missing."""
    return one.proof == other.proof or (one.entry, one.whole) == (other.entry, other.whole)

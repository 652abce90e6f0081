"""Skills: procedures that agents share, addressed by their content and voted on."""

import re
from dataclasses import dataclass, replace
from typing import NewType

from buddies_core.model.identity import SignerIdentity, Verified
from buddies_core.model.ids import RoomName
from buddies_core.model.labels import labels_of
from buddies_core.model.memory import SNIPPET_CHARS_MAX, Whole

HASH_HEX_CHARS = 64
VERSION_MAX = (1 << 32) - 1

_HASH = re.compile(rf"[0-9a-f]{{{HASH_HEX_CHARS}}}")

SkillKey = NewType("SkillKey", bytes)
"""The key of a stored skill: `hash:32 ‖ room`. A room has each content only once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillEntry:
    """One version of a skill, addressed by the hash of its content."""

    hash: str
    author: str
    created_at_s: int
    room: RoomName
    title: str
    content: str
    tags: tuple[str, ...]
    version: int
    parent_hash: str | None
    signed_by: SignerIdentity | None
    signature: bytes | None


@dataclass(frozen=True, slots=True)
class RankedSkill:
    """A skill, and its rank according to the answering peer."""

    entry: SkillEntry
    rank: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """The entry, and its origin as far as it is known."""

    key: SkillKey
    entry: SkillEntry
    """Its hash is that of its content, unless it is truncated; its signature is right."""
    author_name: str
    agent: str
    verified: Verified
    """SIGNER if the entry's own signature is right, no matter which peer handed it on."""
    whole: Whole | None
    """The content that the author's message announced; None where it carried everything."""
    proof: bytes
    """The author's bytes as received, P2PMessage ‖ trailer."""
    received_at_ms: int

    @property
    def room(self) -> RoomName:
        """The room in which it was sent."""
        return self.entry.room

    @property
    def at_s(self) -> int:
        """When it was made, for display: its author's time, but no later than its arrival."""
        return min(self.entry.created_at_s, self.received_at_ms // 1000)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels by which filters can select it."""
        return labels_of(
            room=self.entry.room,
            tags=self.entry.tags,
            authors=(self.entry.author, self.author_name),
            agent=self.agent,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Skill(_Kept):
    """A skill with as much of its content as is here."""

    @property
    def size(self) -> int:
        """How much of the content is here, in bytes of UTF-8."""
        return len(self.entry.content.encode())

    @property
    def truncated(self) -> bool:
        """Whether it is an announcement: its content is incomplete, its hash only claimed."""
        return self.whole is not None and self.size < self.whole.size

    def head(self) -> "SkillHead":
        """Return the part of it that lists, searches and lines of versions show."""
        return SkillHead(
            key=self.key,
            entry=replace(self.entry, content=self.entry.content[:SNIPPET_CHARS_MAX]),
            author_name=self.author_name,
            agent=self.agent,
            verified=self.verified,
            whole=self.whole,
            proof=self.proof,
            received_at_ms=self.received_at_ms,
            size=self.size,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillHead(_Kept):
    """A skill with the first `SNIPPET_CHARS_MAX` characters of its content.

    Reading a content of 1 MiB takes milliseconds, and lists show many skills.
    """

    size: int
    """How much of the content is here, in bytes of UTF-8."""

    @property
    def truncated(self) -> bool:
        """Whether its content is incomplete."""
        return self.whole is not None and self.size < self.whole.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One voter's vote on one skill."""

    skill: SkillKey
    voter: str
    """The voting endpoint's id in hex; if unverified, the name that a 0.1.4 peer claims."""
    verified: Verified
    score: int
    """−1 or +1."""
    sent_at_ms: int
    """By the voter's own clock, which only rises; of an unverified vote, when it came."""
    proof: bytes
    """The voter's bytes as received, P2PMessage ‖ trailer."""
    received_at_ms: int


def is_hash(value: str) -> bool:
    """Return whether this can be a skill's hash: 64 lower-case hex digits."""
    return _HASH.fullmatch(value) is not None


def skill_key(hash: str, room: RoomName) -> SkillKey:
    """Return the key that a skill is stored under; the hash must be well-formed."""
    return SkillKey(bytes.fromhex(hash) + room.encode())


def hash_of_key(key: SkillKey) -> str:
    """Return the hash in hex from which `skill_key` made this key."""
    return key[:32].hex()


def room_of_key(key: SkillKey) -> RoomName:
    """Return the room from which `skill_key` made this key."""
    return RoomName(key[32:].decode())


_TRUST = {Verified.UNVERIFIED: 0, Verified.PEER: 1, Verified.SIGNER: 2}


def prevails(new: Skill | SkillHead, kept: Skill | SkillHead) -> bool:
    """Return whether `new` replaces `kept`, which has the same content in the same room.

    Only a better verified copy does: an unsigned one never replaces a signed one; of two equally
    good ones the first stays, so that nobody can take over another's skill.
    """
    return _TRUST[new.verified] > _TRUST[kept.verified]


def succeeding(new: Skill, kept: Skill) -> Skill:
    """Return `new` as it is kept in place of `kept`: with the time of its first arrival.

    A copy with another author or signature does not inherit it: those are newer than the content.
    """
    same = (new.entry.author, new.entry.signature) == (kept.entry.author, kept.entry.signature)
    earlier_ms = min(new.received_at_ms, kept.received_at_ms)
    return replace(new, received_at_ms=earlier_ms) if same else new

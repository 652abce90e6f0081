"""Amendments: changes to a stored memory, which delete it or replace it by another one."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import TypeAlias

from buddies_core.model.bodies import MemoryDeleted, MemorySuperseded
from buddies_core.model.ids import EndpointId, MemoryId, RoomName
from buddies_core.model.memory import MemoryKey, author_of_key, is_verified_key, verified_key

Change: TypeAlias = MemorySuperseded | MemoryDeleted


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """A change to a memory, by an endpoint that has signed it."""

    change: Change
    by: EndpointId
    by_name: str
    room: RoomName
    """The room in which it was sent: it concerns memories of that room alone."""
    sent_at_ms: int
    proof: bytes
    """The sender's bytes as received, P2PMessage ‖ trailer; copies are admitted by these."""
    received_at_ms: int

    @property
    def item(self) -> bytes:
        """The id of the amendment: SHA-256 of its proof."""
        return hashlib.sha256(self.proof).digest()

    @property
    def key(self) -> MemoryKey:
        """The memory that it changes."""
        match self.change:
            case MemorySuperseded(old=key) | MemoryDeleted(key=key):
                return key

    @property
    def is_by_author(self) -> bool:
        """Whether the endpoint that wrote the memory says this itself."""
        return is_verified_key(self.key) and author_of_key(self.key) == self.by


class Kept(Enum):
    """The outcome of an attempt to keep an amendment."""

    NEW = auto()
    KNOWN = auto()
    """It, or one that prevails over it, was kept before."""
    ELSEWHERE = auto()
    """The memory is in another room."""
    FULL = auto()
    """No place is left: its sender has sent too many amendments about memories not here."""


@dataclass(frozen=True, slots=True)
class Erased:
    """Stands for a deleted memory in the order of arrival."""

    key: MemoryKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The places for amendments that concern memories which are not here."""

    of: bytes
    """The owner of these places, such as an endpoint id."""
    count_max: int


def superseding_key(change: MemorySuperseded, by: EndpointId) -> MemoryKey:
    """Return the key of the replacing memory, which is the sender's own."""
    return verified_key(by, change.new)


def replaces_deletion(new: Amendment, kept: Amendment) -> bool:
    """Return whether `new` replaces `kept`, which deletes the same memory.

    Every node decides alike: the author's own deletion prevails, then the smaller id.
    """
    return (not new.is_by_author, new.item) < (not kept.is_by_author, kept.item)


def named(id: MemoryId, deletion: Amendment) -> str:
    """Return the text for a caller who asks for a deleted memory."""
    assert isinstance(deletion.change, MemoryDeleted), "nothing else deletes"
    at = datetime.fromtimestamp(deletion.sent_at_ms / 1000, tz=UTC)
    why = f": {deletion.change.reason}" if deletion.change.reason else ""
    return (
        f"memory {id} was deleted by {deletion.by_name} on {at:%Y-%m-%d %H:%M} UTC, on every "
        f"machine of room {deletion.room!r}{why}"
    )

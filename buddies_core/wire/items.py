"""The item of a proof, which members compare instead of the proof itself."""

import hashlib
from dataclasses import dataclass

from buddies_core.errors import WireError
from buddies_core.model.bodies import MemoryCreated, SkillPublished, SkillVoteCast
from buddies_core.model.item import AT_MS_MAX, Item
from buddies_core.wire.room_messages import open_envelope


@dataclass(frozen=True, slots=True)
class Described:
    """A proof's item and author. They follow from its bytes, so they are equal at every node."""

    item: Item
    author: bytes
    """`"v" ‖ endpoint:32` of the trailer's sender; without one, `"u" ‖ SHA-256(author's claim)`."""


def item_of(proof: bytes) -> Item:
    """Return the item of a proof."""
    return describe(proof).item


def describe(proof: bytes) -> Described:
    """Return the item and the author of a proof, without checking its signature.

    The item's time is that of the trailer; without one, that of the memory or skill; else 0.
    """
    at_ms, author = _described(proof)
    return Described(Item(min(at_ms, AT_MS_MAX), hashlib.sha256(proof).digest()), author)


def _described(proof: bytes) -> tuple[int, bytes]:
    try:
        envelope = open_envelope(proof)
    except WireError:
        return 0, _claimed("")
    if envelope.trailer is not None:
        return envelope.trailer.sent_at_ms, b"v" + envelope.trailer.sender
    match envelope.message.body:
        case MemoryCreated(entry) | SkillPublished(entry):
            return entry.created_at_s * 1000, _claimed(entry.author)
        case SkillVoteCast(_, voter, _):
            return 0, _claimed(voter)
        case _:
            return 0, _claimed("")


def _claimed(author: str) -> bytes:
    return b"u" + hashlib.sha256(author.encode()).digest()

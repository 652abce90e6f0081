"""The item of a proof: what members compare instead of the proof itself."""

import hashlib

from buddies_core.errors import WireError
from buddies_core.model.bodies import MemoryCreated, SkillPublished
from buddies_core.model.item import AT_MS_MAX, Item
from buddies_core.wire.room_messages import open_envelope


def item_of(proof: bytes) -> Item:
    """Return the item of a proof. Its bytes decide it, so every node makes the same one of them.

    Its time is that of the trailer; without one, that of the memory or skill in it; else 0.
    """
    return Item(min(_at_ms(proof), AT_MS_MAX), hashlib.sha256(proof).digest())


def _at_ms(proof: bytes) -> int:
    try:
        envelope = open_envelope(proof)
    except WireError:
        return 0
    if envelope.trailer is not None:
        return envelope.trailer.sent_at_ms
    match envelope.message.body:
        case MemoryCreated(entry) | SkillPublished(entry):
            return entry.created_at_s * 1000
        case _:
            return 0

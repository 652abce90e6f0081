"""What was said about memories, to test with: signed, and valid unless told otherwise."""

from buddies_core.identity.node_key import NodeKey
from buddies_core.model.amendment import Amendment, Change
from buddies_core.model.bodies import MemoryDeleted, MemorySuperseded
from buddies_core.model.ids import RoomName, open_room_id
from buddies_core.model.memory import Memory
from buddies_core.wire.room_messages import RoomMessage, Trailer, encode_room_message, seal
from tests.support.memories import DEMO


def an_amendment(
    change: Change,
    by: NodeKey,
    *,
    room: RoomName = DEMO,
    by_name: str = "alice",
    sent_at_ms: int = 1_700_000_000_000,
) -> Amendment:
    """Return a change as this node says it in an open room."""
    trailer = Trailer(sender=by.endpoint, sent_at_ms=sent_at_ms, user=by_name)
    message = encode_room_message(RoomMessage(nonce=bytes(16), body=change))
    return Amendment(
        change=change,
        by=by.endpoint,
        by_name=by_name,
        room=room,
        sent_at_ms=sent_at_ms,
        proof=seal(message, trailer, open_room_id(room), by.sign),
        received_at_ms=sent_at_ms + 5,
    )


def a_deletion(memory: Memory, by: NodeKey, *, reason: str = "", sent_at_ms: int = 1) -> Amendment:
    """Return that a memory is deleted, in its room."""
    change = MemoryDeleted(memory.key, b"", reason)
    return an_amendment(change, by, room=memory.entry.room, sent_at_ms=sent_at_ms)


def a_succession(new: Memory, old: Memory, by: NodeKey) -> Amendment:
    """Return that a memory is to take the place of another, in that one's room."""
    change = MemorySuperseded(new.entry.id, old.key)
    return an_amendment(change, by, room=old.entry.room)

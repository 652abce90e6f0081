"""Builds a peer's memory from the message that its author signed and any content fetched later."""

import hashlib
from dataclasses import replace

from buddies_core.asking.ports import RoomsPort
from buddies_core.errors import WireError
from buddies_core.memory.limits import check_received
from buddies_core.model.bodies import MemoryCreated
from buddies_core.model.ids import endpoint_in
from buddies_core.model.memory import (
    Memory,
    MemoryEntry,
    Whole,
    unverified_key,
    verified_key,
)
from buddies_core.trust.admitted import Admitted
from buddies_core.wire.room_messages import RoomMessage, encode_entry, encode_room_message

NAME_CHARS_MAX = 64
"""The most characters shown of a name that anybody may have written."""


LATELY_MS = 600_000
"""Older memories are not corrected: the clock may have been right when they were made."""


def received_memory(
    admitted: Admitted, rooms: RoomsPort, now_ms: int, behind_ms: int = 0
) -> Memory:
    """Return the memory in an admitted message, in the room through which it came.

    Its author's clock is `behind_ms` behind ours, so a recent memory gets the time of our clock;
    otherwise it would look old. The proof keeps the author's time.

    Raises:
        WireError: the message is not a memory, or the memory is too large.
    """
    body, trailer = admitted.message.body, admitted.trailer
    if not isinstance(body, MemoryCreated):
        raise WireError(f"a copy holds {type(body).__name__} where a memory was expected")
    entry = replace(body.entry, room=admitted.room)
    whole = trailer.whole if trailer else None
    if whole is not None and whole.size <= len(entry.content.encode()):
        whole = None  # Nothing is missing, whatever the author says.
    check_received(entry, whole)
    if trailer is None:
        key, name = unverified_key(encode_entry(entry)), _claimed_name(entry, rooms)
    else:
        key = verified_key(trailer.sender, entry.id)
        entry = _by_our_clock(entry, now_ms, behind_ms)
        name = trailer.user or rooms.name_of(trailer.sender)
    return Memory(
        key=key,
        entry=entry,
        author_name=name[:NAME_CHARS_MAX],
        agent=((trailer.agent if trailer else None) or "")[:NAME_CHARS_MAX],
        verified=admitted.verified,
        whole=whole,
        proof=admitted.raw,
        received_at_ms=now_ms,
        signed_by=admitted.signer.label if admitted.signer else "",
    )


def with_content(memory: Memory, content: bytes) -> Memory:
    """Return the memory with this content, if it is the content that the author announced.

    Raises:
        WireError: it is not.
    """
    whole = memory.whole
    if whole is None or whole != Whole(hashlib.sha256(content).digest(), len(content)):
        raise WireError(f"memory {memory.entry.id}: not the content that its author announced")
    try:
        return replace(memory, entry=replace(memory.entry, content=content.decode()))
    except UnicodeDecodeError as error:
        raise WireError(f"memory {memory.entry.id}: its content is not UTF-8") from error


def unsigned_copy(entry: MemoryEntry) -> bytes:
    """Return an entry that came without its author's bytes as 0.1.4 would have broadcast it.

    It is then admitted by the same rules, and never as more than unverified.
    """
    return encode_room_message(RoomMessage(nonce=bytes(16), body=MemoryCreated(entry)))


def _by_our_clock(entry: MemoryEntry, now_ms: int, behind_ms: int) -> MemoryEntry:
    made_ms = entry.created_at_s * 1000 + behind_ms
    if not behind_ms or now_ms - made_ms > LATELY_MS:
        return entry
    return replace(entry, created_at_s=min(made_ms, now_ms) // 1000)


def _claimed_name(entry: MemoryEntry, rooms: RoomsPort) -> str:
    author = endpoint_in(entry.author)
    return rooms.name_of(author) if author else entry.author

"""Makes a memory fit into one broadcast; what is left out travels over the direct protocol."""

import hashlib
from dataclasses import replace

from buddies_core.errors import InvalidInput
from buddies_core.gossip.messages import CONTENT_BYTES_MAX
from buddies_core.model.address import AddressInfo
from buddies_core.model.bodies import MemoryCreated
from buddies_core.model.ids import EndpointId
from buddies_core.model.memory import MemoryEntry, Whole
from buddies_core.wire.room_messages import (
    NONCE_BYTES,
    SIGNATURE_BYTES,
    RoomMessage,
    Trailer,
    encode_room_message,
    seal,
)


def fit_memory(
    entry: MemoryEntry, *, agent: str = "", user: str = "", address: AddressInfo | None = None
) -> tuple[MemoryEntry, Whole | None]:
    """Return the entry as one broadcast can carry it, and what is whole where that is only a part.

    The part is the content's beginning, up to the last character that fits. Agent, user and address
    are those that go into the trailer.

    Raises:
        InvalidInput: there is no place left even without any content.
    """

    def size(entry: MemoryEntry, whole: Whole | None) -> int:
        message = RoomMessage(nonce=bytes(NONCE_BYTES), body=MemoryCreated(entry))
        trailer = Trailer(
            sender=EndpointId(bytes(32)),
            sent_at_ms=(1 << 64) - 1,  # no other is longer
            agent=agent or None,
            address=address,
            whole=whole,
            user=user or None,
        )
        sealed = seal(encode_room_message(message), trailer, b"", lambda _: bytes(SIGNATURE_BYTES))
        return len(sealed)

    if size(entry, None) <= CONTENT_BYTES_MAX:
        return entry, None
    content = entry.content.encode()
    whole = Whole(hashlib.sha256(content).digest(), len(content))
    # The length before the content takes a second byte from 128 bytes on.
    left = CONTENT_BYTES_MAX - size(replace(entry, content=""), whole) - 1
    if left < 0:
        raise InvalidInput(
            f"title, tags, references and the names of agent and user are {-left} bytes more than "
            "one message carries; shorten or leave out some of them"
        )
    # Only the last character can be incomplete: "ignore" drops it.
    return replace(entry, content=content[:left].decode(errors="ignore")), whole

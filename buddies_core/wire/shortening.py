"""Makes an entry fit into one broadcast; the rest travels over the direct protocol."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from buddies_core.errors import InvalidInput
from buddies_core.gossip.messages import CONTENT_BYTES_MAX
from buddies_core.model.address import AddressInfo
from buddies_core.model.bodies import Body, MemoryCreated, SkillPublished
from buddies_core.model.identity import SignerIdentity
from buddies_core.model.ids import EndpointId
from buddies_core.model.memory import MemoryEntry, Whole
from buddies_core.model.skill import SkillEntry
from buddies_core.wire.bodies import encode_vouching
from buddies_core.wire.room_messages import (
    NONCE_BYTES,
    SIGNATURE_BYTES,
    RoomMessage,
    Trailer,
    encode_room_message,
    seal,
)


@dataclass(frozen=True, slots=True)
class LegacySignature:
    """The space that a person's signature takes in a broadcast; 0.1.4 wants one on each message."""

    signed_by: SignerIdentity
    signature_bytes_max: int

    @property
    def size(self) -> int:
        """How many bytes the signature adds to a message."""
        signature = bytes(self.signature_bytes_max)
        return len(encode_vouching(self.signed_by, signature)) - len(encode_vouching(None, None))


def fit_memory(
    entry: MemoryEntry,
    *,
    agent: str = "",
    user: str = "",
    address: AddressInfo | None = None,
    size_max: int = CONTENT_BYTES_MAX,
) -> tuple[MemoryEntry, Whole | None]:
    """Return the entry as one broadcast can carry it, and its Whole if the content was cut.

    A cut content ends at the last character that fits. Agent, user and address go into the trailer;
    message and trailer together take at most `size_max` bytes.

    Raises:
        InvalidInput: the message is too long even without any content.
    """
    told, whole = _fit(
        entry.content,
        lambda content: MemoryCreated(replace(entry, content=content)),
        Trailer(
            sender=EndpointId(bytes(32)),
            sent_at_ms=(1 << 64) - 1,  # The longest time when encoded.
            agent=agent or None,
            address=address,
            user=user or None,
        ),
        "title, tags, references and the names of agent and user",
        size_max,
    )
    return replace(entry, content=told), whole


def fit_skill(
    entry: SkillEntry,
    *,
    agent: str = "",
    user: str = "",
    size_max: int = CONTENT_BYTES_MAX,
) -> tuple[SkillEntry, Whole | None]:
    """Return the skill as one broadcast can carry it, as `fit_memory` does for a memory.

    Raises:
        InvalidInput: the message is too long even without any content.
    """
    told, whole = _fit(
        entry.content,
        lambda content: SkillPublished(replace(entry, content=content)),
        Trailer(
            sender=EndpointId(bytes(32)),
            sent_at_ms=(1 << 64) - 1,
            agent=agent or None,
            user=user or None,
        ),
        "title, tags, the signature and the names of agent and user",
        size_max,
    )
    return replace(entry, content=told), whole


def _fit(
    content: str,
    body: Callable[[str], Body],
    trailer: Trailer,
    others: str,
    size_max: int,
) -> tuple[str, Whole | None]:
    def size(content: str, whole: Whole | None) -> int:
        message = RoomMessage(nonce=bytes(NONCE_BYTES), body=body(content))
        sealed = seal(
            encode_room_message(message),
            replace(trailer, whole=whole),
            b"",
            lambda _: bytes(SIGNATURE_BYTES),
        )
        return len(sealed)

    if size(content, None) <= size_max:
        return content, None
    data = content.encode()
    whole = Whole(hashlib.sha256(data).digest(), len(data))
    # From 128 bytes on, the length before the content takes a second byte.
    left = size_max - size("", whole) - 1
    if left < 0:
        raise InvalidInput(
            f"{others} are {-left} bytes more than one message carries; shorten or leave out some "
            "of them"
        )
    # Only the last character can be incomplete: "ignore" drops it.
    return data[:left].decode(errors="ignore"), whole

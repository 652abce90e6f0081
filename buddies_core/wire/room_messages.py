"""Room messages ↔ bytes: the content of a gossip broadcast, which is also kept as a memory's proof.

    content   := message · trailer, at most 4057 bytes in one broadcast
    message   := nonce[16] · body · signed_by:option(signer) · signature:option(blob)
                 postcard, the P2PMessage of buddies 0.1.4; the nonce keeps two contents apart
    trailer   := "bud2" · sender[32] · sent_at_ms:u64
                 · agent:option(text) · address:option(blob: address_info)
                 · whole:option(sha256[32] · size:u64) · user:option(text)
                 · epoch:option(id[32]), in a private room only
                 · fields of a newer version
                 · signature[64]
    signature := Ed25519 by the sender over context · room_id · all before the signature
    context   := "buddies/2 private message" with an epoch, "buddies/2 message" without

0.1.4 stops reading after the message, whose end is found only by decoding it. The trailer is ours:
it says which endpoint sent the message, in which room. The last fields may be missing if an older
version wrote it, or be followed by fields that are unknown here. The signature is always the last
64 bytes of the content, and covers the bytes received rather than the fields understood.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from buddies_core.errors import WireError
from buddies_core.model.address import AddressInfo
from buddies_core.model.bodies import Body
from buddies_core.model.identity import SignerIdentity
from buddies_core.model.ids import EndpointId, EpochId
from buddies_core.model.memory import Whole
from buddies_core.wire.address_info import decode_address_info, encode_address_info
from buddies_core.wire.bodies import BodyReader, encode_body, encode_entry, encode_vouching
from buddies_core.wire.endpoint_ids import endpoint_id
from buddies_core.wire.postcard import Reader, blob, option, text, u64

__all__ = [
    "NONCE_BYTES",
    "SIGNATURE_BYTES",
    "Envelope",
    "RoomMessage",
    "Trailer",
    "encode_entry",
    "encode_room_message",
    "has_trailer",
    "legacy_signed_payload",
    "open_envelope",
    "seal",
    "signing_input",
]

T = TypeVar("T")

NONCE_BYTES = 16
EPOCH_ID_BYTES = 32
NO_EPOCH = EpochId(bytes(EPOCH_ID_BYTES))
"""Used in a presence for a private room whose epoch the sender does not know yet."""
EPOCH_FIELD_BYTES = 1 + EPOCH_ID_BYTES
"""How many bytes longer a trailer is in a private room."""
SIGNATURE_BYTES = 64
_MAGIC = b"bud2"
_CONTEXT = b"buddies/2 message"
_PRIVATE_CONTEXT = b"buddies/2 private message"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomMessage:
    """A message to a room; 0.1.4 calls it a P2PMessage."""

    nonce: bytes
    """16 random bytes."""
    body: Body
    signed_by: SignerIdentity | None = None
    signature: bytes | None = None
    """0.1.4's signature by a person's key, over `legacy_signed_payload`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trailer:
    """The claimed sender, the time, and the fields for which 0.1.4's message has no place."""

    sender: EndpointId
    sent_at_ms: int
    """Higher in each message of the same sender."""
    agent: str | None = None
    address: AddressInfo | None = None
    whole: Whole | None = None
    user: str | None = None
    """The display name of the agent's user, if it differs from the peer's own."""
    epoch: EpochId | None = None
    """The private room's epoch when the message was sent; None in an open room."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message as it was received, with its signature, which has not been verified."""

    message: RoomMessage
    trailer: Trailer | None
    signature: bytes
    """The signature of the trailer's sender; empty without a trailer."""
    signed: bytes
    """All bytes before the signature; `signing_input` turns them into the signature's input."""
    raw: bytes

    def signing_input(self, room_id: bytes) -> bytes:
        """Return the bytes that the signature covers if the message was sent to that room."""
        is_private = self.trailer is not None and self.trailer.epoch is not None
        return signing_input(room_id, self.signed, is_private=is_private)


def encode_room_message(message: RoomMessage) -> bytes:
    """Return the message without a trailer, byte for byte as 0.1.4 writes it."""
    vouching = encode_vouching(message.signed_by, message.signature)
    return legacy_signed_payload(message) + vouching


def legacy_signed_payload(message: RoomMessage) -> bytes:
    """Return `nonce · body`, which 0.1.4's signatures cover: encoded anew, not as received."""
    assert len(message.nonce) == NONCE_BYTES, "a nonce has 16 bytes"
    return message.nonce + encode_body(message.body)


def seal(
    message_bytes: bytes, trailer: Trailer, room_id: bytes, sign: Callable[[bytes], bytes]
) -> bytes:
    """Return `message · trailer`, signed for this room with the sender's `sign`."""
    signed = message_bytes + _MAGIC + _encode_trailer(trailer)
    signature = sign(signing_input(room_id, signed, is_private=trailer.epoch is not None))
    assert len(signature) == SIGNATURE_BYTES, "an Ed25519 signature has 64 bytes"
    return signed + signature


def signing_input(room_id: bytes, signed: bytes, *, is_private: bool = False) -> bytes:
    """Return the bytes that a trailer's signature covers; they bind the message to its room."""
    return (_PRIVATE_CONTEXT if is_private else _CONTEXT) + room_id + signed


# A message is read when it is admitted and again when it is stored; each takes 0.1 ms. If the cache
# had fewer places than there are messages in work (`net.inbox.CREDITS`), each would be read anew.
@lru_cache(maxsize=1024)
def open_envelope(raw: bytes) -> Envelope:
    """Return the contents of a broadcast or a proof; nothing is verified yet.

    Bytes after the message are a trailer only if they begin like one.

    Raises:
        WireError: the message does not decode, or bytes that begin like a trailer do not.
    """
    reader = BodyReader(raw)
    message = RoomMessage(
        nonce=reader.raw(NONCE_BYTES),
        body=reader.body(),
        signed_by=reader.option(reader.signer),
        signature=reader.option(reader.blob),
    )
    tail = reader.rest()
    if not tail.startswith(_MAGIC):
        return Envelope(message, None, b"", raw, raw)
    if len(tail) < len(_MAGIC) + SIGNATURE_BYTES:
        raise WireError(f"a trailer of {len(tail)} bytes, too short for its signature")
    trailer = _decode_trailer(tail[len(_MAGIC) : -SIGNATURE_BYTES])
    return Envelope(message, trailer, raw[-SIGNATURE_BYTES:], raw[:-SIGNATURE_BYTES], raw)


def has_trailer(content: bytes) -> bool:
    """Return whether a broadcast names its sender's endpoint; this is not verified."""
    if _MAGIC not in content:
        return False  # Not decoded, so that a flood of unsigned messages costs only this.
    try:
        return open_envelope(content).trailer is not None
    except WireError:
        return False


def _encode_trailer(trailer: Trailer) -> bytes:
    return (
        trailer.sender
        + u64(trailer.sent_at_ms)
        + option(trailer.agent, text)
        + option(trailer.address, lambda address: blob(encode_address_info(address)))
        + option(trailer.whole, lambda whole: whole.sha256 + u64(whole.size))
        + option(trailer.user, text)
        # Trailers in open rooms must not change by a byte.
        + (b"" if trailer.epoch is None else option(trailer.epoch, bytes))
    )


def _decode_trailer(data: bytes) -> Trailer:
    reader = Reader(data)

    def later(read: Callable[[], T]) -> T | None:
        """Read a field that an older version may not have written."""
        return reader.option(read) if reader.position < len(data) else None

    return Trailer(
        sender=endpoint_id(reader.raw(32)),
        sent_at_ms=reader.u64(),
        agent=later(reader.text),
        address=later(lambda: decode_address_info(reader.blob())),
        whole=later(lambda: Whole(reader.raw(32), reader.u64())),
        user=later(reader.text),
        epoch=later(lambda: EpochId(reader.raw(EPOCH_ID_BYTES))),
    )

"""Room messages ↔ bytes: what one gossip broadcast carries, and what is kept as a memory's proof.

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

0.1.4 stops reading behind the message, whose end only decoding it can tell. The trailer is ours: it
says which endpoint spoke, in which room. Its later fields may be missing, from where on an older
version stopped, or be followed by some that are unknown here; the signature is the last 64 bytes of
the content in any case, and covers what was received rather than what was understood.
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
"""In a presence that is for a private room whose epoch its sender does not know yet."""
EPOCH_FIELD_BYTES = 1 + EPOCH_ID_BYTES
"""By how much a trailer is longer in a private room."""
SIGNATURE_BYTES = 64
_MAGIC = b"bud2"
_CONTEXT = b"buddies/2 message"
_PRIVATE_CONTEXT = b"buddies/2 private message"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomMessage:
    """What 0.1.4 calls a P2PMessage."""

    nonce: bytes
    """16 random bytes."""
    body: Body
    signed_by: SignerIdentity | None = None
    signature: bytes | None = None
    """0.1.4's signature by a person's key, over `legacy_signed_payload`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trailer:
    """Who says that they said it, when, and what 0.1.4's message has no place for."""

    sender: EndpointId
    sent_at_ms: int
    """Rises from message to message of a sender."""
    agent: str | None = None
    address: AddressInfo | None = None
    whole: Whole | None = None
    user: str | None = None
    """The display name of whose agent it is, where that differs from the peer's own."""
    epoch: EpochId | None = None
    """The epoch of the private room in which it was said; None in an open room."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message as it was received. Its signature is there, but has not been verified."""

    message: RoomMessage
    trailer: Trailer | None
    signature: bytes
    """Of the trailer's sender; empty without a trailer."""
    signed: bytes
    """All before the signature; `signing_input` makes of it what the signature is over."""
    raw: bytes

    def signing_input(self, room_id: bytes) -> bytes:
        """Return what the signature is over, if this was said in that room."""
        is_private = self.trailer is not None and self.trailer.epoch is not None
        return signing_input(room_id, self.signed, is_private=is_private)


def encode_room_message(message: RoomMessage) -> bytes:
    """Return the message without a trailer, byte for byte as 0.1.4 writes it."""
    vouching = encode_vouching(message.signed_by, message.signature)
    return legacy_signed_payload(message) + vouching


def legacy_signed_payload(message: RoomMessage) -> bytes:
    """Return `nonce · body`, what 0.1.4's signatures are over: encoded anew, not as received."""
    assert len(message.nonce) == NONCE_BYTES, "a nonce has 16 bytes"
    return message.nonce + encode_body(message.body)


def seal(
    message_bytes: bytes, trailer: Trailer, room_id: bytes, sign: Callable[[bytes], bytes]
) -> bytes:
    """Return `message · trailer`, signed for this room by `sign`, which is the sender's."""
    signed = message_bytes + _MAGIC + _encode_trailer(trailer)
    signature = sign(signing_input(room_id, signed, is_private=trailer.epoch is not None))
    assert len(signature) == SIGNATURE_BYTES, "an Ed25519 signature has 64 bytes"
    return signed + signature


def signing_input(room_id: bytes, signed: bytes, *, is_private: bool = False) -> bytes:
    """Return what a trailer's signature is over; the room in it keeps messages from other rooms."""
    return (_PRIVATE_CONTEXT if is_private else _CONTEXT) + room_id + signed


# Whoever admits a message and whoever keeps it read it, which takes 0.1 ms. With fewer places than
# there are messages in work (`net.inbox.CREDITS`) each would be read anew, and again.
@lru_cache(maxsize=1024)
def open_envelope(raw: bytes) -> Envelope:
    """Return what is in a broadcast or a proof; nothing is verified yet.

    Bytes behind the message that don't begin as a trailer does are no trailer.

    Raises:
        WireError: the message does not decode, or what begins as a trailer is none.
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
    """Whether a broadcast says which endpoint it is of; whether that is true is not looked at."""
    if _MAGIC not in content:
        return False  # Without decoding it: this is what a flood of unsigned messages costs.
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
        # An open room's trailers stay as they were, byte for byte.
        + (b"" if trailer.epoch is None else option(trailer.epoch, bytes))
    )


def _decode_trailer(data: bytes) -> Trailer:
    reader = Reader(data)

    def later(read: Callable[[], T]) -> T | None:
        """Read what an older version may not have written."""
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

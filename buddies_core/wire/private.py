"""Private rooms ↔ bytes: content that only members can read, and proofs that somebody is one.

    key     := HMAC-SHA256(secret of the epoch, label · 00 · room_id[32] · epoch:u32be)
               label "topic": where the room's messages are broadcast during this epoch
               label "seal":  what encrypts them
               label "proof": what members prove themselves with in direct requests

    content := "bud2s" · epoch:u32be · nonce[24] · sealed, at most 4057 bytes in one broadcast
    sealed  := XChaCha20-Poly1305(key "seal", nonce, message · trailer, aad = topic)

    proof   := HMAC-SHA256(key "proof", caller[32] · responder[32] · topic)

    roster  := room_id[32] · epoch:u32be · rotator[32] · members[32 each] · signature[64]
               members ascending, each once, the rotator among them, 4000 at most
    signature := Ed25519 by the rotator over "buddies/2 roster" · topic · all before the signature

The topic follows from the epoch's secret. So a roster's signature also says which secret goes with
it: nobody can hand on a rotator's list together with a secret of their own.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_ABYTES,
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
)
from nacl.exceptions import CryptoError

from buddies_core.errors import InvalidInput, WireError
from buddies_core.gossip.messages import CONTENT_BYTES_MAX
from buddies_core.model.ids import EndpointId, RoomId, TopicId
from buddies_core.model.private import ROSTER_MEMBERS_MAX, SECRET_BYTES, Epoch, Roster
from buddies_core.wire.endpoint_ids import endpoint_id

NONCE_BYTES = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES

_MAGIC = b"bud2s"
_EPOCH_BYTES = 4
_HEADER_BYTES = len(_MAGIC) + _EPOCH_BYTES + NONCE_BYTES
SEALED_OVERHEAD_BYTES = _HEADER_BYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES
"""By how much sealing makes a message longer."""

_ROSTER_CONTEXT = b"buddies/2 roster"
_ID_BYTES = 32
_SIGNATURE_BYTES = 64
_ROSTER_HEAD_BYTES = _ID_BYTES + _EPOCH_BYTES + _ID_BYTES


@dataclass(frozen=True, slots=True)
class EpochKeys:
    """What follows from the secret of one epoch of one room."""

    number: int
    topic: TopicId
    seal: bytes = field(repr=False)
    proof: bytes = field(repr=False)


def epoch_keys(room_id: RoomId, epoch: Epoch) -> EpochKeys:
    """Return the keys of an epoch; the same for each member, and of no use in any other epoch."""

    def key(label: bytes) -> bytes:
        return room_key(epoch.secret, label, room_id, epoch.number)

    return EpochKeys(epoch.number, TopicId(key(b"topic")), key(b"seal"), key(b"proof"))


def room_key(secret: bytes, label: bytes, room_id: RoomId, epoch: int) -> bytes:
    """Return the 32 bytes that this secret gives for one purpose."""
    return hmac.digest(secret, label + b"\0" + room_id + _u32(epoch), "sha256")


def decode_epoch(number: int, secret: bytes) -> Epoch:
    """Return the epoch that a peer handed over.

    Raises:
        WireError: the secret has not the length of one.
    """
    if len(secret) != SECRET_BYTES:
        raise WireError(f"the secret of epoch {number} has {len(secret)} bytes, not {SECRET_BYTES}")
    return Epoch(number, secret)


def seal_content(keys: EpochKeys, message: bytes, nonce: bytes) -> bytes:
    """Return what is broadcast of `message · trailer`. The nonce is 24 random bytes, never reused.

    Raises:
        InvalidInput: it is too long for one broadcast.
    """
    if len(message) + SEALED_OVERHEAD_BYTES > CONTENT_BYTES_MAX:
        raise InvalidInput(
            f"a message of {len(message)} bytes was not sealed: one broadcast has place for "
            f"{CONTENT_BYTES_MAX - SEALED_OVERHEAD_BYTES}; send less"
        )
    header = _MAGIC + _u32(keys.number) + nonce
    return header + crypto_aead_xchacha20poly1305_ietf_encrypt(
        message, keys.topic, nonce, keys.seal
    )


def open_content(keys: EpochKeys, content: bytes) -> bytes:
    """Return the `message · trailer` that was sealed with these keys.

    Raises:
        WireError: they did not seal it, or it has changed since.
    """
    number = epoch_of(content)
    if number != keys.number:
        raise WireError(f"content of epoch {number} can't be opened in epoch {keys.number}")
    nonce = content[_HEADER_BYTES - NONCE_BYTES : _HEADER_BYTES]
    try:
        return crypto_aead_xchacha20poly1305_ietf_decrypt(
            content[_HEADER_BYTES:], keys.topic, nonce, keys.seal
        )
    except CryptoError:
        raise WireError(
            "content does not open with the room's key: altered, or of another room"
        ) from None


def epoch_of(content: bytes) -> int:
    """Return the number of the epoch that this content claims to be of. Opening it will tell.

    Raises:
        WireError: it is not sealed, or has a length that nothing sealed has.
    """
    if not content.startswith(_MAGIC):
        raise WireError("content of a private room that is not sealed")
    if not SEALED_OVERHEAD_BYTES <= len(content) <= CONTENT_BYTES_MAX:
        raise WireError(f"sealed content of {len(content)} bytes, which nobody seals")
    return int.from_bytes(content[len(_MAGIC) : len(_MAGIC) + _EPOCH_BYTES], "big")


def prove(keys: EpochKeys, caller: EndpointId, responder: EndpointId) -> bytes:
    """Return what shows the responder that the caller is a member; of use to that caller alone."""
    return hmac.digest(keys.proof, caller + responder + keys.topic, "sha256")


def check_proof(keys: EpochKeys, caller: EndpointId, responder: EndpointId, proof: bytes) -> bool:
    """Whether the proof is the caller's. Takes as long for a wrong one as for a right one."""
    return hmac.compare_digest(prove(keys, caller, responder), proof)


def sign_roster(
    room_id: RoomId,
    epoch: Epoch,
    members: tuple[EndpointId, ...],
    rotator: EndpointId,
    sign: Callable[[bytes], bytes],
) -> Roster:
    """Return the list of those who stay, the rotator among them, signed by its `sign`.

    Raises:
        InvalidInput: it has more members than a room may have.
    """
    members = tuple(sorted({rotator, *members}))
    if len(members) > ROSTER_MEMBERS_MAX:
        raise InvalidInput(
            f"the room has {len(members)} members, {ROSTER_MEMBERS_MAX} can stay at a rotation; "
            "remove some more"
        )
    signed = _roster_head(room_id, epoch.number, rotator) + b"".join(members)
    signature = sign(_roster_signing_input(room_id, epoch, signed))
    assert len(signature) == _SIGNATURE_BYTES, "an Ed25519 signature has 64 bytes"
    return Roster(
        room_id=room_id,
        epoch=epoch.number,
        members=members,
        rotator=rotator,
        signature=signature,
    )


def verify_roster(
    roster: Roster,
    room_id: RoomId,
    epoch: Epoch,
    verify: Callable[[EndpointId, bytes, bytes], bool],
) -> bool:
    """Whether its rotator signed this roster, for this room and for this epoch's secret.

    `verify` tells whether an endpoint signed a payload. Whether the rotator was one who may rotate
    is for the caller to know.
    """
    if (roster.room_id, roster.epoch) != (room_id, epoch.number):
        return False
    signed = encode_roster(roster)[:-_SIGNATURE_BYTES]
    signing_input = _roster_signing_input(room_id, epoch, signed)
    return verify(roster.rotator, signing_input, roster.signature)


def encode_roster(roster: Roster) -> bytes:
    """Return the bytes of a roster with its signature."""
    head = _roster_head(roster.room_id, roster.epoch, roster.rotator)
    return head + b"".join(roster.members) + roster.signature


def decode_roster(data: bytes) -> Roster:
    """Return the roster in these bytes; its signature has not been verified.

    That each member is the public key of somebody is not checked, for it takes 0.1 ms each; what is
    none never connects.

    Raises:
        WireError: they are no roster.
    """
    members_bytes = len(data) - _ROSTER_HEAD_BYTES - _SIGNATURE_BYTES
    if members_bytes < _ID_BYTES or members_bytes % _ID_BYTES:
        raise WireError(f"a roster of {len(data)} bytes, which no number of members gives")
    if members_bytes > _ID_BYTES * ROSTER_MEMBERS_MAX:
        raise WireError(
            f"a roster of {members_bytes // _ID_BYTES} members, over {ROSTER_MEMBERS_MAX}"
        )
    rotator = endpoint_id(data[_ID_BYTES + _EPOCH_BYTES : _ROSTER_HEAD_BYTES])
    members = tuple(
        EndpointId(data[at : at + _ID_BYTES])
        for at in range(_ROSTER_HEAD_BYTES, len(data) - _SIGNATURE_BYTES, _ID_BYTES)
    )
    if list(members) != sorted(set(members)):
        raise WireError("the members of a roster are not in order, or one is named twice")
    if rotator not in members:
        raise WireError("a roster leaves out the one who made it")
    return Roster(
        room_id=RoomId(data[:_ID_BYTES]),
        epoch=int.from_bytes(data[_ID_BYTES : _ID_BYTES + _EPOCH_BYTES], "big"),
        members=members,
        rotator=rotator,
        signature=data[-_SIGNATURE_BYTES:],
    )


def _roster_head(room_id: RoomId, epoch: int, rotator: EndpointId) -> bytes:
    return room_id + _u32(epoch) + rotator


def _roster_signing_input(room_id: RoomId, epoch: Epoch, signed: bytes) -> bytes:
    return _ROSTER_CONTEXT + epoch_keys(room_id, epoch).topic + signed


def _u32(number: int) -> bytes:
    return number.to_bytes(_EPOCH_BYTES, "big")

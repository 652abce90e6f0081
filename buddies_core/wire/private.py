"""Private rooms ↔ bytes: content that only members can read, and proofs of membership.

    key     := HMAC-SHA256(secret of the epoch, label · 00 · room_id[32] · epoch:u32be)
               label "topic": the topic of the room's broadcasts during this epoch
               label "seal":  the key that encrypts them
               label "proof": the key for members' proofs in direct requests
               label "id":    the id of the epoch, used wherever its topic must not be revealed

    content := "bud2s" · epoch:u32be · nonce[24] · sealed, at most 4057 bytes in one broadcast
    sealed  := XChaCha20-Poly1305(key "seal", nonce, message · trailer, aad = topic)

    proof   := HMAC-SHA256(key "proof", caller[32] · responder[32] · topic)

    sponsorship := member[32] · by[32] · during[32] · signature[64]
    signature := Ed25519 by `by` over "buddies/2 private sponsorship" · room_id · during · member;
                 64 zeros for the founder, which needs no sponsor

    roster  := room_id[32] · epoch:u32be · id[32] · rotator[32] · members:u16be
               · sponsorships[160 each] · signature[64], 500 sponsorships at most
               first those of the members, ascending, including the rotator; then those of former
               members that have let others in, ascending; each endpoint once
    signature := Ed25519 by the rotator over "buddies/2 private roster" · all before the signature

The id of an epoch follows from its secret. So a roster's signature also covers the secret: nobody
can pass on a rotator's list together with a secret of their own.
"""

import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_ABYTES,
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
)
from nacl.exceptions import CryptoError

from buddies_core.errors import InvalidInput, WireError
from buddies_core.gossip.messages import CONTENT_BYTES_MAX
from buddies_core.model.ids import EndpointId, EpochId, RoomId, TopicId
from buddies_core.model.private import (
    MEMBERS_MAX,
    PAST_MAX,
    SECRET_BYTES,
    Epoch,
    Roster,
    Sponsorship,
)
from buddies_core.wire.endpoint_ids import endpoint_id

NONCE_BYTES = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES

_MAGIC = b"bud2s"
_EPOCH_BYTES = 4
_HEADER_BYTES = len(_MAGIC) + _EPOCH_BYTES + NONCE_BYTES
SEALED_OVERHEAD_BYTES = _HEADER_BYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES
"""How many bytes sealing adds to a message."""

_ROSTER_CONTEXT = b"buddies/2 private roster"
_SPONSORSHIP_CONTEXT = b"buddies/2 private sponsorship"
_ID_BYTES = 32
_SIGNATURE_BYTES = 64
SPONSORSHIP_BYTES = 3 * _ID_BYTES + _SIGNATURE_BYTES
_COUNT_BYTES = 2
_ROSTER_HEAD_BYTES = _ID_BYTES + _EPOCH_BYTES + 2 * _ID_BYTES + _COUNT_BYTES
_FOUNDERS_SIGNATURE = bytes(_SIGNATURE_BYTES)

Verify: TypeAlias = Callable[[EndpointId, bytes, bytes], bool]
"""Returns whether an endpoint signed a payload: verify(endpoint, payload, signature)."""


@dataclass(frozen=True, slots=True)
class EpochKeys:
    """The keys and ids derived from the secret of one epoch of one room."""

    number: int
    id: EpochId
    topic: TopicId = field(repr=False)
    seal: bytes = field(repr=False)
    proof: bytes = field(repr=False)


def epoch_keys(room_id: RoomId, epoch: Epoch) -> EpochKeys:
    """Return the keys of an epoch, equal for every member and useless in any other epoch."""

    def key(label: bytes) -> bytes:
        return room_key(epoch.secret, label, room_id, epoch.number)

    return EpochKeys(
        number=epoch.number,
        id=EpochId(key(b"id")),
        topic=TopicId(key(b"topic")),
        seal=key(b"seal"),
        proof=key(b"proof"),
    )


def room_key(secret: bytes, label: bytes, room_id: RoomId, epoch: int) -> bytes:
    """Return the 32 bytes derived from this secret for one purpose, the label."""
    return hmac.digest(secret, label + b"\0" + room_id + _u32(epoch), "sha256")


def decode_epoch(number: int, secret: bytes) -> Epoch:
    """Return the epoch that a peer handed over.

    Raises:
        WireError: the secret has the wrong length.
    """
    if len(secret) != SECRET_BYTES:
        raise WireError(f"the secret of epoch {number} has {len(secret)} bytes, not {SECRET_BYTES}")
    return Epoch(number, secret)


def decode_past(data: bytes) -> tuple[EpochId, ...]:
    """Return the former epochs that a member hands over along with the newest one.

    Raises:
        WireError: there are too many, or the bytes are not ids.
    """
    if len(data) % _ID_BYTES or len(data) > _ID_BYTES * PAST_MAX:
        raise WireError(f"{len(data)} bytes of former epochs, at most {PAST_MAX} of 32 bytes")
    return tuple(EpochId(data[at : at + _ID_BYTES]) for at in range(0, len(data), _ID_BYTES))


def seal_content(keys: EpochKeys, message: bytes, nonce: bytes) -> bytes:
    """Return `message · trailer` sealed for broadcast. The nonce is 24 random bytes, never reused.

    Raises:
        InvalidInput: the message is too long for one broadcast.
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
        WireError: the content was sealed with other keys, or was altered.
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
    """Return the number of the epoch that this content claims; only opening it verifies that.

    Raises:
        WireError: the content is not sealed, or has an impossible length.
    """
    if not content.startswith(_MAGIC):
        raise WireError("content of a private room that is not sealed")
    if not SEALED_OVERHEAD_BYTES <= len(content) <= CONTENT_BYTES_MAX:
        raise WireError(f"sealed content of {len(content)} bytes, which nobody seals")
    return int.from_bytes(content[len(_MAGIC) : len(_MAGIC) + _EPOCH_BYTES], "big")


def prove(keys: EpochKeys, caller: EndpointId, responder: EndpointId) -> bytes:
    """Return the proof to the responder that the caller is a member; useless to anyone else."""
    return hmac.digest(keys.proof, caller + responder + keys.topic, "sha256")


def check_proof(keys: EpochKeys, caller: EndpointId, responder: EndpointId, proof: bytes) -> bool:
    """Return whether the proof is the caller's. A wrong proof takes as long as a right one."""
    return hmac.compare_digest(prove(keys, caller, responder), proof)


def sponsorship_of_founder(founder: EndpointId, during: EpochId) -> Sponsorship:
    """Return the sponsorship that makes a room's founder a member."""
    return Sponsorship(member=founder, by=founder, during=during, signature=_FOUNDERS_SIGNATURE)


def sign_sponsorship(
    room_id: RoomId,
    during: EpochId,
    member: EndpointId,
    by: EndpointId,
    sign: Callable[[bytes], bytes],
) -> Sponsorship:
    """Return the statement of `by`, signed with its `sign`, that it lets this endpoint in."""
    signature = sign(_sponsorship_signing_input(room_id, during, member))
    return Sponsorship(member=member, by=by, during=during, signature=signature)


def verify_sponsorship(
    sponsorship: Sponsorship, room_id: RoomId, founder: EndpointId, verify: Verify
) -> bool:
    """Return whether the named sponsor has let the member in, or the member is the founder.

    The caller must check whether the sponsor was allowed to.
    """
    if sponsorship.by == sponsorship.member:
        return sponsorship.member == founder
    signed = _sponsorship_signing_input(room_id, sponsorship.during, sponsorship.member)
    return verify(sponsorship.by, signed, sponsorship.signature)


def encode_sponsorship(sponsorship: Sponsorship) -> bytes:
    """Return the bytes of a sponsorship."""
    return sponsorship.member + sponsorship.by + sponsorship.during + sponsorship.signature


def decode_sponsorship(data: bytes) -> Sponsorship:
    """Return the sponsorship in these bytes; its signature has not been verified.

    Raises:
        WireError: the bytes are not a sponsorship.
    """
    if len(data) != SPONSORSHIP_BYTES:
        raise WireError(f"a sponsorship of {len(data)} bytes, not {SPONSORSHIP_BYTES}")
    member, by, during = (data[at : at + _ID_BYTES] for at in range(0, 3 * _ID_BYTES, _ID_BYTES))
    return Sponsorship(
        member=EndpointId(member),
        by=EndpointId(by),
        during=EpochId(during),
        signature=data[3 * _ID_BYTES :],
    )


def sign_roster(
    room_id: RoomId,
    epoch: Epoch,
    entries: Iterable[Sponsorship],
    rotator: EndpointId,
    sign: Callable[[bytes], bytes],
    gone: Iterable[Sponsorship] = (),
) -> Roster:
    """Return the signed list of an epoch's first members, including the rotator."""
    unsigned = Roster(
        room_id=room_id,
        number=epoch.number,
        id=epoch_keys(room_id, epoch).id,
        rotator=rotator,
        entries=tuple(sorted(entries, key=lambda entry: entry.member)),
        gone=tuple(sorted(gone, key=lambda entry: entry.member)),
        signature=b"",
    )
    assert rotator in unsigned.members, "a rotator stays"
    assert len(unsigned.entries) + len(unsigned.gone) <= MEMBERS_MAX, "no more are ever let in"
    return replace(unsigned, signature=sign(_ROSTER_CONTEXT + encode_roster(unsigned)))


def verify_roster(roster: Roster, room_id: RoomId, verify: Verify) -> bool:
    """Return whether the roster's rotator signed it for this room.

    The caller must check whether the rotator was allowed to rotate.
    """
    signed = encode_roster(roster)[:-_SIGNATURE_BYTES]
    return roster.room_id == room_id and verify(
        roster.rotator, _ROSTER_CONTEXT + signed, roster.signature
    )


def is_of(roster: Roster, epoch: Epoch) -> bool:
    """Return whether the roster belongs to this epoch: whether its rotator signed this secret."""
    keys = epoch_keys(roster.room_id, epoch)
    return (roster.number, roster.id) == (keys.number, keys.id)


def encode_roster(roster: Roster) -> bytes:
    """Return the bytes of a roster with its signature."""
    head = roster.room_id + _u32(roster.number) + roster.id + roster.rotator
    count = len(roster.entries).to_bytes(_COUNT_BYTES, "big")
    sponsorships = b"".join(map(encode_sponsorship, (*roster.entries, *roster.gone)))
    return head + count + sponsorships + roster.signature


def decode_roster(data: bytes) -> Roster:
    """Return the roster in these bytes; its signatures have not been verified.

    Members' ids are not checked for being valid public keys, as that takes 0.1 ms each; an endpoint
    with an invalid id can never connect.

    Raises:
        WireError: the bytes are not a roster.
    """
    size = len(data) - _ROSTER_HEAD_BYTES - _SIGNATURE_BYTES
    if size < SPONSORSHIP_BYTES or size % SPONSORSHIP_BYTES:
        raise WireError(f"a roster of {len(data)} bytes, which no number of members gives")
    if size > SPONSORSHIP_BYTES * MEMBERS_MAX:
        raise WireError(f"a roster of {size // SPONSORSHIP_BYTES} members, over {MEMBERS_MAX}")
    number_end = _ID_BYTES + _EPOCH_BYTES
    id_end = number_end + _ID_BYTES
    rotator_end = id_end + _ID_BYTES
    rotator = endpoint_id(data[id_end:rotator_end])
    count = int.from_bytes(data[rotator_end:_ROSTER_HEAD_BYTES], "big")
    sponsorships = tuple(
        decode_sponsorship(data[at : at + SPONSORSHIP_BYTES])
        for at in range(_ROSTER_HEAD_BYTES, len(data) - _SIGNATURE_BYTES, SPONSORSHIP_BYTES)
    )
    entries, gone = sponsorships[:count], sponsorships[count:]
    named = [entry.member for entry in sponsorships]
    parts = ([entry.member for entry in part] for part in (entries, gone))
    if len(set(named)) < len(named) or any(part != sorted(part) for part in parts):
        raise WireError("the members of a roster are not in order, or one is named twice")
    if rotator not in named[:count]:
        raise WireError("a roster leaves out the one who made it")
    return Roster(
        room_id=RoomId(data[:_ID_BYTES]),
        number=int.from_bytes(data[_ID_BYTES:number_end], "big"),
        id=EpochId(data[number_end:id_end]),
        rotator=rotator,
        entries=entries,
        gone=gone,
        signature=data[-_SIGNATURE_BYTES:],
    )


def _sponsorship_signing_input(room_id: RoomId, during: EpochId, member: EndpointId) -> bytes:
    return _SPONSORSHIP_CONTEXT + room_id + during + member


def _u32(number: int) -> bytes:
    return number.to_bytes(_EPOCH_BYTES, "big")

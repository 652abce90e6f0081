"""The records on disk, as values and as versioned protobuf.

Decoding raises ValueError for whatever it can't take; the store adds which record it was.
"""

from dataclasses import dataclass

from google.protobuf.message import DecodeError, Message

from buddies_core.errors import WireError
from buddies_core.model.address import AddressInfo, PeerAddress, SocketAddress
from buddies_core.model.amendment import Amendment
from buddies_core.model.bodies import MemoryDeleted, MemorySuperseded
from buddies_core.model.identity import GpgIdentity, SignerIdentity, SshIdentity
from buddies_core.model.ids import EndpointId, EpochId, RoomId, RoomName
from buddies_core.model.private import Founding, PrivateState
from buddies_core.model.revocation import Revocation
from buddies_core.model.room import KeptHistory
from buddies_core.pb import records_pb2 as pb
from buddies_core.wire.private import (
    decode_epoch,
    decode_roster,
    decode_sponsorship,
    encode_roster,
    encode_sponsorship,
)
from buddies_core.wire.room_messages import open_envelope

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomRecord:
    """A joined room, and the peers to dial to get back into it."""

    name: RoomName
    room_id: RoomId
    joined_at_ms: int
    bootstrap: tuple[PeerAddress, ...]
    private: PrivateState | None = None
    """None for an open room."""
    outdated: bool = False
    """Whether it is a private room of a version whose keys this one does not take."""
    history: KeptHistory = KeptHistory.ALL


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceRecord:
    """A member's latest presence, as its signed bytes."""

    room_id: RoomId
    endpoint: EndpointId
    proof: bytes
    received_at_ms: int
    first_heard_at_ms: int = 0
    """0 in records of older versions."""
    met: bool = False
    """Whether it has spoken to this node itself, or was reached by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingRecord:
    """The signer that was found to vouch for an endpoint."""

    endpoint: EndpointId
    signer: SignerIdentity
    signed_at_ms: int
    signature: bytes = b""
    """Of the signer; empty in old records, which can't be checked again."""


def encode_amendment(amendment: Amendment) -> bytes:
    """Return the record of an amendment."""
    return pb.AmendmentRecord(
        version=VERSION,
        room=amendment.room,
        proof=amendment.proof,
        received_at_ms=amendment.received_at_ms,
        by_name=amendment.by_name,
    ).SerializeToString()


def decode_amendment(data: bytes) -> Amendment:
    """Return the amendment that `encode_amendment` wrote.

    Raises:
        ValueError: these bytes are not such a record.
    """
    record = pb.AmendmentRecord()
    parse(record, data)
    try:
        envelope = open_envelope(record.proof)
    except WireError as error:
        raise ValueError(str(error)) from error
    body, trailer = envelope.message.body, envelope.trailer
    if trailer is None or not isinstance(body, MemorySuperseded | MemoryDeleted):
        raise ValueError("its proof is not an amendment")
    return Amendment(
        change=body,
        by=trailer.sender,
        by_name=record.by_name,
        room=RoomName(record.room),
        sent_at_ms=trailer.sent_at_ms,
        proof=record.proof,
        received_at_ms=record.received_at_ms,
    )


def encode_room(room: RoomRecord) -> bytes:
    """Return the record of a joined room."""
    return pb.RoomRecord(
        version=VERSION,
        name=room.name,
        room_id=room.room_id,
        joined_at_ms=room.joined_at_ms,
        bootstrap=[
            pb.PeerAddress(
                endpoint=peer.endpoint,
                relay_url=peer.info.relay_url or "",
                direct=[pb.SocketAddress(host=a.host, port=a.port) for a in peer.info.direct],
            )
            for peer in room.bootstrap
        ],
        private=None if room.private is None else _private_to_pb(room.private),
        history=room.history,
    ).SerializeToString()


def decode_room(data: bytes) -> RoomRecord:
    """Return the room that `encode_room` wrote.

    Raises:
        ValueError: these bytes are not such a record.
    """
    record = pb.RoomRecord()
    parse(record, data)
    outdated = record.HasField("private") and not record.private.founder
    return RoomRecord(
        name=RoomName(record.name),
        room_id=RoomId(record.room_id),
        joined_at_ms=record.joined_at_ms,
        bootstrap=tuple(
            PeerAddress(
                EndpointId(peer.endpoint),
                AddressInfo(
                    relay_url=peer.relay_url or None,
                    direct=tuple(SocketAddress(a.host, a.port) for a in peer.direct),
                ),
            )
            for peer in record.bootstrap
        ),
        private=(
            _private_from_pb(record.private)
            if record.HasField("private") and not outdated
            else None
        ),
        outdated=outdated,
        history=KeptHistory(record.history or KeptHistory.ALL),
    )


def _private_to_pb(state: PrivateState) -> pb.PrivateState:
    return pb.PrivateState(
        epochs=[pb.Epoch(number=state.epoch.number, secret=state.epoch.secret)],
        roster=encode_roster(state.roster),
        founder=state.founding.founder,
        nonce=state.founding.nonce,
        admitted=map(encode_sponsorship, state.admitted),
        past=state.past,
    )


def _private_from_pb(state: pb.PrivateState) -> PrivateState:
    try:
        [newest] = state.epochs
        return PrivateState(
            founding=Founding(EndpointId(state.founder), state.nonce),
            epoch=decode_epoch(newest.number, newest.secret),
            roster=decode_roster(state.roster),
            admitted=tuple(map(decode_sponsorship, state.admitted)),
            past=tuple(EpochId(former) for former in state.past),
        )
    except WireError as error:
        raise ValueError(str(error)) from error


def encode_presence(presence: PresenceRecord) -> bytes:
    """Return the record of a member's presence."""
    return pb.PresenceRecord(
        version=VERSION,
        room_id=presence.room_id,
        endpoint=presence.endpoint,
        proof=presence.proof,
        received_at_ms=presence.received_at_ms,
        first_heard_at_ms=presence.first_heard_at_ms,
        met=presence.met,
    ).SerializeToString()


def decode_presence(data: bytes) -> PresenceRecord:
    """Return the presence that `encode_presence` wrote.

    Raises:
        ValueError: these bytes are not such a record.
    """
    record = pb.PresenceRecord()
    parse(record, data)
    return PresenceRecord(
        room_id=RoomId(record.room_id),
        endpoint=EndpointId(record.endpoint),
        proof=record.proof,
        received_at_ms=record.received_at_ms,
        first_heard_at_ms=record.first_heard_at_ms,
        met=record.met,
    )


def encode_binding(binding: BindingRecord) -> bytes:
    """Return the record of an endpoint's binding."""
    record = pb.BindingRecord(
        version=VERSION,
        endpoint=binding.endpoint,
        signed_at_ms=binding.signed_at_ms,
        signature=binding.signature,
    )
    match binding.signer:
        case GpgIdentity(key_id):
            record.gpg = key_id
        case SshIdentity(public_key):
            record.ssh = public_key
    return record.SerializeToString()


def decode_binding(data: bytes) -> BindingRecord:
    """Return the binding that `encode_binding` wrote.

    Raises:
        ValueError: these bytes are not such a record.
    """
    record = pb.BindingRecord()
    parse(record, data)
    return BindingRecord(
        endpoint=EndpointId(record.endpoint),
        signer=SshIdentity(record.ssh) if record.ssh else GpgIdentity(record.gpg),
        signed_at_ms=record.signed_at_ms,
        signature=record.signature,
    )


def encode_revocation(revocation: Revocation) -> bytes:
    """Return the record of a revocation."""
    return pb.RevocationRecord(
        version=VERSION,
        label=revocation.label,
        since_ms=revocation.since_ms,
        revoked_at_ms=revocation.revoked_at_ms,
    ).SerializeToString()


def decode_revocation(data: bytes) -> Revocation:
    """Return the revocation that `encode_revocation` wrote.

    Raises:
        ValueError: these bytes are not such a record.
    """
    record = pb.RevocationRecord()
    parse(record, data)
    return Revocation(
        label=record.label, since_ms=record.since_ms, revoked_at_ms=record.revoked_at_ms
    )


def parse(record: Message, data: bytes, newest: int = VERSION) -> None:
    """Fill the record with what these bytes hold; every record has a `version`, up to `newest`.

    Raises:
        ValueError: they are no such record, or one of another version.
    """
    try:
        record.ParseFromString(data)
    except DecodeError as error:
        raise ValueError("its bytes are not a record") from error
    version = getattr(record, "version")  # noqa: B009 - generated; each record has one
    if not VERSION <= version <= newest:
        raise ValueError(f"it has version {version}, this buddies reads up to {newest}")

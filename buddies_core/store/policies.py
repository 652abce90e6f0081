"""The policies of rooms in the store: "q" · room id:32 → PolicyRecord; see `keys`.

A record that can't be read is not left out, as others are: the room would be taken for an open one.
"""

import logging
from dataclasses import dataclass
from typing import Protocol

from buddies_core.model.identity import GpgIdentity, SignerIdentity, SshIdentity
from buddies_core.model.ids import RoomId
from buddies_core.model.policy import Policy
from buddies_core.pb import records_pb2 as pb
from buddies_core.store.database import Database
from buddies_core.store.records import VERSION, parse

_POLICIES = b"q"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PolicyRecord:
    """The policy of a room, whether this node is in it or not."""

    room_id: RoomId
    policy: Policy | None
    """None if its record is damaged."""


class PolicyStore(Protocol):
    """The policies of a store, on disk or, in tests, in memory."""

    async def put(self, room_id: RoomId, policy: Policy) -> None:
        """Remember a room's policy, in place of the one it had. On return it is on disk."""

    def all(self) -> tuple[PolicyRecord, ...]:
        """Return the policies of all rooms, by room id."""

    async def delete(self, room_id: RoomId) -> None:
        """Forget a room's policy, if it has one. On return that is on disk."""


class RocksPolicies:
    """The policies on disk."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, room_id: RoomId, policy: Policy) -> None:
        """Remember a room's policy, in place of the one it had. On return it is on disk."""
        await self._database.commit(lambda _: (None, {_POLICIES + room_id: _encoded(policy)}))

    def all(self) -> tuple[PolicyRecord, ...]:
        """Return the policies of all rooms, by room id."""
        return tuple(
            PolicyRecord(RoomId(place[1:]), _decoded(place, data))
            for place, data in self._database.scan(_POLICIES)
        )

    async def delete(self, room_id: RoomId) -> None:
        """Forget a room's policy, if it has one. On return that is on disk."""
        await self._database.commit(lambda _: (None, {_POLICIES + room_id: None}))


def _encoded(policy: Policy) -> bytes:
    return pb.PolicyRecord(
        version=VERSION,
        whitelist=map(_identity_to_pb, policy.whitelist),
        require_signed=policy.require_signed,
    ).SerializeToString()


def _decoded(place: bytes, data: bytes) -> Policy | None:
    record = pb.PolicyRecord()
    try:
        parse(record, data)
        return Policy(tuple(map(_identity_from_pb, record.whitelist)), record.require_signed)
    except ValueError as error:
        _log.warning("record_damaged key=%s reason=%s", place.hex(), error)
        return None


def _identity_to_pb(identity: SignerIdentity) -> pb.Identity:
    match identity:
        case GpgIdentity(key_id):
            return pb.Identity(gpg=key_id)
        case SshIdentity(public_key):
            return pb.Identity(ssh=public_key)


def _identity_from_pb(identity: pb.Identity) -> SignerIdentity:
    match identity.WhichOneof("signer"):
        case "gpg":
            return GpgIdentity(identity.gpg)
        case "ssh":
            return SshIdentity(identity.ssh)
        case None:
            raise ValueError("it names an identity of an unknown kind")

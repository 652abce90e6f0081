"""The invites to private rooms in the store, and what a store promises about them.

    invite := "a" · room id:32 · SHA-256 of the token:32 → InviteRecord

The token itself is not kept, so reading the store is not enough to join.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from buddies_core.errors import StoreError
from buddies_core.model.ids import EndpointId, EpochId, RoomId
from buddies_core.model.private import INVITE_USES_MAX
from buddies_core.pb import records_pb2 as pb
from buddies_core.store.database import Changes, Database, Read
from buddies_core.store.records import VERSION, parse

INVITES_MAX = 256
"""The most unexpired invites to one room."""

INVITES = b"a"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteRecord:
    """An invite that this node has given out."""

    room_id: RoomId
    token_hash: bytes
    """SHA-256, see `model.private.token_hash`."""
    expires_at_ms: int
    uses_left: int
    during: EpochId
    """The epoch in which it was made, and with which it ends."""
    redeemed_by: tuple[EndpointId, ...] = ()

    def redeemed(self, endpoint: EndpointId, now_ms: int) -> "InviteRecord | None":
        """Return what is left of it once this endpoint came in by it; None if that may not be.

        An endpoint that comes again, because the answer to its first call was lost, costs no use.
        """
        if self.expired(now_ms):
            return None
        if endpoint in self.redeemed_by:
            return self
        if self.uses_left == 0:
            return None
        return replace(
            self, uses_left=self.uses_left - 1, redeemed_by=(*self.redeemed_by, endpoint)
        )

    def expired(self, now_ms: int) -> bool:
        """Return whether the invite has expired."""
        return now_ms >= self.expires_at_ms


class InviteStore(Protocol):
    """The invites of a store, on disk or, in tests, in memory."""

    async def put(self, invite: InviteRecord, now_ms: int) -> bool:
        """Keep an invite, and forget the expired ones of its room; False if it has too many.

        On return it is on disk.
        """

    def of_room(self, room_id: RoomId) -> tuple[InviteRecord, ...]:
        """Return the invites to a room, by hash, expired and used up ones too."""

    async def redeem(
        self, room_id: RoomId, token_hash: bytes, endpoint: EndpointId, now_ms: int
    ) -> InviteRecord | None:
        """Count a use and return the invite as it is now; None if the endpoint is not let in.

        On return the use is on disk, and an invite of n uses has let in at most n endpoints. None
        is for a token that is unknown, expired or used up. The same endpoint again costs no use.

        Raises:
            StoreError: its record is damaged, or the disk refused; nobody may be let in.
        """

    async def delete_of_room(self, room_id: RoomId) -> None:
        """Forget all invites to a room. On return that is on disk."""


class RocksInvites:
    """Invites on disk; see `InviteStore`. One that can't be read is skipped by what reads many."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, invite: InviteRecord, now_ms: int) -> bool:
        """Keep an invite, and forget the expired ones of its room; False if it has too many."""
        assert 1 <= invite.uses_left <= INVITE_USES_MAX, "an invite has 1 to 64 uses"

        def decide(_: Read) -> tuple[bool, Changes]:
            # A damaged invite admits nobody any more.
            others = list(self._kept(invite.room_id))
            over = [place for place, kept in others if kept is None or kept.expired(now_ms)]
            changes: dict[bytes, bytes | None] = dict.fromkeys(over)
            if len(others) - len(over) >= INVITES_MAX:
                return False, changes
            return True, changes | {_place(invite.room_id, invite.token_hash): _encode(invite)}

        return await self._database.commit(decide)

    def of_room(self, room_id: RoomId) -> tuple[InviteRecord, ...]:
        """Return the invites to a room, by hash; damaged ones are left out."""
        return tuple(invite for _, invite in self._kept(room_id) if invite is not None)

    async def redeem(
        self, room_id: RoomId, token_hash: bytes, endpoint: EndpointId, now_ms: int
    ) -> InviteRecord | None:
        """Count a use and return the invite as it is now; None if the endpoint is not let in."""
        place = _place(room_id, token_hash)

        def decide(read: Read) -> tuple[InviteRecord | None, Changes]:
            try:
                data = read(place)
                invite = None if data is None else decode_invite(data)
            except (StoreError, ValueError) as error:
                raise StoreError(
                    f"the record of an invite to room {room_id.hex()[:10]} is damaged ({error}); "
                    "nothing else is affected: give out a new one"
                ) from error
            after = invite and invite.redeemed(endpoint, now_ms)
            # Written also where nothing changes: an earlier write may not have reached the disk.
            return after, {place: _encode(after)} if after else {}

        return await self._database.commit(decide)

    async def delete_of_room(self, room_id: RoomId) -> None:
        """Forget all invites to a room."""

        def decide(_: Read) -> tuple[None, Changes]:
            return None, dict.fromkeys(place for place, _ in self._kept(room_id))

        await self._database.commit(decide)

    def _kept(self, room_id: RoomId) -> Iterator[tuple[bytes, InviteRecord | None]]:
        """Yield what lies in a room's place; None for what can't be read."""
        for place, data in self._database.scan(INVITES + room_id):
            try:
                yield place, decode_invite(data)
            except ValueError as error:
                _log.warning("record_damaged key=%s reason=%s", place[:33].hex(), error)
                yield place, None


def _place(room_id: RoomId, token_hash: bytes) -> bytes:
    return INVITES + room_id + token_hash


def _encode(invite: InviteRecord) -> bytes:
    return pb.InviteRecord(
        version=VERSION,
        room_id=invite.room_id,
        token_hash=invite.token_hash,
        expires_at_ms=invite.expires_at_ms,
        uses_left=invite.uses_left,
        redeemed_by=invite.redeemed_by,
        during=invite.during,
    ).SerializeToString()


def decode_invite(data: bytes) -> InviteRecord:
    """Return the invite in a record; raises ValueError if there is none."""
    record = pb.InviteRecord()
    parse(record, data)
    return InviteRecord(
        room_id=RoomId(record.room_id),
        token_hash=record.token_hash,
        expires_at_ms=record.expires_at_ms,
        uses_left=record.uses_left,
        redeemed_by=tuple(EndpointId(endpoint) for endpoint in record.redeemed_by),
        during=EpochId(record.during),
    )

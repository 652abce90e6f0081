"""The contract of `store.invites` in a plain dict, for tests. Nothing outlives it."""

from buddies_core.model.ids import EndpointId, RoomId
from buddies_core.model.private import INVITE_USES_MAX
from buddies_core.store.invites import INVITES_MAX, InviteRecord


class InMemoryInvites:
    """Invites without a disk; it passes the tests that RocksInvites passes. See `InviteStore`."""

    def __init__(self) -> None:
        self._invites: dict[tuple[RoomId, bytes], InviteRecord] = {}

    async def put(self, invite: InviteRecord, now_ms: int) -> bool:
        """Keep an invite, and forget the expired ones of its room; False if it has too many."""
        assert 1 <= invite.uses_left <= INVITE_USES_MAX, "an invite has 1 to 64 uses"
        self._invites = {
            key: kept
            for key, kept in self._invites.items()
            if kept.room_id != invite.room_id or not kept.expired(now_ms)
        }
        if len(self.of_room(invite.room_id)) >= INVITES_MAX:
            return False
        self._invites[invite.room_id, invite.token_hash] = invite
        return True

    def of_room(self, room_id: RoomId) -> tuple[InviteRecord, ...]:
        """Return the invites to a room, by hash."""
        return tuple(kept for key, kept in sorted(self._invites.items()) if key[0] == room_id)

    async def redeem(
        self, room_id: RoomId, token_hash: bytes, endpoint: EndpointId, now_ms: int
    ) -> InviteRecord | None:
        """Count a use, and return the invite as it is now; None if it lets this endpoint not in."""
        invite = self._invites.get((room_id, token_hash))
        after = invite and invite.redeemed(endpoint, now_ms)
        if after:
            self._invites[room_id, token_hash] = after
        return after

    async def delete_of_room(self, room_id: RoomId) -> None:
        """Forget all invites to a room."""
        self._invites = {key: kept for key, kept in self._invites.items() if key[0] != room_id}

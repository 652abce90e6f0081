"""What people do with private rooms beyond joining them: invite, and change the keys."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from buddies_core.errors import InvalidInput
from buddies_core.model.ids import EndpointId, RoomId, RoomName
from buddies_core.model.room import NamedPeer, RotateReport
from buddies_core.pb.peer_pb2 import EpochReply, PeerRequest
from buddies_core.rooms.ports import Host
from buddies_core.rooms.private.invites import EXPIRES_S, USES, Invites, is_left_out
from buddies_core.rooms.registry import Registry
from buddies_core.rooms.room import Room
from buddies_core.trust.names import members_named
from buddies_core.wire.tickets import encode_invite


class PrivateRooms:
    """The private ones among the rooms of this node."""

    def __init__(
        self,
        host: Host,
        rooms: Registry,
        changing: Mapping[RoomName, asyncio.Lock],
        name_of: Callable[[EndpointId], str],
    ) -> None:
        """Share `changing` with joins and leaves: one at a time changes a room."""
        self._me = host.endpoint
        self._rooms = rooms
        self._changing = changing
        self._name_of = name_of
        self._invites = Invites(host)

    async def invite(self, room: Room, uses: int | None, expires_s: float | None) -> str:
        """Return a new invite; raises as `Invites.make` does."""
        uses = USES if uses is None else uses
        expires_s = EXPIRES_S if expires_s is None else expires_s
        return encode_invite(await self._invites.make(room, uses, expires_s))

    async def shown_invite(self, room: Room) -> str:
        """Return an invite to show to who has joined; the same again while it is good.

        It is empty where this node was left out: it can bring nobody in.
        """
        if is_left_out(room):
            return ""
        return encode_invite(await self._invites.default(room))

    async def void_invites(self, room: Room) -> None:
        """Have all our invites to a room let nobody in any more."""
        await self._invites.void(room.room_id)

    async def answer_redeem(self, caller: EndpointId, request: PeerRequest) -> EpochReply:
        """Return a room's secret to who shows a good invite; see `Invites.answer`."""
        room = self._rooms.by_id(RoomId(request.topic))
        return await self._invites.answer(room, caller, request.redeem)

    async def rotate(self, room: str, without: Sequence[str]) -> RotateReport:
        """Give a room a new secret, which these members don't get; our invites to it are void.

        `without` names each by its display name or by how its endpoint id begins.

        Raises:
            NotFound: this node is not in the room.
            InvalidInput: the room is open, or it is not clear who is meant; nothing has changed.
            StoreError: the disk refused.
        """
        rotated = self._rooms.room(room)
        name = rotated.name
        async with self._changing[name]:
            epochs = rotated.epochs
            if epochs is None:
                raise InvalidInput(
                    f"room {name!r} is open and has no keys: whoever knows its name may come in. "
                    "A private one is made by: buddies-cli join ROOM --private"
                )
            members = epochs.keyring.state.members
            names = {member: self._name_of(member) for member in members}
            removed = members_named(without, names, self._me)
            stay = [it for it in members if it not in removed and it != self._me]
            told = await epochs.rotate(removed, rotated.presences.present())
        return RotateReport(
            room=name,
            epoch=epochs.keyring.epoch.number,
            removed=tuple(NamedPeer(it, names[it]) for it in removed),
            told=tuple(NamedPeer(it, names[it]) for it in told),
            waiting=tuple(NamedPeer(it, names[it]) for it in stay if it not in told),
        )

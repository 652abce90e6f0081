"""The calls about rooms: joining, leaving, tickets, and an agent's activity."""

from __future__ import annotations

from collections.abc import Sequence

from buddies_core.client.as_asked import not_as_asked, not_as_limited
from buddies_core.client.connection import Connection, sendable
from buddies_core.convert.codec import from_proto
from buddies_core.errors import BuddiesError, VersionMismatch
from buddies_core.model.ids import RoomName
from buddies_core.model.room import (
    JoinReport,
    LeaveReport,
    NotifyReport,
    RoomList,
    RoomStatus,
    RotateReport,
    TicketReport,
)
from buddies_core.pb import room_pb2
from buddies_core.pb.room_pb2_grpc import RoomsStub

JOIN_TIMEOUT_S = 15.0
"""A join may take 10 s by itself."""


class RoomCalls:
    """The part of DaemonClient that is about rooms."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rooms = RoomsStub(connection.channel)

    async def join_room(
        self,
        room: str,
        ticket: str | None = None,
        *,
        private: bool = False,
        history: str = "",
    ) -> JoinReport:
        """Return who is in the room, once this machine is in it.

        `private` makes a private one; who has an invite to one gives that as the ticket. `history`
        is all, since-join or none; empty for what is set.

        Raises:
            InvalidInput: the name or the ticket can't be taken.
            Unreachable: nobody on the ticket could be joined; nothing is kept.
        """
        with sendable():
            request = room_pb2.JoinRequest(
                room=room, ticket=ticket or "", private=private, history=history
            )
        reply = await self._connection.ask(self._rooms.Join, request, JOIN_TIMEOUT_S)
        if private and not reply.private:
            raise await self._opened_to_all(reply)
        self._connection.remember_room(reply.room, joined=True)
        return from_proto(reply, JoinReport)

    async def _opened_to_all(self, reply: room_pb2.JoinReply) -> VersionMismatch:
        """Leave a room that was to be private and is not, and return the error that says so."""
        room = reply.room
        if reply.already_joined:
            return self._not_as_asked(
                f"took open room {room!r}, which it was in, for a private one"
            )
        now = "this machine has left it again"
        try:
            await self.leave_room(room, for_all=True)
        except BuddiesError as error:
            now = f"this machine could not leave it ({error}); do so: buddies-cli leave {room}"
        return self._not_as_asked(f"opened room {room!r} to everybody; {now}")

    def _not_as_asked(self, what: str) -> VersionMismatch:
        return VersionMismatch(not_as_asked(self._connection.info, what))

    async def leave_room(self, room: str, *, for_all: bool) -> LeaveReport:
        """Return whether this machine has left the room, or for which agents it stays.

        Raises:
            NotFound: this machine is not in the room.
        """
        with sendable():
            request = room_pb2.LeaveRequest(room=room, for_all=for_all)
        reply = await self._connection.ask(self._rooms.Leave, request)
        self._connection.remember_room(reply.room, joined=False)
        return from_proto(reply, LeaveReport)

    async def list_rooms(self) -> tuple[RoomName, ...]:
        """Return all rooms this machine is in, sorted."""
        page = await self.room_list()
        rooms = page.rooms
        while page.next_cursor is not None:
            page = await self.room_list(page.next_cursor)
            rooms += page.rooms
        return rooms

    async def room_list(self, cursor: str = "") -> RoomList:
        """Return the rooms this machine is in, sorted, as many as fit into an answer."""
        with sendable():
            request = room_pb2.ListRequest(cursor=cursor)
        return from_proto(await self._connection.ask(self._rooms.List, request), RoomList)

    async def room_status(self, room: str, cursor: str = "") -> RoomStatus:
        """Return who is in the room now, as many as fit into an answer.

        Raises:
            NotFound: this machine is not in the room.
            InvalidInput: the cursor is not from this list.
        """
        with sendable():
            request = room_pb2.StatusRequest(room=room, cursor=cursor)
        return from_proto(await self._connection.ask(self._rooms.Status, request), RoomStatus)

    async def room_ticket(
        self, room: str, *, uses: int | None = None, expires_s: float | None = None
    ) -> TicketReport:
        """Return a ticket to the room, or a new invite if it is private.

        Raises:
            NotFound: this machine is not in the room.
            InvalidInput: the invite is not possible, or the room is open and its ticket never ends.
        """
        with sendable():
            request = room_pb2.TicketRequest(room=room, uses=uses, expires_s=expires_s)
        reply = await self._connection.ask(self._rooms.Ticket, request)
        if wrong := not_as_limited(reply.ticket, uses, expires_s):
            raise self._not_as_asked(f"made {wrong}, which was not handed out")
        return from_proto(reply, TicketReport)

    async def rotate_room(
        self, room: str, without: Sequence[str] = (), *, along: bool = False, preview: bool = False
    ) -> RotateReport:
        """Give a private room a new secret, which these members don't get.

        Nor do those that they have brought in, with `along`. With `preview` nothing is changed.

        Raises:
            NotFound: this machine is not in the room.
            InvalidInput: the room is open, or a member is ambiguous.
        """
        with sendable():
            request = room_pb2.RotateRequest(
                room=room, without=without, along=along, preview=preview
            )
        reply = await self._connection.ask(self._rooms.Rotate, request, JOIN_TIMEOUT_S)
        if without and not reply.removed:
            raise self._not_as_asked(f"gave the new keys of room {room!r} to all members")
        return from_proto(reply, RotateReport)

    async def notify(self, room: str, text: str) -> NotifyReport:
        """Tell the room what this agent is doing, and return how many members that went to.

        Raises:
            InvalidInput: the text is empty or too long.
            NotFound: this machine is not in the room.
        """
        with sendable():
            request = room_pb2.NotifyRequest(room=room, text=text)
        return from_proto(await self._connection.ask(self._rooms.Notify, request), NotifyReport)

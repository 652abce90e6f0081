"""The Rooms service: joining, leaving, tickets, and what an agent is doing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol
from uuid import UUID

from grpc.aio import ServicerContext

from buddies_core.convert.arguments import kept_history
from buddies_core.convert.codec import to_proto
from buddies_core.convert.cursors import member_place, room_place
from buddies_core.model.ids import RoomName
from buddies_core.model.room import (
    CatchingUp,
    JoinReport,
    KeptHistory,
    LeaveReport,
    NotifyReport,
    RoomStatus,
    RotateReport,
    TicketReport,
)
from buddies_core.pb import room_pb2 as pb
from buddies_core.pb.room_pb2_grpc import RoomsServicer
from buddies_core.rpc import fitting_rooms
from buddies_core.rpc.agents import Agents
from buddies_core.rpc.names import RoomNames


class RoomsService(RoomNames, Protocol):
    """What this service asks of the rooms; see `rooms.rooms.Rooms`."""

    def joined(self) -> tuple[RoomName, ...]:
        """Return the rooms this node is in."""

    def status(self, room: str) -> RoomStatus:
        """Return who is in a room."""

    async def notify(self, room: str, text: str, agent: UUID | None) -> NotifyReport:
        """Tell a room what an agent is doing."""


class RoomChangesService(Protocol):
    """How this service changes them; see `rooms.room_changes.RoomChanges`."""

    async def join(
        self,
        room: str,
        ticket: str | None,
        agent: UUID | None,
        *,
        private: bool,
        history: KeptHistory | None,
    ) -> JoinReport:
        """Be in a room."""

    async def leave(self, room: str, agent: UUID | None, *, for_all: bool) -> LeaveReport:
        """Leave it, for one agent or for all."""

    async def ticket(self, room: str, uses: int | None, expires_s: float | None) -> TicketReport:
        """Return what brings others into a room: a ticket, or an invite to a private one."""

    async def rotate(
        self, room: str, without: Sequence[str], *, along: bool, preview: bool
    ) -> RotateReport:
        """Give a private room a new secret."""


class HistoryService(Protocol):
    """What was said in rooms before this node came; see `history.service.History`."""

    async def joined(self, room: RoomName) -> tuple[CatchingUp, ...]:
        """Have what this node lacks fetched, and return what is being fetched."""

    def catching_up(self, room: RoomName) -> tuple[CatchingUp, ...]:
        """Return what is being fetched."""


class RoomsRpc(RoomsServicer):
    """The methods of the Rooms service."""

    def __init__(
        self,
        rooms: RoomsService,
        changes: RoomChangesService,
        history: HistoryService,
        agents: Agents,
    ) -> None:
        self._rooms = rooms
        self._named = rooms.named
        self._changes = changes
        self._history = history
        self._agents = agents

    async def Join(
        self, request: pb.JoinRequest, context: ServicerContext[Any, Any]
    ) -> pb.JoinReply:
        """Return who is there, once this node is in the room."""
        agent = self._agent(context)
        report = await self._changes.join(
            request.room,
            request.ticket or None,
            agent,
            private=request.private,
            history=kept_history(request.history),
        )
        if not report.already_joined or request.history:
            report = replace(report, catching_up=await self._history.joined(report.room))
        return to_proto(fitting_rooms.join_report(report), pb.JoinReply)

    async def Leave(
        self, request: pb.LeaveRequest, context: ServicerContext[Any, Any]
    ) -> pb.LeaveReply:
        """Return whether the node has left too, or for which agents it stays."""
        agent = self._agent(context)
        return to_proto(
            await self._changes.leave(self._named(request.room), agent, for_all=request.for_all),
            pb.LeaveReply,
        )

    async def List(
        self, request: pb.ListRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListReply:
        """Return the rooms this node is in."""
        after = room_place(request.cursor)
        return to_proto(fitting_rooms.room_list(self._rooms.joined(), after), pb.ListReply)

    async def Status(
        self, request: pb.StatusRequest, context: ServicerContext[Any, Any]
    ) -> pb.StatusReply:
        """Return who is in the room."""
        status = self._rooms.status(self._named(request.room))
        status = replace(status, catching_up=self._history.catching_up(status.room))
        after = member_place(request.cursor)
        return to_proto(fitting_rooms.room_status(status, after), pb.StatusReply)

    async def Ticket(
        self, request: pb.TicketRequest, context: ServicerContext[Any, Any]
    ) -> pb.TicketReply:
        """Return a ticket for the room, or an invite to a private one."""
        uses = request.uses if request.HasField("uses") else None
        expires_s = request.expires_s if request.HasField("expires_s") else None
        room = self._named(request.room)
        return to_proto(await self._changes.ticket(room, uses, expires_s), pb.TicketReply)

    async def Rotate(
        self, request: pb.RotateRequest, context: ServicerContext[Any, Any]
    ) -> pb.RotateReply:
        """Return who has a private room's new secret."""
        room = self._named(request.room)
        report = await self._changes.rotate(
            room, request.without, along=request.along, preview=request.preview
        )
        return to_proto(report, pb.RotateReply)

    async def Notify(
        self, request: pb.NotifyRequest, context: ServicerContext[Any, Any]
    ) -> pb.NotifyReply:
        """Return how many members the status went to."""
        agent = self._agent(context)
        room = self._named(request.room)
        return to_proto(await self._rooms.notify(room, request.text, agent), pb.NotifyReply)

    def _agent(self, context: ServicerContext[Any, Any]) -> UUID | None:
        caller = self._agents.caller(context)
        return caller.id if caller else None

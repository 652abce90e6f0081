"""The Daemon service: who is there, which agents are attached, and how it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Protocol

from grpc.aio import ServicerContext

from buddies_core.convert.codec import to_proto
from buddies_core.model.ids import RoomName
from buddies_core.model.views import DaemonInfo, DaemonStatus
from buddies_core.pb import daemon_pb2 as pb
from buddies_core.pb.daemon_pb2_grpc import DaemonServicer
from buddies_core.rpc.agents import Agents
from buddies_core.rpc.closing import Closing
from buddies_core.rpc.tasks import InboxService, caller_of


class DaemonService(Protocol):
    """What this service asks of the daemon."""

    def info(self) -> DaemonInfo:
        """Return who this is."""

    async def status(self) -> DaemonStatus:
        """Return how it is."""

    def request_stop(self) -> None:
        """Begin to end the daemon, and return at once."""


class DaemonRpc(DaemonServicer):
    """The methods of the Daemon service."""

    def __init__(
        self, daemon: DaemonService, inbox: InboxService, agents: Agents, closing: Closing
    ) -> None:
        self._daemon = daemon
        self._inbox = inbox
        self._agents = agents
        self._closing = closing

    async def Handshake(
        self, request: pb.HandshakeRequest, context: ServicerContext[Any, Any]
    ) -> pb.HandshakeReply:
        """Return who this is, whatever the caller's version: it is the caller that compares."""
        return to_proto(self._info(self._daemon.info()), pb.HandshakeReply)

    async def Attach(
        self, request: pb.AttachRequest, context: ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.AttachEvent]:
        """Return the agent's id, then what waits for it, until one of both ends hangs up."""
        with self._agents.attach(
            name=request.agent,
            user=request.user,
            pid=request.pid,
            capabilities=tuple(request.capabilities),
            rooms=tuple(map(RoomName, request.rooms)),
        ) as agent:
            yield pb.AttachEvent(attached=pb.Attached(agent_id=str(agent.id)))
            changes = self._inbox.inbox_changes(caller_of(agent))
            async for change in self._closing.until(changes):
                yield pb.AttachEvent(inbox=to_proto(change, pb.InboxChanged))

    async def Status(
        self, request: pb.StatusRequest, context: ServicerContext[Any, Any]
    ) -> pb.StatusReply:
        """Return how the daemon is."""
        status = await self._daemon.status()
        return to_proto(replace(status, info=self._info(status.info)), pb.StatusReply)

    async def Stop(
        self, request: pb.StopRequest, context: ServicerContext[Any, Any]
    ) -> pb.StopReply:
        """Begin to end the daemon; this call is still answered."""
        self._daemon.request_stop()
        return pb.StopReply(pid=self._daemon.info().pid)

    def _info(self, info: DaemonInfo) -> DaemonInfo:
        return replace(info, agents=len(self._agents.attached()))

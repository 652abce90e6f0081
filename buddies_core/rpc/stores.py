"""The Stores service: exports, imports, backups, checks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from grpc.aio import ServicerContext

from buddies_core.convert.codec import to_proto
from buddies_core.model.ids import RoomName
from buddies_core.model.transfer import BackedUp, Exported, Imported, Verified
from buddies_core.pb import store_pb2 as pb
from buddies_core.pb.store_pb2_grpc import StoresServicer
from buddies_core.rpc.agents import Agents
from buddies_core.rpc.names import RoomNames


class TransferService(Protocol):
    """What this service asks of exports and imports; see `transfer.service.Transfer`."""

    def export(self, room: RoomName) -> AsyncIterator[Exported]:
        """Yield what is kept of a room, as lines."""

    async def import_lines(
        self, room: RoomName, lines: Sequence[bytes], *, agent: str, user: str
    ) -> Imported:
        """Take lines into a room."""


class KeepingService(Protocol):
    """What it asks of the store; see `daemon.keeping.Keeping`."""

    async def back_up(self, directory: str) -> BackedUp:
        """Write all that is kept into a directory."""

    def verify(self) -> AsyncIterator[Verified]:
        """Read every record."""


class StoresRpc(StoresServicer):
    """The methods of the Stores service."""

    def __init__(
        self, transfer: TransferService, keeping: KeepingService, agents: Agents, names: RoomNames
    ) -> None:
        self._transfer = transfer
        self._keeping = keeping
        self._agents = agents
        self._named = names.named

    async def Export(
        self, request: pb.ExportRequest, context: ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.ExportReply]:
        """Return a room as lines, some at a time."""
        async for part in self._transfer.export(self._named(request.room)):
            yield to_proto(part, pb.ExportReply)

    async def Import(
        self, request: pb.ImportRequest, context: ServicerContext[Any, Any]
    ) -> pb.ImportReply:
        """Take lines into a room; on return they are on disk."""
        caller = self._agents.caller(context)
        done = await self._transfer.import_lines(
            self._named(request.room),
            request.lines,
            agent=caller.name if caller else "",
            user=caller.user if caller else "",
        )
        return to_proto(done, pb.ImportReply)

    async def Backup(
        self, request: pb.BackupRequest, context: ServicerContext[Any, Any]
    ) -> pb.BackupReply:
        """Write all that is kept into a directory."""
        made = await self._keeping.back_up(request.directory)
        return to_proto(made, pb.BackupReply)

    async def Verify(
        self, request: pb.VerifyRequest, context: ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.VerifyReply]:
        """Read every record, and say how far that is."""
        async for state in self._keeping.verify():
            yield to_proto(state, pb.VerifyReply)

"""The calls about the store: exports, imports, backups, checks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from buddies_core.client.connection import Connection, sendable
from buddies_core.convert.codec import from_proto
from buddies_core.model.transfer import BackedUp, Exported, Imported, Verified
from buddies_core.pb import store_pb2
from buddies_core.pb.store_pb2_grpc import StoresStub

IMPORT_TIMEOUT_S = 60.0
"""How long a call with a thousand lines may take: disks may be slow."""
WHOLE_TIMEOUT_S = 3600.0
"""The timeout of a call that reads or writes the whole store."""


class StoreCalls:
    """The part of DaemonClient that is about the store."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stores = StoresStub(connection.channel)

    async def export(self, room: str) -> AsyncGenerator[Exported]:
        """Return what is kept of a room as lines of JSON, a few at a time.

        Raises:
            NotFound: nothing is kept of it.
        """
        with sendable():
            request = store_pb2.ExportRequest(room=room)
        async for part in self._connection.follow(self._stores.Export, request, WHOLE_TIMEOUT_S):
            yield from_proto(part, Exported)

    async def import_lines(self, room: str, lines: Sequence[bytes]) -> Imported:
        """Take lines into a room; of those that are refused it says why.

        Raises:
            NotFound: this machine is not in the room.
            StoreError: the disk refused.
        """
        with sendable():
            request = store_pb2.ImportRequest(room=room, lines=lines)
        reply = await self._connection.ask(self._stores.Import, request, IMPORT_TIMEOUT_S)
        return from_proto(reply, Imported)

    async def back_up(self, directory: str) -> BackedUp:
        """Have the daemon write all that is kept into a directory.

        Raises:
            InvalidInput: the directory is not empty, or a relative path.
            StoreError: the disk refused.
        """
        with sendable():
            request = store_pb2.BackupRequest(directory=directory)
        reply = await self._connection.ask(self._stores.Backup, request, WHOLE_TIMEOUT_S)
        return from_proto(reply, BackedUp)

    async def verify_store(self) -> AsyncGenerator[Verified]:
        """Have the daemon read every record; return how far it is, and what it has found."""
        request = store_pb2.VerifyRequest()
        async for state in self._connection.follow(self._stores.Verify, request, WHOLE_TIMEOUT_S):
            yield from_proto(state, Verified)

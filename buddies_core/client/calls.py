"""The daemon's calls as typed methods.

Every call has a deadline and raises only errors of `errors`. A client outlives restarts of the
daemon: it reconnects by itself, and attaches its agent again.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from buddies_core.client.connection import Connection, open_connection, sendable
from buddies_core.client.identities import IdentityCalls
from buddies_core.client.memories import MemoryCalls
from buddies_core.client.policies import PolicyCalls
from buddies_core.client.rooms import RoomCalls
from buddies_core.client.skills import SkillCalls
from buddies_core.client.stores import StoreCalls
from buddies_core.client.tasks import TaskCalls
from buddies_core.client.versions import Age, age_of, outdated
from buddies_core.convert.codec import from_proto
from buddies_core.errors import BuddiesError
from buddies_core.local_protocol import PROTOCOL
from buddies_core.model.views import (
    DaemonInfo,
    DaemonStatus,
)
from buddies_core.paths import Paths
from buddies_core.pb import daemon_pb2
from buddies_core.pb.daemon_pb2_grpc import DaemonStub

CONNECT_TIMEOUT_S = 5.0


class DaemonClient(
    MemoryCalls, RoomCalls, TaskCalls, SkillCalls, IdentityCalls, PolicyCalls, StoreCalls
):
    """This machine's daemon. Use `connect`."""

    def __init__(self, connection: Connection) -> None:
        MemoryCalls.__init__(self, connection)
        TaskCalls.__init__(self, connection)
        SkillCalls.__init__(self, connection)
        IdentityCalls.__init__(self, connection)
        PolicyCalls.__init__(self, connection)
        RoomCalls.__init__(self, connection)
        StoreCalls.__init__(self, connection)
        self._daemon = DaemonStub(connection.channel)
        self._attached_pid = os.getpid()

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, paths: Paths, timeout_s: float = CONNECT_TIMEOUT_S
    ) -> AsyncIterator[DaemonClient]:
        """Connect to a daemon of a compatible version until the block ends.

        Raises:
            DaemonUnavailable: no daemon answers.
            VersionMismatch: a daemon of another version answers.
        """
        async with open_connection(paths, timeout_s) as connection:
            client = cls(connection)
            client.check_version()
            yield client

    @classmethod
    @asynccontextmanager
    async def connect_any_version(
        cls, paths: Paths, timeout_s: float = CONNECT_TIMEOUT_S
    ) -> AsyncIterator[DaemonClient]:
        """Connect to a daemon of any version; only `info` and `stop` are sure to work.

        Raises:
            DaemonUnavailable: none answers.
        """
        async with open_connection(paths, timeout_s) as connection:
            yield cls(connection)

    @property
    def info(self) -> DaemonInfo:
        """The daemon that answered the last handshake."""
        return self._connection.info

    @property
    def agents_attached(self) -> int:
        """How many agents were attached at the last handshake."""
        return self.info.agents

    @property
    def is_there(self) -> bool:
        """Whether the daemon with our agent attached is running, as far as known without asking."""
        return self._connection.is_there

    @property
    def version_warning(self) -> str:
        """The warning to show while daemon and program differ in version; else empty."""
        return outdated(self.info)

    async def is_replaceable(self) -> bool:
        """Return whether the daemon is of an older version, and no other process's agent uses it.

        If that is not clear, the answer is no.
        """
        if age_of(self.info) is not Age.OLDER:
            return False
        if self.info.protocol != PROTOCOL:  # Its status may mean something else.
            return self.agents_attached == 0
        try:
            agents = (await self.status()).agents
        except BuddiesError:
            return False
        return all(agent.pid == self._attached_pid for agent in agents)

    def check_version(self) -> None:
        """Return if both ends understand each other.

        Raises:
            VersionMismatch: they don't; the text says what to do.
        """
        self._connection.check_version()

    async def attach(
        self, agent: str, user: str, capabilities: tuple[str, ...] = (), pid: int | None = None
    ) -> None:
        """Show an agent to the rooms until the client closes; later calls are made in its name.

        When the daemon restarts, the agent is attached to the new one as soon as that answers.

        Args:
            agent: Its name.
            user: The name of its user; empty for the daemon's own.
            capabilities: The kinds of tasks that it takes.
            pid: The process by which people know it, if not this one.

        Raises:
            InvalidInput: a name is empty or too long.
            Busy: no more agents can attach.
        """
        self._attached_pid = pid or os.getpid()
        with sendable():
            request = daemon_pb2.AttachRequest(
                agent=agent, user=user, pid=self._attached_pid, capabilities=capabilities
            )
        await self._connection.attach(request)

    # The daemon

    async def status(self) -> DaemonStatus:
        """Return how the daemon is."""
        return from_proto(
            await self._connection.ask(self._daemon.Status, daemon_pb2.StatusRequest()),
            DaemonStatus,
        )

    async def stop(self) -> int:
        """Ask the daemon to end, and return its pid; it may take a moment to do so."""
        return (await self._connection.ask(self._daemon.Stop, daemon_pb2.StopRequest())).pid

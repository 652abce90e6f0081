"""Serves agents whose relays come by a socket, whoever's process this is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from buddies_core import __version__, launcher
from buddies_core.errors import InvalidInput
from buddies_core.paths import Paths
from buddies_core.settings import Settings
from buddies_mcp.caller import Caller
from buddies_mcp.greeting import is_handed_over, numbers, read, refusal, welcome
from buddies_mcp.link import DaemonLink
from buddies_mcp.server import serve
from buddies_mcp.session import AgentSession
from buddies_mcp.transport import Outgoing, messages
from buddies_mcp.waking import Waking

if TYPE_CHECKING:  # brings gRPC, which `initialize` must not wait for
    from buddies_core.client import DaemonClient

AGENTS_MAX = 500
"""The limit of a daemon."""
GREETING_MAX = 64
"""Relays that have not identified themselves yet; one more is disconnected, and tries again."""
GREETS_WITHIN_S = 5.0

log = logging.getLogger(__name__)


class Agents:
    """The agents that are served here. What goes wrong with one ends that one's session alone."""

    def __init__(self, environ: Mapping[str, str], agents_max: int = AGENTS_MAX) -> None:
        """Serve each with its client's environment, and what is not handed over from `environ`."""
        self._environ = {name: environ[name] for name in environ if not is_handed_over(name)}
        self._data_dir = environ.get("BUDDIES_DATA_DIR")
        self._agents_max = agents_max
        self._greeting = 0
        self._sessions: dict[AgentSession, Outgoing] = {}
        self.outdated = asyncio.Event()
        """Set when a relay of a newer version has come and no request was in progress."""

    @property
    def count(self) -> int:
        """The number of agents that are served now, or about to be."""
        return len(self._sessions) + self._greeting

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve the relay at the other end until one of us has had enough."""
        try:
            caller = await self._greet(reader, writer)
            if caller is not None:
                await self._serve_agent(caller, reader, writer)
        except Exception:
            log.exception("session_failed")
        finally:
            writer.close()

    async def _greet(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Caller | None:
        """Return whom to serve, after saying so; None if nobody is to be served."""
        if self._greeting >= GREETING_MAX:
            return None
        self._greeting += 1
        try:
            async with asyncio.timeout(GREETS_WITHIN_S):
                line = await reader.readline()
        except (TimeoutError, ValueError, OSError) as error:  # silent, too long, or gone
            log.warning("relay_dropped reason=%r", error)
            return None
        finally:
            self._greeting -= 1
        if not line.endswith(b"\n"):
            return None
        try:
            said = read(line)
            caller = self._caller(said["environ"], said["directory"], said["relay"])
        except InvalidInput as error:
            writer.write(refusal(str(error), fatal=True))
            return None
        except (ValueError, KeyError, TypeError) as error:
            writer.write(refusal(f"the host can't read who asks: {error}", fatal=False))
            return None
        calls = sum(outgoing.calls for outgoing in self._sessions.values())
        if said["replace"] and not calls and numbers(__version__) < numbers(said["version"]):
            log.info("host_outdated by=%s", said["version"])
            self.outdated.set()
            return None
        if len(self._sessions) >= self._agents_max:
            why = f"the host serves {self._agents_max} agents already, which is the limit"
            writer.write(refusal(why, fatal=False))
            return None
        writer.write(welcome(__version__, calls))
        log.info("agent_came agent=%r client=%s", caller.agent, said["client"])
        return caller

    def _caller(self, handed_over: Mapping[str, str], directory: str, pid: int) -> Caller:
        environ = {**self._environ, **handed_over}
        if self._data_dir is not None:  # as the host has resolved it
            environ["BUDDIES_DATA_DIR"] = self._data_dir
        return Caller.from_environment(environ, Path(directory), pid)

    async def _serve_agent(
        self, caller: Caller, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        waking = Waking()
        async with DaemonLink.open(lambda: attached_daemon(caller), waking.tell) as link:
            session = AgentSession(link, waking, caller)
            async with messages(reader, writer) as (incoming, outgoing):
                self._sessions[session] = outgoing
                try:
                    await serve(session, incoming, outgoing)
                finally:
                    del self._sessions[session]
                    log.info("agent_went agent=%r", caller.agent)


@asynccontextmanager
async def attached_daemon(caller: Caller) -> AsyncIterator[DaemonClient]:
    """Start the daemon if none runs, and attach the agent to it.

    The environment and the settings are read here, so that what is wrong with them is told to
    whoever asks a question.
    """
    from buddies_core.client import DaemonClient

    settings = Settings.load(caller.environ)
    paths = Paths.from_environment(caller.environ)
    await launcher.ensure_daemon(paths, caller.environ)
    async with DaemonClient.connect(paths) as daemon:
        await daemon.attach(
            settings.agent_name(caller.agent), caller.user, caller.capabilities, caller.pid
        )
        yield daemon

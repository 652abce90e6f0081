"""The MCP server by HTTP, in the foreground: the same sessions, by the SDK's session manager.

A session of the handshake era is an agent, from `initialize` until it is deleted or has been idle
for half an hour. From 2026-07-28 on there are no sessions: all requests with one client's name are
one agent's.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from buddies_core import logs, streams
from buddies_core.errors import BuddiesError, InvalidInput
from buddies_core.paths import Paths
from buddies_core.settings import environment_for_logs
from buddies_mcp.caller import DEFAULT_AGENT, Caller
from buddies_mcp.host.guard import PATH, Guard, token_of
from buddies_mcp.host.serving import AGENTS_MAX, attached_daemon
from buddies_mcp.link import DaemonLink
from buddies_mcp.server import build_server
from buddies_mcp.session import AgentSession
from buddies_mcp.waking import Waking

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8080
BODY_BYTES_MAX = 4 << 20
"""The SDK's own default."""
IDLE_S = 30 * 60.0
"""The SDK keeps an unused session for this long."""
LOOKS_EVERY_S = 60.0
ENDS_WITHIN_S = 5
REQUESTS_MAX = 2 * AGENTS_MAX
"""Requests at once, including open streams; one more gets a 503."""
AGENT_CHARS_MAX = 64
FAILED = 1
MISUSED = 2

log = logging.getLogger(__name__)


def serve_http(environ: Mapping[str, str]) -> int:
    """Serve agents by HTTP until SIGTERM or Ctrl-C, and return the exit code."""
    logs.configure(environment_for_logs(environ))
    try:
        host, port = environ.get("BUDDIES_HOST") or DEFAULT_HOST, _port(environ)
        Caller.from_environment(environ, Path.cwd(), os.getpid())
        listening = _listen(host, port)
        token = _token(environ, host)
    except InvalidInput as error:
        streams.complain(str(error))
        return MISUSED
    except BuddiesError as error:
        streams.complain(str(error))
        return FAILED
    for number in (signal.SIGINT, signal.SIGTERM):
        # While uvicorn runs it has its own handlers; when it is done it raises the signal again.
        signal.signal(number, lambda *_: None)
    with listening:
        asyncio.run(_serve(environ, host, token, listening))
    return 0


def _token(environ: Mapping[str, str], host: str) -> str:
    paths = Paths.from_environment(environ)
    paths.create()
    token, is_new = token_of(environ, host, paths.http_token)
    if is_new:
        streams.note(
            f"requests must have this token, which is kept in {paths.http_token} and not shown"
            f" again: {token}"
        )
    return token


def _port(environ: Mapping[str, str]) -> int:
    text = environ.get("BUDDIES_PORT", "") or str(DEFAULT_PORT)
    if not (text.isascii() and text.isdigit() and int(text) < 1 << 16):
        raise InvalidInput(f"BUDDIES_PORT is {text!r}; it must be a number from 0 to 65535")
    return int(text)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address, family=family, backlog=AGENTS_MAX)
    except OSError as error:
        raise InvalidInput(
            f"can't listen on port {port} of {host}: {error.strerror or error}; set BUDDIES_PORT"
            " and BUDDIES_HOST to where nothing else listens"
        ) from error


async def _serve(
    environ: Mapping[str, str], host: str, token: str, listening: socket.socket
) -> None:
    async with asyncio.TaskGroup() as tasks:
        agents = HttpAgents(environ, tasks)
        sweeping = tasks.create_task(agents.sweep())
        manager = StreamableHTTPSessionManager(
            build_server(agents.session_of),
            max_request_body_size=BODY_BYTES_MAX,
            session_idle_timeout=IDLE_S,
            max_sessions=AGENTS_MAX,
        )
        server = uvicorn.Server(
            uvicorn.Config(
                Guard(manager.handle_request, host, token),
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=REQUESTS_MAX,
                timeout_graceful_shutdown=ENDS_WITHIN_S,
            )
        )
        address = listening.getsockname()
        shown = f"[{address[0]}]" if ":" in address[0] else address[0]
        streams.note(f"serving agents at http://{shown}:{address[1]}{PATH}; Ctrl-C ends it")
        async with manager.run():
            await server.serve(sockets=[listening])
        sweeping.cancel()
        agents.close()


class HttpAgents:
    """The agents that come by HTTP, each with its connection to the daemon."""

    def __init__(self, environ: Mapping[str, str], tasks: asyncio.TaskGroup) -> None:
        self._environ = environ
        self._tasks = tasks
        self._directory = Path.cwd()
        self._sessions: set[AgentSession] = set()
        self._by_name: dict[str, tuple[AgentSession, float]] = {}
        """Agents without a session, each with when it last asked."""

    def session_of(self, context: ServerRequestContext[None]) -> AgentSession:
        """Return the session that a request belongs to; it is made for the first one."""
        # The SDK keeps these two for handlers, and has no public way to them yet.
        connection = context.session._connection  # noqa: SLF001
        parameters = context.session.client_params
        name = _agent_name(parameters.client_info.name if parameters else "")
        if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
            now_s = asyncio.get_running_loop().time()
            session = self._by_name[name][0] if name in self._by_name else self._new(name)
            self._by_name[name] = session, now_s
            return session
        kept: dict[str, Any] = connection.state
        if "agent" not in kept:
            kept["agent"] = self._new(name)
            connection.exit_stack.callback(self._end, kept["agent"])
        made: AgentSession = kept["agent"]
        return made

    async def sweep(self) -> None:
        """End agents without a session that have not asked for long, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOKS_EVERY_S)
            for name, (session, asked_s) in list(self._by_name.items()):
                if loop.time() - asked_s > IDLE_S and not session.waking.is_heard:
                    del self._by_name[name]
                    self._end(session)

    def close(self) -> None:
        """End all agents."""
        for session in list(self._sessions):
            self._end(session)

    def _new(self, name: str) -> AgentSession:
        if len(self._sessions) >= AGENTS_MAX:
            self._end_longest_idle()
        environ = {**self._environ, "BUDDIES_AGENT": name}
        caller = Caller.from_environment(environ, self._directory, os.getpid())
        waking = Waking()
        link = DaemonLink(lambda: attached_daemon(caller), waking.tell, self._tasks)
        session = AgentSession(link, waking, caller)
        self._sessions.add(session)
        log.info("agent_came agent=%r", name)
        return session

    def _end_longest_idle(self) -> None:
        """Make room: clients may give a new name with each request."""
        with suppress(ValueError):
            name = min(self._by_name, key=lambda name: self._by_name[name][1])
            self._end(self._by_name.pop(name)[0])

    def _end(self, session: AgentSession) -> None:
        if session in self._sessions:
            self._sessions.remove(session)
            session.link.close()
            log.info("agent_went agent=%r", session.caller.agent)


def _agent_name(given: str) -> str:
    """Return how an agent is called whose client calls itself so."""
    shown = "".join(char for char in given if char.isprintable()).strip()
    return shown[:AGENT_CHARS_MAX] or os.environ.get("BUDDIES_AGENT") or DEFAULT_AGENT

"""An agent that calls tools, with this process's environment as its client's."""

import os
from pathlib import Path

from mcp.server.lowlevel import Server

from buddies_mcp.caller import Call, Caller
from buddies_mcp.link import DaemonLink
from buddies_mcp.patience import Patience
from buddies_mcp.server import build_server
from buddies_mcp.session import AgentSession
from buddies_mcp.waking import Waking


def a_caller() -> Caller:
    return Caller.from_environment(os.environ, Path.cwd(), os.getpid())


def a_call(wait_s: float = 0) -> Call:
    """Return a call that may take so long. One that may not is told nothing meanwhile."""

    async def tell(_passed_s: float, text: str) -> None:
        assert wait_s, f"what is answered at once was told {text!r} meanwhile"

    return Call(a_caller(), Patience(wait_s, tell))


def a_session(link: DaemonLink, waking: Waking | None = None) -> AgentSession:
    return AgentSession(link, waking or Waking(), a_caller())


def a_server(link: DaemonLink, waking: Waking | None = None) -> Server[None]:
    """Return the MCP server of one session."""
    session = a_session(link, waking)
    return build_server(lambda _context: session)

"""One agent's session. It is the same whichever way the client reaches us."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from buddies_mcp.caller import Caller
    from buddies_mcp.link import DaemonLink
    from buddies_mcp.waking import Waking


@dataclass(frozen=True, slots=True, eq=False)
class AgentSession:
    """Everything that the MCP server needs to serve one agent."""

    link: DaemonLink
    """The session's connection to the daemon."""
    waking: Waking
    """The ways to tell the session's client that a task waits."""
    caller: Caller

"""The caller: an agent, as its MCP client's environment describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from buddies_mcp.patience import tool_timeout_s

if TYPE_CHECKING:
    from buddies_mcp.patience import Patience

DEFAULT_AGENT = "unknown-agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An agent and the surroundings of its client, which are not always those of this process."""

    environ: Mapping[str, str]
    directory: Path
    """The directory in which the client works."""
    tool_timeout_s: float
    """Seconds that a call may keep the client waiting."""
    pid: int
    """The process that the client has started, so that people can find it."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], directory: Path, pid: int) -> Caller:
        """Return the agent whose client has this environment and works in this directory.

        Raises:
            InvalidInput: a setting can't be read; the text names it.
        """
        return cls(
            environ=environ, directory=directory, tool_timeout_s=tool_timeout_s(environ), pid=pid
        )

    @property
    def agent(self) -> str:
        """The agent's name."""
        return self.environ.get("BUDDIES_AGENT") or DEFAULT_AGENT

    @property
    def user(self) -> str:
        """The name of its user; empty for the one that the daemon goes by."""
        return self.environ.get("BUDDIES_USER", "")

    @property
    def capabilities(self) -> tuple[str, ...]:
        """The kinds of tasks that it takes."""
        listed = self.environ.get("BUDDIES_CAPABILITIES", "").split(",")
        return tuple(filter(None, map(str.strip, listed)))


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool: who makes it, and how long it may take."""

    caller: Caller
    patience: Patience

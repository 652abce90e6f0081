"""The MCP clients that buddies knows: how each is found, and where it keeps what concerns us.

One row a client: its own command line for MCP servers, if it has one; its configuration of this
user, for each system; the shape of a server in that; its skill directory. Nothing here is written.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from buddies_core.errors import InvalidInput
from buddies_core.paths import home_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from buddies_core.model.json_view import JsonObject

OUR_NAME: Final = "buddies"
"""The key of our server in every client's configuration."""


class Format(StrEnum):
    """How a configuration is written."""

    JSON = "json"
    """With comments, trailing commas or all of JSON5, as the client allows."""
    TOML = "toml"


@dataclass(frozen=True, slots=True)
class Server:
    """Our server, as any client is to start it."""

    command: str
    args: tuple[str, ...]
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Places:
    """Where this user's clients keep things."""

    home: Path
    environ: Mapping[str, str]

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Places:
        """Return the places that belong to this environment.

        Raises:
            InvalidInput: the user has no home directory.
        """
        home = home_directory(environ)
        if home is None:
            raise InvalidInput(
                "this user has no home directory, where clients keep their configuration; set HOME"
            )
        return cls(home, environ)

    @property
    def config(self) -> Path:
        """Where programs that follow the XDG specification keep their configuration."""
        return self.named("XDG_CONFIG_HOME", self.home / ".config")

    @property
    def support(self) -> Path:
        """Where desktop programs keep theirs."""
        return self.home / "Library/Application Support" if _is_macos() else self.config

    def named(self, variable: str, default: Path) -> Path:
        """Return the absolute path that a variable holds, else the default."""
        chosen = Path(self.environ.get(variable, ""))
        return chosen if chosen.is_absolute() else default


@dataclass(frozen=True, slots=True)
class OwnCommand:
    """How a client's own program adds our server for this user, and removes it."""

    add: Callable[[Server], tuple[str, ...]]
    remove: tuple[str, ...]
    replaces: bool
    """Whether adding replaces an older entry; otherwise that is removed first."""
    is_complete: bool = True
    """Whether it can write all that we want; otherwise the file is edited after it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where in a configuration the servers are, and what one looks like."""

    keys: tuple[str, ...]
    shape: Callable[[Server], JsonObject]


@dataclass(frozen=True, slots=True, kw_only=True)
class McpClient:
    """One client."""

    name: str
    title: str
    agent: str
    """What its agents are called in rooms (BUDDIES_AGENT)."""
    programs: tuple[str, ...]
    """Names under which it is on the PATH."""
    files: Callable[[Places], tuple[Path, ...]]
    """Its configuration of this user: the first that exists, else the first."""
    layouts: tuple[Layout, ...]
    """By its major version, the first one first."""
    format: Format = Format.JSON
    apps: tuple[str, ...] = ()
    """Where it is on macOS."""
    signs: Callable[[Places], tuple[Path, ...]] | None = None
    """What is there only if it is installed; the directory of its configuration if left out."""
    own: OwnCommand | None = None
    is_edited: bool = True
    """Whether its file may be edited; otherwise only its own command is used."""
    skills: Callable[[Places], tuple[Path, ...]] | None = None
    """Its skill directory: the first that exists, else the last."""

    def file(self, places: Places) -> Path:
        """Return the configuration that counts."""
        found = self.files(places)
        return next(filter(os.path.lexists, found), found[0])

    def is_there(self, places: Places) -> bool:
        """Whether it has left a trace on this machine, apart from the PATH."""
        found = self.signs(places) if self.signs else (self.file(places).parent,)
        apps = map(Path, self.apps if _is_macos() else ())
        return self.is_edited and any(map(os.path.exists, (*found, *apps)))

    def skill_root(self, places: Places) -> Path:
        """Return the skill directory that counts; only clients that have one may be asked."""
        assert self.skills is not None, f"{self.name} has no skill directory"
        found = self.skills(places)
        return next(filter(os.path.lexists, found), found[-1])


def client_named(name: str) -> McpClient:
    """Return a client by its name.

    Raises:
        InvalidInput: there is none of this name.
    """
    for client in CLIENTS:
        if client.name == name:
            return client
    raise InvalidInput(f"{name!r} is not a client; clients are {', '.join(CLIENT_NAMES)}")


def _is_macos() -> bool:
    return sys.platform == "darwin"


def _plain(server: Server) -> JsonObject:
    return {"command": server.command, "args": list(server.args), "env": dict(server.env)}


def _with_type(server: Server) -> JsonObject:
    return {"type": "stdio", **_plain(server)}


def _codex(server: Server) -> JsonObject:
    # Our calls wait for up to 50 s; Codex gives up after 60 s of its own by default. It hands on
    # hardly any variable, so a daemon that it starts would not find the agents of signing keys.
    return {**_plain(server), "tool_timeout_sec": 120, "env_vars": ["SSH_AUTH_SOCK", "GNUPGHOME"]}


def _opencode(server: Server) -> JsonObject:
    return {
        "type": "local",
        "command": [server.command, *server.args],
        "environment": dict(server.env),
    }


def _opencode_1(server: Server) -> JsonObject:
    return {**_opencode(server), "enabled": True}


def _pairs(option: str, server: Server) -> tuple[str, ...]:
    return tuple(word for name, value in server.env.items() for word in (option, f"{name}={value}"))


def _run(server: Server) -> tuple[str, ...]:
    return (server.command, *server.args)


def _claude_home(places: Places) -> Path:
    return places.named("CLAUDE_CONFIG_DIR", places.home / ".claude")


def _codex_home(places: Places) -> Path:
    return places.named("CODEX_HOME", places.home / ".codex")


def _openclaw_home(places: Places) -> Path:
    return places.named("OPENCLAW_STATE_DIR", places.home / ".openclaw")


CLIENTS: Final = (
    McpClient(
        name="claude",
        title="Claude Code",
        agent="claude-code",
        programs=("claude",),
        files=lambda at: (at.named("CLAUDE_CONFIG_DIR", at.home) / ".claude.json",),
        signs=lambda at: (
            _claude_home(at),
            at.named("CLAUDE_CONFIG_DIR", at.home) / ".claude.json",
        ),
        layouts=(Layout(("mcpServers",), _with_type),),
        own=OwnCommand(
            # Its -e takes all words that follow, so that the name comes first.
            add=lambda it: (
                *("mcp", "add", OUR_NAME, "--scope", "user"),
                *(*_pairs("-e", it), "--", *_run(it)),
            ),
            remove=("mcp", "remove", OUR_NAME, "--scope", "user"),
            replaces=False,
        ),
        skills=lambda at: (_claude_home(at) / "skills",),
    ),
    McpClient(
        name="claude-desktop",
        title="Claude Desktop",
        agent="claude-desktop",
        programs=("claude-desktop",),
        apps=("/Applications/Claude.app",),
        files=lambda at: (at.support / "Claude" / "claude_desktop_config.json",),
        layouts=(Layout(("mcpServers",), _plain),),
    ),
    McpClient(
        name="cursor",
        title="Cursor",
        agent="cursor",
        programs=("cursor", "cursor-agent"),
        apps=("/Applications/Cursor.app",),
        files=lambda at: (at.home / ".cursor" / "mcp.json",),
        layouts=(Layout(("mcpServers",), _plain),),
        skills=lambda at: (at.home / ".cursor" / "skills",),
    ),
    McpClient(
        name="vscode",
        title="VS Code",
        agent="vscode",
        programs=("code",),
        apps=("/Applications/Visual Studio Code.app",),
        files=lambda at: (at.support / "Code" / "User" / "mcp.json",),
        layouts=(Layout(("servers",), _with_type),),
    ),
    McpClient(
        name="codex",
        title="Codex",
        agent="codex",
        programs=("codex",),
        files=lambda at: (_codex_home(at) / "config.toml",),
        layouts=(Layout(("mcp_servers",), _codex),),
        format=Format.TOML,
        own=OwnCommand(
            add=lambda it: ("mcp", "add", OUR_NAME, *_pairs("--env", it), "--", *_run(it)),
            remove=("mcp", "remove", OUR_NAME),
            replaces=True,
            is_complete=False,  # it has no option for the time-out and for variables to hand on
        ),
        skills=lambda at: (_codex_home(at) / "skills",),
    ),
    McpClient(
        name="gemini",
        title="Gemini CLI",
        agent="gemini-cli",
        programs=("gemini",),
        files=lambda at: (at.home / ".gemini" / "settings.json",),
        # Antigravity keeps its files in the same directory.
        signs=lambda at: (at.home / ".gemini" / "settings.json",),
        layouts=(Layout(("mcpServers",), _plain),),
        own=OwnCommand(
            add=lambda it: (
                *("mcp", "add", "--scope", "user"),
                *(*_pairs("-e", it), OUR_NAME, *_run(it)),
            ),
            remove=("mcp", "remove", "--scope", "user", OUR_NAME),
            replaces=True,
        ),
    ),
    McpClient(
        name="opencode",
        title="OpenCode",
        agent="opencode",
        programs=("opencode",),
        files=lambda at: tuple(
            at.config / "opencode" / name
            for name in ("opencode.json", "opencode.jsonc", "config.json")
        ),
        layouts=(Layout(("mcp",), _opencode_1), Layout(("mcp", "servers"), _opencode)),
        # It reads both; older versions only the first.
        skills=lambda at: (at.config / "opencode" / "skill", at.config / "opencode" / "skills"),
    ),
    McpClient(
        name="openclaw",
        title="OpenClaw",
        agent="openclaw",
        programs=("openclaw",),
        files=lambda at: (at.named("OPENCLAW_CONFIG_PATH", _openclaw_home(at) / "openclaw.json"),),
        layouts=(Layout(("mcp", "servers"), _plain),),
        own=OwnCommand(
            add=lambda it: (
                *("mcp", "add", OUR_NAME, "--command", it.command),
                *(word for arg in it.args for word in ("--arg", arg)),
                *(*_pairs("--env", it), "--no-probe"),
            ),
            remove=("mcp", "unset", OUR_NAME),
            replaces=False,
        ),
        skills=lambda at: (_openclaw_home(at) / "skills",),
    ),
    McpClient(
        name="windsurf",
        title="Windsurf",
        agent="windsurf",
        programs=("windsurf",),
        apps=("/Applications/Windsurf.app",),
        files=lambda at: (at.home / ".codeium" / "windsurf" / "mcp_config.json",),
        layouts=(Layout(("mcpServers",), _plain),),
    ),
    McpClient(
        name="zed",
        title="Zed",
        agent="zed",
        programs=("zed", "zeditor"),
        apps=("/Applications/Zed.app",),
        files=lambda at: (
            (at.home / ".config" if _is_macos() else at.config) / "zed" / "settings.json",
        ),
        layouts=(Layout(("context_servers",), _plain),),
    ),
    McpClient(
        name="antigravity",
        title="Antigravity",
        agent="antigravity",
        programs=("agy",),
        files=lambda at: (at.home / ".gemini" / "config" / "mcp_config.json",),
        layouts=(Layout(("mcpServers",), _plain),),
        own=OwnCommand(
            add=lambda it: ("mcp", "add", *_pairs("--env", it), OUR_NAME, "--", *_run(it)),
            remove=("mcp", "remove", OUR_NAME),
            replaces=True,
        ),
        is_edited=False,
    ),
)
CLIENT_NAMES: Final = tuple(client.name for client in CLIENTS)

"""The first line of a relay to the host, and the host's answer. Standard library alone.

    greeting := { buddies_host: PROTOCOL, version, environ: {name: value}, directory, client: pid,
                  relay: pid, replace: whether to make way for a newer version }
    welcome  := { buddies_host: PROTOCOL, version, calls: requests that are under way }
              | { buddies_host: PROTOCOL, refused: why, fatal: whether to give up altogether }

Each is JSON on one line. Behind them come lines of MCP, both ways.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

TYPE_CHECKING = False  # typing takes as long to import as all the rest here
if TYPE_CHECKING:
    from typing import Any

PROTOCOL = 1
"""The version of these two lines, raised with every change."""
GREETING_BYTES_MAX = 1 << 20
"""Linux allows more environment than that, but no program needs it."""

PREFIX = "BUDDIES_"
"""All settings of ours are handed over, and of the rest only what is named here."""
SECRETS = ("BUDDIES_HTTP_TOKEN",)
OTHERS = (
    # What the daemon is started with, if this agent's call starts it, and its signer uses.
    "HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "RUST_LOG", "SHELL", "TMPDIR", "USER",
    "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR",
    "GIT_CONFIG_GLOBAL", "GNUPGHOME", "SSH_AUTH_SOCK",
    # Where clients keep their skills.
    "CLAUDE_CONFIG_DIR", "CODEX_HOME",
)  # fmt: skip


def is_handed_over(name: str) -> bool:
    """Return whether the host serves an agent by the agent's own value of this variable."""
    return (name.startswith(PREFIX) and name not in SECRETS) or name in OTHERS


def greeting(
    version: str,
    environ: Mapping[str, str],
    directory: str,
    client: int,
    relay: int,
    *,
    replace: bool,
) -> bytes:
    """Return a relay's first line."""
    return _line(
        {
            "buddies_host": PROTOCOL,
            "version": version,
            "environ": {name: environ[name] for name in environ if is_handed_over(name)},
            "directory": directory,
            "client": client,
            "relay": relay,
            "replace": replace,
        }
    )


def welcome(version: str, calls: int) -> bytes:
    """Return the host's answer to a relay that it serves, or would make way for."""
    return _line({"buddies_host": PROTOCOL, "version": version, "calls": calls})


def refusal(why: str, *, fatal: bool) -> bytes:
    """Return the host's answer to a relay that it does not serve.

    A fatal refusal is about what the relay has handed over: another server would refuse it too.
    """
    return _line({"buddies_host": PROTOCOL, "refused": why, "fatal": fatal})


def read(line: bytes) -> dict[str, Any]:
    """Return what such a line says.

    Raises:
        ValueError: it is from no program of ours, or from one of another protocol.
    """
    said = json.loads(line)
    if not isinstance(said, dict) or "buddies_host" not in said:
        raise ValueError("it is not a program of buddies")
    if said["buddies_host"] != PROTOCOL:
        raise ValueError(f"it speaks protocol {said['buddies_host']!r} and not {PROTOCOL}")
    return said


def numbers(version: str) -> list[int]:
    """Return a version in a form that sorts."""
    return [int(part) for part in "".join(c if c.isdigit() else " " for c in version).split()]


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"

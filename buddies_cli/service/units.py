"""The files with which a service manager starts the daemon. Pure."""

from __future__ import annotations

import plistlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from buddies_core.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

LABEL = "buddies-core"
"""The service's name for launchd; for systemd .service is added."""
RESTART_AFTER_S = 10
TRIES_MAX = 5
TRIES_WITHIN_S = 300
"""A daemon that can't start, because of another one or its settings, is not restarted for ever."""


@dataclass(frozen=True, slots=True)
class Service:
    """The program to start, and its environment."""

    command: str
    """The absolute path of buddies-core."""
    environ: Mapping[str, str]
    """Variables that set other places than the default for data and settings."""


def systemd_unit(service: Service) -> str:
    """Return the unit file for systemd's user manager.

    Raises:
        InvalidInput: a path holds a line break.
    """
    variables = "".join(
        f"Environment={_quoted(f'{name}={value}')}\n" for name, value in service.environ.items()
    )
    # A $ in the command stands for a variable, unless there are two.
    command = _quoted(service.command).replace("$", "$$")
    return f"""\
# Written by buddies-cli service install; that command replaces it.
[Unit]
Description=buddies: rooms that this machine's AI agents share with those of teammates
StartLimitIntervalSec={TRIES_WITHIN_S}
StartLimitBurst={TRIES_MAX}

[Service]
Type=exec
ExecStart={command}
{variables}Restart=on-failure
RestartSec={RESTART_AFTER_S}

[Install]
WantedBy=default.target
"""


def launchd_plist(service: Service) -> str:
    """Return the property list for launchd, of an agent that starts at login."""
    content = {
        "Label": LABEL,
        "ProgramArguments": [service.command],
        "EnvironmentVariables": dict(service.environ),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": RESTART_AFTER_S,
        "ProcessType": "Background",
    }
    return plistlib.dumps(content).decode()


def _quoted(text: str) -> str:
    """Return a word as systemd reads it: in quotes, % doubled."""
    if "\n" in text:
        raise InvalidInput(f"{text!r} contains a line break, which a unit file can't have")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'

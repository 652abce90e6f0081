"""Our entry in a client's configuration, and the difference between it and an existing one."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from buddies_core.errors import NotFound
from buddies_core.mcp_clients import Server
from buddies_core.paths import Paths, config_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buddies_core.mcp_clients import McpClient
    from buddies_core.model.json_view import JsonObject, JsonValue

PROGRAM = "buddies"
_OURS_TO_SAY = ("type", "command", "args")
"""The values that must be ours; a person's other changes to the entry stay."""


def wanted_server(client: McpClient, environ: Mapping[str, str]) -> Server:
    """Return how this client is to start our server.

    What decides where data and settings are is written down: many clients do not hand it on.

    Raises:
        NotFound: our program is not installed beside this one.
    """
    env = {"BUDDIES_AGENT": client.agent, **own_environment(environ)}
    return Server(shim_command(environ), (), env)


def own_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that decide where data and settings are, if not at their defaults."""
    env = {}
    if environ.get("BUDDIES_DATA_DIR") or environ.get("XDG_DATA_HOME"):
        env["BUDDIES_DATA_DIR"] = str(Paths.from_environment(environ).data_dir)
    plain = {name: environ[name] for name in ("HOME",) if name in environ}
    if config_file(environ) != config_file(plain):
        env["XDG_CONFIG_HOME"] = environ["XDG_CONFIG_HOME"]
    return env


def shim_command(environ: Mapping[str, str]) -> str:
    """Return the absolute path of the program `buddies`, which clients start.

    Raises:
        NotFound: it is not there.
    """
    return installed_program(PROGRAM, environ)


def installed_program(name: str, environ: Mapping[str, str]) -> str:
    """Return the absolute path of a program that belongs to this installation.

    Clients with a window start servers with hardly anything on the PATH.

    Raises:
        NotFound: it is not there.
    """
    beside = Path(sysconfig.get_path("scripts"), name)
    # Installers put a link on the PATH that outlives updates.
    on_path = shutil.which(name, path=environ.get("PATH"))
    if on_path is not None and (
        not beside.exists() or os.path.realpath(on_path) == os.path.realpath(beside)
    ):
        return os.path.abspath(on_path)
    if beside.exists():
        return str(beside)
    raise NotFound(
        f"there is no program {name} in {beside.parent} nor on the PATH, which could be started; "
        "install buddies, then try again"
    )


def differences(entry: JsonValue, wanted: JsonObject) -> list[str]:
    """Return in what an entry is not as it must be; a person may add to it and change the rest."""
    if not isinstance(entry, dict):
        return ["it is not an object"]
    found = []
    for key, value in wanted.items():
        have = entry.get(key)
        if isinstance(value, dict):
            names = have if isinstance(have, dict) else {}
            found += [f"{key}.{name} is missing" for name in value if name not in names]
        elif key in _OURS_TO_SAY and have != value and not _is_default(key, have, value):
            found.append(f"{key} is {_shown(have)}, not {_shown(value)}")
        elif key not in _OURS_TO_SAY and isinstance(value, list):
            found += [f"{key} lacks {name}" for name in _missing(have, value)]
    command = wanted.get("command")
    program = command[0] if isinstance(command, list) and command else command
    if not found and not (isinstance(program, str) and os.access(program, os.X_OK)):
        found.append(f"{program} can't be run")
    return found


def merged(entry: JsonValue, wanted: JsonObject) -> JsonObject:
    """Return the entry as it must be, with what a person has added to it or changed in the rest."""
    if not isinstance(entry, dict):
        return wanted
    result = dict(entry)
    for key, value in wanted.items():
        have = entry.get(key)
        if isinstance(value, dict):
            result[key] = {**value, **(have if isinstance(have, dict) else {})}
        elif key in _OURS_TO_SAY or have is None:
            result[key] = value
        elif isinstance(value, list) and isinstance(have, list):
            result[key] = [*have, *_missing(have, value)]
    return result


def _missing(have: JsonValue, wanted: list[JsonValue]) -> list[JsonValue]:
    return [it for it in wanted if not isinstance(have, list) or it not in have]


def _is_default(key: str, have: JsonValue, value: JsonValue) -> bool:
    """Whether leaving it out says the same: clients write entries in their own way."""
    return have is None and (value == [] if key == "args" else key == "type" and value == "stdio")


def _shown(value: JsonValue) -> str:
    words = value if isinstance(value, list) else [value]
    return " ".join(map(str, words)) or "empty"

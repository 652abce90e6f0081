"""Looks at the clients of this machine, and at how our server is configured in each."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from buddies_cli.setup import json_text, toml_text
from buddies_cli.setup.entries import differences, wanted_server
from buddies_core import edits
from buddies_core.errors import InvalidInput, StoreError
from buddies_core.mcp_clients import OUR_NAME, Format, Places

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from buddies_core.mcp_clients import Layout, McpClient
    from buddies_core.model.json_view import JsonObject, JsonValue

VERSION_TIMEOUT_S = 10.0


class Codec(Protocol):
    """The functions that read and change a format: `json_text` or `toml_text`."""

    def read(self, text: str) -> dict[str, Any]:
        """Return what the text holds."""

    def put(self, text: str, keys: Sequence[str], value: JsonObject) -> str:
        """Return the text with this value at the place that the keys lead to."""

    def remove(self, text: str, keys: Sequence[str], *, prune: int = 0) -> str:
        """Return the text without the key that the keys lead to."""


class State(StrEnum):
    """The state of a client's setup."""

    READY = "set up"
    ABSENT = "not set up"
    DIFFERS = "differs"
    UNREADABLE = "unreadable"
    NOT_INSTALLED = "not installed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A client as it is on this machine."""

    client: McpClient
    program: str | None
    """The client's program, if it is on the PATH."""
    file: Path
    content: bytes | None = field(default=None, repr=False)
    layout: Layout
    entry: JsonValue = None
    state: State
    problem: str = ""

    @property
    def place(self) -> tuple[str, ...]:
        """The keys that lead to our entry."""
        return (*self.layout.keys, OUR_NAME)

    @property
    def text(self) -> str:
        """The content of the configuration."""
        return (self.content or b"").decode()

    @property
    def codec(self) -> Codec:
        """The format of the configuration."""
        return codec_of(self.client)


def codec_of(client: McpClient) -> Codec:
    """Return how a client's configuration is read and changed."""
    return toml_text if client.format is Format.TOML else json_text


def at(data: Any, keys: Sequence[str]) -> Any:
    """Return what the keys lead to; None if that is nothing."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def look(client: McpClient, environ: Mapping[str, str]) -> Found:
    """Return how a client is set up, with what is wrong with its configuration.

    Raises:
        NotFound: our own program is not there.
        InvalidInput: the user has no home directory.
    """
    places = Places.of(environ)
    file, program = client.file(places), _program(client, environ)

    def found(state: State, layout: Layout = client.layouts[0], **more: Any) -> Found:
        return Found(client=client, program=program, file=file, state=state, layout=layout, **more)

    try:
        content = edits.read(file)
        data = codec_of(client).read((content or b"").decode())
    except UnicodeDecodeError as error:
        return found(State.UNREADABLE, problem=f"it is not UTF-8: {error}")
    except (InvalidInput, StoreError) as error:
        return found(State.UNREADABLE, problem=str(error))
    layout = _layout(client, data, program, environ)
    entry = at(data, (*layout.keys, OUR_NAME))
    if entry is None:
        is_there = program is not None or client.is_there(places)
        state = State.ABSENT if is_there else State.NOT_INSTALLED
        return found(state, layout, content=content)
    differs = differences(entry, layout.shape(wanted_server(client, environ)))
    state = State.DIFFERS if differs else State.READY
    return found(state, layout, content=content, entry=entry, problem="; ".join(differs))


def _layout(
    client: McpClient, data: dict[str, Any], program: str | None, environ: Mapping[str, str]
) -> Layout:
    """Return the layout that the configuration has, or that the client's version reads."""
    if len(client.layouts) == 1:
        return client.layouts[0]
    older, newer = client.layouts
    servers = at(data, newer.keys)
    if isinstance(servers, dict) and not {"type", "command"} & servers.keys():
        return newer
    if at(data, older.keys) or program is None:
        return older
    return older if _major_version(program, environ) < len(client.layouts) else newer


def _major_version(program: str, environ: Mapping[str, str]) -> int:
    try:
        said = subprocess.run(  # noqa: S603 - the client that is to be set up
            [program, "--version"],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=VERSION_TIMEOUT_S,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 1
    number = said.strip().lstrip("v").partition(".")[0]
    return int(number) if number.isdigit() else 1


def _program(client: McpClient, environ: Mapping[str, str]) -> str | None:
    paths = (shutil.which(name, path=environ.get("PATH", "")) for name in client.programs)
    return next(filter(None, paths), None)

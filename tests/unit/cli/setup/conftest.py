"""A person's home with clients in it, as far as set-up can tell."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from buddies_cli.setup import entries
from buddies_core.mcp_clients import CLIENTS, Format, McpClient, Places

STUB = """\
#!{python}
import json, os, sys
with open({log!r}, "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
{does}
"""


@dataclass(frozen=True)
class Home:
    """A home directory, and an environment that leads to nothing outside it."""

    path: Path
    environ: dict[str, str]

    def file(self, client: McpClient) -> Path:
        """Return the client's configuration."""
        return client.file(Places.of(self.environ))

    def install(self, client: McpClient, content: str | bytes | None = None) -> Path:
        """Leave the traces of an installed client, with this in its configuration."""
        file = self.file(client)
        file.parent.mkdir(parents=True, exist_ok=True)
        if client.name == "claude":
            (self.path / ".claude").mkdir(exist_ok=True)
        if client.name == "gemini" and content is None:
            content = "{}"
        if content is not None:
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    def program(self, name: str, does: str = "") -> Path:
        """Put a program on the PATH that notes its arguments and then does this, in Python."""
        program = self.path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        log = str(self.path / f"{name}.calls")
        program.write_text(STUB.format(python=sys.executable, log=log, does=does))
        program.chmod(0o755)
        return program

    def snapshot(self) -> dict[str, bytes]:
        """Return every file below the home by its path."""
        return {
            str(file.relative_to(self.path)): file.read_bytes()
            for file in sorted(self.path.rglob("*"))
            if file.is_file()
        }


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    shim = tmp_path / "opt" / "buddies"
    shim.parent.mkdir()
    shim.write_text("#!/bin/sh\n")
    shim.chmod(0o755)
    monkeypatch.setattr(entries, "shim_command", lambda environ: str(shim))
    environ = {"HOME": str(tmp_path), "PATH": str(tmp_path / "bin")}
    for variable in list(os.environ):
        if variable.startswith(("XDG_", "BUDDIES_", "CLAUDE_", "CODEX_", "OPENCLAW_")):
            monkeypatch.delenv(variable)
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr("sys.platform", "linux")
    return Home(tmp_path, environ)


EDITED = [client for client in CLIENTS if client.is_edited]
each_edited = pytest.mark.parametrize("client", EDITED, ids=[it.name for it in EDITED])
each_json = pytest.mark.parametrize(
    "client",
    [it for it in EDITED if it.format is Format.JSON],
    ids=[it.name for it in EDITED if it.format is Format.JSON],
)

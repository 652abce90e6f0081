"""A person's home in which the real clients run."""

import json
import os
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.worlds.machines import Machine


@dataclass(frozen=True)
class ClientHome:
    """A machine whose clients are the real ones, configured by nothing but `setup`."""

    machine: Machine
    programs: Path

    @property
    def path(self) -> Path:
        return self.machine.home

    def environ(self, **more: str) -> dict[str, str]:
        """Return what a person's shell has."""
        return {
            "HOME": str(self.path),
            "PATH": f"{self.programs}:{sysconfig.get_path('scripts')}:/usr/bin:/bin",
            "BUDDIES_DATA_DIR": str(self.machine.data_dir),
            "TERM": "dumb",
            "NO_COLOR": "1",
            "CI": "1",
            # They would ask the network, which is not there.
            "DISABLE_AUTOUPDATER": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
            **more,
        }

    def types(self, *words: str, **more: str) -> str:
        """Run a program, and return what it printed.

        Raises:
            AssertionError: it failed, or was not done within 100 s.
        """
        done = subprocess.run(
            words,
            env=self.environ(**more),
            cwd=self.path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}"
        return done.stdout

    def cli(self, *words: str) -> Any:
        """Run `buddies-cli … --json`, and return what it printed."""
        done = subprocess.run(
            ["buddies-cli", *words, "--json"],
            env=self.environ(),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def install(self, client: str) -> None:
        """Do what a client does when it is started for the first time."""
        if client == "gemini":
            folder = self.path / ".gemini"
            folder.mkdir()
            # Otherwise it starts no server in here.
            (folder / "trustedFolders.json").write_text(
                json.dumps({os.path.realpath(self.path): "TRUST_FOLDER"})
            )

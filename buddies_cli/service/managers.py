"""The service managers that buddies knows, and what each is asked to do."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from buddies_cli import programs
from buddies_cli.service.units import LABEL, Service, launchd_plist, systemd_unit
from buddies_cli.setup.entries import installed_program, own_environment
from buddies_core import edits
from buddies_core.errors import InvalidInput, NotAllowed
from buddies_core.mcp_clients import Places

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMAND_TIMEOUT_S = 60.0
UNIT = f"{LABEL}.service"


@dataclass(frozen=True, slots=True)
class State:
    """The state of the service."""

    enabled: bool
    """Whether it starts at login."""
    active: bool
    """Whether it runs now."""


class Manager(Protocol):
    """The program of the system that starts services for this user."""

    name: str
    file: Path
    """The file that the manager reads."""

    def content(self, service: Service) -> str:
        """Return what the file is to say."""

    def check(self) -> None:
        """Return if the manager can be asked.

        Raises:
            NotAllowed: it can't; the text says what to do.
        """

    def enable(self) -> None:
        """Have it read the file, and start the service now and at each login.

        Raises:
            NotAllowed: it refuses; the text is its own.
        """

    def disable(self) -> None:
        """Stop the service, and have it start no more; again is fine."""

    def forgotten(self) -> None:
        """Have it see that the file is gone."""

    def state(self) -> State:
        """Return how the service is."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The output of a command."""

    code: int
    said: str


class Systemd:
    """The user manager of systemd."""

    name = "systemd"

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.file = Places.of(environ).config / "systemd" / "user" / UNIT

    def content(self, service: Service) -> str:
        """Return the unit file."""
        return systemd_unit(service)

    def check(self) -> None:
        """Return if the user manager can be asked."""
        asked = self._ask("show-environment")
        if asked.code != 0:
            raise NotAllowed(
                f"systemd can't be asked for services of this user: {asked.said}. It answers in a "
                "session that was begun by logging in; elsewhere agents start the daemon themselves"
            )

    def enable(self) -> None:
        """Start the unit now and at each login."""
        for words in (("daemon-reload",), ("enable", UNIT), ("restart", UNIT)):
            asked = self._ask(*words)
            if asked.code != 0:
                raise NotAllowed(f"systemctl --user {' '.join(words)} failed: {asked.said}")

    def disable(self) -> None:
        """Stop the unit and forget it."""
        self._ask("disable", "--now", UNIT)
        # Without a session nobody does that for us.
        (self.file.parent / "default.target.wants" / UNIT).unlink(missing_ok=True)

    def forgotten(self) -> None:
        """Have the manager see that the file is gone."""
        self._ask("daemon-reload")

    def state(self) -> State:
        """Return how the unit is."""
        return State(
            enabled=self._ask("is-enabled", UNIT).code == 0,
            active=self._ask("is-active", UNIT).code == 0,
        )

    def _ask(self, *words: str) -> Asked:
        return _run(("systemctl", "--user", *words), self._environ)


class Launchd:
    """launchd of macOS, in the session of this user."""

    name = "launchd"

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._domain = f"gui/{os.getuid()}"
        home = Places.of(environ).home
        self.file = home / "Library" / "LaunchAgents" / f"{LABEL}.plist"

    def content(self, service: Service) -> str:
        """Return the property list."""
        return launchd_plist(service)

    def check(self) -> None:
        """Return if this user has a session that launchd knows."""
        asked = _run(("launchctl", "print", self._domain), self._environ)
        if asked.code != 0:
            raise NotAllowed(
                f"launchd can't be asked for services of this user: {asked.said}. It answers in a "
                "session at the screen; elsewhere agents start the daemon themselves"
            )

    def enable(self) -> None:
        """Load the agent, which starts it."""
        self.disable()
        asked = _run(("launchctl", "bootstrap", self._domain, str(self.file)), self._environ)
        if asked.code != 0:
            raise NotAllowed(f"launchctl bootstrap failed: {asked.said}")

    def disable(self) -> None:
        """Unload the agent, which stops it."""
        _run(("launchctl", "bootout", f"{self._domain}/{LABEL}"), self._environ)

    def forgotten(self) -> None:
        """Do nothing: launchd reads the file only when it is told to."""

    def state(self) -> State:
        """Return how the agent is."""
        asked = _run(("launchctl", "print", f"{self._domain}/{LABEL}"), self._environ)
        return State(enabled=self.file.exists(), active=asked.code == 0)


def manager_of(environ: Mapping[str, str]) -> Manager:
    """Return the service manager of this system.

    Raises:
        InvalidInput: buddies knows none here.
    """
    match sys.platform:
        case "darwin":
            return Launchd(environ)
        case "linux":
            return Systemd(environ)
        case system:
            raise InvalidInput(
                f"buddies knows no service manager on {system}; agents start the daemon"
            )


def wanted(manager: Manager, environ: Mapping[str, str]) -> edits.FileEdit:
    """Return what has to change for the manager to start this very program.

    Raises:
        NotFound: the program is not there.
        StoreError: the file can't be read.
    """
    service = Service(installed_program("buddies-core", environ), own_environment(environ))
    before, after = edits.read(manager.file), manager.content(service).encode()
    return edits.FileEdit(manager.file, before, after)


def remove(environ: Mapping[str, str]) -> Path | None:
    """Stop the service and delete its file; return that file, None if there was none.

    Raises:
        StoreError, NotAllowed: the file can't be deleted.
    """
    try:
        manager = manager_of(environ)
    except InvalidInput:
        return None
    before = edits.read(manager.file)
    if before is None:
        return None
    manager.disable()
    edits.write(edits.FileEdit(manager.file, before, None))
    manager.forgotten()
    return manager.file


def _run(command: tuple[str, ...], environ: Mapping[str, str]) -> Asked:
    ended = programs.run(command, environ, COMMAND_TIMEOUT_S)
    if ended.code is None:
        return Asked(1, f"{command[0]}: {ended.problem}")
    return Asked(ended.code, " ".join(ended.output.split()) or f"exit code {ended.code}")

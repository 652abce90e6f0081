"""A person at a keyboard, whose machine has a daemon that answers as set up."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from buddies_cli.app import App
from buddies_cli.main import run
from buddies_core.errors import DaemonUnavailable, InvalidInput
from buddies_core.model.task import TaskView
from tests.support.fakes.client import STATUS, FakeClient
from tests.support.fakes.tasks import WORKING


class Worked(FakeClient):
    """Knows a task that is worked on until its result comes."""

    async def task_after(
        self, task_id: str, timeout_s: float, *, offset: int = 0, description: bool = False
    ) -> TaskView:
        await asyncio.sleep(timeout_s)
        return WORKING


class FakeMachine:
    """Runs a FakeClient, or none."""

    def __init__(self) -> None:
        self.daemon = FakeClient()
        self.runs = True
        self.checked: list[dict[str, str]] = []
        self.refuses = ""
        self.hosted: int | None = None
        self.restored: list[Path] = []
        self.rooms_remembered: list[str] = []

    @asynccontextmanager
    async def client(self, *, start: bool) -> AsyncIterator[FakeClient]:
        self.runs = self.runs or start
        self._check()
        yield self.daemon

    async def stop(self) -> int:
        self._check()
        self.runs = False
        return STATUS.info.pid

    async def stop_host(self) -> int | None:
        self.hosted, hosted = None, self.hosted
        return hosted

    async def restart(self) -> None:
        self.runs = True

    async def restore(self, backup: Path) -> str:
        self.restored.append(backup)
        return "Restored 7 memories."

    def remember_rooms(self, rooms: Iterable[str]) -> None:
        self.rooms_remembered = list(rooms)

    async def check(self, environ: Mapping[str, str]) -> None:
        self.checked.append(dict(environ))
        if self.refuses:
            raise InvalidInput(self.refuses)

    def _check(self) -> None:
        if not self.runs:
            raise DaemonUnavailable("no daemon; start it with: buddies-cli daemon start")


@dataclass(frozen=True)
class Seen:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What stdout says, if it is one JSON document."""
        return json.loads(self.out)


@dataclass
class Person:
    """Types commands and sees what comes of them."""

    capsys: pytest.CaptureFixture[str]
    machine: FakeMachine = field(default_factory=FakeMachine)

    def types(self, *arguments: str) -> Seen:
        code = run(arguments, App(self.machine))
        out, err = self.capsys.readouterr()
        return Seen(code, out, err)

    def types_at(self, width: int, *arguments: str, **environ: str) -> Seen:
        """Type a command at a terminal of this width, which knows colours unless told otherwise."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys.stdout, "isatty", lambda: True)
            for name, value in {"TERM": "xterm", "COLUMNS": str(width), **environ}.items():
                patch.setenv(name, value)
            return self.types(*arguments)

    def asked(self, *arguments: str) -> list[object]:
        """Return what a command that works asks the daemon."""
        seen = self.types(*arguments)
        assert seen.code == 0, seen.err
        return self.machine.daemon.asked


@pytest.fixture
def person(capsys: pytest.CaptureFixture[str]) -> Person:
    return Person(capsys)

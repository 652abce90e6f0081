"""Developers' machines, as far as buddies can tell: real daemons, shims and CLI, each in a home."""

import asyncio
import contextlib
import json
import os
import pty
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters
from mcp_types import TextContent

from tests.support.processes import alive

COMMAND_TIMEOUT_S = 60.0


class CommandFailed(Exception):
    """A command or a tool answered with an error."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command left behind."""

    code: int
    output: str
    errors: str


@dataclass(frozen=True, slots=True)
class Machine:
    """One developer's machine: a data directory, and with it a daemon of its own."""

    user: str
    home: Path
    more: Mapping[str, str] = field(default_factory=dict)
    """What its owner has set in the environment."""

    def with_environment(self, **more: str) -> "Machine":
        """Return this machine with more set in its owner's environment."""
        return replace(self, more={**self.more, **more})

    @property
    def data_dir(self) -> Path:
        """Where this machine's node keeps everything."""
        return self.home / "data"

    def environment(self, agent: str = "person") -> dict[str, str]:
        """Return what this machine's programs run with."""
        return {
            "BUDDIES_USER": self.user,
            "BUDDIES_AGENT": agent,
            "BUDDIES_DATA_DIR": str(self.data_dir),
            "BUDDIES_NETWORK": "loopback",
            "XDG_RUNTIME_DIR": str(self.home / "run"),
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            **self.more,
        }

    async def run(self, *words: str, stdin: str = "", program: str = "buddies-cli") -> Answer:
        """Run a program on this machine, whatever it exits with; TimeoutError if it hangs."""
        return await self._run(program, words, asyncio.subprocess.PIPE, stdin.encode())

    async def run_at_terminal(self, *words: str, types: str) -> Answer:
        """Run `buddies-cli …` where stdin is a terminal, at which its owner types this."""
        ours, theirs = pty.openpty()
        try:
            os.write(ours, types.encode())
            return await self._run("buddies-cli", words, theirs, None)
        finally:
            os.close(ours)
            os.close(theirs)

    async def _run(
        self, program: str, words: Sequence[str], stdin: int, given: bytes | None
    ) -> Answer:
        process = await asyncio.create_subprocess_exec(
            program,
            *words,
            env=os.environ | self.environment(),
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                output, errors = await process.communicate(given)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None, "it has ended"
        return Answer(process.returncode, output.decode(), errors.decode())

    async def command(self, *words: str) -> Any:
        """Run `buddies-cli … --json` on this machine and return the object it prints.

        Raises:
            CommandFailed: it exits with anything but 0.
        """
        answer = await self.run(*words, "--json")
        if answer.code != 0:
            raise CommandFailed(f"buddies-cli {' '.join(words)}: {answer.errors.strip()}")
        return json.loads(answer.output)

    def daemon_pid(self) -> int | None:
        """Return the pid of the daemon that holds this machine's data directory."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.data_dir / "lock").read_text().partition("\n")[0])
            os.kill(pid, 0)
            return pid
        return None

    async def kill_daemon(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send the daemon a signal and wait until it is gone."""
        pid = self.daemon_pid()
        if pid is None:
            return
        os.kill(pid, signal.SIGCONT)
        os.kill(pid, number)
        async with asyncio.timeout(COMMAND_TIMEOUT_S):
            while alive(pid):  # noqa: ASYNC110 - not our child: nothing tells us
                await asyncio.sleep(0.01)


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent in a real MCP session with its own shim."""

    name: str
    session: Client

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool and return its structured result.

        Raises:
            CommandFailed: the tool answers with an error.
        """
        result = await self.session.call_tool(tool, arguments)
        if result.is_error or result.structured_content is None:
            text = " ".join(part.text for part in result.content if isinstance(part, TextContent))
            raise CommandFailed(f"{tool}: {text}")
        answer: dict[str, Any] = result.structured_content
        return answer


@asynccontextmanager
async def agent_on(machine: Machine, agent: str = "claude", **more: str) -> AsyncIterator[Agent]:
    """Start an agent's shim, as its client's MCP config would, with `more` in its environment."""
    server = StdioServerParameters(command="buddies", env=machine.environment(agent) | more)
    async with Client(server, mode="auto", read_timeout_seconds=120) as session:
        yield Agent(f"{machine.user}'s {agent}", session)


@contextmanager
def some_machines(*users: str) -> Iterator[tuple[Machine, ...]]:
    """Make a machine for each of these people; end their daemons and remove their homes after."""
    # Short: the path of a Unix socket ends at about a hundred bytes.
    homes = Path(tempfile.mkdtemp(prefix="bud-", dir="/tmp"))
    machines = tuple(Machine(user, homes / user) for user in users)
    try:
        for machine in machines:
            (machine.home / "run").mkdir(parents=True)
        yield machines
    finally:
        for pid in filter(None, [machine.daemon_pid() for machine in machines]):
            _end(pid)
        # A daemon that is only just starting does not hold the lock yet.
        while left := programs_in(homes):
            for pid in left:
                _end(pid)
        shutil.rmtree(homes, ignore_errors=True)


def programs_in(directory: Path) -> set[int]:
    """Return the pids of the programs whose data is in this directory. Linux alone."""
    wanted = f"BUDDIES_DATA_DIR={directory}/".encode()
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            if wanted in (process / "environ").read_bytes():
                found.add(int(process.name))
    return found


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
        os.kill(pid, signal.SIGKILL)

"""One run of a command for a task: its text on stdin, its end as a result."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import signal
from asyncio.subprocess import PIPE, Process, SubprocessStreamProtocol
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from buddies_core.model.task import OUTPUT_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from buddies_core.model.task import TaskView

KILL_AFTER_S = 5.0
"""For a command that was asked to end."""
END_BYTES = 4000
"""Of what a failed command wrote: its end tells why."""
READ_BYTES = 64 << 10
REJECTS = 75
"""EX_TEMPFAIL in sysexits.h: not here, not now."""


@dataclass(frozen=True, slots=True)
class Done:
    """The command did what it was asked."""

    output: str


@dataclass(frozen=True, slots=True)
class NotDone:
    """The command failed; `reason` is for who asked."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotHere:
    """The command says that somebody else should do it."""

    reason: str


Outcome: TypeAlias = Done | NotDone | NotHere


class Execution:
    """A command in a shell and a process group of its own; nothing in that outlives the run."""

    def __init__(
        self,
        command: str,
        task: TaskView,
        *,
        environ: Mapping[str, str],
        timeout_s: float,
        show: Callable[[str], None],
    ) -> None:
        """Prepare a run; `show` takes what the command writes to stderr, in pieces."""
        self._command = command
        self._description = task.description
        self._environ = {**environ, **_about(task)}
        self._timeout_s = timeout_s
        self._show = show
        self._stdout = bytearray()
        self._stderr = bytearray()

    @property
    def last_words(self) -> str:
        """The last line that the command has written to stderr."""
        lines = _text(self._stderr).split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    async def run(self) -> Outcome:
        """Return what came of it. Cancelling ends the command too."""
        try:
            async with _shell(self._command, self._environ) as process:
                async with asyncio.timeout(self._timeout_s):
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._feed(process))
                        group.create_task(self._read_stdout(process))
                        group.create_task(self._read_stderr(process))
                    code = await process.wait()
        except TimeoutError:
            return NotDone(self._why(f"it did not end within {self._timeout_s:g} s"))
        except OSError as error:
            return NotDone(f"it could not be started: {error}")
        output = _text(self._stdout).rstrip("\n")
        if max(len(self._stdout), len(output.encode())) > OUTPUT_BYTES_MAX:
            return NotDone(f"it wrote more than {OUTPUT_BYTES_MAX} bytes, the most a result may be")
        if code == 0:
            return Done(output)
        if code == REJECTS:
            return NotHere(self._why(f"it exited with {REJECTS}"))
        return NotDone(self._why(f"it exited with {code}" if code > 0 else _signalled(-code)))

    async def _feed(self, process: Process) -> None:
        assert process.stdin is not None, "it is a pipe"
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it need not read it
            process.stdin.write(self._description.encode())
            await process.stdin.drain()
        process.stdin.close()

    async def _read_stdout(self, process: Process) -> None:
        assert process.stdout is not None, "it is a pipe"
        while part := await process.stdout.read(READ_BYTES):
            if len(self._stdout) > OUTPUT_BYTES_MAX:
                continue  # Killed already; but a pipe that nobody reads on is never seen to close.
            self._stdout += part
            if len(self._stdout) > OUTPUT_BYTES_MAX:
                _signal(process, signal.SIGKILL)

    async def _read_stderr(self, process: Process) -> None:
        assert process.stderr is not None, "it is a pipe"
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while part := await process.stderr.read(READ_BYTES):
            self._stderr += part
            del self._stderr[:-END_BYTES]
            self._show(decoder.decode(part))

    def _why(self, what: str) -> str:
        said = _text(self._stderr).strip() or _text(self._stdout[-END_BYTES:]).strip()
        return f"{what}: {said}" if said else what


@asynccontextmanager
async def _shell(command: str, environ: Mapping[str, str]) -> AsyncIterator[Process]:
    """Run a command until the block ends; then nothing of what it has started is left."""
    loop = asyncio.get_running_loop()
    # As create_subprocess_exec does it; that one keeps the transport, and with it the pipes, open
    # while they are held by somebody who has left the group.
    transport, protocol = await loop.subprocess_exec(
        lambda: SubprocessStreamProtocol(limit=READ_BYTES, loop=loop),
        "/bin/sh", "-c", command, env=environ,
        stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True,
    )  # fmt: skip
    process = Process(transport, protocol, loop)
    try:
        yield process
    finally:
        # A group lives while a member does, also after the shell itself has gone.
        _signal(process, signal.SIGTERM)
        try:
            async with asyncio.timeout(KILL_AFTER_S):
                await process.wait()
        except TimeoutError:
            pass
        finally:
            _signal(process, signal.SIGKILL)
            await process.wait()
            transport.close()


def _signal(process: Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _signalled(number: int) -> str:
    try:
        return f"it was ended by {signal.Signals(number).name}"
    except ValueError:
        return f"it was ended by signal {number}"


def _about(task: TaskView) -> dict[str, str]:
    return {
        "BUDDIES_TASK_ID": str(task.id),
        "BUDDIES_TASK_ROOM": task.room,
        "BUDDIES_TASK_USER": task.requester_user,
        "BUDDIES_TASK_AGENT": task.requester_agent,
        "BUDDIES_TASK_ATTEMPT": str(task.attempt),
    }


def _text(content: bytes | bytearray) -> str:
    return content.decode(errors="replace")

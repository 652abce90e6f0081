"""One run of a command for a task: the task's text on stdin, the command's end as a result."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from buddies_core.model.task import OUTPUT_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping

    from buddies_core.model.task import TaskView

KILL_AFTER_S = 5.0
"""Seconds that a command has to end after it was asked to."""
PIPES_OPEN_S = 0.25
"""How long pipes may stay open after the command has ended: `exec > >(tee log)` leaves a `tee` that
still has a line to write. A process in the background that keeps them open is not waited for."""
END_BYTES = 4000
"""Bytes that are kept from the end of a failed command's stderr, which gives the reason."""
READ_BYTES = 64 << 10
REJECTS = 75
"""EX_TEMPFAIL in sysexits.h: not here, not now."""


@dataclass(frozen=True, slots=True)
class Done:
    """The command did what it was asked."""

    output: str


@dataclass(frozen=True, slots=True)
class NotDone:
    """The command failed; `reason` is for the requester."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotHere:
    """The command says that somebody else should do it."""

    reason: str


Outcome: TypeAlias = Done | NotDone | NotHere


class Execution:
    """A command in a shell and a process group of its own; no process of the group outlives it."""

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
        self._shell: _Shell | None = None
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def last_words(self) -> str:
        """The last line that the command has written to stderr."""
        # Programs that draw a progress bar end its states by a carriage return.
        lines = _text(self._stderr).replace("\r", "\n").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    async def run(self) -> Outcome:
        """Return what came of it.

        Cancelling ends the command: it is asked to, and killed after 5 s or if cancelled again.
        """
        try:
            async with self._started() as shell, asyncio.timeout(self._timeout_s):
                await shell.ended.wait()
        except TimeoutError:
            return NotDone(self._why(f"it did not end within {self._timeout_s:g} s"))
        except OSError as error:
            return NotDone(f"it could not be started: {error}")
        output = _text(self._stdout).rstrip("\n")
        if max(len(self._stdout), len(output.encode())) > OUTPUT_BYTES_MAX:
            return NotDone(f"it wrote more than {OUTPUT_BYTES_MAX} bytes, the limit for a result")
        if (code := shell.exit_code) == 0:
            return Done(output)
        if code == REJECTS:
            return NotHere(self._why(f"it exited with {REJECTS}"))
        return NotDone(self._why(f"it exited with {code}" if code > 0 else _signalled(-code)))

    @asynccontextmanager
    async def _started(self) -> AsyncIterator[_Shell]:
        """Run the command until the block ends; then nothing in its process group is left.

        Raises:
            OSError: it can't be started.
        """
        with (
            # A file, not a pipe: nobody has to feed it, or to care whether it is read.
            tempfile.TemporaryFile() as stdin,
            _Reading(self._take_stdout) as stdout,
            _Reading(self._take_stderr) as stderr,
        ):
            stdin.write(self._description.encode())
            stdin.seek(0)
            self._shell = shell = _Shell(
                self._command, self._environ, stdin.fileno(), stdout.writer, stderr.writer
            )
            stdout.is_handed_over()
            stderr.is_handed_over()

            async def all_ended() -> None:
                await shell.ended.wait()
                await stdout.ended.wait()
                await stderr.ended.wait()

            patience_s = KILL_AFTER_S
            try:
                yield shell
                patience_s = PIPES_OPEN_S
                await _within(PIPES_OPEN_S, all_ended())
            finally:
                # A group lives while a member does, also after the shell itself has gone.
                shell.signal(signal.SIGTERM)
                try:
                    await _within(patience_s, all_ended())
                finally:
                    shell.signal(signal.SIGKILL)
                    await shell.ended.wait()

    def _take_stdout(self, part: bytes) -> None:
        if len(self._stdout) > OUTPUT_BYTES_MAX:
            return  # It was killed, and writes until it notices.
        self._stdout += part
        if len(self._stdout) > OUTPUT_BYTES_MAX and self._shell is not None:
            self._shell.signal(signal.SIGKILL)

    def _take_stderr(self, part: bytes) -> None:
        self._stderr += part
        del self._stderr[:-END_BYTES]
        self._show(self._decoder.decode(part))

    def _why(self, what: str) -> str:
        said = _end(self._stderr) or _end(self._stdout)
        return f"{what}: {said}" if said else what


class _Shell:
    """A command that `/bin/sh` runs in a session of its own.

    asyncio's own subprocesses are of no use here: depending on Python's version, they wait for the
    end of the pipes too, and leak them if they are cancelled while they start.
    """

    def __init__(
        self, command: str, environ: Mapping[str, str], stdin: int, stdout: int, stderr: int
    ) -> None:
        self.ended = asyncio.Event()
        """The command has ended; some that it started may live on."""
        self._process = subprocess.Popen(  # noqa: S603 - the command is the user's own
            ("/bin/sh", "-c", command),
            env=environ, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True,
        )  # fmt: skip
        loop = asyncio.get_running_loop()

        def wait() -> None:
            self._process.wait()
            loop.call_soon_threadsafe(self.ended.set)

        threading.Thread(target=wait, name="command-waiter", daemon=True).start()

    @property
    def exit_code(self) -> int:
        """The exit code; negative if a signal ended the command."""
        assert self._process.returncode is not None, "it has ended"
        return self._process.returncode

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the command and to what it started and did not take out of its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


class _Reading:
    """A pipe whose content goes to `take` as it comes, until the end of the block."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self.ended = asyncio.Event()
        """Nobody can write to it any more."""
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._loop.add_reader(self._reader, self._read)

    def __enter__(self) -> _Reading:
        return self

    def __exit__(self, *_: object) -> None:
        self.is_handed_over()
        self._loop.remove_reader(self._reader)
        os.close(self._reader)

    def is_handed_over(self) -> None:
        """Close the end for writing, which others have by now."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def _read(self) -> None:
        try:
            part = os.read(self._reader, READ_BYTES)
        except BlockingIOError:
            return
        if part:
            self._take(part)
        else:
            self._loop.remove_reader(self._reader)
            self.ended.set()


async def _within(seconds: float, awaitable: Coroutine[object, object, None]) -> None:
    """Await something for at most so long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await awaitable


def _signalled(number: int) -> str:
    try:
        return f"it was ended by {signal.Signals(number).name}"
    except ValueError:
        return f"it was ended by signal {number}"


def _about(task: TaskView) -> dict[str, str]:
    about = {
        "BUDDIES_TASK_ID": str(task.id),
        "BUDDIES_TASK_ROOM": task.room,
        "BUDDIES_TASK_USER": task.requester_user,
        "BUDDIES_TASK_AGENT": task.requester_agent,
        "BUDDIES_TASK_ATTEMPT": str(task.attempt),
    }
    # No environment can hold this character, and a peer may have put it into a name.
    return {name: value.replace("\0", "�") for name, value in about.items()}


def _end(content: bytearray) -> str:
    """Return the end of what was written, from the first whole character on."""
    end = content[-END_BYTES:]
    while end and end[0] & 0xC0 == 0x80:
        del end[0]
    return _text(end).strip()


def _text(content: bytes | bytearray) -> str:
    return content.decode(errors="replace")

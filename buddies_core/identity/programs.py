"""Run other programs without a terminal: git, gpg, ssh-keygen."""

import asyncio
import contextlib
import errno
import shutil
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from buddies_core.errors import NotFound, TimedOut

PROGRAM_DEADLINE_S = 2.0
"""For calls that need no answer from a person."""
_COMPLAINT_CHARS_MAX = 300


@dataclass(frozen=True, slots=True)
class Finished:
    """The outcome of a program."""

    code: int
    output: bytes
    errors: str

    @property
    def complaint(self) -> str:
        """The last line of its errors that is meant for people; gpg also writes other lines."""
        lines = self.errors.strip().splitlines()
        lines = [line for line in lines if not line.startswith("[GNUPG:]")]
        return lines[-1].removeprefix("gpg: ")[:_COMPLAINT_CHARS_MAX] if lines else ""


async def run_program(
    command: Sequence[str], environ: Mapping[str, str], deadline_s: float, given: bytes = b""
) -> Finished:
    """Run a program with `given` on its standard input, and return the outcome.

    It has no terminal, so a prompt for a passphrase fails. Cancelling, or the
    deadline, kills it.

    Raises:
        NotFound: there is no such program.
        TimedOut: it was still running at the deadline.
    """
    try:
        process = await _start(command, environ)
    except OSError as error:
        raise NotFound(f"{command[0]} can't be run: {error.strerror}; install it") from error
    try:
        async with asyncio.timeout(deadline_s):
            output, errors = await process.communicate(given)
    except TimeoutError:
        raise TimedOut(f"{command[0]} was not done within {deadline_s:g} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    assert process.returncode is not None, "communicate waits for the end"
    return Finished(process.returncode, output, errors.decode(errors="replace"))


async def _start(command: Sequence[str], environ: Mapping[str, str]) -> Process:
    async def start(*words: str) -> Process:
        return await asyncio.create_subprocess_exec(
            *words,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env={**environ, "SSH_ASKPASS_REQUIRE": "never", "GIT_TERMINAL_PROMPT": "0"},
            cwd="/",
            start_new_session=True,
        )

    try:
        return await start(*command)
    except OSError as error:
        script = shutil.which(command[0], path=environ.get("PATH"))
        if error.errno != errno.ENOEXEC or script is None:
            raise
        return await start("/bin/sh", script, *command[1:])  # as git runs one without a #! line

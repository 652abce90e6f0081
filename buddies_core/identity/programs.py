"""Other programs, run without a terminal to ask at: git and ssh-keygen."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from buddies_core.errors import NotFound, TimedOut

_ERROR_CHARS_MAX = 300


@dataclass(frozen=True, slots=True)
class Finished:
    """What a program gave."""

    code: int
    output: bytes
    errors: str
    """The last line of what it complained of."""


async def run_program(
    command: Sequence[str], environ: Mapping[str, str], deadline_s: float, given: bytes = b""
) -> Finished:
    """Run a program, give it this on its standard input, and return what came of it.

    It has no terminal, so a passphrase that it would ask for is an error. Cancelling, or the
    deadline, kills it.

    Raises:
        NotFound: there is no such program.
        TimedOut: it was not done by then.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**environ, "SSH_ASKPASS_REQUIRE": "never", "GIT_TERMINAL_PROMPT": "0"},
            cwd="/",
            start_new_session=True,
        )
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
    lines = errors.decode(errors="replace").strip().splitlines() or [""]
    return Finished(process.returncode, output, lines[-1][:_ERROR_CHARS_MAX])

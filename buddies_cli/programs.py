"""Runs other programs to their end: those of the system, and the clients' own."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Ended:
    """The result of running a program."""

    code: int | None
    """The exit code; None if it could not be run, or took too long."""
    output: str = ""
    """The program's output."""
    problem: str = ""
    """The reason why there is no exit code."""


def run(
    command: Sequence[str],
    environ: Mapping[str, str],
    timeout_s: float,
    *,
    with_errors: bool = True,
) -> Ended:
    """Return what became of a program, and what it printed; `with_errors` on stderr, too."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed words, or a command that was shown
            command,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if with_errors else subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Ended(None, problem=f"it was not done within {timeout_s:g} s")
    except OSError as error:
        return Ended(None, problem=error.strerror or str(error))
    return Ended(done.returncode, done.stdout)

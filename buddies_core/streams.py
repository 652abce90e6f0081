"""The standard streams as a program was given them: closed, full, or with nobody at the end."""

import os
import sys

BROKEN_PIPE = 128 + 13
"""The exit code that a shell reports for a program that SIGPIPE has ended."""


def open_missing() -> None:
    """Open the null device in place of each standard stream that is closed.

    Otherwise the next file or socket would get its number, and whatever a library prints to that
    number would be written into it. A program calls this before it opens anything.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
            os.set_inheritable(number, True)
    # Python leaves None where a stream is closed.
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)


def say(text: str) -> int:
    """Print all that a program has to say, such as its help, and return its exit code."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        _drop_output(1)
        if isinstance(error, BrokenPipeError):
            return BROKEN_PIPE
        complain(f"can't write to stdout: {error.strerror}")
        return 1
    return 0


def complain(text: str) -> None:
    """Print an error, if stderr takes it."""
    note(f"error: {text}")


def note(text: str) -> None:
    """Print a line to stderr, if that takes it."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except OSError:
        _drop_output(2)


def _drop_output(number: int) -> None:
    """Let Python write what it has not got rid of into the null device when it ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, number)
    os.close(null)

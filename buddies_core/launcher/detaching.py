"""Runs a program as a child of init, so that nobody who ends a process tree ends it by mistake.

A script of its own that needs the standard library alone: `python -ISE detaching.py FD COMMAND …`,
where FD is one end of a socket pair. It stands between two other processes:

    the launcher ── this, which ends at once
                      └── the watcher, a child of init from then on ── COMMAND

The watcher waits for COMMAND and writes its exit code to FD as one line. When the other end of FD
is closed, the start is over: the watcher ends, and COMMAND is a child of init. COMMAND has its own
session. It inherits stdin, stdout and stderr, but not FD.
"""

import contextlib
import os
import select
import sys

PAUSE_S = 0.02
CANNOT_RUN = 127
"""As a shell reports it."""


def main() -> None:
    """Start the command, leave the watcher behind, and end."""
    descriptor, command = int(sys.argv[1]), sys.argv[2:]
    os.set_inheritable(descriptor, False)
    # What its starter has open by chance must not stay open as long as COMMAND runs.
    os.closerange(3, descriptor)
    os.closerange(descriptor + 1, os.sysconf("SC_OPEN_MAX"))
    if os.fork() != 0:
        os._exit(0)
    pid = os.fork()
    if pid == 0:
        _become(command)
    _watch(pid, descriptor)


def _become(command: list[str]) -> None:
    os.setsid()
    try:
        os.execvp(command[0], command)  # noqa: S606 - running the given command is what this is for
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(CANNOT_RUN)


def _watch(pid: int, descriptor: int) -> None:
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with contextlib.suppress(OSError):  # nobody may be there to read it
                os.write(descriptor, f"{os.waitstatus_to_exitcode(status)}\n".encode())
            return
        readable, _, _ = select.select([descriptor], [], [], PAUSE_S)
        if readable:  # nothing is ever written there, so it was closed
            return


if __name__ == "__main__":
    main()

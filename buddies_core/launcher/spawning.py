"""Starts the daemon's process, as a child of init."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from buddies_core.errors import StoreError
from buddies_core.launcher import detaching
from buddies_core.paths import Paths, last_socket

DAEMON_COMMAND = (sys.executable, "-m", "buddies_core.daemon")
REASON = "error: "
"""What a line begins with in which `buddies-core` says why it can't start."""
_KILLED = -signal.SIGKILL


def listening_where_it_did(paths: Paths, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment with which a daemon listens where the one before it does or did.

    Agents that stay attached look for it there. A daemon that was stopped has left no such place.
    """
    place = last_socket(paths)
    if place is None:
        return environ
    for runtime_dir in ("", str(place.parent.parent.parent)):
        there = {**environ, "XDG_RUNTIME_DIR": runtime_dir}
        derived = Paths.from_environment(daemon_environment(paths, there)).socket
        # The same directory may go by several names.
        if os.path.realpath(derived) == os.path.realpath(place):
            return (
                there if not runtime_dir or os.access(runtime_dir, os.W_OK | os.X_OK) else environ
            )
    return environ


def daemon_environment(paths: Paths, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the daemon's environment, with the data directory as it was resolved here.

    The daemon runs in another working directory.
    """
    return {**environ, "BUDDIES_DATA_DIR": str(paths.data_dir)}


def reasons_in(said: Sequence[str]) -> list[str]:
    """Return what the daemon said on purpose; anything else is a crash, which is shown as it is."""
    return [line.removeprefix(REASON) for line in said if line.startswith(REASON)]


def _for_the_owner_alone(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@contextlib.contextmanager
def spawned(
    paths: Paths, environ: Mapping[str, str], command: Sequence[str]
) -> Iterator[Callable[[], int | None]]:
    """Start the daemon as a child of init; yield what tells its exit code if it has ended.

    The daemon goes on after the block.
    """
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours:
        try:
            with theirs, open(paths.start_log, "wb", opener=_for_the_owner_alone) as output:
                process = subprocess.Popen(  # noqa: S603 - our own program
                    # `-ISE`: nothing but the standard library, so that it begins in no time.
                    [
                        sys.executable,
                        "-ISE",
                        detaching.__file__,
                        str(theirs.fileno()),
                        *command,
                    ],
                    env=daemon_environment(paths, environ),
                    cwd=paths.data_dir,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    pass_fds=(theirs.fileno(),),
                )
        except OSError as error:
            raise unusable(paths.start_log, error) from error
        # It ends at once, and would stay in the list of processes until somebody waits for it.
        threading.Thread(target=process.wait, name="starter-reaper", daemon=True).start()

        def exit_code() -> int | None:
            try:
                said = ours.recv(16)
            except BlockingIOError:
                return None
            # The watcher was ended, too: whatever ended both says no more.
            return int(said) if said.strip() else _KILLED

        yield exit_code


def unusable(file: Path, error: OSError) -> StoreError:
    """Return why nothing can be started in the data directory."""
    return StoreError(
        f"can't start the daemon: {file}: {error.strerror}; "
        "set BUDDIES_DATA_DIR to a directory that you may write to"
    )

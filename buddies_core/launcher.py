"""Starting and stopping this machine's daemon, for programs that need one.

However many programs ask at once, one daemon is started: whoever holds `start.lock` starts it, the
others wait and find it running. The daemon outlives whoever started it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from enum import Enum, auto
from pathlib import Path

from buddies_core.errors import DaemonUnavailable, StoreError, TimedOut, VersionMismatch
from buddies_core.local_protocol import PROTOCOL
from buddies_core.paths import Paths, data_lock_holder

DAEMON_COMMAND = (sys.executable, "-m", "buddies_core.daemon")

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 20.0
"""A daemon ends itself after 15 s, if closing in order takes longer."""
HANDSHAKE_TIMEOUT_S = 2.0
PAUSE_S = 0.03
LOG_LINES_SHOWN = 12
REASON = "error: "
"""What a line begins with in which `buddies-core` says why it can't start."""


async def ensure_daemon(
    paths: Paths, environ: Mapping[str, str], command: Sequence[str] = DAEMON_COMMAND
) -> None:
    """Return once a daemon that understands us answers, after starting one where none runs.

    An older daemon to which no agent is attached is replaced. A new one gets `environ`.

    Raises:
        DaemonUnavailable: none could be started within 10 s; the text says why.
        VersionMismatch: a daemon of another version runs, and can't be replaced just so.
        StoreError: the data directory can't be used.
    """
    if await _look(paths) is _Found.READY:
        return
    paths.create()
    try:
        async with asyncio.timeout(START_TIMEOUT_S), _only_starter(paths):
            await _start(paths, environ, command)
    except TimeoutError:
        raise _late(paths) from None


async def stop_daemon(paths: Paths) -> int:
    """End the daemon, whatever its version, and return the pid it had once it has let go.

    Raises:
        DaemonUnavailable: none answers; the text names the process if there is one.
        TimedOut: it agreed to end, and has not within 20 s.
    """
    from buddies_core.client import DaemonClient

    try:
        async with DaemonClient.connect_any_version(paths, HANDSHAKE_TIMEOUT_S) as client:
            pid = await client.stop()
    except DaemonUnavailable:
        if data_lock_holder(paths) is None:
            raise
        raise _silent(paths, HANDSHAKE_TIMEOUT_S) from None
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            # The lock tells more than the process: a child that nobody has waited for is still
            # listed after its end. It names no process for an instant before it is released.
            while data_lock_holder(paths) in (pid, 0):  # noqa: ASYNC110 - nothing tells us
                await asyncio.sleep(PAUSE_S)
    except TimeoutError:
        raise TimedOut(
            f"the daemon, process {pid}, has not ended within {STOP_TIMEOUT_S:g} s; its log is "
            f"{paths.log}; to end it at once: kill -9 {pid}"
        ) from None
    return pid


class _Found(Enum):
    NOTHING = auto()
    REPLACEABLE = auto()
    READY = auto()


async def _look(paths: Paths) -> _Found:
    # Brings gRPC, which `buddies-cli --help` must not wait for.
    from buddies_core.client import DaemonClient

    if not os.access(paths.socket, os.W_OK):
        return _Found.NOTHING
    try:
        async with DaemonClient.connect_any_version(paths, HANDSHAKE_TIMEOUT_S) as client:
            if client.info.protocol < PROTOCOL and client.agents_attached == 0:
                return _Found.REPLACEABLE
            client.check_version()
            return _Found.READY
    except VersionMismatch:
        raise
    except DaemonUnavailable:
        return _Found.NOTHING


@asynccontextmanager
async def _only_starter(paths: Paths) -> AsyncIterator[None]:
    """Hold the start lock; it falls free if this process dies, and no child inherits it."""
    try:
        descriptor = os.open(paths.start_lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unusable(paths.start_lock, error) from error
    try:
        while not _try_lock(descriptor):  # noqa: ASYNC110 - nothing tells us
            await asyncio.sleep(PAUSE_S)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _start(paths: Paths, environ: Mapping[str, str], command: Sequence[str]) -> None:
    process: subprocess.Popen[bytes] | None = None
    while (found := await _look(paths)) is not _Found.READY:
        if found is _Found.REPLACEABLE:
            await stop_daemon(paths)
        # Who holds the lock and does not answer is starting or ending; both are waited for.
        elif data_lock_holder(paths) is not None:
            await asyncio.sleep(PAUSE_S)
        elif process is None:
            process = _spawn(paths, environ, command)
        elif process.poll() is not None:
            raise _ended(paths, process.returncode)
        else:
            await asyncio.sleep(PAUSE_S)


def _for_the_owner_alone(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _spawn(
    paths: Paths, environ: Mapping[str, str], command: Sequence[str]
) -> subprocess.Popen[bytes]:
    try:
        with open(paths.start_log, "wb", opener=_for_the_owner_alone) as output:
            process = subprocess.Popen(  # noqa: S603 - our own program
                command,
                # The directory as it was resolved here: the daemon runs in another one.
                env={**environ, "BUDDIES_DATA_DIR": str(paths.data_dir)},
                cwd=paths.data_dir,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
    except OSError as error:
        raise _unusable(paths.start_log, error) from error
    # It may end before we do, and would stay in the list of processes until somebody waits for it.
    threading.Thread(target=process.wait, name="daemon-reaper", daemon=True).start()
    return process


def _unusable(file: Path, error: OSError) -> StoreError:
    return StoreError(
        f"can't start the daemon: {file}: {error.strerror}; "
        "set BUDDIES_DATA_DIR to a directory that you may write to"
    )


def _ended(paths: Paths, exit_code: int) -> DaemonUnavailable:
    said = paths.start_log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    # What the daemon says on purpose; anything else is a crash, which is shown as it is.
    reasons = [line.removeprefix(REASON) for line in said if line.startswith(REASON)]
    if reasons:
        return DaemonUnavailable(
            f"the daemon could not start: {'; '.join(reasons)} (its log is {paths.log})"
        )
    shown = "\n".join(said) or "(nothing)"
    return DaemonUnavailable(
        f"the daemon ended at its start with exit code {exit_code}, and said:\n{shown}\n"
        f"All of it is in {paths.start_log}, its log is {paths.log}"
    )


def _late(paths: Paths) -> DaemonUnavailable:
    if data_lock_holder(paths) is not None:
        return _silent(paths, START_TIMEOUT_S)
    return DaemonUnavailable(
        f"the daemon did not start within {START_TIMEOUT_S:g} s; what it said is in "
        f"{paths.start_log}; try again, or run it in the foreground: buddies-core"
    )


def _silent(paths: Paths, waited_s: float) -> DaemonUnavailable:
    pid = data_lock_holder(paths)
    return DaemonUnavailable(
        f"a daemon, process {pid or 'unknown'}, has the data directory {paths.data_dir}, but did "
        f"not answer at {paths.socket} within {waited_s:g} s; its log is {paths.log}. If it was "
        "started with another XDG_RUNTIME_DIR, set that here too; "
        f"if it hangs, end it: kill -9 {pid or 'PID'}"
    )

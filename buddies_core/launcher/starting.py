"""Starts this machine's daemon, for programs that need one.

However many programs ask at once, one daemon is started: whoever holds `start.lock` starts it, the
others wait and find it running. The daemon is a child of init: it outlives whoever started it, and
whoever ends that program's whole process tree.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from enum import Enum, auto

from buddies_core.errors import DaemonUnavailable, VersionMismatch
from buddies_core.launcher.spawning import (
    DAEMON_COMMAND,
    listening_where_it_did,
    reasons_in,
    spawned,
    unusable,
)
from buddies_core.launcher.stopping import HANDSHAKE_TIMEOUT_S, stop_daemon
from buddies_core.paths import Paths, daemon_socket, data_lock_holder
from buddies_core.sizes import size_text

START_TIMEOUT_S = 10.0
PAUSE_S = 0.03
ROOM_MIN = 1 << 20
"""A daemon can't start with less, as RocksDB writes a few files."""
LOG_LINES_SHOWN = 12


async def ensure_daemon(
    paths: Paths, environ: Mapping[str, str], command: Sequence[str] = DAEMON_COMMAND
) -> None:
    """Return once a daemon that understands us answers, after starting one where none runs.

    An older daemon is replaced unless another program's agent is attached to it. A new one gets
    `environ`.

    Raises:
        DaemonUnavailable: none could be started within 10 s; the text says why.
        VersionMismatch: a daemon of another version runs, and can't be replaced just so.
        StoreError: the data directory can't be used.
        InvalidInput: a daemon could not listen at the path that the environment leads to.
    """
    if await _look(paths) is _Found.READY:
        return
    paths.create()
    try:
        async with asyncio.timeout(START_TIMEOUT_S), only_starter(paths):
            await _start(paths, environ, command)
    except TimeoutError:
        raise _late(paths) from None


class _Found(Enum):
    NOTHING = auto()
    REPLACEABLE = auto()
    READY = auto()


async def _look(paths: Paths, *, may_replace: bool = True) -> _Found:
    # Brings gRPC, which `buddies-cli --help` must not wait for.
    from buddies_core.client import DaemonClient

    if not os.access(daemon_socket(paths), os.W_OK):
        return _Found.NOTHING
    try:
        async with DaemonClient.connect_any_version(paths, HANDSHAKE_TIMEOUT_S) as client:
            if may_replace and await client.is_replaceable():
                return _Found.REPLACEABLE
            client.check_version()
            return _Found.READY
    except VersionMismatch:
        raise
    except DaemonUnavailable:
        return _Found.NOTHING


@asynccontextmanager
async def only_starter(paths: Paths) -> AsyncIterator[None]:
    """Hold the start lock; it falls free if this process dies, and no child inherits it."""
    try:
        descriptor = os.open(paths.start_lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise unusable(paths.start_lock, error) from error
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
    environ = listening_where_it_did(paths, environ)
    with contextlib.ExitStack() as stack:
        exit_code: Callable[[], int | None] | None = None
        # What we have started ourselves is the newest that is installed, whatever we are.
        while (found := await _look(paths, may_replace=exit_code is None)) is not _Found.READY:
            if found is _Found.REPLACEABLE:
                await stop_daemon(paths)
            # Who holds the lock and does not answer is starting or ending; both are waited for.
            elif data_lock_holder(paths) is not None:
                await asyncio.sleep(PAUSE_S)
            elif exit_code is None:
                exit_code = stack.enter_context(spawned(paths, environ, command))
            elif (code := exit_code()) is not None:
                raise _ended(paths, code)
            else:
                await asyncio.sleep(PAUSE_S)


def _ended(paths: Paths, exit_code: int) -> DaemonUnavailable:
    said = paths.start_log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    if reasons := reasons_in(said):
        return DaemonUnavailable(
            f"the daemon could not start: {'; '.join(reasons)} (its log is {paths.log})"
        )
    if not said:
        return DaemonUnavailable(
            f"the daemon could not start, and could not write why to {paths.start_log}: "
            f"{_room(paths)}"
        )
    shown = "\n".join(said)
    return DaemonUnavailable(
        f"the daemon ended at its start with exit code {exit_code}, and said:\n{shown}\n"
        f"All of it is in {paths.start_log}, its log is {paths.log}"
    )


def _room(paths: Paths) -> str:
    """Return what may keep a daemon from writing, and what to do."""
    with contextlib.suppress(OSError):
        disk = os.statvfs(paths.data_dir)
        if (free := disk.f_bavail * disk.f_frsize) < ROOM_MIN:
            return (
                f"the disk that {paths.data_dir} is on is full ({size_text(free)} left). Make "
                "room, then do it again"
            )
    return (
        f"see that {paths.data_dir} can be written and that no limit of the system forbids it; "
        "buddies-core in a terminal shows what it says"
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
        f"not answer at {daemon_socket(paths)} within {waited_s:g} s; its log is {paths.log}. If "
        "it stays so, replace it: buddies-cli daemon restart"
    )

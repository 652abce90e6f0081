"""Stops this machine's daemon and its MCP host, also one that does not answer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

from buddies_core.errors import DaemonUnavailable, TimedOut
from buddies_core.paths import Paths, data_lock_holder, holder_of, host_lock_holder

STOP_TIMEOUT_S = 20.0
"""A daemon ends itself after 15 s, if closing in order takes longer."""
KILL_TIMEOUT_S = 5.0
HANDSHAKE_TIMEOUT_S = 2.0
HOST_TIMEOUT_S = 5.0
"""As long as a relay waits for it."""
PAUSE_S = 0.03


async def stop_daemon(paths: Paths) -> int:
    """End the daemon, whatever its version, and return the pid it had once it has let go.

    One that does not answer gets SIGTERM. One that has not ended 20 s later gets SIGKILL, by which
    nothing is lost that was acknowledged.

    Raises:
        DaemonUnavailable: none runs.
        TimedOut: it can't be ended; the text names the process.
    """
    from buddies_core.client import DaemonClient

    try:
        async with DaemonClient.connect_any_version(paths, HANDSHAKE_TIMEOUT_S) as client:
            pid = await client.stop()
    except (DaemonUnavailable, TimedOut):
        holder = data_lock_holder(paths)
        if holder is None:
            raise
        pid = holder
        _signal(paths, paths.lock, pid, signal.SIGTERM)
    await _ended(paths, paths.lock, pid)
    return pid


async def stop_host(paths: Paths) -> int | None:
    """End the MCP host and return the pid it had once it has let go; None if none runs.

    Agents keep their sessions: the next call of one starts another host. Calls under way fail with
    an error that says to call again.

    Raises:
        TimedOut: it can't be ended; the text names the process.
    """
    pid = _pid(paths.host_lock)
    if pid is None:
        return None
    _signal(paths, paths.host_lock, pid, signal.SIGTERM)
    await _ended(paths, paths.host_lock, pid)
    return pid


async def host_answers(paths: Paths) -> bool:
    """Return whether the MCP host that runs says anything to a line that asks it for nothing."""
    holder = host_lock_holder(paths)
    if holder is None or holder.socket is None:
        return False
    try:
        async with asyncio.timeout(HOST_TIMEOUT_S):
            reader, writer = await asyncio.open_unix_connection(holder.socket)
            try:
                writer.write(b"{}\n")
                return bool(await reader.readline())
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


async def _ended(paths: Paths, lock: Path, pid: int) -> None:
    """Return once a process that was asked to end has; one that does not is killed."""
    if not await _has_let_go(lock, pid, STOP_TIMEOUT_S):
        _signal(paths, lock, pid, signal.SIGKILL)
        if not await _has_let_go(lock, pid, KILL_TIMEOUT_S):
            raise _cannot_end(paths, pid)


def _pid(lock: Path) -> int | None:
    holder = holder_of(lock)
    return None if holder is None else holder.pid


async def _has_let_go(lock: Path, pid: int, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            # The lock tells more than the process: a child that nobody has waited for is still
            # listed after its end. It names no process for an instant before it is released.
            while _pid(lock) in (pid, 0):  # noqa: ASYNC110 - nothing tells us
                await asyncio.sleep(PAUSE_S)
    except TimeoutError:
        return False
    return True


def _signal(paths: Paths, lock: Path, pid: int, number: signal.Signals) -> None:
    """Send this to the holder of a lock, after making sure that the pid is still its own.

    Raises:
        TimedOut: it is not known which process has the lock, or it is another user's.
    """
    if _pid(lock) != pid:
        return  # It has ended meanwhile.
    if pid == 0 or not _has_open(pid, lock):
        raise _cannot_end(paths, pid)
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError:
        raise _cannot_end(paths, pid) from None


def _has_open(pid: int, file: Path) -> bool:
    """Whether the process has this file open, where the system tells.

    The lock may be held from another machine or container, where its pid is another process's.
    """
    descriptors = Path(f"/proc/{pid}/fd")
    if not Path("/proc/self/fd").exists():
        return True  # macOS: the lock names it, and is held
    wanted = file.stat()
    try:
        for descriptor in descriptors.iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                if os.path.samestat(descriptor.stat(), wanted):
                    return True
    except PermissionError:
        return is_listed_as_holder(pid, file)  # the daemon keeps its memory and files to itself
    except OSError:
        pass  # it has ended
    return False


def is_listed_as_holder(pid: int, file: Path, locks: Path = Path("/proc/locks")) -> bool:
    """Whether the system lists a lock on this file as held by this process."""
    found = file.stat()
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    try:
        held = [line.split() for line in locks.read_text().splitlines()]
    except OSError:
        return False
    return any(fields[4:6] == [str(pid), device] for fields in held)


def _cannot_end(paths: Paths, pid: int) -> TimedOut:
    return TimedOut(
        f"process {pid or 'unknown'}, which serves the data directory {paths.data_dir}, can't be "
        "ended from here: it runs on another machine, in a container or as another user, or the "
        "system can't end it. Stop it where it runs, or restart that machine; its log is in that "
        "directory"
    )

"""Connects a relay with the host of this machine, and starts a host if none is running.

Standard library alone. `<data>/host.lock` says where the host listens, as only the data directory
is the same in every client's environment. However many relays ask at once, one host is started:
whoever holds `host-start.lock` starts it, the others wait and find it running.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Mapping

import buddies_core
from buddies_core import __version__, streams
from buddies_core.errors import InvalidInput
from buddies_core.places import HOST_LOCK, HOST_START_LOCK, HOST_START_LOG, data_directory
from buddies_mcp.greeting import GREETING_BYTES_MAX, greeting, numbers, read

TYPE_CHECKING = False  # typing takes as long to import as all the rest here
if TYPE_CHECKING:
    from typing import Any

ANSWERS_WITHIN_S = 5.0
STARTS_WITHIN_S = 10.0
PAUSE_S = 0.02
LOCK_BYTES_MAX = 4096
LOSSES_MAX = 5
LOSSES_WITHIN_S = 60.0
"""A server that ends more often has an error that its successor would have, too."""

# `-P`: it starts in the client's directory, from which nothing may be imported.
HOST_COMMAND = (sys.executable, "-P", "-m", "buddies_mcp.host")
_DETACHING = os.path.join(os.path.dirname(buddies_core.__file__), "launcher", "detaching.py")


class HostUnusable(Exception):
    """No host can serve us; the text says why."""


class SettingsRefused(Exception):
    """No server can serve us, because of what is in our environment."""


class HostDoor:
    """The place where the host of a data directory is found."""

    def __init__(self, environ: Mapping[str, str], command: tuple[str, ...] = HOST_COMMAND) -> None:
        self._environ = environ
        self._command = command
        self._client = os.getppid()

    def reach(self, *, needed: bool) -> socket.socket | None:
        """Return a socket at whose other end a host serves us.

        None is for a host that was ended in order, if `needed` does not ask for another.

        Raises:
            HostUnusable: there is none, and none can be started.
            SettingsRefused: it says that something in our environment is wrong.
        """
        try:
            data = data_directory(self._environ)
            if not needed and not _place(data):
                return None
            return self._connect(data) or self._start(data)
        except (OSError, ValueError, InvalidInput) as error:
            raise HostUnusable(str(error)) from error

    def _connect(
        self, data: str, *, replace: bool = False, take_any: bool = False
    ) -> socket.socket | None:
        """Return a socket to the host that runs; None if none does, or an older one may go."""
        host = _dial(_place(data))
        if host is None:
            return None
        try:
            said = self.greet(host, replace=replace)
        except TimeoutError:
            pid = os.fsdecode(_said(data)[0])
            raise HostUnusable(
                f"the MCP host, process {pid}, did not answer within {ANSWERS_WITHIN_S:g} s; if it "
                "stays so, replace it: buddies-cli daemon restart"
            ) from None
        if said is None:
            return None
        if not take_any and numbers(said["version"]) < numbers(__version__) and not said["calls"]:
            host.close()
            return None
        return host

    def greet(self, host: socket.socket, *, replace: bool = False) -> dict[str, Any] | None:
        """Say who we are and return what the host says; None if it ended instead.

        Raises:
            HostUnusable: it does not serve us.
            SettingsRefused: nobody would.
            TimeoutError: it says nothing.
        """
        host.settimeout(ANSWERS_WITHIN_S)
        try:
            host.sendall(
                greeting(
                    __version__,
                    self._environ,
                    _directory(),
                    self._client,
                    os.getpid(),
                    replace=replace,
                )
            )
            line = _line(host)
        except TimeoutError:
            host.close()
            raise
        except OSError:
            line = b""
        if not line:
            host.close()
            return None
        try:
            said = read(line)
        except ValueError as error:
            host.close()
            raise HostUnusable(f"another program listens there: {error}") from error
        if "refused" in said:
            host.close()
            refused = SettingsRefused if said.get("fatal") else HostUnusable
            raise refused(str(said["refused"]))
        return said

    def _start(self, data: str) -> socket.socket:
        """Start the host unless another relay does, and return a socket to it."""
        os.makedirs(data, 0o700, exist_ok=True)
        deadline_s = time.monotonic() + STARTS_WITHIN_S
        lock = os.open(os.path.join(data, HOST_START_LOCK), os.O_RDWR | os.O_CREAT, 0o600)
        started: _Started | None = None
        try:
            while not _try_lock(lock):
                _wait_until(deadline_s)
            while True:
                # An older one makes way now, as nobody else can start another meanwhile.
                host = self._connect(data, replace=started is None, take_any=True)
                if host is not None:
                    return host
                if started is None and not _runs(data):
                    started = _Started(data, self._environ, self._command)
                elif (
                    started is not None
                    and not _runs(data)
                    and (code := started.exit_code()) is not None
                ):
                    raise HostUnusable(_last_words(data, code))
                _wait_until(deadline_s)
        finally:
            os.close(lock)
            if started is not None:
                started.close()


class Server:
    """The server of our client: the host of this machine or, if that fails, this process."""

    def __init__(self, door: HostDoor, *, own: bool) -> None:
        """Serve the client by the host, or with `own` in this process from the beginning."""
        self._door = door
        self._own = own
        self._reached_s: list[float] = []

    def reach(self, needed: bool) -> socket.socket | None:
        """Return a socket to a server; None as `HostDoor.reach`.

        Raises:
            HostUnusable: this process can't serve it either.
            SettingsRefused: something in our environment is wrong.
        """
        try:
            server = None if self._own else self._door.reach(needed=needed)
            if server is None and not self._own:
                return None
            self._check_losses()
        except HostUnusable as error:
            if self._own:
                raise
            streams.complain(f"no MCP host can serve this agent, so its own process does: {error}")
            self._own, server = True, None
        if server is None:
            from buddies_mcp.host.own import serve_here

            server = serve_here()
            if self._door.greet(server) is None:
                raise HostUnusable("the server in this process ended at its start")
        return server

    def _check_losses(self) -> None:
        now_s = time.monotonic()
        self._reached_s = [at_s for at_s in self._reached_s if now_s - at_s < LOSSES_WITHIN_S]
        self._reached_s.append(now_s)
        if len(self._reached_s) > LOSSES_MAX:
            self._reached_s.clear()
            raise HostUnusable(f"its server ended {LOSSES_MAX} times within {LOSSES_WITHIN_S:g} s")


def _wait_until(deadline_s: float) -> None:
    if time.monotonic() > deadline_s:
        raise HostUnusable(f"it did not answer within {STARTS_WITHIN_S:g} s")
    time.sleep(PAUSE_S)


def _place(data: str) -> str:
    """Return where the host says that it listens; empty if none has begun, or the last has ended.

    One that was killed has left its place behind.
    """
    said = _said(data)
    return os.fsdecode(said[1]) if len(said) > 2 else ""


def _said(data: str) -> list[bytes]:
    """Return the lines of the host's lock: its pid, where it listens, its version."""
    try:
        lock = os.open(os.path.join(data, HOST_LOCK), os.O_RDONLY)
    except FileNotFoundError:
        return []
    try:
        return os.read(lock, LOCK_BYTES_MAX).split(b"\n")
    finally:
        os.close(lock)


def _runs(data: str) -> bool:
    """Return whether a process holds the host's lock: one that starts or ends, for instance."""
    try:
        lock = os.open(os.path.join(data, HOST_LOCK), os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(lock)


def _dial(place: str) -> socket.socket | None:
    """Return a connection to whoever listens there; None if nobody does."""
    if not place:
        return None
    host = socket.socket(socket.AF_UNIX)
    host.settimeout(ANSWERS_WITHIN_S)
    try:
        host.connect(place)
    except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):  # nobody, or too many
        host.close()
        return None
    except OSError:
        host.close()
        raise
    if not is_own(host):
        host.close()
        raise HostUnusable(f"another user's program listens at {place}")
    return host


def is_own(connection: socket.socket) -> bool:
    """Return whether the process at the other end is of this user, as far as the system tells."""
    if sys.platform != "linux":
        return True  # the directory of the socket is its owner's alone
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    _pid, uid, _gid = struct.unpack("3i", credentials)
    return bool(uid == os.getuid())


def _line(host: socket.socket) -> bytes:
    """Return the host's first line; nothing comes behind it before we have sent more."""
    said = b""
    while not said.endswith(b"\n") and len(said) < GREETING_BYTES_MAX:
        chunk = host.recv(1 << 16)
        if not chunk:
            return b""
        said += chunk
    return said


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return os.environ.get("PWD", "/")


class _Started:
    """A host that we have started; it is a child of init."""

    def __init__(self, data: str, environ: Mapping[str, str], command: tuple[str, ...]) -> None:
        self._watcher, theirs = socket.socketpair()
        log_path = os.path.join(data, HOST_START_LOG)
        log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        os.set_inheritable(theirs.fileno(), True)
        # `-ISE`: nothing but the standard library, so that it begins in no time.
        detached = [sys.executable, "-ISE", _DETACHING, str(theirs.fileno()), *command]
        try:
            pid = os.posix_spawn(
                sys.executable,
                detached,
                {**environ, "BUDDIES_DATA_DIR": data},
                file_actions=[(os.POSIX_SPAWN_DUP2, null, 0)]
                + [(os.POSIX_SPAWN_DUP2, log, number) for number in (1, 2)],
                setpgroup=0,
            )
        finally:
            theirs.close()
            os.close(log)
            os.close(null)
        os.waitpid(pid, 0)  # it ends at once

    def exit_code(self) -> int | None:
        """Return the host's exit code if it has ended."""
        readable, _, _ = select.select([self._watcher], [], [], 0)
        if not readable:
            return None
        said = self._watcher.recv(16).strip()
        return int(said) if said else -1

    def close(self) -> None:
        """Watch it no longer."""
        self._watcher.close()


def _last_words(data: str, code: int) -> str:
    """Return why the host that we have started has ended."""
    path = os.path.join(data, HOST_START_LOG)
    with open(path, errors="replace", encoding="utf-8") as log:
        said = log.read()[-2000:].splitlines()
    why = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
    if why:
        return "; ".join(why)
    if not said:
        return f"it ended with exit code {code} and left nothing in {path}; is the disk full?"
    return f"it ended with exit code {code}; its output is in {path}"

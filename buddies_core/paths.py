"""Where everything of this machine's node lives, and who may use it now."""

import fcntl
import hashlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from buddies_core import places
from buddies_core.errors import InvalidInput, StoreError

SOCKET_PATH_BYTES_MAX = 100
"""sun_path holds 107 bytes on Linux and 103 on macOS."""

LOCK_BYTES_MAX = 4096
"""Far more than a pid and a socket's path."""
LOCK_TRIES = 6
LOCK_TRY_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class Paths:
    """The files of one node. Nothing exists before `create`."""

    data_dir: Path
    runtime_dir: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Paths":
        """Return the paths that BUDDIES_DATA_DIR and XDG_RUNTIME_DIR ask for.

        One data directory has one runtime directory, by whatever symbolic link it is named.

        Raises:
            InvalidInput: there is no such home directory.
        """
        data_dir = Path(places.data_directory(environ))
        # The specification of XDG_RUNTIME_DIR says that a relative one is to be ignored.
        runtime_root = Path(environ.get("XDG_RUNTIME_DIR", ""))
        if runtime_root.is_absolute():
            digest = hashlib.sha256(os.fsencode(os.path.realpath(data_dir))).hexdigest()
            return cls(data_dir, runtime_root / "buddies" / digest[:16])
        return cls(data_dir, data_dir / "run")

    @property
    def socket(self) -> Path:
        """Where a daemon that is started in this environment listens for agents and people.

        To connect, use `daemon_socket`: the running daemon may have another environment.
        """
        return self.runtime_dir / "core.sock"

    @property
    def store(self) -> Path:
        """The database."""
        return self.data_dir / "store"

    @property
    def index(self) -> Path:
        """The search index, which can be made anew from the database."""
        return self.data_dir / "index"

    @property
    def lock(self) -> Path:
        """Held by the daemon as long as it runs."""
        return self.data_dir / "lock"

    @property
    def start_lock(self) -> Path:
        """Held by whoever is starting the daemon."""
        return self.data_dir / "start.lock"

    @property
    def node_key(self) -> Path:
        """The secret that makes this node the peer it is."""
        return self.data_dir / "node_key"

    @property
    def udp_port(self) -> Path:
        """The port that was bound last, so that tickets stay valid."""
        return self.data_dir / "udp_port"

    @property
    def log(self) -> Path:
        """The daemon's log, of which three older ones may lie beside it."""
        return self.data_dir / "core.log"

    @property
    def start_log(self) -> Path:
        """What the daemon that was started last in the background wrote to stdout and stderr."""
        return self.data_dir / "start.log"

    @property
    def host_lock(self) -> Path:
        """Held by the MCP host as long as it runs; names where it listens, as `lock` does."""
        return self.data_dir / places.HOST_LOCK

    @property
    def host_socket(self) -> Path:
        """Where an MCP host that is started in this environment listens for relays."""
        return self.runtime_dir / "host.sock"

    @property
    def host_log(self) -> Path:
        """The MCP host's log, of which three older ones may lie beside it."""
        return self.data_dir / "host.log"

    @property
    def http_token(self) -> Path:
        """What requests by HTTP must bear, where others can reach the server."""
        return self.data_dir / "http_token"

    def create(self) -> None:
        """Make the data directory and the runtime directory, each for its owner alone.

        A data directory that exists keeps its mode: who made it wider meant it. The keys of private
        rooms and what was said in them are for its owner alone all the same.

        Raises:
            StoreError: the system refuses.
            InvalidInput: the socket's path would not fit into a socket address.
        """
        check_socket(self.socket)
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            for secret in (self.store, self.index):
                secret.mkdir(mode=0o700, exist_ok=True)
                secret.chmod(0o700)
        except OSError as error:
            raise StoreError(
                f"can't make the data directory {self.data_dir}: {error.strerror}; "
                "set BUDDIES_DATA_DIR to a directory that you may write to"
            ) from error
        try:
            self.runtime_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.runtime_dir.chmod(0o700)
        except OSError as error:
            raise StoreError(
                f"can't make the directory of the socket, {self.runtime_dir}: {error.strerror}; "
                "set XDG_RUNTIME_DIR to a directory that you may write to, or unset it"
            ) from error


def home_directory(environ: Mapping[str, str]) -> Path | None:
    """Return the user's home directory; None if there is none, as in a container."""
    home = places.home_directory(environ)
    return Path(home) if home else None


def config_file(environ: Mapping[str, str]) -> Path | None:
    """Return where the settings are kept, None without a home: `~/.config/buddies/config.toml`.

    It hangs on HOME and XDG_CONFIG_HOME alone, where platformdirs would look too.
    """
    root = Path(environ.get("XDG_CONFIG_HOME", "").strip())
    if not root.is_absolute():
        home = home_directory(environ)
        if home is None:
            return None
        root = home / ("Library/Application Support" if sys.platform == "darwin" else ".config")
    return root / "buddies" / "config.toml"


def check_socket(socket: Path) -> None:
    """Return if a daemon can listen at this path.

    Raises:
        InvalidInput: it can't; the text says why and what to set.
    """
    remedy = "set XDG_RUNTIME_DIR, or set BUDDIES_DATA_DIR to a shorter path"
    if (length := len(os.fsencode(socket))) > SOCKET_PATH_BYTES_MAX:
        raise InvalidInput(
            f"the path of the daemon's socket, {socket}, is {length} bytes long; the system allows "
            f"about {SOCKET_PATH_BYTES_MAX}: {remedy}"
        )
    if "," in str(socket):  # gRPC takes it for a list of addresses, however it is quoted
        raise InvalidInput(
            f"the path of the daemon's socket, {socket}, holds a comma, which gRPC can't take: "
            "set XDG_RUNTIME_DIR, or set BUDDIES_DATA_DIR to a path without one"
        )
    if "\n" in str(socket):  # the lock has one line for it
        raise InvalidInput(
            f"the path of the daemon's socket, {str(socket)!r}, holds a line break: "
            "set XDG_RUNTIME_DIR, or set BUDDIES_DATA_DIR to a path without one"
        )


# The lock
#
#     lock := pid "\n" socket "\n" *(later "\n")
#
# An older daemon writes the pid alone. Readers ignore lines that they don't know. The text counts
# only while a process holds the file's lock: a killed daemon leaves it behind.


@dataclass(frozen=True, slots=True)
class LockHolder:
    """The process that has the data directory, as it says itself."""

    pid: int
    """0 if it has not said so (yet, or any more)."""
    socket: Path | None
    """Where it listens; None if it has not said so: older daemons don't."""


@contextmanager
def hold_data_lock(paths: Paths) -> Iterator[None]:
    """Be the only daemon on the data directory until the block ends, or the process does.

    Raises:
        StoreError: another process is, or the lock can't be opened; the text names the process.
    """
    with _held(paths.lock, paths.socket) as holder:
        if holder is not None:
            who = f"process {holder.pid}" if holder.pid else "another process"
            raise StoreError(
                f"the data directory {paths.data_dir} is in use by {who}; stop that daemon with "
                "buddies-cli daemon stop, or set BUDDIES_DATA_DIR to another directory"
            )
        yield


@contextmanager
def hold_host_lock(paths: Paths, version: str) -> Iterator[None]:
    """Be the only MCP host on the data directory until the block ends, or the process does.

    A third line of the lock says of which version it is.

    Raises:
        StoreError: another process is, or the lock can't be written.
    """
    with _held(paths.host_lock, paths.host_socket, version) as holder:
        if holder is not None:
            raise StoreError(
                f"process {holder.pid or 'unknown'} serves the agents of {paths.data_dir} already"
            )
        yield


@contextmanager
def _held(lock: Path, socket: Path, *later: str) -> Iterator[LockHolder | None]:
    """Hold a lock and say so in it; yield the holder if that is another process."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreError(
            f"can't open {lock}: {error.strerror}; "
            "set BUDDIES_DATA_DIR to a directory that you may write to"
        ) from error
    try:
        if not _lock(descriptor):
            yield _read(descriptor)
            return
        os.ftruncate(descriptor, 0)
        try:
            lines = "".join(f"{line}\n" for line in (os.getpid(), socket, *later))
            os.pwrite(descriptor, os.fsencode(lines), 0)
        except OSError as error:
            raise StoreError(f"can't write {lock}: {error.strerror}") from error
        yield None
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)  # which releases the lock


def lock_holder(paths: Paths) -> LockHolder | None:
    """Return the process that is the daemon on the data directory; None if there is none."""
    return holder_of(paths.lock)


def host_lock_holder(paths: Paths) -> LockHolder | None:
    """Return the process that is the MCP host on the data directory; None if there is none."""
    return holder_of(paths.host_lock)


def host_version(paths: Paths) -> str:
    """Return the version of the MCP host that runs or was killed; empty if that is not known."""
    try:
        _, _, version, *_ = paths.host_lock.read_text(errors="replace").split("\n")
    except (OSError, ValueError):
        return ""
    return version


def holder_of(lock: Path) -> LockHolder | None:
    """Return the process that holds a lock; None if none does."""
    try:
        descriptor = os.open(lock, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(descriptor)
    else:
        return None
    finally:
        os.close(descriptor)


def data_lock_holder(paths: Paths) -> int | None:
    """Return the pid of the daemon on the data directory, 0 if unknown; None if there is none."""
    holder = lock_holder(paths)
    return None if holder is None else holder.pid


def daemon_socket(paths: Paths) -> Path:
    """Return where to connect: where the running daemon listens, or one that we start would.

    Raises:
        InvalidInput: none runs, and none could listen at the path that the environment leads to.
    """
    holder = lock_holder(paths)
    if holder is not None and holder.socket is not None:
        return holder.socket
    check_socket(paths.socket)
    return paths.socket


def last_socket(paths: Paths) -> Path | None:
    """Return where the daemon listens, or did that was killed; None after one that ended itself."""
    try:
        descriptor = os.open(paths.lock, os.O_RDONLY)
    except OSError:
        return None
    try:
        return _read(descriptor).socket
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    # `lock_holder` takes the lock for an instant to see whether it is free, so that being refused
    # once proves nothing.
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOCK_TRY_PAUSE_S)
        else:
            return True
    return False


def _read(descriptor: int) -> LockHolder:
    pid, _, more = os.pread(descriptor, LOCK_BYTES_MAX, 0).partition(b"\n")
    socket, ended, _ = more.partition(b"\n")
    known = bool(ended) and socket.startswith(b"/")
    return LockHolder(
        pid=int(pid) if pid.isdigit() else 0, socket=Path(os.fsdecode(socket)) if known else None
    )

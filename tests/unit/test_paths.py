"""Where things are, for every environment, and who may use them."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from buddies_core.errors import InvalidInput, StoreError
from buddies_core.paths import (
    LockHolder,
    Paths,
    daemon_socket,
    data_lock_holder,
    hold_data_lock,
    hold_host_lock,
    home_directory,
    host_lock_holder,
    host_version,
    last_socket,
    lock_holder,
)


def test_without_any_variable_everything_is_where_the_platform_keeps_data(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.platform", "linux")

    paths = Paths.from_environment({"HOME": "/home/ann"})

    assert paths.data_dir == Path("/home/ann/.local/share/buddies")
    assert paths.socket == paths.data_dir / "run" / "core.sock"


def test_each_file_has_its_place_in_the_data_directory() -> None:
    paths = Paths.from_environment({"BUDDIES_DATA_DIR": "/d"})

    assert {
        "store": paths.store,
        "index": paths.index,
        "lock": paths.lock,
        "start.lock": paths.start_lock,
        "start.log": paths.start_log,
        "node_key": paths.node_key,
        "udp_port": paths.udp_port,
        "core.log": paths.log,
        "run": paths.runtime_dir,
    } == {
        name: Path("/d") / name
        for name in (
            "store", "index", "lock", "start.lock", "start.log", "node_key", "udp_port",
            "core.log", "run",
        )
    }  # fmt: skip


def test_a_tilde_is_the_home_directory() -> None:
    paths = Paths.from_environment({"BUDDIES_DATA_DIR": "~/buddies", "HOME": "/home/ann"})

    assert paths.data_dir == Path("/home/ann/buddies")


@pytest.mark.parametrize(
    "environ",
    [
        {"HOME": "/home/ann"},
        {"HOME": "/home/ann", "XDG_DATA_HOME": "/data"},
        {"HOME": "/home/ann", "XDG_DATA_HOME": ""},
    ],
)
def test_the_data_directory_is_where_platformdirs_has_it(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    found = Paths.from_environment(environ).data_dir

    assert found == platformdirs.user_data_path("buddies", appauthor=False)


def test_the_host_has_its_files_beside_those_of_the_daemon() -> None:
    paths = Paths.from_environment({"BUDDIES_DATA_DIR": "/d"})

    assert (paths.host_lock, paths.host_log, paths.host_socket) == (
        Path("/d/host.lock"), Path("/d/host.log"), Path("/d/run/host.sock")
    )  # fmt: skip


def test_one_process_serves_agents_and_says_where_until_it_ends(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path / "run")

    with hold_host_lock(paths, "1.2"):
        assert host_version(paths) == "1.2"
        assert host_lock_holder(paths) == LockHolder(os.getpid(), paths.host_socket)
        with (
            pytest.raises(StoreError, match=f"process {os.getpid()} serves the agents"),
            hold_host_lock(paths, "1.3"),
        ):
            pass

    assert (host_lock_holder(paths), host_version(paths)) == (None, "")
    assert paths.host_lock.read_bytes() == b""


def test_the_home_of_nobody_is_a_clear_error() -> None:
    with pytest.raises(
        InvalidInput, match=r"BUDDIES_DATA_DIR is '~nobody-here/x': .*absolute path"
    ):
        Paths.from_environment({"BUDDIES_DATA_DIR": "~nobody-here/x"})


def test_a_relative_data_directory_is_taken_from_where_we_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    assert Paths.from_environment({"BUDDIES_DATA_DIR": "d"}).data_dir == tmp_path / "d"


def test_the_runtime_directory_is_named_by_the_data_directory() -> None:
    paths = Paths.from_environment({"BUDDIES_DATA_DIR": "/d", "XDG_RUNTIME_DIR": "/run/user/1"})

    # printf %s /d | sha256sum
    assert paths.socket == Path("/run/user/1/buddies/4823e769dbaf8fb9/core.sock")


def test_a_relative_runtime_directory_is_ignored() -> None:
    paths = Paths.from_environment({"BUDDIES_DATA_DIR": "/d", "XDG_RUNTIME_DIR": "run/user/1"})

    assert paths.runtime_dir == Path("/d/run")


def test_a_data_directory_has_one_socket_by_whatever_link_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    real, link = (
        Paths.from_environment(
            {"BUDDIES_DATA_DIR": str(tmp_path / name), "XDG_RUNTIME_DIR": "/run/user/1"}
        )
        for name in ("real", "link")
    )

    assert real.socket == link.socket


def test_a_socket_path_of_100_bytes_fits_and_one_of_101_does_not() -> None:
    fits = "/" + "x" * (99 - len("/run/core.sock"))
    socket = daemon_socket(Paths.from_environment({"BUDDIES_DATA_DIR": fits}))
    assert len(str(socket)) == 100

    for use in (daemon_socket, Paths.create):
        with pytest.raises(
            InvalidInput, match="set XDG_RUNTIME_DIR, or set BUDDIES_DATA_DIR to a shorter path"
        ):
            use(Paths.from_environment({"BUDDIES_DATA_DIR": fits + "x"}))


def test_the_length_is_counted_in_bytes() -> None:
    with pytest.raises(InvalidInput, match="is 114 bytes long"):
        daemon_socket(Paths.from_environment({"BUDDIES_DATA_DIR": "/" + "ü" * 49 + "x"}))


@pytest.mark.parametrize(
    ("directory", "problem"),
    [
        ("/a,b", "holds a comma"),  # gRPC would cut it there
        ("/a\nb", "holds a line break"),  # and the lock has one line for it
    ],
)
def test_a_socket_path_that_can_not_be_told_to_others_is_refused(
    directory: str, problem: str
) -> None:
    with pytest.raises(InvalidInput, match=problem):
        daemon_socket(Paths.from_environment({"BUDDIES_DATA_DIR": directory}))


def test_both_directories_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "a" / "data", tmp_path / "b" / "run")
    paths.runtime_dir.mkdir(parents=True, mode=0o755)

    paths.create()
    paths.create()

    assert [stat.S_IMODE(p.stat().st_mode) for p in (paths.data_dir, paths.runtime_dir)] == [
        0o700,
        0o700,
    ]


def test_a_data_directory_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "data", tmp_path / "run")
    paths.data_dir.mkdir(mode=0o755)

    paths.create()

    assert stat.S_IMODE(paths.data_dir.stat().st_mode) == 0o755


def test_what_rooms_said_is_for_the_owner_alone_also_in_a_directory_that_is_for_others(
    tmp_path: Path,
) -> None:
    paths = Paths(tmp_path / "data", tmp_path / "run")
    paths.data_dir.mkdir(mode=0o755)
    paths.store.mkdir(mode=0o755)
    paths.create()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (paths.store, paths.index)] == [0o700] * 2


@pytest.mark.parametrize("below", ["", "/data"])
def test_a_data_directory_that_can_not_be_made_is_named_with_what_to_do(
    tmp_path: Path, below: str
) -> None:
    file = tmp_path / "file"
    file.touch()
    data_dir = Path(f"{file}{below}")

    with pytest.raises(StoreError) as caught:
        Paths(data_dir, data_dir / "run").create()

    reason = "Not a directory" if below else "File exists"
    assert str(caught.value) == (
        f"can't make the data directory {data_dir}: {reason}; "
        "set BUDDIES_DATA_DIR to a directory that you may write to"
    )


def test_a_runtime_directory_that_can_not_be_made_is_named_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    with pytest.raises(StoreError, match="set XDG_RUNTIME_DIR to a directory"):
        Paths(tmp_path / "data", file / "run").create()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path, tmp_path / "run")


def test_nobody_holds_a_data_directory_that_was_never_used(paths: Paths) -> None:
    assert data_lock_holder(paths) is None


def test_the_holder_is_known_by_its_pid_until_it_lets_go(paths: Paths) -> None:
    with hold_data_lock(paths):
        held_by = data_lock_holder(paths)

    assert (held_by, data_lock_holder(paths)) == (os.getpid(), None)


def test_a_second_daemon_is_refused_with_the_pid_of_the_first(paths: Paths) -> None:
    with hold_data_lock(paths), pytest.raises(StoreError) as caught, hold_data_lock(paths):
        pass

    assert str(caught.value) == (
        f"the data directory {paths.data_dir} is in use by process {os.getpid()}; stop that daemon "
        "with buddies-cli daemon stop, or set BUDDIES_DATA_DIR to another directory"
    )


def test_the_lock_is_free_again_after_a_failure_inside(paths: Paths) -> None:
    with pytest.raises(ZeroDivisionError), hold_data_lock(paths):
        raise ZeroDivisionError

    with hold_data_lock(paths):
        assert data_lock_holder(paths) == os.getpid()


def seen_elsewhere(paths: Paths) -> Paths:
    """Return the same data directory as a program with another XDG_RUNTIME_DIR sees it."""
    return Paths(paths.data_dir, paths.data_dir / "elsewhere")


def test_the_holders_socket_is_known_in_every_environment(paths: Paths) -> None:
    other = seen_elsewhere(paths)
    with hold_data_lock(paths):
        assert lock_holder(other) == LockHolder(os.getpid(), paths.socket)
        assert daemon_socket(other) == paths.socket

    assert daemon_socket(other) == other.socket


def test_a_holder_that_was_killed_passes_for_nobody_and_its_place_is_remembered(
    paths: Paths,
) -> None:
    """Its pid may be another process's by now, and at its socket nobody answers."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(paths.data_dir), str(paths.runtime_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == b"holds\n"
        other = seen_elsewhere(paths)
        assert lock_holder(other) == LockHolder(daemon.pid, paths.socket)
        daemon.kill()

    assert paths.lock.read_text().startswith(f"{daemon.pid}\n")
    assert (lock_holder(other), data_lock_holder(other)) == (None, None)
    assert daemon_socket(other) == other.socket
    assert last_socket(other) == paths.socket
    with hold_data_lock(other):
        assert lock_holder(paths) == LockHolder(os.getpid(), other.socket)


HOLDER = """
import sys
from pathlib import Path
from buddies_core.paths import Paths, hold_data_lock

with hold_data_lock(Paths(*map(Path, sys.argv[1:]))):
    print("holds", flush=True)
    sys.stdin.read()
"""


def test_one_that_ended_by_itself_leaves_no_place(paths: Paths) -> None:
    with hold_data_lock(paths):
        pass

    assert last_socket(paths) is None


@pytest.mark.parametrize(
    ("text", "holder"),
    [
        ("4711", LockHolder(4711, None)),  # an older daemon
        ("4711\n/run/x\n", LockHolder(4711, Path("/run/x"))),
        ("4711\n/run/x\nwhat comes yet\n", LockHolder(4711, Path("/run/x"))),
        ("4711\n/run/hal", LockHolder(4711, None)),  # being written
        ("4711\nrelative\n", LockHolder(4711, None)),
        ("²", LockHolder(0, None)),
        ("", LockHolder(0, None)),
    ],
)
def test_the_lock_is_read_whatever_version_wrote_it(
    paths: Paths, text: str, holder: LockHolder
) -> None:
    with hold_data_lock(paths):
        paths.lock.write_text(text)

        assert lock_holder(paths) == holder


def test_a_lock_that_can_not_be_opened_is_a_clear_error(paths: Paths) -> None:
    paths.lock.mkdir()

    with (
        pytest.raises(StoreError, match=r"can't open .*: Is a directory; set BUDDIES_DATA_DIR"),
        hold_data_lock(paths),
    ):
        pass


def test_a_user_without_a_home_is_asked_for_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under an arbitrary user id, without HOME."""

    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", nobody)
    for environ in ({}, {"HOME": ""}, {"HOME": "h"}):
        assert home_directory(environ) is None
        with pytest.raises(InvalidInput, match="set HOME or BUDDIES_DATA_DIR"):
            Paths.from_environment(environ)
        assert Paths.from_environment({**environ, "BUDDIES_DATA_DIR": "/d"}).data_dir == Path("/d")
        found = Paths.from_environment({**environ, "XDG_DATA_HOME": "/x"}).data_dir
        assert found == Path("/x/buddies")
    assert home_directory({"HOME": "/h"}) == Path("/h")

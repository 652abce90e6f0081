"""Starting and stopping real processes: the daemon is a stub, all else is real."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from buddies_core import __version__, launcher
from buddies_core.client import DaemonClient
from buddies_core.errors import (
    DaemonUnavailable,
    InvalidInput,
    StoreError,
    TimedOut,
    VersionMismatch,
)
from buddies_core.launcher import starting, stopping
from buddies_core.local_protocol import PROTOCOL
from buddies_core.paths import (
    Paths,
    daemon_socket,
    data_lock_holder,
    hold_data_lock,
    host_lock_holder,
)
from tests.support.eventually import until
from tests.support.processes import descendants_of, foster_parent, parent_of, running
from tests.support.worlds.meeting import eventually

ROOT = Path(__file__).parents[2]
STUB = (sys.executable, "-m", "tests.support.worlds.stub_daemon")


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[Paths]:
    paths = Paths(tmp_path / "data", tmp_path / "data" / "run")
    yield paths
    for pid in starts(paths):
        if data_lock_holder(paths) == pid:
            os.kill(pid, signal.SIGKILL)


def environ(**more: str) -> Mapping[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **more}


def starts(paths: Paths) -> list[int]:
    """Return the pids of all daemons that were started, in order."""
    file = paths.data_dir / "starts"
    return [int(line) for line in file.read_text().splitlines()] if file.exists() else []


async def ensure(paths: Paths, **more: str) -> None:
    await launcher.ensure_daemon(paths, environ(**more), STUB)


async def until_released(paths: Paths) -> None:
    """Return once no process has the data directory."""
    await until(lambda: data_lock_holder(paths) is None)


@contextmanager
def paused(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_daemon_is_started_where_none_runs_in_a_session_of_its_own(paths: Paths) -> None:
    await ensure(paths)

    [pid] = starts(paths)
    assert data_lock_holder(paths) == pid
    assert os.getsid(pid) == pid
    init = foster_parent()
    await until(lambda: parent_of(pid) == init)
    async with DaemonClient.connect(paths) as client:
        assert client.info.pid == pid


async def test_a_daemon_is_no_descendant_of_who_starts_it_while_that_waits_for_it_either(
    paths: Paths, tmp_path: Path
) -> None:
    async with asyncio.TaskGroup() as group:
        starting_it = group.create_task(ensure(paths, STUB_WAITS_FOR=str(tmp_path / "go")))
        await until(lambda: starts(paths) != [])
        await until(lambda: not set(starts(paths)) & set(descendants_of(os.getpid())))
        assert not starting_it.done()
        (tmp_path / "go").touch()


async def test_the_starter_and_the_watcher_are_gone_once_the_daemon_answers(paths: Paths) -> None:
    await ensure(paths)

    await until(lambda: not running("detaching.py", paths.data_dir))


async def test_a_daemon_that_runs_is_left_alone(paths: Paths) -> None:
    await ensure(paths)
    await ensure(paths)

    assert len(starts(paths)) == 1


async def test_ten_at_once_start_exactly_one(paths: Paths) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(ensure(paths))

    assert len(starts(paths)) == 1


async def test_a_failed_start_is_told_in_one_line_with_the_daemons_own_reason(paths: Paths) -> None:
    with pytest.raises(DaemonUnavailable) as caught:
        await ensure(paths, STUB_FAILS="error: BUDDIES_NETWORK is 'moon'")

    assert str(caught.value) == (
        f"the daemon could not start: BUDDIES_NETWORK is 'moon' (its log is {paths.log})"
    )


async def test_a_crash_at_the_start_is_shown_as_the_daemon_told_it(paths: Paths) -> None:
    with pytest.raises(DaemonUnavailable) as caught:
        await ensure(paths, STUB_FAILS="Traceback\nImportError: no iroh")

    assert str(caught.value) == (
        "the daemon ended at its start with exit code 1, and said:\n"
        "Traceback\nImportError: no iroh\n"
        f"All of it is in {paths.start_log}, its log is {paths.log}"
    )


async def test_after_a_failed_start_the_next_one_succeeds(paths: Paths) -> None:
    with pytest.raises(DaemonUnavailable):
        await ensure(paths, STUB_FAILS="no")

    await ensure(paths)

    assert len(starts(paths)) == 2


async def test_a_daemon_that_was_killed_is_started_again(paths: Paths) -> None:
    await ensure(paths)
    os.kill(starts(paths)[0], signal.SIGKILL)
    await until_released(paths)
    assert paths.socket.exists(), "a killed daemon leaves its socket behind"

    await ensure(paths)

    assert len(starts(paths)) == 2


async def test_an_older_daemon_is_replaced_when_no_agent_is_attached(paths: Paths) -> None:
    with speaking(PROTOCOL - 1):
        await ensure(paths, STUB_PROTOCOL=str(PROTOCOL - 1))

    await ensure(paths)

    [_, newer] = starts(paths)
    assert data_lock_holder(paths) == newer


async def test_an_older_daemon_with_an_agent_is_not_replaced(paths: Paths) -> None:
    async with AsyncExitStack() as stack:
        with speaking(PROTOCOL - 1):
            await ensure(paths, STUB_PROTOCOL=str(PROTOCOL - 1))
            older = await stack.enter_async_context(DaemonClient.connect(paths))
            await older.attach("claude", "alice")

        with pytest.raises(VersionMismatch) as caught:
            await ensure(paths)

    assert str(caught.value) == (
        f"the daemon that runs is buddies {__version__} (protocol {PROTOCOL - 1}), this program is "
        f"{__version__} (protocol {PROTOCOL}): the daemon is older, and an agent is attached to "
        "it. Replace it: buddies-cli daemon restart. Then restart agents that still run the older "
        "buddies"
    )
    assert len(starts(paths)) == 1


async def test_a_newer_daemon_is_never_replaced(paths: Paths) -> None:
    with speaking(PROTOCOL + 1):
        await ensure(paths, STUB_PROTOCOL=str(PROTOCOL + 1))

    with pytest.raises(VersionMismatch) as caught:
        await ensure(paths)

    assert str(caught.value) == (
        f"the daemon that runs is buddies {__version__} (protocol {PROTOCOL + 1}), this program is "
        f"{__version__} (protocol {PROTOCOL}): this program is older. If an agent's client started "
        "it, restart that client; otherwise update buddies"
    )
    assert len(starts(paths)) == 1


async def test_a_daemon_of_an_older_version_is_replaced_when_no_agent_is_attached(
    paths: Paths,
) -> None:
    await ensure(paths, STUB_VERSION="0.1.9")

    await ensure(paths)

    [_, newer] = starts(paths)
    assert data_lock_holder(paths) == newer


async def test_a_daemon_of_an_older_version_with_an_agent_serves_on_and_that_is_said(
    paths: Paths,
) -> None:
    await ensure(paths, STUB_VERSION="0.1.9")
    async with agent_of_another_process(paths):
        await ensure(paths)

        async with DaemonClient.connect(paths) as client:
            assert client.version_warning == (
                f"the daemon is still buddies 0.1.9, and this program is {__version__}: it is "
                "replaced when no other agent is attached, or now by: buddies-cli daemon restart"
            )
    assert len(starts(paths)) == 1


async def test_a_daemon_of_an_older_version_is_replaced_when_only_this_agent_is_attached(
    paths: Paths,
) -> None:
    await ensure(paths, STUB_VERSION="0.1.9")
    async with DaemonClient.connect(paths) as older:
        await older.attach("claude", "alice")
        async with agent_of_another_process(paths):
            assert not await older.is_replaceable()
        await eventually(older.is_replaceable, bool)

        await ensure(paths)

    [_, newer] = starts(paths)
    assert data_lock_holder(paths) == newer


@asynccontextmanager
async def agent_of_another_process(paths: Paths) -> AsyncIterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("buddies_core.client.calls.os.getpid", lambda: 1)
        async with DaemonClient.connect(paths) as other:
            await other.attach("codex", "alice")
            patch.undo()
            yield


async def test_a_daemon_of_a_newer_version_is_left_alone_and_that_is_said(paths: Paths) -> None:
    await ensure(paths, STUB_VERSION="100.0")

    await ensure(paths)

    async with DaemonClient.connect(paths) as client:
        assert client.version_warning == (
            f"this program is buddies {__version__}, and the daemon is 100.0: restart the agent's "
            "client that started it to use the newer one"
        )
    assert len(starts(paths)) == 1


@contextmanager
def speaking(protocol: int) -> Iterator[None]:
    """Be a program of another protocol until the block ends."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("calls", "connection", "versions"):
            patch.setattr(f"buddies_core.client.{module}.PROTOCOL", protocol)
        yield


async def test_a_daemon_that_hangs_is_named_with_the_way_out_and_no_second_one_started(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ensure(paths)
    [pid] = starts(paths)
    monkeypatch.setattr(starting, "HANDSHAKE_TIMEOUT_S", 0.1)
    monkeypatch.setattr(starting, "START_TIMEOUT_S", 0.3)

    with paused(pid), pytest.raises(DaemonUnavailable) as caught:
        await ensure(paths)

    assert str(caught.value) == (
        f"a daemon, process {pid}, has the data directory {paths.data_dir}, but did not answer at "
        f"{paths.socket} within 0.3 s; its log is {paths.log}. If it stays so, replace it: "
        "buddies-cli daemon restart"
    )
    assert starts(paths) == [pid]


async def test_stop_ends_a_daemon_that_hangs_by_force_after_asking_and_waiting(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ensure(paths)
    [pid] = starts(paths)
    monkeypatch.setattr(stopping, "HANDSHAKE_TIMEOUT_S", 0.1)
    monkeypatch.setattr(stopping, "STOP_TIMEOUT_S", 0.2)
    sent: list[tuple[int, int]] = []
    kill = os.kill

    def recording(process: int, number: int) -> None:
        sent.append((process, number))
        kill(process, number)

    monkeypatch.setattr(os, "kill", recording)
    kill(pid, signal.SIGSTOP)

    assert await launcher.stop_daemon(paths) == pid
    assert sent == [(pid, signal.SIGTERM), (pid, signal.SIGKILL)]
    assert data_lock_holder(paths) is None


async def test_no_signal_is_sent_to_a_process_that_has_not_the_lock(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock may be held from another machine or container, where its pid is another process."""
    monkeypatch.setattr(stopping, "HANDSHAKE_TIMEOUT_S", 0.1)
    bystander = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        paths.create()
        with hold_data_lock(paths):
            paths.lock.write_text(f"{bystander.pid}\n{paths.socket}\n")
            with pytest.raises(TimedOut, match=f"process {bystander.pid}, .* can't be ended from"):
                await launcher.stop_daemon(paths)
        assert bystander.returncode is None
    finally:
        bystander.kill()
        assert await bystander.wait() == -signal.SIGKILL, "it lived until now"


async def test_no_daemon_is_started_while_another_process_has_the_data_directory(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "START_TIMEOUT_S", 0.2)
    paths.create()

    with (
        hold_data_lock(paths),
        pytest.raises(DaemonUnavailable, match=f"process {os.getpid()}, has the data directory"),
    ):
        await ensure(paths)

    assert starts(paths) == []


async def test_a_data_directory_below_a_file_is_a_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    with pytest.raises(StoreError, match="set BUDDIES_DATA_DIR to a directory"):
        await ensure(Paths(file / "data", file / "data" / "run"))


async def test_stop_returns_when_the_daemon_has_let_go(paths: Paths) -> None:
    await ensure(paths)

    assert await launcher.stop_daemon(paths) == starts(paths)[0]
    assert data_lock_holder(paths) is None
    assert not paths.socket.exists()


async def test_stop_works_across_versions(paths: Paths) -> None:
    with speaking(PROTOCOL + 1):
        await ensure(paths, STUB_PROTOCOL=str(PROTOCOL + 1))

    assert await launcher.stop_daemon(paths) == starts(paths)[0]


async def test_stop_says_so_where_no_daemon_runs(paths: Paths) -> None:
    with pytest.raises(DaemonUnavailable, match="start it with: buddies-cli daemon start"):
        await launcher.stop_daemon(paths)


# Elsewhere than where this environment would have it


@pytest.fixture
def with_runtime_dir() -> Iterator[dict[str, str]]:
    """Yield what an environment has whose daemon is elsewhere than in the data directory."""
    with tempfile.TemporaryDirectory("", "bud-", "/tmp", ignore_cleanup_errors=True) as short:
        yield {"XDG_RUNTIME_DIR": short}


def seen_from(environ: Mapping[str, str], paths: Paths) -> Paths:
    """Return the paths as a program with this environment derives them."""
    return Paths.from_environment({**environ, "BUDDIES_DATA_DIR": str(paths.data_dir)})


@pytest.mark.parametrize("daemon_has_it", [True, False])
async def test_a_daemon_is_found_from_an_environment_with_another_runtime_directory(
    paths: Paths, with_runtime_dir: dict[str, str], daemon_has_it: bool
) -> None:
    theirs, ours = (with_runtime_dir, {}) if daemon_has_it else ({}, with_runtime_dir)
    started_by, asked_by = seen_from(theirs, paths), seen_from(ours, paths)
    assert started_by.socket != asked_by.socket

    await launcher.ensure_daemon(started_by, environ(**theirs), STUB)
    await launcher.ensure_daemon(asked_by, environ(**ours), STUB)

    [pid] = starts(paths)
    assert daemon_socket(asked_by) == started_by.socket
    async with DaemonClient.connect(asked_by) as client:
        assert client.info.pid == pid
    assert await launcher.stop_daemon(asked_by) == pid


@pytest.mark.parametrize("daemon_has_it", [True, False])
async def test_a_daemon_that_replaces_another_listens_where_that_did(
    paths: Paths, with_runtime_dir: dict[str, str], daemon_has_it: bool
) -> None:
    """Agents that are attached look for it there."""
    theirs, ours = (with_runtime_dir, {}) if daemon_has_it else ({}, with_runtime_dir)
    started_by, asked_by = seen_from(theirs, paths), seen_from(ours, paths)
    await launcher.ensure_daemon(started_by, environ(**theirs), STUB)
    async with DaemonClient.connect(started_by) as agent:
        await agent.attach("claude", "alice")

        await launcher.restart_daemon(asked_by, environ(**ours), STUB)

        assert daemon_socket(asked_by) == started_by.socket
        [_, second] = starts(paths)
        async with DaemonClient.connect(asked_by) as person:
            await eventually(lambda: agents_of(person), lambda number: number == 1)
            assert person.info.pid == second
    os.kill(second, signal.SIGKILL)
    await until_released(paths)

    await launcher.ensure_daemon(asked_by, environ(**ours), STUB)

    assert daemon_socket(asked_by) == started_by.socket, "after a crash, too"
    await launcher.stop_daemon(asked_by)
    await launcher.ensure_daemon(asked_by, environ(**ours), STUB)
    assert daemon_socket(asked_by) == asked_by.socket, "whoever stops it has it move"


async def test_a_runtime_directory_that_is_gone_is_not_used_again(
    paths: Paths, with_runtime_dir: dict[str, str]
) -> None:
    """As when somebody has logged out: the system removes it."""
    started_by, asked_by = seen_from(with_runtime_dir, paths), seen_from({}, paths)
    await launcher.ensure_daemon(started_by, environ(**with_runtime_dir), STUB)
    shutil.rmtree(with_runtime_dir["XDG_RUNTIME_DIR"])

    await launcher.restart_daemon(asked_by, environ(), STUB)

    assert daemon_socket(asked_by) == asked_by.socket
    async with DaemonClient.connect(asked_by) as client:
        assert client.info.pid == starts(paths)[-1]


# Replacing it by one with other settings


async def test_a_restart_with_settings_that_are_wrong_leaves_the_daemon_alone(paths: Paths) -> None:
    await ensure(paths)

    with pytest.raises(InvalidInput) as caught:
        await launcher.restart_daemon(paths, environ(STUB_CHECK="error: no such moon"), STUB)

    assert str(caught.value) == "the daemon was not restarted and goes on as it was: no such moon"
    assert starts(paths) == [data_lock_holder(paths)]


async def test_a_restart_starts_a_daemon_where_none_runs(paths: Paths) -> None:
    paths.create()

    await launcher.restart_daemon(paths, environ(), STUB)

    assert starts(paths) == [data_lock_holder(paths)]


async def test_a_restart_replaces_a_daemon_that_hangs(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ensure(paths)
    monkeypatch.setattr(stopping, "HANDSHAKE_TIMEOUT_S", 0.1)
    monkeypatch.setattr(stopping, "STOP_TIMEOUT_S", 0.2)
    os.kill(starts(paths)[0], signal.SIGSTOP)

    await launcher.restart_daemon(paths, environ(), STUB)

    [_, second] = starts(paths)
    assert data_lock_holder(paths) == second


async def agents_of(client: DaemonClient) -> int:
    async with DaemonClient.connect(client._connection._paths) as fresh:
        return fresh.agents_attached


async def test_a_restart_replaces_a_host_that_does_not_answer(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Agents would wait for it for ever; one that answers goes on."""
    monkeypatch.setattr(stopping, "HOST_TIMEOUT_S", 0.5)
    for answer, is_left in ((b"", False), (b"{}\n", True)):
        host = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", HOST, str(paths.data_dir), repr(answer)),
            env=environ(),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert host.stdout is not None
            assert await host.stdout.readline() == b"ready\n"

            await launcher.restart_daemon(paths, environ(), STUB)

            assert (host_lock_holder(paths) is not None) == is_left
        finally:
            if host.returncode is None:
                host.kill()
            await host.wait()


HOST = """
import ast, pathlib, socket, sys
from buddies_core import __version__
from buddies_core.paths import Paths, hold_host_lock
data = pathlib.Path(sys.argv[1])
paths = Paths(data, data / "run")
paths.create()
with hold_host_lock(paths, __version__), socket.socket(socket.AF_UNIX) as door:
    paths.host_socket.unlink(missing_ok=True)
    door.bind(str(paths.host_socket))
    door.listen()
    print("ready", flush=True)
    connections = []
    while True:
        connection, _ = door.accept()
        connections.append(connection)
        connection.sendall(ast.literal_eval(sys.argv[2]))
"""


async def test_a_daemon_that_could_not_even_write_why_it_ended_is_explained(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = (sys.executable, "-c", "raise SystemExit(1)")
    with pytest.raises(DaemonUnavailable, match="buddies-core in a terminal shows what it says"):
        await launcher.ensure_daemon(paths, environ(), silent)

    real = os.statvfs

    def full(path: Path) -> os.statvfs_result:
        fields = list(real(path))
        fields[4] = 0  # f_bavail
        return os.statvfs_result(fields)

    monkeypatch.setattr(os, "statvfs", full)
    with pytest.raises(DaemonUnavailable) as told:
        await launcher.ensure_daemon(paths, environ(), silent)
    assert str(told.value) == (
        f"the daemon could not start, and could not write why to {paths.start_log}: the disk that "
        f"{paths.data_dir} is on is full (0B left). Make room, then do it again"
    )

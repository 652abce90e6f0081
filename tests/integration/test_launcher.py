"""Starting and stopping real processes: the daemon is a stub, all else is real."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest

from buddies_core import launcher
from buddies_core.client import DaemonClient
from buddies_core.errors import DaemonUnavailable, StoreError, VersionMismatch
from buddies_core.local_protocol import PROTOCOL
from buddies_core.paths import Paths, data_lock_holder, hold_data_lock
from tests.support.eventually import until

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
    async with DaemonClient.connect(paths) as client:
        assert client.info.pid == pid


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

        with pytest.raises(VersionMismatch, match="run: buddies-cli daemon restart"):
            await ensure(paths)

    assert len(starts(paths)) == 1


async def test_a_newer_daemon_is_never_replaced(paths: Paths) -> None:
    with speaking(PROTOCOL + 1):
        await ensure(paths, STUB_PROTOCOL=str(PROTOCOL + 1))

    with pytest.raises(VersionMismatch, match="run: buddies-cli daemon restart"):
        await ensure(paths)

    assert len(starts(paths)) == 1


@contextmanager
def speaking(protocol: int) -> Iterator[None]:
    """Be a program of another protocol until the block ends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("buddies_core.launcher.PROTOCOL", protocol)
        patch.setattr("buddies_core.client.connection.PROTOCOL", protocol)
        yield


async def test_a_daemon_that_hangs_is_named_and_no_second_one_started(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ensure(paths)
    [pid] = starts(paths)
    monkeypatch.setattr(launcher, "HANDSHAKE_TIMEOUT_S", 0.1)
    monkeypatch.setattr(launcher, "START_TIMEOUT_S", 0.3)

    with paused(pid):
        with pytest.raises(DaemonUnavailable, match=f"kill -9 {pid}"):
            await ensure(paths)
        with pytest.raises(DaemonUnavailable, match=f"kill -9 {pid}"):
            await launcher.stop_daemon(paths)

    assert len(starts(paths)) == 1


async def test_no_daemon_is_started_while_another_process_has_the_data_directory(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "START_TIMEOUT_S", 0.2)
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

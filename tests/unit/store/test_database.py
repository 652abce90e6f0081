"""Commits: what shares a batch, what a cancelled caller leaves, whose failure is whose."""

import asyncio
import resource
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rocksdict import Options, Rdict

from buddies_core.errors import StoreError, StoreGone
from buddies_core.store.database import Changes, Database, Read

BOUND_S = 5


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database.open(tmp_path) as database:
        yield database


class Writer:
    """A commit that occupies the writer's thread until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.let_go = threading.Event()

    def decide(self, _: Read) -> tuple[None, Changes]:
        self.begun.set()
        assert self.let_go.wait(BOUND_S)
        return None, {b"slow": b"1"}

    async def wait_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, BOUND_S)


async def outcome(commit: Coroutine[None, None, None]) -> StoreError | None:
    try:
        await commit
    except StoreError as error:
        return error
    return None


async def test_a_commit_that_has_begun_is_applied_though_its_caller_was_cancelled(
    database: Database,
) -> None:
    writer = Writer()
    async with asyncio.TaskGroup() as group:
        caller = group.create_task(database.commit(writer.decide))
        await writer.wait_begun()
        caller.cancel()
    writer.let_go.set()
    await database.commit(lambda _: (None, {}))

    assert database.get(b"slow") == b"1"


async def test_a_commit_that_has_not_begun_is_withdrawn_with_its_caller(
    database: Database,
) -> None:
    writer = Writer()
    async with asyncio.TaskGroup() as group:
        group.create_task(database.commit(writer.decide))
        await writer.wait_begun()
        caller = group.create_task(database.commit(lambda _: (None, {b"fast": b"1"})))
        await asyncio.sleep(0)  # It waits for the writer now.
        caller.cancel()
        await asyncio.wait({caller})  # else the writer's thread may be quicker
        writer.let_go.set()

    assert (database.get(b"slow"), database.get(b"fast")) == (b"1", None)


async def test_each_commit_reads_what_the_ones_before_it_in_the_batch_wrote(
    database: Database,
) -> None:
    def append(read: Read) -> tuple[bytes, Changes]:
        value = (read(b"letters") or b"") + b"x"
        return value, {b"letters": value}

    async with asyncio.TaskGroup() as group:
        commits = [group.create_task(database.commit(append)) for _ in range(200)]

    assert [len(commit.result()) for commit in commits] == list(range(1, 201))
    assert database.get(b"letters") == b"x" * 200


async def test_a_commit_that_can_not_be_decided_fails_alone(database: Database) -> None:
    def fail(_: Read) -> tuple[None, Changes]:
        raise StoreError("no")

    writer = Writer()
    async with asyncio.TaskGroup() as group:
        group.create_task(database.commit(writer.decide))
        await writer.wait_begun()
        before = group.create_task(database.commit(lambda _: (None, {b"before": b"1"})))
        failing = group.create_task(outcome(database.commit(fail)))
        after = group.create_task(database.commit(lambda _: (None, {b"after": b"1"})))
        writer.let_go.set()

    assert repr(failing.result()) == repr(StoreError("no"))
    assert (before.done(), after.done()) == (True, True)
    places = [place for place, _ in database.scan(b"")]
    assert places == [b"after", b"before", b"slow", b"y"]  # The last is the database's own.


async def test_scans_stay_within_their_prefix_in_either_direction(database: Database) -> None:
    places = [b"a", b"b", b"b\x00", b"b\xff\xff", b"c"]
    await database.commit(lambda _: (None, dict.fromkeys(places, b"")))

    assert [place for place, _ in database.scan(b"b")] == places[1:4]
    assert [place for place, _ in database.scan(b"b", backwards=True)] == places[3:0:-1]
    assert [place for place, _ in database.scan(b"b", start=b"b\x00")] == places[2:4]


async def test_a_disk_that_refuses_is_an_error_of_the_store(tmp_path: Path) -> None:
    rocks = Rdict(str(tmp_path), Options(raw_mode=True))
    database = Database(rocks, tmp_path)
    rocks.close()

    with pytest.raises(StoreError, match="can't be used"):
        await database.commit(lambda _: (None, {b"key": b"value"}))
    with pytest.raises(StoreError, match="can't be used"):
        database.get(b"key")
    with pytest.raises(StoreError, match="can't be used"):
        list(database.scan(b"key"))


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Have the system refuse to make a file larger, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_disk_that_was_full_leaves_what_was_committed_and_hinders_no_close(
    tmp_path: Path,
) -> None:
    async with Database.open(tmp_path) as database:
        await database.commit(lambda _: (None, {b"before": b"1"}))
        with files_of_at_most(100_000), pytest.raises(StoreError, match="daemon restart"):
            await database.commit(lambda _: (None, {b"large": bytes(200_000)}))
    async with Database.open(tmp_path) as database:
        assert (database.get(b"before"), database.get(b"large")) == (b"1", None)


def deleted(path: Path) -> None:
    shutil.rmtree(path)


def replaced(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    shutil.copytree(path.with_name("elsewhere"), path)


def emptied(path: Path) -> None:
    for file in path.iterdir():
        file.unlink()


@pytest.mark.parametrize("harm", [deleted, replaced, emptied])
async def test_a_database_whose_files_are_gone_takes_nothing_more(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    path = tmp_path / "store"
    async with Database.open(path) as database:
        await database.commit(lambda _: (None, {b"before": b"1"}))
        assert database.gone() == ""
        await asyncio.to_thread(harm, path)
        with pytest.raises(StoreGone, match="was deleted or replaced while the daemon had it open"):
            await database.commit(lambda _: (None, {b"after": b"1"}))
        assert database.get(b"after") is None

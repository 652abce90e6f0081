"""An ordered map of bytes on disk: one RocksDB, written by one thread.

RocksDB's Python binding holds the interpreter's lock in every call but `flush_wal`. So a commit
writes its batch without syncing, then syncs the log, and one sync serves all who wait meanwhile. A
read of one key takes microseconds and is made where it is needed; scans have threads of their own.
"""

import asyncio
import collections
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar, cast

from rocksdict import (
    Checkpoint,
    DBRecoveryMode,
    Rdict,
    WriteBatch,
)

from buddies_core.errors import StoreError, StoreGone
from buddies_core.files import identity
from buddies_core.store.damage import open_sound_or_salvaged, warnings_about
from buddies_core.store.options import small_options
from buddies_core.store.view import AFTER_ANY_SUFFIX, View, scan

_log = logging.getLogger(__name__)

T = TypeVar("T")
Read: TypeAlias = Callable[[bytes], bytes | None]
Changes: TypeAlias = Mapping[bytes, bytes | None]
"""The changes that a commit makes to the map; None deletes."""
Decide: TypeAlias = Callable[[Read], tuple[T, Changes]]
"""Turns what is kept into a result and changes. Runs on the writer's thread, so nothing is between
its reads and its changes."""

_COMMITS_WAITING_MAX = 64
"""Further callers wait. A commit is one memory of 1 MiB at most, so a batch stays bounded too."""
_ID = b"y"


@dataclass(slots=True)
class _Commit(Generic[T]):
    decide: Decide[T]
    synced: bool
    done: asyncio.Future[T]
    """Belongs to the event loop: the writer's thread only looks whether it was cancelled."""
    result: T | None = None
    error: Exception | None = None

    def settle(self) -> None:
        """Give the caller the outcome, unless it has gone meanwhile."""
        if self.done.done():
            return
        if self.error is not None:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(cast(T, self.result))


class Database:
    """Bytes by key, in order. Made by `open`."""

    id: bytes
    """Made at random with the database: what is derived from another one is of no use here."""

    def __init__(self, rocks: Rdict, path: Path) -> None:
        self.id = b""
        self.was_damaged = False
        """Whether commits were lost since it was last open: what they counted is wrong now."""
        self._unreadable = ""
        self._place = identity(path)
        self._rocks = rocks
        self._path = path
        self.applied: list[Callable[[Changes], None]] = []
        """Called on the writer's thread with the changes that have just become visible."""
        self._waiting: collections.deque[_Commit[Any]] = collections.deque()
        self._slots = asyncio.Semaphore(_COMMITS_WAITING_MAX)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-write")
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="store-read")

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncIterator["Database"]:
        """Give the database in this directory, which is made if missing; close it afterwards.

        Raises:
            StoreError: it is in use, damaged or not writable; the text says what to do.
        """
        rocks, was_damaged = await asyncio.to_thread(_open_rocks, path)
        database = cls(rocks, path)
        database.was_damaged = was_damaged
        try:
            await database._identify()
            yield database
        finally:
            await asyncio.to_thread(database._close)

    async def _identify(self) -> None:
        def decide(read: Read) -> tuple[bytes, Changes]:
            id = read(_ID) or os.urandom(16)
            return id, {_ID: id}

        # A damaged or full disk leaves it without one for now; it is open nonetheless.
        with contextlib.suppress(StoreError):
            kept = self.get(_ID)
            self.id = await self.commit(decide) if kept is None else kept

    async def change_id(self) -> None:
        """Get another id."""
        id = os.urandom(16)
        await self.commit(lambda _: (None, {_ID: id}))
        self.id = id

    def warnings(self) -> tuple[str, ...]:
        """Return warnings about damage."""
        unreadable = (self._unreadable,) if self._unreadable else ()
        return (*warnings_about(self._path), *unreadable)

    async def delete_all(self, prefixes: Iterable[bytes]) -> None:
        """Delete all keys with these prefixes, or none. On return that is on disk."""

        def run() -> None:
            batch = WriteBatch(raw_mode=True)
            for prefix in prefixes:
                batch.delete_range(prefix, prefix + AFTER_ANY_SUFFIX)
            try:
                self._rocks.write(batch)
                self._rocks.flush_wal(True)
            except Exception as error:  # noqa: BLE001 - rocksdict raises nothing narrower
                raise self._failed(error) from None

        await asyncio.get_running_loop().run_in_executor(self._writer, run)

    async def checkpoint(self, path: Path, describe: Callable[[], T]) -> T:
        """Write a copy into a directory that does not exist, and return what describes it.

        No commit is between the copy and its description.

        Raises:
            StoreError: the disk refused.
        """

        def run() -> T:
            try:
                Checkpoint(self._rocks).create_checkpoint(str(path))
            except Exception as error:  # noqa: BLE001 - rocksdict raises nothing narrower
                raise self._failed(error) from None
            return describe()

        return await asyncio.get_running_loop().run_in_executor(self._writer, run)

    def get(self, key: bytes) -> bytes | None:
        """Return the value, at once.

        Raises:
            StoreError: the disk could not be read.
        """
        try:
            value: bytes | None = self._rocks.get(key)
        except Exception as error:  # noqa: BLE001 - rocksdict raises nothing narrower
            raise self._failed(error) from None
        return value

    def scan(
        self,
        prefix: bytes,
        *,
        start: bytes | None = None,
        backwards: bool = False,
        before: bytes | None = None,
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield what lies under a prefix, in order, from `start` on; backwards: from the end.

        Backwards, `before` leaves out the key that it names and all that lie behind it.

        Sees what was committed when it began. To be used up or dropped within one function: RocksDB
        can't be closed while an iterator lives.

        Raises:
            StoreError: the disk could not be read.
        """
        return scan(self._rocks, self._failed, prefix, start, backwards, before)

    async def read(self, work: Callable[[], T]) -> T:
        """Run `work` on a reading thread, and return its result."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    async def view(self, work: Callable[[View], T]) -> T:
        """Return what `work` makes of the map as it is now, run on a thread for reading."""

        def run() -> T:
            view = View(self._rocks.snapshot(), self._failed)
            try:
                return work(view)
            finally:
                view.close()

        return await self.read(run)

    async def commit(self, decide: Decide[T], *, synced: bool = True) -> T:
        """Apply what `decide` says and return its result.

        On return the changes have reached the disk; those of a commit that is not `synced` outlive
        this process, not the machine. All of one commit is applied or nothing. Cancelling the
        caller does not undo a commit that the writer has begun.

        Raises:
            StoreError: the disk refused.
        """
        loop = asyncio.get_running_loop()
        async with self._slots:
            done: asyncio.Future[T] = loop.create_future()
            commit = _Commit(decide, synced, done)
            self._waiting.append(commit)
            if len(self._waiting) == 1:  # Else the writer has yet to come to one before it.
                self._writer.submit(self._commit_waiting, loop)
            return await done

    def _commit_waiting(self, loop: asyncio.AbstractEventLoop) -> None:
        """Apply everything that waits with one batch and one sync, and wake the loop once."""
        why = self.gone()
        changes: dict[bytes, bytes | None] = {}

        def read(key: bytes) -> bytes | None:
            return changes[key] if key in changes else self.get(key)

        commits: list[_Commit[Any]] = []
        decided: list[_Commit[Any]] = []
        while self._waiting:
            commit = self._waiting.popleft()
            if commit.done.cancelled():
                continue
            commits.append(commit)
            if why:
                commit.error = StoreGone(why)
                continue
            try:
                commit.result, additional = commit.decide(read)
            except Exception as error:  # noqa: BLE001 - it belongs to that caller alone
                commit.error = error
                continue
            changes.update(additional)
            decided.append(commit)
        try:
            self._apply(changes, any(commit.synced for commit in decided))
        except Exception as error:  # noqa: BLE001 - rocksdict raises nothing narrower
            for commit in decided:
                commit.error = self._failed(error)
        else:
            for notice in self.applied:
                notice(changes)
        if commits:
            loop.call_soon_threadsafe(_settle, commits)

    def gone(self) -> str:
        """Return what to say if its files are not there any more; else an empty text.

        RocksDB has them open and would go on, and all of it would be gone in the end.
        """
        if identity(self._path) == self._place and (self._path / "CURRENT").exists():
            return ""
        return (
            f"the store {self._path} was deleted or replaced while the daemon had it open, so "
            "nothing more is stored and the daemon ends. Put it back, from a backup if you have "
            "one (buddies-cli restore), or begin with an empty one: buddies-cli daemon start"
        )

    def _apply(self, changes: Changes, synced: bool) -> None:
        if not changes:
            return
        batch = WriteBatch(raw_mode=True)
        for key, value in changes.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        self._rocks.write(batch)
        if synced:
            self._rocks.flush_wal(True)

    def _failed(self, error: Exception) -> StoreError:
        """Return an error of RocksDB as one of ours, and remember it if it tells of damage."""
        ours = _store_error(self._path, error)
        if "Corruption" in str(error):
            self._unreadable = str(ours)
        return ours

    def _close(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        try:
            self._rocks.close()
        except Exception as error:  # noqa: BLE001 - rocksdict raises nothing narrower
            # It refuses again what it has refused before; what was committed is on disk.
            _log.warning("store_not_closed reason=%s", error)


def _settle(commits: Iterable[_Commit[Any]]) -> None:
    for commit in commits:
        commit.settle()


def _open_rocks(path: Path) -> tuple[Rdict, bool]:
    def open_rocks(mode: DBRecoveryMode) -> Rdict:
        options = small_options()
        options.set_wal_recovery_mode(mode)
        # Without the column family an existing database keeps the options that it was made with.
        return Rdict(str(path), options, column_families={"default": options})

    try:
        return open_sound_or_salvaged(path, open_rocks)
    except Exception as error:  # noqa: BLE001 - rocksdict raises nothing narrower
        raise _store_error(path, error) from None


def _store_error(path: Path, error: Exception) -> StoreError:
    # RocksDB's errors have no types, only texts.
    text = str(error)
    if "lock hold by current process" in text or "While lock file" in text:
        return StoreError(
            f"the store {path} is in use by another process; stop that daemon with: "
            "buddies-cli daemon stop, or set BUDDIES_DATA_DIR to another directory"
        )
    if "Corruption" in text:
        return StoreError(
            f"the store {path} is damaged ({text}); restore it from a backup (buddies-cli "
            "restore), or move that directory away and start again with an empty one: members give "
            "back what they have"
        )
    return StoreError(
        f"the store {path} can't be used ({text}); see that the directory can be written and the "
        "disk is not full, or set BUDDIES_DATA_DIR to another directory; if it still fails after "
        "that: buddies-cli daemon restart"
    )

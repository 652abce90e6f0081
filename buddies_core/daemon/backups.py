"""Backs up the data directory while the daemon runs, and restores it while it does not.

    backup := store/ · node_key · identity_ed25519, if there is one

The search index is not included: it is rebuilt from the store.
"""

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from buddies_core.errors import InvalidInput, StoreError
from buddies_core.model.transfer import BackedUp
from buddies_core.paths import Paths, hold_data_lock
from buddies_core.store.rocks import RocksStore

_KEYS = ("node_key", "identity_ed25519")
_STORE = "store"


async def back_up(paths: Paths, store: RocksStore, directory: Path) -> BackedUp:
    """Write a backup into a directory that is empty or does not exist yet.

    On the same disk most of it takes no space, as files that never change are shared.

    Raises:
        InvalidInput: the directory is a relative path, or is not empty.
        StoreError: the disk refused; the files written so far were removed.
    """
    if not directory.is_absolute():
        raise InvalidInput(f"{directory} is not a whole path; begin with /")
    if directory.is_relative_to(paths.data_dir):
        raise InvalidInput(f"{directory} is in the data directory itself; name another place")
    draft = directory.with_name(f"{directory.name}.unfinished")
    try:
        await asyncio.to_thread(_begin, directory, draft)
        memories = await store.checkpoint(draft / _STORE)
        size = await asyncio.to_thread(_finish, paths, draft, directory)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return BackedUp(directory=str(directory), bytes=size, memories=memories)


def _begin(directory: Path, draft: Path) -> None:
    with _told(directory):
        if directory.exists() and any(directory.iterdir()):
            raise InvalidInput(f"{directory} is not empty; name a directory that does not exist")
        directory.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)


def _finish(paths: Paths, draft: Path, directory: Path) -> int:
    with _told(directory):
        for name in _KEYS:
            if (paths.data_dir / name).exists():
                (draft / name).touch(mode=0o600)
                shutil.copyfile(paths.data_dir / name, draft / name)
        draft.replace(directory)
        return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


async def restore(paths: Paths, backup: Path, now: datetime) -> str:
    """Replace the current store by a backup; return a text that says what was done.

    The old store is kept beside it as `store.before-DATE`. An existing key stays.

    Raises:
        InvalidInput: there is no backup in that directory.
        StoreError: a daemon runs, the backup can't be opened, or the disk refused. The store is as
            it was.
    """
    paths.create()
    draft = paths.data_dir / "store.restoring"
    with hold_data_lock(paths):
        try:
            await asyncio.to_thread(_copy, backup, draft)
            async with RocksStore.open(draft) as store:
                memories = store.count_memories()
                await store.change_id()  # The index holds items newer than the backup.
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        aside = paths.data_dir / f"store.before-{now:%Y%m%d-%H%M%S}"
        left = _put_in_place(paths, backup, draft, aside)
    said = f"Restored {memories} memories from {backup}; what was there before is in {aside}."
    for name in left:
        said += (
            f"\n{name} is not that of the backup and was left as it is. To use the one of the "
            f"backup again, copy {backup / name} to {paths.data_dir / name}."
        )
    return said


def _copy(backup: Path, draft: Path) -> None:
    if not (backup / _STORE / "CURRENT").is_file():
        raise InvalidInput(f"{backup} is not a backup: it holds no {_STORE}/CURRENT")
    with _told(draft):
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(backup / _STORE, draft)


def _put_in_place(paths: Paths, backup: Path, draft: Path, aside: Path) -> list[str]:
    """Exchange the store, bring back keys that are missing, and return those that differ."""
    left = []
    with _told(paths.data_dir):
        paths.store.replace(aside)
        draft.replace(paths.store)
        paths.store.chmod(0o700)
        for name in _KEYS:
            saved, present = backup / name, paths.data_dir / name
            if not saved.exists():
                continue
            if not present.exists():
                present.touch(mode=0o600)
                shutil.copyfile(saved, present)
            elif present.read_bytes() != saved.read_bytes():
                left.append(name)
    return left


@contextmanager
def _told(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{error.filename or place}: {os.strerror(error.errno or 0)}; see that there is room "
            "on the disk and that you may write there, then do it again"
        ) from error

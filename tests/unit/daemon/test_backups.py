"""Backups are made while the store is in use, and bring back what it held."""

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from buddies_core.daemon.backups import back_up, restore
from buddies_core.errors import InvalidInput, StoreError
from buddies_core.model.item import BEGIN, END
from buddies_core.paths import Paths, hold_data_lock
from buddies_core.store.rocks import RocksStore
from tests.support.memories import DEMO, a_memory, an_entry
from tests.support.stores import MEMORIES, fill

NOW = datetime(2026, 11, 30, 12, 30, tzinfo=UTC)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path / "data", tmp_path / "run")
    paths.create()
    paths.node_key.write_bytes(b"k" * 32)
    return paths


def names(path: Path) -> list[str]:
    return sorted(os.listdir(path))


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def test_a_backup_that_is_restored_has_what_there_was_when_it_was_made(
    paths: Paths, tmp_path: Path
) -> None:
    backup = tmp_path / "usb" / "monday"
    async with RocksStore.open(paths.store) as store:
        await fill(store)
        made = await back_up(paths, store, backup)
        await store.put_memory(a_memory(an_entry(9)))
        old_id = store.id
    assert (made.directory, made.memories) == (str(backup), len(MEMORIES))
    assert made.bytes == sum(file.stat().st_size for file in backup.rglob("*") if file.is_file())
    assert (mode(backup), mode(backup / "node_key")) == (0o700, 0o600)

    said = await restore(paths, backup, NOW)
    assert said == (
        f"Restored {len(MEMORIES)} memories from {backup}; what was there before is in "
        f"{paths.data_dir}/store.before-20261130-123000."
    )
    async with RocksStore.open(paths.store) as store:
        assert store.count_memories() == len(MEMORIES)
        assert len(store.items(DEMO)) == 6
        assert store.id != old_id  # So the index is made anew.
    async with RocksStore.open(paths.data_dir / "store.before-20261130-123000") as store:
        assert store.count_memories() == len(MEMORIES) + 1
    async with RocksStore.open(backup / "store") as store:  # It can be restored again.
        assert store.items(DEMO).fingerprint(BEGIN, END)[1] == 6


async def test_a_backup_that_is_made_while_memories_come_has_a_beginning_of_them(
    paths: Paths, tmp_path: Path
) -> None:
    async with RocksStore.open(paths.store) as store:
        async with asyncio.TaskGroup() as group:
            for number in range(100):
                group.create_task(store.put_memory(a_memory(an_entry(number))))
            backing_up = group.create_task(back_up(paths, store, tmp_path / "backup"))
            for number in range(100, 300):
                group.create_task(store.put_memory(a_memory(an_entry(number))))
        made = backing_up.result()
    async with RocksStore.open(tmp_path / "backup" / "store") as store:
        assert store.count_memories() == store.last_sequence() == made.memories
        assert len(await store.heads_since(0, 500)) == made.memories
        assert [state async for state in store.verify()][-1].damaged == ()


async def test_a_lost_key_comes_back_and_another_one_stays(paths: Paths, tmp_path: Path) -> None:
    async with RocksStore.open(paths.store) as store:
        await back_up(paths, store, tmp_path / "backup")
    paths.node_key.unlink()
    assert "node_key" not in await restore(paths, tmp_path / "backup", NOW)
    assert (paths.node_key.read_bytes(), mode(paths.node_key)) == (b"k" * 32, 0o600)

    paths.node_key.write_bytes(b"n" * 32)
    said = await restore(paths, tmp_path / "backup", NOW.replace(minute=31))
    assert said.endswith(
        "\nnode_key is not that of the backup and was left as it is. To use the one of the backup "
        f"again, copy {tmp_path}/backup/node_key to {paths.node_key}."
    )
    assert paths.node_key.read_bytes() == b"n" * 32


async def test_a_backup_never_overwrites_anything(paths: Paths, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "thesis").write_text("all of it")
    async with RocksStore.open(paths.store) as store:
        for directory, why in (
            (taken, "is not empty"),
            (Path("here"), "is not a whole path"),
            (paths.data_dir / "backup", "is in the data directory itself"),
        ):
            with pytest.raises(InvalidInput, match=why):
                await back_up(paths, store, directory)
    assert names(tmp_path) == ["data", "run", "taken"]


async def test_a_backup_that_the_disk_refuses_leaves_nothing(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> int:
        raise StoreError("the disk is full")

    async with RocksStore.open(paths.store) as store:
        monkeypatch.setattr(RocksStore, "checkpoint", refuse)
        with pytest.raises(StoreError, match="the disk is full"):
            await back_up(paths, store, tmp_path / "backup")
    assert names(tmp_path) == ["data", "run"]


def without_a_store(backup: Path) -> None:
    (backup / "store" / "CURRENT").unlink()


def damaged(backup: Path) -> None:
    (backup / "store" / "CURRENT").write_text("garbage")


@pytest.mark.parametrize("harm", [without_a_store, damaged])
async def test_what_is_no_backup_changes_nothing(
    paths: Paths, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    async with RocksStore.open(paths.store) as store:
        await fill(store)
        await back_up(paths, store, tmp_path / "backup")
    harm(tmp_path / "backup")
    before = names(paths.data_dir)

    with pytest.raises((InvalidInput, StoreError)):
        await restore(paths, tmp_path / "backup", NOW)
    assert [name for name in names(paths.data_dir) if name != "lock"] == before
    async with RocksStore.open(paths.store) as store:
        assert store.count_memories() == len(MEMORIES)


async def test_a_store_in_use_is_not_replaced(paths: Paths, tmp_path: Path) -> None:
    async with RocksStore.open(paths.store) as store:
        await back_up(paths, store, tmp_path / "backup")
        with hold_data_lock(paths), pytest.raises(StoreError, match="is in use by process"):
            await restore(paths, tmp_path / "backup", NOW)

"""One flipped bit is never silent, and costs no more than it must."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from buddies_core.errors import StoreError
from buddies_core.model.item import BEGIN, END
from buddies_core.model.memory import Memory, MemoryFilter
from buddies_core.store.rocks import RocksStore
from buddies_core.wire.items import item_of
from tests.support.memories import DEMO, a_memory, an_entry

ROOT = Path(__file__).parents[3]
COUNT = 40
KILLED = """
import asyncio, os, sys
from pathlib import Path
from buddies_core.store.rocks import RocksStore
from tests.unit.store.test_damage import some_memories

async def main():
    async with RocksStore.open(Path(sys.argv[1])) as store:
        for memory in some_memories():
            await store.put_memory(memory)
        os._exit(0)  # As if killed: all is in RocksDB's log.

asyncio.run(main())
"""


def some_memories() -> list[Memory]:
    return [a_memory(an_entry(n, content=f"{n} " + "x" * 1500)) for n in range(COUNT)]


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A store whose process was killed after it had acknowledged all of `some_memories`."""
    path = tmp_path / "store"
    subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=ROOT, check=True, timeout=15)
    return path


def newest_log(path: Path) -> Path:
    return max(path.glob("*.log"))


def largest_table(path: Path) -> Path:
    return max(path.glob("*.sst"), key=lambda it: it.stat().st_size)


def flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1 << (at % 8)
    file.write_bytes(data)


def aside(path: Path) -> list[Path]:
    return sorted(path.parent.glob("store.damaged-*"))


async def kept(store: RocksStore) -> set[bytes]:
    listed, damaged = await store.list_memories(MemoryFilter(), 500)
    assert damaged == 0
    return {head.key for head in listed}


async def test_nothing_is_lost_and_nothing_is_said_where_nothing_is_damaged(killed: Path) -> None:
    async with RocksStore.open(killed) as store:
        assert await kept(store) == {memory.key for memory in some_memories()}
        assert (store.was_damaged, store.warnings(), aside(killed)) == (False, (), [])


@pytest.mark.parametrize("seed", range(6))
async def test_a_flipped_bit_in_the_log_is_told_and_what_can_be_read_of_the_rest_is_kept(
    killed: Path, seed: int
) -> None:
    log = newest_log(killed)
    size = log.stat().st_size
    flip(log, Random(seed).randrange(size))
    as_it_was = log.read_bytes()

    for is_first_start in (True, False):
        async with RocksStore.open(killed) as store:
            assert store.was_damaged == is_first_start
            [warning] = store.warnings()
            assert "was damaged on disk and could not be read" in warning
            await store.upgrade()
            there = await kept(store)
            # A block of the log has 32 KiB, that is some 10 of these memories.
            assert COUNT - 16 <= len(there) < COUNT
    [directory] = aside(killed)
    assert (directory / log.name).read_bytes() == as_it_was
    (directory / log.name).unlink()
    directory.rmdir()
    async with RocksStore.open(killed) as store:
        assert store.warnings() == ()


async def test_after_damage_counts_and_sums_are_those_of_what_is_left(killed: Path) -> None:
    log = newest_log(killed)
    flip(log, log.stat().st_size // 3)
    async with RocksStore.open(killed) as store:
        assert store.items_complete is False
        await store.upgrade()
        left = [memory for memory in some_memories() if memory.key in await kept(store)]
        ids = [item_of(memory.proof).id for memory in left]
        total = sum(int.from_bytes(id, "little") for id in ids) % (1 << 256)
        assert store.items(DEMO).fingerprint(BEGIN, END) == (total, len(left))
        assert store.count_memories() == len(left)
        assert [state async for state in store.verify()][-1].damaged == ()
        usage = store.usage()
        for memory in some_memories():  # As history brings them back.
            await store.put_memory(memory)
        assert len(await kept(store)) == COUNT
        assert usage.rooms[DEMO] < store.usage().rooms[DEMO]


def cut(log: Path) -> None:
    os.truncate(log, log.stat().st_size - 100)


def with_zeros(log: Path) -> None:
    with log.open("ab") as file:
        file.write(bytes(5000))


@pytest.mark.parametrize(("end", "count"), [(cut, COUNT - 1), (with_zeros, COUNT)])
async def test_a_log_that_ends_in_the_middle_of_a_commit_is_no_damage(
    killed: Path, end: Callable[[Path], None], count: int
) -> None:
    """As after a power cut: what was not synced had not been acknowledged."""
    await asyncio.to_thread(end, newest_log(killed))
    async with RocksStore.open(killed) as store:
        assert len(await kept(store)) == count
        assert (store.was_damaged, store.warnings()) == (False, ())


async def test_damage_to_a_table_is_an_error_of_what_reads_it_and_told_from_then_on(
    killed: Path,
) -> None:
    async with RocksStore.open(killed):
        pass  # Closing brings the log into a table.
    table = largest_table(killed)
    flip(table, table.stat().st_size // 2)

    async with RocksStore.open(killed) as store:
        assert store.warnings() == ()
        lost = 0
        for memory in some_memories():
            try:
                assert store.get_memory(memory.key) == memory
            except StoreError:
                lost += 1
        assert 0 < lost <= 4
        [warning] = store.warnings()
        assert "is damaged (" in warning
        assert "restore it from a backup" in warning


async def test_damage_to_what_is_not_a_log_leaves_the_store_as_it_is(killed: Path) -> None:
    (killed / "CURRENT").write_text("MANIFEST-000099\n")
    before = sorted(os.listdir(killed.parent))
    with pytest.raises(StoreError):
        async with RocksStore.open(killed):
            pass
    assert sorted(os.listdir(killed.parent)) == before

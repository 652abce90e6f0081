"""Lists with filters: what is in them, and how little is read for them."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from random import Random
from typing import Any

import pytest
from rocksdict import BlockBasedOptions, Options, Rdict

from buddies_core.errors import StoreError
from buddies_core.model.ids import RoomName
from buddies_core.model.memory import Memory, MemoryFilter, MemoryHead, MemoryKind, MemoryPlace
from buddies_core.store import keys, listing, skill_keys
from buddies_core.store.database import Changes, Database, Read
from buddies_core.store.rocks import RocksStore
from tests.support.in_memory.skills import InMemorySkills
from tests.support.in_memory.store import InMemoryStore
from tests.support.memories import ALICE, BOB, CAROL, a_memory, an_entry, heads
from tests.support.skills import a_skill, a_skill_entry

ROOMS = tuple(map(RoomName, ("demo", "ops", "empty")))
KINDS = tuple(MemoryKind)
TAGS = ("db", "api", "ci", "rare", "none")
NAMES = {ALICE: "Alice", BOB: "Bob", CAROL: "CAROL"}
AGENTS = ("claude", "Codex", "")


def made(number: int, rng: Random) -> Memory:
    """Return a memory of a few hundred that came in another order than that of their times."""
    author = rng.choice(list(NAMES))
    entry = an_entry(
        number,
        author=author,
        created_at_s=1000 + number // 3 + rng.randrange(-20, 20),
        room=ROOMS[rng.randrange(2)],
        kind=rng.choice(KINDS),
        tags=tuple(tag for tag in TAGS[:3] if rng.random() < 0.3)
        + (("rare",) if number % 97 == 0 else ()),
    )
    memory = a_memory(entry, author_name=NAMES[author], received_at_ms=2_000_000)
    return replace(memory, agent=rng.choice(AGENTS))


def some_filters(count: int, rng: Random) -> list[MemoryFilter]:
    def maybe(values: Iterable[Any]) -> Any:
        return rng.choice((None, *values))

    return [
        MemoryFilter(
            room=maybe(ROOMS),
            kind=maybe(KINDS),
            tags=tuple(rng.sample(TAGS, rng.choice((0, 0, 1, 2)))),
            author=maybe(("ALICE", "bob", CAROL.hex().upper(), "nobody")),
            agent=maybe(("CLAUDE", "codex", "nobody")),
            oldest_first=rng.random() < 0.4,
            since_ms=maybe((-5, 0, 1_100_000, 1_100_001, 1_200_000, 2**63)),
        )
        for _ in range(count)
    ]


async def pages(
    store: InMemoryStore | RocksStore, filter: MemoryFilter, limit: int
) -> list[tuple[MemoryHead, ...]]:
    """Return a whole list, page by page, each from the cursor that the last one gave."""
    found: list[tuple[MemoryHead, ...]] = []
    after = None
    while True:
        page, damaged = await store.list_memories(filter, limit, after=after)
        assert damaged == 0
        if not page:
            return found
        found.append(page)
        after = MemoryPlace(page[-1].at_s, page[-1].key)


async def strip(path: Path) -> None:
    """Make of a store what a buddies of layout 2 would have written."""
    async with Database.open(path) as database:
        gone: dict[bytes, bytes | None] = {
            place: None
            for prefix in (keys.BITS, keys.TIMES, keys.SPANS, skill_keys.BITS, b"wlayout")
            for place, _ in database.scan(prefix)
        }
        await database.commit(lambda _: (None, {**gone, b"wlayout": (2).to_bytes(8, "big")}))


def failing_after(commits: int) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Return a `Database.commit` that the disk refuses after so many."""
    commit = Database.commit
    left = iter(range(commits))

    async def limited(self: Database, decide: Any, *, synced: bool = True) -> Any:
        if next(left, None) is None:
            raise StoreError("the disk is full")
        return await commit(self, decide, synced=synced)

    return limited


def noting(monkeypatch: pytest.MonkeyPatch, reader: str) -> list[bytes]:
    """Return a list in which this function notes each key that it is called with."""
    keys_read: list[bytes] = []
    real = resolve_name(reader.replace(".read", ":read"))

    def noted(read: Read, key: Any) -> Any:
        keys_read.append(key)
        return real(read, key)

    monkeypatch.setattr(reader, noted)
    return keys_read


async def put_all(store: InMemoryStore | RocksStore, kept: Iterable[Memory]) -> None:
    for memory in kept:
        await store.put_memory(memory)


async def test_every_filter_lists_page_by_page_what_passes_it(tmp_path: Path) -> None:
    rng, plain = Random(1), InMemoryStore()
    kept = [made(number, rng) for number in range(700)]
    rivals = [
        replace(made(number, rng), key=kept[number].key, proof=b"%d" % number)
        for number in range(0, 700, 5)
    ]
    async with RocksStore.open(tmp_path) as store:
        for one in (plain, store):
            await put_all(one, kept[:300])
            await put_all(one, rivals)
            await put_all(one, kept[300:])
        filters = [MemoryFilter(), MemoryFilter(room=ROOMS[0]), *some_filters(120, rng)]
        filters += [MemoryFilter(oldest_first=True)]
        expected = [await pages(plain, filter, 40) for filter in filters]
        for filter, listed in zip(filters, expected, strict=True):
            assert await pages(store, filter, 40) == listed, filter
        assert len([listed for listed in expected if listed]) > 30


async def test_what_was_made_in_one_second_is_listed_as_it_came(tmp_path: Path) -> None:
    kept = [a_memory(an_entry(number, created_at_s=50)) for number in range(600)]
    filter = MemoryFilter(kind=MemoryKind.DECISION, since_ms=50_000)
    async with RocksStore.open(tmp_path) as store:
        await put_all(store, kept)
        listed = [head for page in await pages(store, filter, 100) for head in page]
        assert listed == list(heads(*reversed(kept)))


@pytest.mark.parametrize("commits", [0, 1, 2, 3, 99])
async def test_an_old_store_lists_the_same_wherever_its_upgrade_breaks_off(
    tmp_path: Path, commits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, plain = Random(2), InMemoryStore()
    kept = [made(number, rng) for number in range(700)]
    later = [replace(made(n, rng), proof=b"%d" % n) for n in (*range(0, 600, 50), 701, 702)]
    filters = some_filters(40, rng)
    async with RocksStore.open(tmp_path) as store:
        await put_all(store, kept)
    await put_all(plain, kept)
    await strip(tmp_path)

    async with RocksStore.open(tmp_path) as store:
        with monkeypatch.context() as broken:
            broken.setattr(Database, "commit", failing_after(commits))
            await store.upgrade()
        for one in (plain, store):
            await put_all(one, later)
        expected = [await pages(plain, filter, 50) for filter in filters]
        for filter, listed in zip(filters, expected, strict=True):
            assert await pages(store, filter, 50) == listed, filter
    async with RocksStore.open(tmp_path) as store:
        assert store._listing.complete == (commits == 99)
        await store.upgrade()
        assert store._listing.complete
        for filter, listed in zip(filters, expected, strict=True):
            assert await pages(store, filter, 50) == listed, filter


async def test_an_upgrade_goes_on_where_it_broke_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RocksStore.open(tmp_path) as store:
        await put_all(store, [a_memory(an_entry(number)) for number in range(600)])
    await strip(tmp_path)
    async with RocksStore.open(tmp_path) as store:
        with monkeypatch.context() as broken:
            broken.setattr(Database, "commit", failing_after(2))
            await store.upgrade()

    read = noting(monkeypatch, "buddies_core.store.upgrade.read_head")
    async with RocksStore.open(tmp_path) as store:
        await store.upgrade()
    assert len(read) == 600 - 511  # Pages of 256; the first sequence is 1.


async def test_a_list_reads_no_more_heads_than_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = Random(3)
    async with RocksStore.open(tmp_path) as store:
        await put_all(store, [made(number, rng) for number in range(700)])
        read = noting(monkeypatch, "buddies_core.store.memories.read_head")
        for filter in (
            MemoryFilter(tags=("rare",)),
            MemoryFilter(tags=("rare", "none"), agent="codex"),
            MemoryFilter(room=ROOMS[0], kind=KINDS[0], author="bob", tags=("db", "ci")),
            MemoryFilter(kind=KINDS[1], since_ms=1_200_000),
            MemoryFilter(room=ROOMS[2], author="bob"),
        ):
            found, _ = await store.list_memories(filter, 500)
            assert len(found) < 200
            assert read == [head.key for head in found]
            read.clear()


async def test_a_skill_list_reads_no_more_heads_than_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, plain = Random(4), InMemorySkills()
    skills = [
        a_skill(
            a_skill_entry(
                f"step {number}",
                room=ROOMS[rng.randrange(2)],
                tags=tuple(tag for tag in TAGS[:3] if rng.random() < 0.2)
                + (("rare",) if number % 97 == 0 else ()),
            )
        )
        for number in range(600)
    ]
    async with RocksStore.open(tmp_path) as store:
        for skill in (*skills, *skills[::50]):
            await store.skills.put_skill(skill)
            await plain.put_skill(skill)
        read = noting(monkeypatch, "buddies_core.store.skill_reading.read_skill_head")
        for room in (*ROOMS, None):
            for tags in ((), ("rare",), ("db", "rare"), ("none",)):
                after = None
                while True:
                    expected = await plain.list_skills(room, tags, 20, after=after)
                    assert await store.skills.list_skills(room, tags, 20, after=after) == expected
                    shown = [head.key for head in expected[0]]
                    assert read == [key for key in (after, *shown) if key is not None]
                    read.clear()
                    if not shown:
                        break
                    after = shown[-1]


async def test_labels_with_one_hash_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_hash", lambda label: bytes(8))
    tagged, other = (a_memory(an_entry(n, tags=(tag,))) for n, tag in ((1, "a"), (2, "b")))
    async with RocksStore.open(tmp_path) as store:
        await put_all(store, (tagged, other))
        assert await store.list_memories(MemoryFilter(tags=("a",)), 9) == (heads(tagged), 0)


async def test_a_replaced_memory_leaves_nothing_in_the_index(tmp_path: Path) -> None:
    first = a_memory(an_entry(kind=MemoryKind.STATUS, tags=("old",)), proof=b"1")
    second = a_memory(an_entry(kind=MemoryKind.SKILL, tags=("new",)), proof=b"2")
    if await _replaces(first, second):
        first, second = second, first
    tag, other = second.entry.tags[0], first.entry.tags[0]
    async with RocksStore.open(tmp_path) as store:
        for memory in (second, first):
            await store.put_memory(memory)
        assert await store.list_memories(MemoryFilter(tags=(tag,)), 9) == ((), 0)
        assert await store.list_memories(MemoryFilter(tags=(other,)), 9) == (heads(first), 0)
        bits = dict(store._database.scan(keys.BITS))
        assert len(bits) == len(first.labels)
        assert {int.from_bytes(value, "little") for value in bits.values()} == {1 << 2}


def newest_options(path: Path) -> str:
    return max(path.glob("OPTIONS-*")).read_text()


async def _replaces(kept: Memory, new: Memory) -> bool:
    plain = InMemoryStore()
    await plain.put_memory(kept)
    return await plain.put_memory(new)


async def test_a_damaged_memory_that_was_replaced_is_listed_once(tmp_path: Path) -> None:
    memory = a_memory(an_entry(tags=("db",)))
    damage: Changes = {keys.memory(memory.key): b"\xff"}
    filters = (MemoryFilter(), MemoryFilter(tags=("db",)))
    async with RocksStore.open(tmp_path) as store:
        await store.put_memory(memory)
        await store._database.commit(lambda _: (None, damage))
        assert [await store.list_memories(it, 9) for it in filters] == [((), 1)] * 2
        await store.put_memory(memory)
        assert [await store.list_memories(it, 9) for it in filters] == [(heads(memory), 0)] * 2


@pytest.mark.parametrize("filter", [MemoryFilter(), MemoryFilter(kind=MemoryKind.DECISION)])
async def test_a_memory_that_is_replaced_during_a_list_is_listed_as_it_was(
    tmp_path: Path, filter: MemoryFilter
) -> None:
    rivals = [a_memory(an_entry(1), proof=proof) for proof in (b"1", b"2")]
    if await _replaces(rivals[1], rivals[0]):
        rivals.reverse()
    newest = a_memory(an_entry(2))
    loop = asyncio.get_running_loop()
    async with RocksStore.open(tmp_path) as store:
        await put_all(store, (rivals[0], newest))

        def replacing(head: MemoryHead) -> bool:
            if head.key == newest.key:
                put = store.put_memory(rivals[1])
                assert asyncio.run_coroutine_threadsafe(put, loop).result()
            return False

        assert await store.list_memories(filter, 9, replacing) == (heads(newest, rivals[0]), 0)
        assert await store.list_memories(filter, 9) == (heads(rivals[1], newest), 0)


async def test_a_database_that_an_older_buddies_made_is_opened_with_todays_options(
    tmp_path: Path,
) -> None:
    table = BlockBasedOptions()
    table.set_cache_index_and_filter_blocks(True)
    options = Options(raw_mode=True)
    options.set_block_based_table_factory(table)
    Rdict(str(tmp_path), options).close()

    async with Database.open(tmp_path):
        assert "cache_index_and_filter_blocks=false" in newest_options(tmp_path)

"""Deletions, successions, references and what is forgotten, in every store."""

from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from buddies_core.errors import QuotaExceeded, StoreError
from buddies_core.identity.node_key import NodeKey
from buddies_core.model.amendment import Amendment, Erased, Kept, Places
from buddies_core.model.bodies import MemoryDeleted
from buddies_core.model.identity import Verified
from buddies_core.model.ids import RoomName
from buddies_core.model.item import BEGIN, END
from buddies_core.model.memory import Memory, MemoryFilter, MemoryKey, verified_key
from buddies_core.store import amendment_keys, keys
from buddies_core.store.database import Database
from buddies_core.store.quotas import Quotas
from buddies_core.store.rocks import RocksStore
from tests.support.amendments import a_deletion, a_succession, an_amendment
from tests.support.in_memory.store import InMemoryStore
from tests.support.memories import DEMO, a_memory, an_entry, heads, memory_id, whole_of

ANN, BEN = NodeKey(b"a" * 32), NodeKey(b"b" * 32)
EVERYTHING = MemoryFilter()
OPS = RoomName("ops")
LONG = "a secret " * 2000
Store = InMemoryStore | RocksStore


@pytest.fixture(params=["in memory", "rocks"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "in memory":
        yield InMemoryStore()
    else:
        async with RocksStore.open(tmp_path / "store") as rocks:
            yield rocks


def by(author: NodeKey, number: int = 1, content: str = "a note", **fields: object) -> Memory:
    entry = an_entry(number, author=author.endpoint, content=content, **fields)  # type: ignore[arg-type] # the test's own
    return a_memory(entry)


async def put(store: Store, amendment: Amendment, *early: Places, proposals_max: int = 9) -> Kept:
    return await store.amendments.put(amendment, early, proposals_max)


async def listed(store: Store, filter: MemoryFilter = EVERYTHING) -> list[MemoryKey]:
    found, damaged = await store.list_memories(filter, 100)
    assert damaged == 0
    return [head.key for head in found]


async def test_nothing_of_a_deleted_memory_is_left(store: Store) -> None:
    gone, stays = by(ANN, 1, LONG, tags=("db",), references=(memory_id(9),)), by(ANN, 2)
    for memory in (gone, stays):
        assert await store.put_memory(memory)

    deletion = a_deletion(gone, ANN, reason="wrong")
    assert await put(store, deletion) is Kept.NEW

    assert (store.get_memory(gone.key), store.get_head(gone.key)) == (None, None)
    assert store.find_heads(gone.entry.id) == ()
    assert await listed(store) == await listed(store, MemoryFilter(room=DEMO)) == [stays.key]
    assert await listed(store, MemoryFilter(tags=("db",))) == []
    assert store.amendments.referring_to(memory_id(9), 9) == ()
    assert await store.memories_since(0, 9) == ((2, stays), (3, Erased(gone.key)))
    assert await store.heads_since(0, 9) == ((2, stays.head()),)
    assert (store.count_memories(), store.last_sequence()) == (1, 3)
    assert (store.key_at(1), store.key_at(3)) == (None, gone.key)
    assert store.amendments.get(deletion.item) == deletion
    assert store.amendments.deletions(gone.entry.id) == (deletion,)


async def test_a_deleted_memory_is_not_taken_in_again_nor_is_a_copy_without_its_proof(
    store: Store,
) -> None:
    memory = by(ANN)
    copy = a_memory(memory.entry, verified=Verified.UNVERIFIED)
    other = a_memory(an_entry(1, author=BEN.endpoint))
    await put(store, a_deletion(memory, ANN))

    assert [await store.put_memory(it) for it in (memory, copy, other)] == [False, False, True]
    assert await listed(store) == [other.key]
    assert [store.amendments.deletion(it) for it in (memory, copy, other)] == [True, True, False]


async def test_a_deletion_that_comes_twice_or_first_changes_nothing_later(store: Store) -> None:
    memory = by(ANN)
    deletion = a_deletion(memory, ANN)
    assert await put(store, deletion) is Kept.NEW
    assert await put(store, deletion) is Kept.KNOWN
    assert await store.put_memory(memory) is False
    assert (store.count_memories(), store.last_sequence()) == (0, 0)
    assert store.amendments.deletions(memory.entry.id) == (deletion,)


@pytest.mark.parametrize("first", [0, 1, 2])
async def test_of_several_deletions_of_a_memory_all_nodes_keep_the_same(
    store: Store, first: int
) -> None:
    memory = by(ANN)
    said = [
        a_deletion(memory, ANN, reason="a"),
        a_deletion(memory, ANN, reason="b"),
        a_deletion(memory, BEN),
    ]
    for deletion in (*said[first:], *said[:first]):
        await put(store, deletion)

    kept = min(said[:2], key=lambda it: it.item)  # The author's own come before others'.
    assert store.amendments.deletions(memory.entry.id) == (kept,)
    assert [store.amendments.get(it.item) for it in said] == [
        it if it == kept else None for it in said
    ]


async def test_a_deletion_that_was_said_in_another_room_deletes_nothing(store: Store) -> None:
    memory = by(ANN)
    await store.put_memory(memory)
    elsewhere = an_amendment(MemoryDeleted(memory.key, b""), ANN, room=OPS)

    assert await put(store, elsewhere) is Kept.ELSEWHERE
    assert store.get_memory(memory.key) == memory
    assert store.amendments.get(elsewhere.item) is None

    early = by(ANN, 2)
    assert await put(store, an_amendment(MemoryDeleted(early.key, b""), ANN, room=OPS)) is Kept.NEW
    assert await store.put_memory(early) is True


async def test_the_first_deletion_says_in_which_room(store: Store) -> None:
    memory = by(ANN)
    first = a_deletion(memory, ANN)
    assert await put(store, first) is Kept.NEW
    for number in range(3):
        other = MemoryDeleted(memory.key, b"", f"{number}")
        assert await put(store, an_amendment(other, ANN, room=OPS)) is Kept.ELSEWHERE
    assert store.amendments.deletions(memory.entry.id) == (first,)
    assert await store.put_memory(memory) is False


async def test_unproven_copies_are_erased_with_what_they_are_copies_of(store: Store) -> None:
    memory, other = by(ANN), by(BEN)
    copies = [
        a_memory(replace(memory.entry, content=text), verified=Verified.UNVERIFIED)
        for text in ("a note", "a note, cut")
    ]
    for kept in (memory, *copies, other):
        assert await store.put_memory(kept)

    deletion = a_deletion(memory, ANN)
    assert await put(store, deletion) is Kept.NEW
    assert await listed(store) == [other.key]
    assert (store.count_memories(), store.last_sequence()) == (1, 7)
    arrived = await store.memories_since(4, 9)
    assert arrived == (
        (5, Erased(memory.key)),
        *((at, Erased(key)) for at, key in enumerate(sorted(it.key for it in copies), start=6)),
    )
    assert store.amendments.deletions(memory.entry.id) == (deletion,)


async def test_a_memory_whose_content_is_not_all_there_is_not_asked_for_once_it_is_deleted(
    store: Store,
) -> None:
    memory = a_memory(an_entry(1, author=ANN.endpoint, content="a"), whole=whole_of(LONG))
    await store.put_memory(memory)
    assert store.truncated_memories(9) == (memory.key,)
    await put(store, a_deletion(memory, ANN))
    assert store.truncated_memories(9) == ()


async def test_deletions_of_what_is_not_here_take_places_and_others_take_none(
    store: Store,
) -> None:
    memories = [by(ANN, number) for number in range(1, 5)]
    await store.put_memory(memories[0])
    places = Places(of=ANN.endpoint, count_max=2)

    kept = [await put(store, a_deletion(memory, ANN), places) for memory in memories]

    assert kept == [Kept.NEW, Kept.NEW, Kept.NEW, Kept.FULL]
    assert await store.put_memory(memories[3]) is True  # Its deletion was not kept.
    assert await put(store, a_deletion(memories[3], ANN), places) is Kept.NEW


async def test_a_refused_amendment_takes_no_place_of_anybody(store: Store) -> None:
    full, free = Places(of=b"full", count_max=0), Places(of=b"free", count_max=1)
    assert await put(store, a_deletion(by(ANN, 1), ANN), free, full) is Kept.FULL
    assert await put(store, a_deletion(by(ANN, 2), ANN), free) is Kept.NEW


async def test_who_takes_whose_place_is_known_both_ways_and_the_author_comes_first(
    store: Store,
) -> None:
    old = by(ANN, 1)
    proposed, next_one = by(BEN, 2), by(ANN, 3)
    by_ben, by_ann = a_succession(proposed, old, BEN), a_succession(next_one, old, ANN)
    assert [await put(store, it) for it in (by_ben, by_ann)] == [Kept.NEW, Kept.NEW]

    assert store.amendments.superseding(old.key) == (
        (next_one.key, by_ann),
        (proposed.key, by_ben),
    )
    assert store.amendments.superseded(next_one.key) == ((old.key, by_ann),)
    assert store.amendments.superseded(proposed.key) == ((old.key, by_ben),)
    assert store.amendments.superseding(next_one.key) == ()


async def test_proposals_are_bounded_and_leave_room_for_the_author(store: Store) -> None:
    old = by(ANN, 1)
    proposals = [a_succession(by(BEN, number), old, BEN) for number in (2, 3, 4)]
    kept = [await put(store, it, proposals_max=2) for it in proposals]
    assert kept == [Kept.NEW, Kept.NEW, Kept.FULL]
    assert await put(store, a_succession(by(ANN, 5), old, ANN), proposals_max=2) is Kept.NEW


async def test_what_refers_to_a_memory_is_found_also_before_that_is_here(store: Store) -> None:
    first, second = (by(ANN, number, references=(memory_id(1),)) for number in (2, 3))
    for memory in (first, second):
        await store.put_memory(memory)
    assert store.amendments.referring_to(memory_id(1), 9) == (first.key, second.key)
    assert store.amendments.referring_to(memory_id(1), 1) == (first.key,)
    assert store.amendments.referring_to(memory_id(2), 9) == ()


async def test_a_replaced_memory_refers_to_what_its_replacement_refers_to(store: Store) -> None:
    key = verified_key(ANN.endpoint, memory_id(2))
    for reference, proof in ((7, b"e"), (8, b"b")):  # The second has the smaller hash.
        entry = an_entry(2, author=ANN.endpoint, references=(memory_id(reference),))
        assert await store.put_memory(a_memory(entry, proof=proof))
    assert store.amendments.referring_to(memory_id(7), 9) == ()
    assert store.amendments.referring_to(memory_id(8), 9) == (key,)


async def test_what_is_forgotten_stays_so_until_it_is_remembered(store: Store) -> None:
    one, other = by(ANN), by(BEN)
    for memory in (one, other):
        await store.amendments.forget(memory.entry.id, memory.key, 5)
        await store.amendments.forget(memory.entry.id, memory.key, 6)

    assert store.amendments.is_forgotten(one.entry.id, one.key)
    assert not store.amendments.is_forgotten(memory_id(2), one.key)
    remembered = await store.amendments.remember(one.entry.id)
    assert sorted(remembered) == sorted([one.key, other.key])
    assert not store.amendments.is_forgotten(one.entry.id, one.key)
    assert await store.amendments.remember(one.entry.id) == ()


def items(store: Store, room: RoomName = DEMO) -> set[bytes]:
    return {item.id for item in store.items(room).list(BEGIN, END, 99)}


async def test_members_compare_deletions_in_place_of_what_they_delete(store: Store) -> None:
    gone, stays = by(ANN, 1), by(ANN, 2)
    for memory in (gone, stays):
        await store.put_memory(memory)
    deletion, other = a_deletion(gone, ANN, reason="a"), a_deletion(gone, ANN, reason="b")
    succession = a_succession(by(ANN, 3), stays, ANN)
    for amendment in (deletion, other, succession):
        await put(store, amendment)

    kept = min(deletion, other, key=lambda it: it.item)
    assert items(store) == {sha256(stays.proof).digest(), kept.item, succession.item}
    assert len(store.items(DEMO)) == 3
    assert store.items(DEMO).read(kept.item) == kept.proof
    assert store.items(DEMO).read(sha256(gone.proof).digest()) is None


# The store on disk alone


async def test_a_deletion_is_kept_though_a_quota_is_used_up_and_gives_back_what_it_erases(
    tmp_path: Path,
) -> None:
    memory, more = by(ANN, 1, LONG), by(ANN, 2, LONG)
    quotas = Quotas(room=60_000, author=1 << 30)
    async with RocksStore.open(tmp_path / "store", quotas) as store:
        await store.put_memory(memory)
        with pytest.raises(QuotaExceeded):
            await store.put_memory(more)
        assert await put(store, a_deletion(memory, ANN)) is Kept.NEW
        assert store.usage().rooms[DEMO] < 1000
        assert await store.put_memory(more) is True


async def test_what_was_said_is_there_after_opening_again(tmp_path: Path) -> None:
    gone, old, new = by(ANN, 1), by(ANN, 2), by(ANN, 3)
    said = [a_deletion(gone, ANN), a_succession(new, old, ANN)]
    async with RocksStore.open(tmp_path / "store") as store:
        for memory in (gone, old, new):
            await store.put_memory(memory)
        for amendment in said:
            await put(store, amendment)
        await store.amendments.forget(old.entry.id, old.key, 5)
    async with RocksStore.open(tmp_path / "store") as store:
        assert [store.amendments.get(it.item) for it in said] == said
        assert await store.put_memory(gone) is False
        assert store.amendments.superseding(old.key) == ((new.key, said[1]),)
        assert store.amendments.is_forgotten(old.entry.id, old.key)
        assert await listed(store) == [new.key, old.key]


async def test_no_record_but_those_of_its_deletion_names_a_deleted_memory(tmp_path: Path) -> None:
    memory = by(ANN, 1, LONG, tags=("db",), references=(memory_id(9),))
    async with RocksStore.open(tmp_path / "store") as store:
        await store.put_memory(memory)
        await put(store, a_deletion(memory, ANN))
    async with Database.open(tmp_path / "store") as database:
        records = dict(database.scan(b""))
    named = bytes(memory.key)
    naming = [key for key, value in records.items() if named in key or named in value]
    deletion = a_deletion(memory, ANN)
    assert sorted(naming) == sorted(
        [
            keys.memory_by_id(memory.entry.id, memory.key),
            amendment_keys.deletion(memory.key),
            amendment_keys.amendment(deletion.item),
            keys.log(2),
        ]
    )
    assert not any(key.startswith(keys.BITS) for key in records)
    assert not any(b"secret" in value or b"Database" in value for value in records.values())


async def test_what_refers_to_a_memory_is_found_in_a_store_of_an_older_buddies(
    tmp_path: Path,
) -> None:
    referring = by(ANN, 2, references=(memory_id(1),))
    async with RocksStore.open(tmp_path / "store") as store:
        await store.put_memory(referring)
    async with Database.open(tmp_path / "store") as database:
        marks = [key for key, _ in database.scan(keys.watermark(b"layout"))]
        entries = [key for key, _ in database.scan(amendment_keys.REFERENCES)]
        assert entries
        await database.commit(lambda _: (None, dict.fromkeys((*marks, *entries))))
    async with RocksStore.open(tmp_path / "store") as store:
        assert store.amendments.referring_to(memory_id(1), 9) == ()
        await store.upgrade()
        assert store.amendments.referring_to(memory_id(1), 9) == (referring.key,)


async def test_a_damaged_memory_can_be_deleted(tmp_path: Path) -> None:
    memory = by(ANN, 1)
    async with RocksStore.open(tmp_path / "store") as store:
        await store.put_memory(memory)
    async with Database.open(tmp_path / "store") as database:
        await database.commit(lambda _: (None, {keys.memory(memory.key): b"damaged"}))
    async with RocksStore.open(tmp_path / "store") as store:
        assert await put(store, a_deletion(memory, ANN)) is Kept.NEW
        assert store.find_heads(memory.entry.id) == ()
        assert await listed(store) == []
        assert store.count_memories() == 0


async def test_a_damaged_amendment_is_named_when_asked_for_and_left_out_otherwise(
    tmp_path: Path,
) -> None:
    old, new = by(ANN, 1), by(ANN, 2)
    succession = a_succession(new, old, ANN)
    async with RocksStore.open(tmp_path / "store") as store:
        await put(store, succession)
    async with Database.open(tmp_path / "store") as database:
        place = amendment_keys.amendment(succession.item)
        await database.commit(lambda _: (None, {place: b"damaged"}))
    async with RocksStore.open(tmp_path / "store") as store:
        damaged = [name async for state in store.verify() for name in state.damaged]
        assert damaged == [f"the record with the key {place.hex()}: its bytes are not a record"]
        assert store.amendments.superseding(old.key) == ()
        with pytest.raises(StoreError, match=r"amendment .* is damaged"):
            store.amendments.get(succession.item)


async def test_lists_are_the_same_in_both_stores_while_memories_are_deleted(tmp_path: Path) -> None:
    memories = [by(ANN, number, tags=(f"t{number % 3}",)) for number in range(1, 41)]
    in_memory = InMemoryStore()
    async with RocksStore.open(tmp_path / "store") as rocks:
        for number, memory in enumerate(memories):
            for store in (in_memory, rocks):
                await store.put_memory(memory)
                if number % 4 == 3:
                    await put(store, a_deletion(memories[number - 2], ANN))
        for filter in (EVERYTHING, MemoryFilter(tags=("t1",)), MemoryFilter(room=DEMO)):
            assert await listed(rocks, filter) == await listed(in_memory, filter)
        assert await rocks.memories_since(0, 99) == await in_memory.memories_since(0, 99)
        assert heads(*(it for it in memories if rocks.get_memory(it.key))) == heads(
            *(it for it in memories if in_memory.get_memory(it.key))
        )

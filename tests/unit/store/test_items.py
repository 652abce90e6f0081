"""The items of a room: the same as a plain sorted list has, whatever comes and goes."""

import asyncio
import hashlib
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buddies_core.model.bodies import MemoryCreated
from buddies_core.model.ids import RoomName
from buddies_core.model.item import BEGIN, END, Bound, Item
from buddies_core.store import items as items_module
from buddies_core.store import keys
from buddies_core.store.database import Changes, Database, Read
from buddies_core.store.items import (
    BLOCK,
    ITEMS,
    ItemSet,
    Kept,
    RocksItems,
    RocksItemSet,
    item_changes,
)
from buddies_core.store.rocks import RocksStore
from buddies_core.wire.items import item_of
from tests.support.in_memory.store import InMemoryStore
from tests.support.memories import BOB, DEMO, a_memory, an_entry, memory_id
from tests.support.skills import a_skill, a_vote
from tests.support.stores import MEMORIES, OPS, SKILL, VOTE, fill, proof_of, unpack

EMPTY = (0, 0)


@pytest.fixture(params=["in memory", "rocks"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[InMemoryStore | RocksStore]:
    if request.param == "in memory":
        yield InMemoryStore()
    else:
        async with RocksStore.open(tmp_path / "store") as rocks:
            yield rocks


def total(proofs: list[bytes]) -> tuple[int, int]:
    ids = [hashlib.sha256(proof).digest() for proof in proofs]
    return sum(int.from_bytes(id, "little") for id in ids) % (1 << 256), len(ids)


def assert_has(items: ItemSet, *proofs: bytes) -> None:
    expected = sorted(map(item_of, proofs))
    assert items.list(BEGIN, END, 100) == expected
    assert len(items) == len(expected)
    assert items.fingerprint(BEGIN, END) == total(list(proofs))
    assert [items.read(item_of(it).id) for it in proofs] == list(proofs)
    assert [items.nth(BEGIN, number) for number in range(len(expected) + 1)] == [*expected, None]


async def test_a_room_has_the_proofs_of_its_memories_skills_and_votes(
    store: InMemoryStore | RocksStore,
) -> None:
    await fill(store)

    demo = [it.proof for it in (*MEMORIES[:4], SKILL, VOTE)]
    assert_has(store.items(DEMO), *demo)
    assert_has(store.items(OPS), MEMORIES[4].proof)
    assert_has(store.items(RoomName("dem")))


async def test_a_fetched_content_leaves_the_item_as_it_is(
    store: InMemoryStore | RocksStore,
) -> None:
    whole = MEMORIES[1]
    beginning = replace(whole, entry=replace(whole.entry, content="日本語"))
    assert beginning.truncated
    await store.put_memory(beginning)
    assert await store.put_memory(whole)

    assert_has(store.items(DEMO), whole.proof)


async def test_what_is_replaced_is_no_item_any_more(store: InMemoryStore | RocksStore) -> None:
    rivals = [
        a_memory(proof=proof_of(MemoryCreated(an_entry()), sent_at_ms=number))
        for number in range(5)
    ]
    other_room = replace(rivals[0], entry=replace(rivals[0].entry, room=OPS))
    winner = min([*rivals, other_room], key=lambda it: hashlib.sha256(it.proof).digest())
    for memory in rivals:
        await store.put_memory(memory)
    assert_has(store.items(DEMO), winner.proof)

    older, newer = (a_vote(a_skill(), sent_at_ms=at) for at in (1, 2))
    for vote in (older, newer, older):
        await store.skills.put_vote(vote)
    assert_has(store.items(DEMO), winner.proof, newer.proof)
    await store.skills.put_vote(a_vote(a_skill(), "claimed"), gone=[newer])
    assert_has(store.items(DEMO), winner.proof, a_vote(a_skill(), "claimed").proof)


async def test_a_memory_that_is_replaced_by_one_of_another_room_leaves_its_room(
    store: InMemoryStore | RocksStore,
) -> None:
    rivals = sorted((b"1", b"2"), key=lambda it: hashlib.sha256(it).digest(), reverse=True)
    entries = (an_entry(1, room=DEMO), an_entry(1, room=OPS))
    for entry, proof in zip(entries, rivals, strict=True):
        assert await store.put_memory(a_memory(entry, proof=proof))

    assert_has(store.items(DEMO))
    assert_has(store.items(OPS), rivals[1])


async def test_a_damaged_record_is_not_read_as_a_proof(tmp_path: Path) -> None:
    memory, other = MEMORIES[0], MEMORIES[1]
    async with RocksStore.open(tmp_path) as store:
        await store.put_memory(memory)
        id = item_of(memory.proof).id
        for record in (b"\xff", store._database.get(keys.memory(other.key)) or b""):
            await store._put(keys.memory(memory.key), record)
            assert store.items(DEMO).read(id) is None
        assert await store.put_memory(memory)
        assert store.items(DEMO).read(id) == memory.proof


NUMBERS = st.integers(0, 60)
"""Of proofs; their times fall into few milliseconds, so that ids decide the order as well."""
BOUNDS = st.builds(Bound, st.integers(0, 9), st.binary(max_size=2)) | st.sampled_from([BEGIN, END])


def numbered(number: int) -> bytes:
    return proof_of(MemoryCreated(an_entry(number)), sent_at_ms=number % 7)


def kept(proof: bytes) -> Kept:
    return Kept(DEMO, proof, b"m", 100)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.lists(NUMBERS, max_size=12)), max_size=12),
    st.lists(st.tuples(BOUNDS, BOUNDS), min_size=1, max_size=4),
    st.integers(1, 5),
)
def test_any_part_has_the_fingerprint_that_a_sorted_list_gives(
    steps: list[tuple[bool, list[int]]], parts: list[tuple[Bound, Bound]], block: int
) -> None:
    async def run(path: Path) -> None:
        plain: dict[Item, bytes] = {}
        async with Database.open(path) as database:
            items = RocksItems(database).of(DEMO)
            for is_new, numbers in steps:
                proofs = [numbered(number) for number in numbers]

                def decide(read: Read, is_new: bool = is_new, it: Any = proofs) -> Any:
                    new = [kept(proof) for proof in it] if is_new else []
                    gone = [] if is_new else [kept(proof) for proof in it]
                    return None, item_changes(read, gone=gone, new=new)

                await database.commit(decide)
                for proof in proofs:
                    plain.pop(item_of(proof), None)
                    if is_new:
                        plain[item_of(proof)] = proof
                assert len(items) == len(plain)
                for lower, upper in parts:
                    there = [it for it in sorted(plain) if lower <= it < upper]
                    assert items.list(lower, upper, 3) == there[:3]
                    assert items.fingerprint(lower, upper) == total([plain[it] for it in there])
                    behind = [*(it for it in sorted(plain) if lower <= it), None]
                    for number in (0, 1, 7):
                        expected = behind[number] if number < len(behind) else None
                        assert items.nth(lower, number) == expected

    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(items_module, "BLOCK", block)
        asyncio.run(run(Path(directory)))


async def test_an_item_that_comes_while_sums_are_made_is_in_the_next_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items_module, "BLOCK", 1)
    part = item_of(numbered(3)), item_of(numbered(5))
    begun, come = threading.Event(), threading.Event()
    scan = Database.scan

    def slow(self: Database, prefix: bytes, **options: Any) -> Iterator[tuple[bytes, bytes]]:
        found = list(scan(self, prefix, **options))
        if prefix[:1] == ITEMS:
            begun.set()
            assert come.wait(5)
        return iter(found)

    async with Database.open(tmp_path) as database:
        items = RocksItems(database).of(DEMO)

        async def add(*numbers: int) -> None:
            new = [kept(numbered(number)) for number in numbers]

            def decide(read: Read) -> tuple[None, Changes]:
                return None, item_changes(read, new=new)

            await database.commit(decide)

        await add(1, 3, 5)
        assert items.fingerprint(*part) == total([numbered(3)])  # Each is a block of its own now.
        await add(4)
        with monkeypatch.context() as slowed:
            slowed.setattr(Database, "scan", slow)
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(database.read(lambda: items.fingerprint(*part)))
                assert await asyncio.to_thread(begun.wait, 5)
                await add(11)  # Its time is 4, too.
                come.set()
        assert reading.result() == total([numbered(3), numbered(4)])
        assert items.fingerprint(*part) == total([numbered(3), numbered(4), numbered(11)])


async def test_of_many_items_only_those_beside_a_change_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proofs = [b"%d" % number for number in range(5000)]  # Their ids decide the order.
    parts = [(Bound(0, bytes([at])), Bound(0, bytes([at + 16]))) for at in range(0, 240, 16)]
    read = 0
    real = RocksItemSet._scan

    def counting(self: RocksItemSet, lower: Any, upper: Any) -> Iterator[Item]:
        nonlocal read
        for item in real(self, lower, upper):
            read += 1
            yield item

    async with Database.open(tmp_path) as database:
        items = RocksItems(database).of(DEMO)
        new = [kept(proof) for proof in proofs]
        await database.commit(lambda read: (None, item_changes(read, new=new)))
        before = [items.fingerprint(*part) for part in parts]
        monkeypatch.setattr(RocksItemSet, "_scan", counting)
        assert [items.fingerprint(*part) for part in parts] == before
        assert read < len(parts) * 2 * BLOCK

        gone = [kept(proofs[7])]
        await database.commit(lambda read: (None, item_changes(read, gone=gone)))
        id = item_of(proofs[7]).id
        around = Bound(0, id[:1]), Bound(0, bytes([id[0] + 1]))
        items.fingerprint(*around)
        read = 0
        wide = Bound(0, bytes([0, 1])), Bound(0, bytes([255]))
        there = [item_of(it) for it in proofs if it is not proofs[7]]
        ids = [it.id for it in there if wide[0] <= it < wide[1]]
        expected = sum(int.from_bytes(id, "little") for id in ids) % (1 << 256), len(ids)
        assert items.fingerprint(*wide) == expected
        assert read < 3 * BLOCK
        read = 0
        assert items.nth(wide[0], 4000) == sorted(it for it in there if it >= wide[0])[4000]
        assert read < 3 * BLOCK


async def test_equal_sets_are_known_without_reading_an_item(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RocksStore.open(tmp_path) as store:
        await fill(store)
        monkeypatch.setattr(Database, "scan", None)
        assert store.items(OPS).fingerprint(BEGIN, END) == total([MEMORIES[4].proof])
        assert store.items(RoomName("none")).fingerprint(BEGIN, END) == EMPTY


async def test_a_store_of_layout_3_gets_its_items_while_it_is_used(tmp_path: Path) -> None:
    path = unpack("store-layout-3.tar.gz", tmp_path)
    added = a_memory(an_entry(9), proof=numbered(9))
    async with RocksStore.open(path) as store:
        assert store.items_complete is False
        await store.put_memory(added)
        newer = replace(VOTE, sent_at_ms=VOTE.sent_at_ms + 1, proof=b"newer")
        await store.skills.put_vote(newer, BOB)
        await store.upgrade()

        assert store.items_complete is True
        demo = [it.proof for it in (*MEMORIES[:4], SKILL, newer, added)]
        assert_has(store.items(DEMO), *demo)
        assert_has(store.items(OPS), MEMORIES[4].proof)
    async with RocksStore.open(path) as store:
        assert store.items_complete is True
        assert_has(store.items(DEMO), *demo)


async def test_a_new_store_has_all_items_from_the_start(tmp_path: Path) -> None:
    async with RocksStore.open(tmp_path) as store:
        assert store.items_complete is True
        assert store.find_heads(memory_id(1)) == ()

"""What only the store on disk can do wrong."""

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rocksdict import Options, Rdict

from buddies_core.errors import StoreError
from buddies_core.model.bodies import MemoryCreated
from buddies_core.model.identity import GpgIdentity, Verified
from buddies_core.model.ids import RoomId, RoomName, open_room_id
from buddies_core.model.memory import Memory, MemoryFilter
from buddies_core.model.policy import Policy
from buddies_core.pb import records_pb2 as pb
from buddies_core.store import contents, keys
from buddies_core.store.database import Database
from buddies_core.store.memory_records import encode_memory
from buddies_core.store.policies import PolicyRecord
from buddies_core.store.records import BindingRecord, PresenceRecord, RoomRecord
from buddies_core.store.rocks import RocksStore
from buddies_core.store.skill_records import encode_skill
from buddies_core.store.task_records import OfferRecord
from tests.support.in_memory.store import InMemoryStore
from tests.support.memories import ALICE, BOB, DEMO, a_memory, an_entry, heads, memory_id, whole_of
from tests.support.skills import a_skill, a_skill_entry
from tests.support.stores import (
    MEMORIES,
    POLICY,
    ROOM,
    SKILL,
    VOTE,
    proof_of,
    unpack,
)
from tests.support.tasks import an_order

EVERYTHING = MemoryFilter()


def overwrite(path: Path, key: bytes, value: bytes) -> None:
    """Damage a record of a store that is closed."""
    database = Rdict(str(path), Options(raw_mode=True))
    assert key in database
    database[key] = value
    database.close()


async def overwrite_all(path: Path, changes: dict[bytes, bytes | None]) -> None:
    """Write or delete records of a store that is closed."""
    async with Database.open(path) as database:
        await database.commit(lambda _: (None, changes))


def damage_tables(path: Path) -> None:
    for table in path.glob("*.sst"):
        with table.open("r+b") as file:
            file.write(bytes(100))


async def test_everything_is_there_after_opening_again(tmp_path: Path) -> None:
    room = RoomRecord(name=DEMO, room_id=open_room_id(DEMO), joined_at_ms=5, bootstrap=())
    memories = [a_memory(an_entry(number)) for number in (1, 2)]
    async with RocksStore.open(tmp_path / "a" / "store") as store:
        for memory in memories:
            await store.put_memory(memory)
        await store.put_room(room)
        await store.raise_watermark(b"sent", 7)

    async with RocksStore.open(tmp_path / "a" / "store") as store:
        assert await store.memories_since(0, 9) == ((1, memories[0]), (2, memories[1]))
        assert (store.last_sequence(), store.count_memories()) == (2, 2)
        assert store.rooms() == (room,)
        assert store.watermark(b"sent") == 7
        assert await store.put_memory(a_memory(an_entry(3)))
        assert store.last_sequence() == 3


async def test_a_store_keeps_the_id_that_it_was_made_with(tmp_path: Path) -> None:
    ids = []
    for name in ("a", "a", "b"):
        async with RocksStore.open(tmp_path / name) as store:
            assert store.id == store.skills.id
            ids.append(store.id)
    assert [len(id) for id in ids] == [16, 16, 16]
    assert ids[0] == ids[1] != ids[2]


async def test_a_store_of_an_older_buddies_gets_an_id(tmp_path: Path) -> None:
    async with Database.open(tmp_path) as database:
        await database.commit(lambda _: (None, {b"y": None}))
    ids = []
    for _ in range(2):
        async with RocksStore.open(tmp_path) as store:
            ids.append(store.id)
    assert ids[0] == ids[1]
    assert len(ids[0]) == 16


async def test_stores_at_the_same_time_share_commits_and_all_arrive(tmp_path: Path) -> None:
    memories = [a_memory(an_entry(number)) for number in range(1, 301)]
    rivals = [a_memory(an_entry(number, content="other")) for number in range(1, 301)]
    expected = InMemoryStore()
    for memory in (*memories, *rivals):
        await expected.put_memory(memory)

    async with RocksStore.open(tmp_path) as store, asyncio.TaskGroup() as group:
        for memory in (*memories, *rivals):
            group.create_task(store.put_memory(memory))

    async with RocksStore.open(tmp_path) as store:
        assert await store.list_memories(EVERYTHING, 999) == await expected.list_memories(
            EVERYTHING, 999
        )
        assert store.count_memories() == 300


async def test_a_damaged_memory_is_named_when_asked_for_and_skipped_otherwise(
    tmp_path: Path,
) -> None:
    good, bad = a_memory(an_entry(1)), a_memory(an_entry(2))
    async with RocksStore.open(tmp_path) as store:
        await store.put_memory(good)
        await store.put_memory(bad)
    overwrite(tmp_path, keys.memory(bad.key), b"\xff\xff\xff")

    async with RocksStore.open(tmp_path) as store:
        with pytest.raises(StoreError, match=f"memory {memory_id(2)} by {ALICE.hex()[:10]} is dam"):
            store.get_memory(bad.key)
        with pytest.raises(StoreError, match=str(memory_id(2))):
            store.find_heads(memory_id(2))
        assert await store.list_memories(EVERYTHING, 9) == (heads(good), 1)
        assert await store.memories_since(0, 9) == ((1, good),)


async def test_a_store_of_an_older_layout_shows_the_same(tmp_path: Path) -> None:
    long = a_memory(an_entry(1, content="x" * 5000, created_at_s=40))
    ahead = a_memory(an_entry(2, created_at_s=99), received_at_ms=50_000)
    skill = a_skill(a_skill_entry("y" * 5000))
    async with RocksStore.open(tmp_path) as store:
        for memory in (long, ahead):
            await store.put_memory(memory)
        await store.skills.put_skill(skill)
    as_before: dict[bytes, bytes | None] = {keys.watermark(b"layout"): None}
    with pytest.MonkeyPatch.context() as older:
        older.setattr(contents, "INLINE_BYTES_MAX", 1 << 20)
        as_before[keys.memory(long.key)] = encode_memory(long, 1)
        as_before[b"s" + skill.key] = encode_skill(skill, 1)
    for place in (keys.memory(long.key), b"s" + skill.key):
        as_before[keys.content(place)] = None
    for room in (None, DEMO):
        as_before[keys.timeline_entry(room, 50, 2)] = None
        as_before[keys.timeline_entry(room, 99, 2)] = ahead.key
    await overwrite_all(tmp_path, as_before)

    async with RocksStore.open(tmp_path) as store:
        assert await store.list_memories(EVERYTHING, 9) == (heads(ahead, long), 0)
        assert (store.get_memory(long.key), store.skills.get_skill(skill.key)) == (long, skill)
        await store.upgrade()
        assert await store.list_memories(EVERYTHING, 9) == (heads(ahead, long), 0)
        assert await store.list_memories(MemoryFilter(since_ms=51_000), 9) == ((), 0)
        assert (store.get_memory(long.key), store.skills.get_skill(skill.key)) == (long, skill)
    async with Database.open(tmp_path) as database:
        for place in (keys.memory(long.key), b"s" + skill.key):
            assert len(database.get(keys.content(place)) or b"") == 5000


async def test_a_content_that_is_lost_is_named(tmp_path: Path) -> None:
    memory = a_memory(an_entry(content="x" * 5000))
    async with RocksStore.open(tmp_path) as store:
        await store.put_memory(memory)
    await overwrite_all(tmp_path, {keys.content(keys.memory(memory.key)): None})

    async with RocksStore.open(tmp_path) as store:
        with pytest.raises(StoreError, match="its content is not there"):
            store.get_memory(memory.key)


async def test_a_damaged_memory_is_healed_by_the_next_copy(tmp_path: Path) -> None:
    memory = a_memory()
    async with RocksStore.open(tmp_path) as store:
        await store.put_memory(memory)
    overwrite(tmp_path, keys.memory(memory.key), b"\xff")

    async with RocksStore.open(tmp_path) as store:
        assert await store.put_memory(memory) is True
        assert await store.list_memories(EVERYTHING, 9) == (heads(memory), 0)
        assert await store.memories_since(0, 9) == ((2, memory),)
        assert store.count_memories() == 1


@pytest.mark.parametrize("record", [b"", b"\x08\x02", b"\x08\x01", b"\x08\x01\x1a\x10" + bytes(16)])
async def test_a_record_of_another_version_or_without_its_fields_is_damaged(
    tmp_path: Path, record: bytes
) -> None:
    memory = a_memory()
    async with RocksStore.open(tmp_path) as store:
        await store.put_memory(memory)
    overwrite(tmp_path, keys.memory(memory.key), record)

    async with RocksStore.open(tmp_path) as store:
        with pytest.raises(StoreError, match="is damaged"):
            store.get_memory(memory.key)


async def test_a_damaged_room_or_total_does_not_stop_the_rest(tmp_path: Path) -> None:
    demo, ops = (
        RoomRecord(name=name, room_id=open_room_id(name), joined_at_ms=5, bootstrap=())
        for name in (DEMO, RoomName("ops"))
    )
    async with RocksStore.open(tmp_path) as store:
        await store.put_room(demo)
        await store.put_room(ops)
        await store.put_memory(a_memory())
    overwrite(tmp_path, keys.room(ops.name), b"\xff")
    overwrite(tmp_path, keys.TOTALS, b"?")

    async with RocksStore.open(tmp_path) as store:
        assert store.rooms() == (demo,)
        assert (store.last_sequence(), store.count_memories()) == (1, 1)
        await store.put_memory(a_memory(an_entry(2)))
        assert (store.last_sequence(), store.count_memories()) == (2, 2)


@pytest.mark.parametrize(
    "state",
    [
        pb.PrivateState(founder=bytes(32), epochs=[pb.Epoch(number=1, secret=b"short")]),
        pb.PrivateState(founder=bytes(32), roster=b"no roster"),
        pb.PrivateState(
            founder=bytes(32), epochs=[pb.Epoch(secret=bytes(32))], roster=b"no roster"
        ),
    ],
)
async def test_a_private_room_without_its_secret_is_left_out(
    tmp_path: Path, state: pb.PrivateState
) -> None:
    demo, ops = (
        RoomRecord(name=name, room_id=open_room_id(name), joined_at_ms=5, bootstrap=())
        for name in (DEMO, RoomName("ops"))
    )
    async with RocksStore.open(tmp_path) as store:
        await store.put_room(demo)
        await store.put_room(ops)
    record = pb.RoomRecord(version=1, name="ops", room_id=ops.room_id, private=state)
    overwrite(tmp_path, keys.room(ops.name), record.SerializeToString())

    async with RocksStore.open(tmp_path) as store:
        assert store.rooms() == (demo,)


async def test_a_private_room_of_an_earlier_version_is_read_as_such_and_not_as_an_open_one(
    tmp_path: Path,
) -> None:
    ops = RoomRecord(name=RoomName("ops"), room_id=RoomId(b"r" * 32), joined_at_ms=5, bootstrap=())
    async with RocksStore.open(tmp_path) as store:
        await store.put_room(ops)
    state = pb.PrivateState(epochs=[pb.Epoch(number=1, secret=bytes(32))])
    record = pb.RoomRecord(
        version=1, name="ops", room_id=ops.room_id, joined_at_ms=5, private=state
    )
    overwrite(tmp_path, keys.room(ops.name), record.SerializeToString())

    async with RocksStore.open(tmp_path) as store:
        assert store.rooms() == (replace(ops, outdated=True),)


async def test_a_damaged_file_is_an_error_not_an_empty_list(tmp_path: Path) -> None:
    async with RocksStore.open(tmp_path) as store:
        await store.put_memory(a_memory())
    database = Rdict(str(tmp_path), Options(raw_mode=True))
    database.flush()
    database.close()
    await asyncio.to_thread(damage_tables, tmp_path)

    async with RocksStore.open(tmp_path) as store:
        with pytest.raises(StoreError, match="restore it from a backup"):
            await store.list_memories(EVERYTHING, 9)
    async with RocksStore.open(tmp_path):
        pass  # The failed scan kept no iterator, which would hold RocksDB's lock.


def below_a_file(path: Path) -> None:
    path.parent.write_text("not a directory")


def with_garbage(path: Path) -> None:
    path.mkdir(parents=True)
    (path / "CURRENT").write_text("garbage")


@pytest.mark.parametrize(
    ("prepare", "advice"),
    [
        (below_a_file, "see that the directory can be written"),
        (with_garbage, "move that directory"),
    ],
)
async def test_a_place_that_cannot_be_a_store_is_an_error_that_says_what_to_do(
    tmp_path: Path, prepare: Callable[[Path], None], advice: str
) -> None:
    path = tmp_path / "data" / "store"
    prepare(path)

    with pytest.raises(StoreError, match=advice):
        async with RocksStore.open(path):
            pass


async def test_a_store_in_use_is_an_error_that_says_so(tmp_path: Path) -> None:
    async with RocksStore.open(tmp_path):
        with pytest.raises(StoreError, match="buddies-cli daemon stop"):
            async with RocksStore.open(tmp_path):
                pass


BEGINNINGS = st.builds(
    lambda number, author, kept: a_memory(
        an_entry(number, author=author, created_at_s=number, content="It began"[:kept]),
        whole=whole_of("It began"),
        proof=b"%d" % number,
    ),
    st.integers(1, 3),
    st.sampled_from([ALICE, BOB]),
    st.sampled_from([4, 8]),
)
OTHERS = st.builds(
    lambda number, author, content, room, verified: a_memory(
        an_entry(number, author=author, content=content, room=room, created_at_s=number // 2),
        verified=verified,
    ),
    st.integers(1, 3),
    st.sampled_from([ALICE, BOB]),
    st.sampled_from(["x", "y"]),
    st.sampled_from([DEMO, RoomName("demon")]),
    st.sampled_from([Verified.PEER, Verified.UNVERIFIED]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(BEGINNINGS | OTHERS, max_size=20), st.integers(0, 20))
def test_the_store_shows_what_plain_dicts_show_also_after_opening_again(
    memories: list[Memory], reopened_after: int
) -> None:
    async def run(path: Path) -> None:
        plain = InMemoryStore()
        for part in (memories[:reopened_after], memories[reopened_after:]):
            async with RocksStore.open(path) as store:
                for memory in part:
                    assert await store.put_memory(memory) == await plain.put_memory(memory)
                    assert store.get_memory(memory.key) == plain.get_memory(memory.key)
                for filter in (EVERYTHING, MemoryFilter(room=DEMO), MemoryFilter(since_ms=1000)):
                    assert await store.list_memories(filter, 5) == await plain.list_memories(
                        filter, 5
                    )
                for number in (1, 2, 3):
                    id = memory_id(number)
                    assert store.find_heads(id) == plain.find_heads(id)
                assert await store.memories_since(3, 9) == await plain.memories_since(3, 9)
                assert store.truncated_memories(2) == plain.truncated_memories(2)
                assert store.last_sequence() == plain.last_sequence()
                assert store.count_memories() == plain.count_memories()

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(run(Path(directory)))


async def test_a_damaged_task_is_named_when_it_is_read_and_skipped_among_others(
    tmp_path: Path,
) -> None:
    order = an_order(1)
    async with RocksStore.open(tmp_path) as store:
        await store.put_offer(OfferRecord(order=order))
        await store.put_offer(OfferRecord(order=an_order(2)))
        await store._put(keys.offer(order.id), b"nonsense")
        await store._put(keys.task(order.id), b"nonsense")

        with pytest.raises(StoreError, match=f"the record of task {order.id} is damaged"):
            store.get_task(order.id)
        with pytest.raises(StoreError, match=f"the record of offered task {order.id} is damaged"):
            store.get_offer(order.id)
        assert await store.tasks() == ()
        assert [offer.order for offer in await store.offers()] == [an_order(2)]


async def test_a_damaged_policy_is_told_and_not_taken_for_none(tmp_path: Path) -> None:
    room_id, other = sorted((open_room_id(DEMO), open_room_id(RoomName("other"))))
    async with RocksStore.open(tmp_path) as store:
        await store.policies.put(room_id, Policy(require_signed=True))
        await store.policies.put(other, Policy(require_signed=True))
    overwrite(tmp_path, b"q" + room_id, b"\xff")
    async with RocksStore.open(tmp_path) as store:
        assert store.policies.all() == (
            PolicyRecord(room_id, None),
            PolicyRecord(other, Policy(require_signed=True)),
        )
        await store.policies.put(room_id, Policy())
        assert store.policies.all()[0] == PolicyRecord(room_id, Policy())


class CountsSyncs:
    """A RocksDB that counts how often its log was brought to the disk."""

    def __init__(self, rocks: Rdict) -> None:
        self._rocks = rocks
        self.syncs = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rocks, name)

    def flush_wal(self, sync: bool) -> None:
        self.syncs += 1
        self._rocks.flush_wal(sync)


async def test_what_members_say_again_by_themselves_takes_no_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = BOB
    presence = PresenceRecord(
        room_id=open_room_id(DEMO), endpoint=bob, proof=b"said", received_at_ms=5
    )
    binding = BindingRecord(endpoint=bob, signer=GpgIdentity("AB" * 20), signed_at_ms=5)
    async with RocksStore.open(tmp_path) as store:
        counting = CountsSyncs(store._database._rocks)
        monkeypatch.setattr(store._database, "_rocks", counting)
        await store.put_presence(presence)
        await store.delete_presence(presence.room_id, bob)
        await store.put_binding(binding)
        await store.delete_binding(bob)
        await store.raise_watermark(b"presence", 5)
        assert counting.syncs == 0
        await store.put_memory(a_memory(an_entry(1)))
        assert counting.syncs == 1


async def test_a_record_has_nothing_twice(tmp_path: Path) -> None:
    content = "We're using PostgreSQL for the user table, as two others have said already"
    entry = an_entry(content=content)
    proof = proof_of(MemoryCreated(entry), sent_at_ms=5)
    memory, skill = a_memory(entry, proof=proof), a_skill(a_skill_entry(content))
    async with RocksStore.open(tmp_path) as store:
        await store.put_memory(memory)
        await store.skills.put_skill(skill)
        for place in (keys.memory(memory.key), b"s" + skill.key):
            record = store._database.get(place) or b""
            assert record.count(content.encode()) == 1
        record = store._database.get(keys.memory(memory.key)) or b""
        assert record.count(memory.entry.author.encode()) == 1  # In the proof.
        assert len(record) < len(proof) + 80


async def test_a_store_of_layout_3_shows_the_same_before_and_after_it_is_brought_over(
    tmp_path: Path,
) -> None:
    path = unpack("store-layout-3.tar.gz", tmp_path)
    async with RocksStore.open(path) as store:
        before = store._database.get(keys.memory(MEMORIES[0].key)) or b""
        for is_new in (False, True):
            shown = [store.get_memory(memory.key) for memory in MEMORIES]
            assert shown == list(MEMORIES)
            listed, damaged = await store.list_memories(EVERYTHING, 9)
            assert sorted(it.key for it in listed) == sorted(it.key for it in MEMORIES)
            assert (damaged, heads(*MEMORIES)) == (
                0,
                tuple(store.get_head(it.key) for it in MEMORIES),
            )
            assert store.skills.get_skill(SKILL.key) == SKILL
            assert store.skills.ballots(SKILL.key) == ((VOTE, BOB),)
            assert (store.rooms(), store.watermark(b"sent")) == ((ROOM,), 7)
            assert store.policies.all() == (PolicyRecord(ROOM.room_id, POLICY),)
            if not is_new:
                await store.upgrade()
        after = store._database.get(keys.memory(MEMORIES[0].key)) or b""
        assert len(after) < len(before) - 64

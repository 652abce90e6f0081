"""A check of the store names what is damaged, and nothing else."""

from pathlib import Path

from buddies_core.store import keys, skill_keys
from buddies_core.store.invites import INVITES
from buddies_core.store.items import BY_ID
from buddies_core.store.rocks import RocksStore
from buddies_core.store.verifying import _Checks
from tests.support.memories import ALICE
from tests.support.stores import MEMORIES, ROOM, SKILL, VOTE, fill, unpack


async def verified(store: RocksStore) -> tuple[int, list[str]]:
    states = [state async for state in store.verify()]
    return states[-1].done, [name for state in states for name in state.damaged]


async def test_a_sound_store_has_nothing_to_name(tmp_path: Path) -> None:
    async with RocksStore.open(tmp_path / "new") as store:
        await fill(store)
        assert await verified(store) == (len(MEMORIES) + 3, [])
    async with RocksStore.open(unpack("store-layout-3.tar.gz", tmp_path)) as store:
        assert await verified(store) == (len(MEMORIES) + 3, [])


async def test_each_damaged_record_is_named_with_what_is_wrong(tmp_path: Path) -> None:
    first, long = MEMORIES[0], MEMORIES[2]
    async with RocksStore.open(tmp_path) as store:
        await fill(store)
        await store._put(keys.memory(first.key), b"\xff")
        await store._put(keys.content(keys.memory(long.key)), None)
        await store._put(keys.room(ROOM.name), b"\xff")
        await store._put(skill_keys.vote_of(VOTE), b"")
        by_id = next(key for key, place in store._database.scan(BY_ID) if place[1:] == SKILL.key)
        await store._put(by_id, None)

        assert await verified(store) == (
            len(MEMORIES) + 3,
            [
                f"memory {first.entry.id} by {ALICE.hex()[:10]}: its bytes are not a record",
                f"memory {long.entry.id} by {ALICE.hex()[:10]}: its content is not there",
                f"skill {SKILL.entry.hash}: it is not among the items of its room, so no member "
                "learns of it",
                f"a vote on skill {SKILL.entry.hash}: it has version 0, this buddies reads up to 1",
                f"the record with the key {keys.room(ROOM.name).hex()}: its bytes are not a record",
            ],
        )


async def test_damaged_invites_and_announcements_are_named_without_the_token(
    tmp_path: Path,
) -> None:
    async with RocksStore.open(tmp_path) as store:
        await store._put(INVITES + bytes(32) + b"t" * 32, b"\xff")
        await store._put(skill_keys.ANNOUNCEMENTS + bytes(32), b"\xff")

        assert await verified(store) == (
            2,
            [
                f"an announcement of skill {bytes(32).hex()}: its bytes are not a record",
                "an invite to room 0000000000: its bytes are not a record",
            ],
        )


async def test_a_memory_that_no_search_can_find_is_named(tmp_path: Path) -> None:
    async with RocksStore.open(tmp_path) as store:
        await fill(store)
        await store._put(keys.log(1), None)
        _, [damaged] = await verified(store)
        assert damaged.endswith("it is not in the order of arrival, so no search finds it")


async def test_every_kind_of_record_of_its_own_is_checked(tmp_path: Path) -> None:
    async with RocksStore.open(tmp_path) as store:
        await fill(store)
        derived = {*b"iltfdghHyzwIJSA", *b"junc"}  # Indexes, contents, marks and counts.
        checked = {it[0] for it in _Checks(store._database, store._items).by_letter}
        kept = {key[0] for key, _ in store._database.scan(b"")}
        assert kept - derived - checked == {ord("q")}  # Policies say themselves that they are.

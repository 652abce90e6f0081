"""What every store promises about invites, and what only the one on disk can do wrong."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rocksdict import Options, Rdict

from buddies_core.errors import StoreError
from buddies_core.model.ids import EndpointId, EpochId, RoomId
from buddies_core.model.private import token_hash
from buddies_core.store.database import Changes, Database, Read
from buddies_core.store.invites import INVITES_MAX, InviteRecord, InviteStore, RocksInvites
from tests.support.in_memory.invites import InMemoryInvites
from tests.support.memories import ALICE, BOB, CAROL

ROOM_ID = RoomId(b"r" * 32)
ELSEWHERE = RoomId(b"s" * 32)
NOW_MS = 1_000
BOUND_S = 5
HASH = token_hash(b"t" * 32)
INVITE = InviteRecord(
    room_id=ROOM_ID, token_hash=HASH, expires_at_ms=2_000, uses_left=2, during=EpochId(b"e" * 32)
)


def endpoint(number: int) -> EndpointId:
    return EndpointId(number.to_bytes(32, "big"))


def invite(number: int, *, room_id: RoomId = ROOM_ID, expires_at_ms: int = 2_000) -> InviteRecord:
    hash = number.to_bytes(32, "big")
    return replace(INVITE, room_id=room_id, token_hash=hash, expires_at_ms=expires_at_ms)


@pytest.fixture(params=["in memory", "rocks"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[InviteStore]:
    if request.param == "in memory":
        yield InMemoryInvites()
    else:
        async with Database.open(tmp_path / "store") as database:
            yield RocksInvites(database)


async def test_each_use_is_counted_until_there_are_none(store: InviteStore) -> None:
    assert await store.put(INVITE, NOW_MS) is True
    assert store.of_room(ROOM_ID) == (INVITE,)

    after_bob = replace(INVITE, uses_left=1, redeemed_by=(BOB,))
    after_both = replace(INVITE, uses_left=0, redeemed_by=(BOB, CAROL))
    assert await store.redeem(ROOM_ID, HASH, BOB, NOW_MS) == after_bob
    assert await store.redeem(ROOM_ID, HASH, CAROL, NOW_MS) == after_both
    assert await store.redeem(ROOM_ID, HASH, ALICE, NOW_MS) is None
    assert store.of_room(ROOM_ID) == (after_both,)


async def test_the_same_endpoint_again_costs_no_use(store: InviteStore) -> None:
    await store.put(INVITE, NOW_MS)
    after_bob = replace(INVITE, uses_left=1, redeemed_by=(BOB,))
    for _ in range(5):
        assert await store.redeem(ROOM_ID, HASH, BOB, NOW_MS) == after_bob

    await store.redeem(ROOM_ID, HASH, CAROL, NOW_MS)
    used_up = replace(INVITE, uses_left=0, redeemed_by=(BOB, CAROL))
    assert await store.redeem(ROOM_ID, HASH, BOB, NOW_MS) == used_up


async def test_an_expired_invite_lets_nobody_in_who_came_in_by_it_neither(
    store: InviteStore,
) -> None:
    await store.put(INVITE, NOW_MS)
    after_bob = await store.redeem(ROOM_ID, HASH, BOB, 1_999)
    assert after_bob is not None
    for who in (BOB, CAROL):
        assert await store.redeem(ROOM_ID, HASH, who, 2_000) is None
    assert store.of_room(ROOM_ID) == (after_bob,)


async def test_a_token_that_is_unknown_or_of_another_room_lets_nobody_in(
    store: InviteStore,
) -> None:
    await store.put(INVITE, NOW_MS)
    assert await store.redeem(ELSEWHERE, HASH, BOB, NOW_MS) is None
    assert await store.redeem(ROOM_ID, token_hash(b"u" * 32), BOB, NOW_MS) is None
    assert await store.redeem(ROOM_ID, b"", BOB, NOW_MS) is None
    assert store.of_room(ROOM_ID) == (INVITE,)
    assert store.of_room(ELSEWHERE) == ()


async def test_redeems_at_once_never_exceed_the_uses(store: InviteStore) -> None:
    await store.put(replace(INVITE, uses_left=64), NOW_MS)
    async with asyncio.TaskGroup() as group:
        calls = {
            (who, again): group.create_task(store.redeem(ROOM_ID, HASH, endpoint(who), NOW_MS))
            for again in range(2)
            for who in range(200)
        }

    let_in = {who for (who, _), call in calls.items() if call.result() is not None}
    [kept] = store.of_room(ROOM_ID)
    assert len(let_in) == len(kept.redeemed_by) == 64
    assert {endpoint(who) for who in let_in} == set(kept.redeemed_by)
    assert kept.uses_left == 0


async def test_invites_come_by_hash_and_are_forgotten_with_their_room(store: InviteStore) -> None:
    first, second, elsewhere = invite(1), invite(2), invite(1, room_id=ELSEWHERE)
    for one in (second, elsewhere, first):
        await store.put(one, NOW_MS)

    assert store.of_room(ROOM_ID) == (first, second)
    await store.delete_of_room(ROOM_ID)
    await store.delete_of_room(ROOM_ID)
    assert store.of_room(ROOM_ID) == ()
    assert await store.redeem(ROOM_ID, first.token_hash, BOB, NOW_MS) is None
    assert store.of_room(ELSEWHERE) == (elsewhere,)


async def test_a_new_invite_makes_the_expired_ones_of_its_room_go(store: InviteStore) -> None:
    expired, elsewhere = invite(1), invite(1, room_id=ELSEWHERE)
    lasting, new = invite(2, expires_at_ms=2_001), invite(3, expires_at_ms=3_000)
    for one in (expired, elsewhere, lasting):
        await store.put(one, NOW_MS)

    assert await store.put(new, 2_000) is True
    assert store.of_room(ROOM_ID) == (lasting, new)
    assert store.of_room(ELSEWHERE) == (elsewhere,)


async def test_a_room_with_too_many_invites_takes_no_more_until_some_expire(
    store: InviteStore,
) -> None:
    for number in range(INVITES_MAX):
        assert await store.put(invite(number), NOW_MS) is True
    new = invite(999, expires_at_ms=9_000)
    assert await store.put(new, NOW_MS) is False
    assert len(store.of_room(ROOM_ID)) == INVITES_MAX
    assert await store.put(replace(new, room_id=ELSEWHERE), NOW_MS) is True
    assert await store.put(new, 2_000) is True
    assert store.of_room(ROOM_ID) == (new,)


async def test_a_use_that_was_counted_is_counted_after_opening_again(tmp_path: Path) -> None:
    async with Database.open(tmp_path) as database:
        store = RocksInvites(database)
        await store.put(INVITE, NOW_MS)
        after_bob = await store.redeem(ROOM_ID, HASH, BOB, NOW_MS)

    async with Database.open(tmp_path) as database:
        store = RocksInvites(database)
        assert store.of_room(ROOM_ID) == (after_bob,)
        assert await store.redeem(ROOM_ID, HASH, BOB, NOW_MS) == after_bob
        assert await store.redeem(ROOM_ID, HASH, CAROL, NOW_MS) is not None
        assert await store.redeem(ROOM_ID, HASH, ALICE, NOW_MS) is None


async def test_redeems_that_share_a_batch_see_each_other(tmp_path: Path) -> None:
    begun, let_go = threading.Event(), threading.Event()

    def occupy_the_writer(_: Read) -> tuple[None, Changes]:
        begun.set()
        assert let_go.wait(BOUND_S)
        return None, {}

    async with Database.open(tmp_path) as database:
        store = RocksInvites(database)
        await store.put(INVITE, NOW_MS)
        async with asyncio.TaskGroup() as group:
            group.create_task(database.commit(occupy_the_writer))
            assert await asyncio.to_thread(begun.wait, BOUND_S)
            calls = [
                group.create_task(store.redeem(ROOM_ID, HASH, endpoint(who), NOW_MS))
                for who in (1, 2, 1, 3, 4)
            ]
            await asyncio.sleep(0)  # They wait for the writer now.
            let_go.set()

        assert [(it := call.result()) and it.uses_left for call in calls] == [1, 0, 0, None, None]


class SyncFailsOnce:
    """A RocksDB whose log does not reach the disk at first."""

    def __init__(self, rocks: Rdict) -> None:
        self._rocks = rocks
        self.syncs = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rocks, name)

    def flush_wal(self, sync: bool) -> None:
        self.syncs += 1
        if self.syncs == 1:
            raise RuntimeError("IO error: No space left on device")
        self._rocks.flush_wal(sync)


async def test_nobody_is_let_in_before_the_use_is_on_disk_also_when_asking_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Database.open(tmp_path) as database:
        store = RocksInvites(database)
        await store.put(INVITE, NOW_MS)
        failing = SyncFailsOnce(database._rocks)
        monkeypatch.setattr(database, "_rocks", failing)
        with pytest.raises(StoreError, match="No space left"):
            await store.redeem(ROOM_ID, HASH, BOB, NOW_MS)
        assert await store.redeem(ROOM_ID, HASH, BOB, NOW_MS) is not None
        assert failing.syncs == 2


async def test_the_token_is_not_on_disk(tmp_path: Path) -> None:
    token = b"a token that is one of a kind..."
    async with Database.open(tmp_path) as database:
        store = RocksInvites(database)
        await store.put(replace(INVITE, token_hash=token_hash(token)), NOW_MS)
        assert await store.redeem(ROOM_ID, token_hash(token), BOB, NOW_MS) is not None

    files = [path.read_bytes() for path in tmp_path.iterdir() if path.is_file()]  # noqa: ASYNC240 - a handful
    assert any(token_hash(token) in file for file in files)
    assert not any(token in file for file in files)


@pytest.mark.parametrize("record", [b"\xff", b"", b"\x08\x02"])
async def test_a_damaged_invite_lets_nobody_in_and_harms_no_other(
    tmp_path: Path, record: bytes
) -> None:
    good, bad = invite(1), invite(2)
    async with Database.open(tmp_path) as database:
        for one in (good, bad):
            await RocksInvites(database).put(one, NOW_MS)
    rocks = Rdict(str(tmp_path), Options(raw_mode=True))
    rocks[b"a" + ROOM_ID + bad.token_hash] = record
    rocks.close()

    async with Database.open(tmp_path) as database:
        store = RocksInvites(database)
        assert store.of_room(ROOM_ID) == (good,)
        with pytest.raises(StoreError, match=r"an invite to room 7272727272 is damaged"):
            await store.redeem(ROOM_ID, bad.token_hash, BOB, NOW_MS)
        assert await store.redeem(ROOM_ID, good.token_hash, BOB, NOW_MS) is not None
        assert await store.put(invite(3), NOW_MS) is True
        assert await store.redeem(ROOM_ID, bad.token_hash, BOB, NOW_MS) is None

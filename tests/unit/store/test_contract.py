"""What every store promises: the real one, and the one that stands in for it in tests."""

import hashlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from buddies_core.model.address import AddressInfo, PeerAddress, SocketAddress
from buddies_core.model.identity import GpgIdentity, SshIdentity, Verified
from buddies_core.model.ids import EndpointId, EpochId, MemoryId, RoomName, open_room_id
from buddies_core.model.memory import MemoryFilter, MemoryKey, MemoryKind, MemoryPlace, Whole
from buddies_core.model.policy import Policy
from buddies_core.model.private import Epoch, Founding, PrivateState, Roster, Sponsorship
from buddies_core.model.revocation import Revocation
from buddies_core.model.task import (
    TaskFailed,
    TaskLimits,
    TaskResult,
    TaskState,
    TaskSucceeded,
    TaskTarget,
)
from buddies_core.store.keys import presence_mark
from buddies_core.store.policies import PolicyRecord
from buddies_core.store.records import BindingRecord, PresenceRecord, RoomRecord
from buddies_core.store.rocks import RocksStore
from buddies_core.store.task_records import (
    LateResult,
    OfferRecord,
    OfferState,
    TaskRecord,
    Worker,
)
from tests.support.in_memory.store import InMemoryStore
from tests.support.memories import (
    ALICE,
    BOB,
    CAROL,
    DEMO,
    a_memory,
    an_entry,
    heads,
    memory_id,
    whole_of,
)
from tests.support.tasks import an_order

OPS = RoomName("ops")
EVERYTHING = MemoryFilter()


@pytest.fixture(params=["in memory", "rocks"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[InMemoryStore | RocksStore]:
    if request.param == "in memory":
        yield InMemoryStore()
    else:
        async with RocksStore.open(tmp_path / "store") as rocks:
            yield rocks


async def test_a_memory_comes_back_with_every_field(store: InMemoryStore | RocksStore) -> None:
    entry = an_entry(
        title="Größe", content="日本\0語", tags=("a", "b"), references=(memory_id(7), memory_id(8))
    )
    memory = a_memory(entry, verified=Verified.SIGNER, whole=Whole(b"h" * 32, 200_000))

    assert await store.put_memory(memory) is True
    assert store.get_memory(memory.key) == memory
    assert store.find_heads(entry.id) == heads(memory)
    assert await store.list_memories(EVERYTHING, 10) == (heads(memory), 0)
    assert await store.memories_since(0, 10) == ((1, memory),)
    assert (store.last_sequence(), store.count_memories()) == (1, 1)


async def test_ids_are_found_by_their_first_digits_two_at_most(
    store: InMemoryStore | RocksStore,
) -> None:
    whole = ("8d3e5c1a7f0b4c529a541f0c2b7d9e61", "8d3e5c1b" + "0" * 24, "8d3e5d" + "0" * 26)
    ids = [MemoryId(UUID(digits)) for digits in whole]
    for id, author in itertools.product(ids, (ALICE, BOB)):
        await store.put_memory(a_memory(replace(an_entry(author=author), id=id)))

    assert store.ids_beginning("8d3e5c1a") == (ids[0],)
    assert store.ids_beginning("8d3e5c1a7") == (ids[0],)
    assert store.ids_beginning(whole[0]) == (ids[0],)
    assert store.ids_beginning("8d3e5") == (ids[0], ids[1])
    assert store.ids_beginning("8d3e5c1") == (ids[0], ids[1])
    assert store.ids_beginning("8d3e5c10") == store.ids_beginning("00000000") == ()


async def test_an_empty_store_has_nothing(store: InMemoryStore | RocksStore) -> None:
    assert store.get_memory(a_memory().key) is None
    assert store.find_heads(memory_id(1)) == ()
    assert await store.list_memories(EVERYTHING, 10) == ((), 0)
    assert await store.memories_since(0, 10) == ()
    assert (store.last_sequence(), store.count_memories()) == (0, 0)
    assert store.rooms() == ()
    assert store.presences(open_room_id(DEMO)) == ()
    assert store.watermark(b"sent") == 0


async def test_storing_the_same_memory_again_changes_nothing(
    store: InMemoryStore | RocksStore,
) -> None:
    memory = a_memory()
    await store.put_memory(memory)

    assert await store.put_memory(replace(memory, received_at_ms=9)) is False
    assert await store.memories_since(0, 10) == ((1, memory),)


async def test_of_two_memories_under_one_key_the_smaller_hash_stays_whatever_the_order(
    store: InMemoryStore | RocksStore,
) -> None:
    rivals = [a_memory(an_entry(content=content)) for content in ("one", "two", "three")]
    winner = min(rivals, key=lambda memory: hashlib.sha256(memory.proof).digest())

    for memory in rivals:
        await store.put_memory(memory)

    assert store.get_memory(winner.key) == winner
    assert await store.list_memories(EVERYTHING, 10) == (heads(winner), 0)
    assert store.count_memories() == 1


async def test_the_whole_content_replaces_its_beginning_and_arrives_anew(
    store: InMemoryStore | RocksStore,
) -> None:
    short = a_memory(an_entry(1, content="It be"), whole=whole_of("It began"))
    other = a_memory(an_entry(2))
    whole = replace(short, entry=replace(short.entry, content="It began"))
    await store.put_memory(short)
    await store.put_memory(other)

    assert store.truncated_memories(9) == (short.key,)
    assert store.truncated_memories(9, short.key) == ()
    assert await store.put_memory(whole) is True
    assert await store.put_memory(short) is False
    assert store.truncated_memories(9) == ()
    assert await store.memories_since(0, 10) == ((2, other), (3, whole))
    assert [store.key_at(number) for number in range(5)] == [None, None, other.key, whole.key, None]
    assert (store.last_sequence(), store.count_memories()) == (3, 2)


async def test_nobody_but_its_author_can_replace_a_memory(
    store: InMemoryStore | RocksStore,
) -> None:
    of_alice = a_memory(an_entry(1, author=ALICE))
    of_bob = a_memory(an_entry(1, author=BOB))
    of_anyone = a_memory(an_entry(1, author=ALICE), verified=Verified.UNVERIFIED)
    for memory in (of_alice, of_bob, of_anyone):
        await store.put_memory(memory)

    assert set(store.find_heads(memory_id(1))) == set(heads(of_alice, of_bob, of_anyone))


async def test_lists_are_newest_first_and_a_later_arrival_is_newer(
    store: InMemoryStore | RocksStore,
) -> None:
    first, second, older, newest = (
        a_memory(an_entry(number, created_at_s=created_at_s))
        for number, created_at_s in ((9, 50), (2, 50), (3, 40), (1, 60))
    )
    for memory in (first, second, older, newest):
        await store.put_memory(memory)

    assert await store.list_memories(EVERYTHING, 10) == (heads(newest, second, first, older), 0)
    assert await store.list_memories(EVERYTHING, 2) == (heads(newest, second), 0)
    assert await store.list_memories(EVERYTHING, 0) == ((), 0)


async def test_a_list_holds_what_passes_every_filter(store: InMemoryStore | RocksStore) -> None:
    plain = a_memory(an_entry(1, created_at_s=10))
    tagged = a_memory(an_entry(2, created_at_s=20, tags=("db", "ops"), kind=MemoryKind.SKILL))
    elsewhere = a_memory(an_entry(3, created_at_s=30, room=OPS))
    of_bob = a_memory(an_entry(4, created_at_s=40, author=BOB), author_name="Bob")
    for memory in (plain, tagged, elsewhere, of_bob):
        await store.put_memory(memory)

    expected = {
        MemoryFilter(room=DEMO): (of_bob, tagged, plain),
        MemoryFilter(room=OPS): (elsewhere,),
        MemoryFilter(room=RoomName("op")): (),
        MemoryFilter(kind=MemoryKind.SKILL): (tagged,),
        MemoryFilter(tags=("x", "ops")): (tagged,),
        MemoryFilter(author="BOB"): (of_bob,),
        MemoryFilter(author=BOB.hex()): (of_bob,),
        MemoryFilter(since_ms=30_000): (of_bob, elsewhere),
        MemoryFilter(room=DEMO, since_ms=10_001): (of_bob, tagged),
    }
    listed = {f: (await store.list_memories(f, 10))[0] for f in expected}
    assert listed == {f: heads(*memories) for f, memories in expected.items()}


async def test_the_log_is_read_in_steps_without_loss(store: InMemoryStore | RocksStore) -> None:
    memories = [a_memory(an_entry(number, created_at_s=100 - number)) for number in range(1, 6)]
    for memory in memories:
        await store.put_memory(memory)

    assert await store.memories_since(0, 2) == ((1, memories[0]), (2, memories[1]))
    assert await store.memories_since(2, 2) == ((3, memories[2]), (4, memories[3]))
    assert await store.memories_since(4, 2) == ((5, memories[4]),)
    assert await store.memories_since(5, 2) == ()
    assert await store.heads_since(2, 2) == tuple(zip((3, 4), heads(*memories[2:4]), strict=True))
    assert await store.heads_since(5, 2) == ()


async def test_rooms_are_kept_replaced_and_forgotten(store: InMemoryStore | RocksStore) -> None:
    demo, ops = (
        RoomRecord(name=name, room_id=open_room_id(name), joined_at_ms=5, bootstrap=())
        for name in (DEMO, OPS)
    )
    back = AddressInfo(
        relay_url="https://relay.example./",
        direct=(SocketAddress("127.0.0.1", 4433), SocketAddress("::1", 4434)),
    )
    dialable = replace(demo, bootstrap=(PeerAddress(ALICE, back), PeerAddress(BOB)))
    await store.put_room(ops)
    await store.put_room(demo)
    await store.put_room(dialable)

    assert store.rooms() == (dialable, ops)
    await store.delete_room(OPS)
    await store.delete_room(OPS)
    assert store.rooms() == (dialable,)


async def test_the_same_words_keep_the_time_when_they_first_came(
    store: InMemoryStore | RocksStore,
) -> None:
    beginning = a_memory(an_entry(content="It be"), whole=whole_of("It began"), received_at_ms=5)
    await store.put_memory(beginning)
    whole = replace(beginning, entry=replace(beginning.entry, content="It began"))
    await store.put_memory(replace(whole, received_at_ms=9))
    assert store.get_memory(whole.key) == whole

    copies = [replace(a_memory(an_entry(2)), proof=proof) for proof in (b"one", b"two")]
    copies.sort(key=lambda memory: hashlib.sha256(memory.proof).digest(), reverse=True)
    await store.put_memory(replace(copies[0], received_at_ms=5))
    await store.put_memory(replace(copies[1], received_at_ms=9))
    assert store.get_memory(copies[1].key) == replace(copies[1], received_at_ms=5)


async def test_a_signature_under_old_words_came_when_it_came(
    store: InMemoryStore | RocksStore,
) -> None:
    unsigned = a_memory(verified=Verified.UNVERIFIED, received_at_ms=5)
    await store.put_memory(unsigned)
    signed = replace(unsigned, signed_by="ssh:key", proof=b"signed", received_at_ms=9)
    await store.put_memory(signed)
    assert store.get_memory(signed.key) == signed


async def test_other_words_under_an_old_id_came_when_they_came(
    store: InMemoryStore | RocksStore,
) -> None:
    rivals = [a_memory(an_entry(content=content)) for content in ("one", "two")]
    rivals.sort(key=lambda memory: hashlib.sha256(memory.proof).digest(), reverse=True)
    await store.put_memory(replace(rivals[0], received_at_ms=5))
    await store.put_memory(replace(rivals[1], received_at_ms=9))
    assert store.get_memory(rivals[1].key) == replace(rivals[1], received_at_ms=9)


async def test_what_is_hidden_takes_no_place_in_a_list(store: InMemoryStore | RocksStore) -> None:
    memories = [a_memory(an_entry(number)) for number in range(6)]
    for memory in memories:
        await store.put_memory(memory)

    hidden = heads(*memories[2:5])
    listed = await store.list_memories(EVERYTHING, 2, lambda head: head in hidden)
    assert listed == (heads(memories[5], memories[1]), 0)


async def test_what_is_dated_ahead_stands_where_it_came_also_when_it_is_replaced(
    store: InMemoryStore | RocksStore,
) -> None:
    ahead = an_entry(2, created_at_s=253_402_300_799)
    ordinary, late = (a_memory(an_entry(n, created_at_s=50 + n)) for n in (1, 3))
    beginning = a_memory(ahead, whole=Whole(b"h" * 32, 99), received_at_ms=52_000)
    whole = replace(beginning, entry=replace(ahead, content="c" * 99), received_at_ms=60_000)
    for memory in (beginning, ordinary, late):
        await store.put_memory(memory)

    assert await store.list_memories(EVERYTHING, 9) == (heads(late, beginning, ordinary), 0)
    await store.put_memory(whole)
    kept = replace(whole, received_at_ms=52_000)
    assert await store.list_memories(EVERYTHING, 9) == (heads(late, kept, ordinary), 0)
    assert (await store.list_memories(MemoryFilter(since_ms=53_000), 9))[0] == heads(late)
    assert kept.at_s == 52


@pytest.mark.parametrize("content", ["short", "ä" * 2049, "日本" * 100_000, "🙂" + "x" * 999])
async def test_a_list_holds_the_beginning_and_the_size_of_a_content(
    store: InMemoryStore | RocksStore, content: str
) -> None:
    memory = a_memory(an_entry(content=content))
    await store.put_memory(memory)

    head = store.get_head(memory.key)
    assert head is not None
    assert (head.entry.content, head.size) == (content[:1000], len(content.encode()))
    assert (await store.list_memories(EVERYTHING, 9))[0] == (head,)
    assert store.get_memory(memory.key) == memory
    assert await store.memories_since(0, 9) == ((1, memory),)


async def test_an_identity_is_revoked_until_that_is_forgotten(
    store: InMemoryStore | RocksStore,
) -> None:
    peer = Revocation(label="peer:" + "ab" * 32, since_ms=1, revoked_at_ms=2)
    signer = Revocation(label="ssh:ssh-ed25519 AAAA", since_ms=3, revoked_at_ms=4)
    assert store.revocations() == ()
    for revocation in (signer, replace(peer, since_ms=9), peer):
        await store.put_revocation(revocation)
    assert store.revocations() == (peer, signer)
    await store.delete_revocation(peer.label)
    await store.delete_revocation("gpg:nobody")
    assert store.revocations() == (signer,)


FOUNDING = Founding(ALICE, b"n" * 32)


def an_sponsorship(member: EndpointId) -> Sponsorship:
    during = EpochId(b"d" * 32)
    return Sponsorship(member=member, by=ALICE, during=during, signature=b"y" * 64)


def a_roster(number: int) -> Roster:
    return Roster(
        room_id=open_room_id(OPS),
        number=number,
        id=EpochId(b"i" * 32),
        rotator=BOB,
        entries=tuple(map(an_sponsorship, sorted((ALICE, BOB)))),
        signature=b"x" * 64,
    )


@pytest.mark.parametrize(
    "state",
    [
        PrivateState(founding=FOUNDING, epoch=Epoch(0, b"s" * 32), roster=a_roster(0)),
        PrivateState(
            founding=FOUNDING,
            epoch=Epoch((1 << 32) - 1, b"t" * 32),
            roster=replace(a_roster((1 << 32) - 1), gone=(an_sponsorship(CAROL),)),
            admitted=(an_sponsorship(CAROL),),
            past=(EpochId(b"1" * 32), EpochId(b"2" * 32)),
        ),
    ],
)
async def test_a_private_room_comes_back_with_every_field(
    store: InMemoryStore | RocksStore, state: PrivateState
) -> None:
    room = RoomRecord(
        name=OPS, room_id=open_room_id(OPS), joined_at_ms=5, bootstrap=(), private=state
    )
    await store.put_room(room)
    assert store.rooms() == (room,)
    await store.put_room(replace(room, private=None))
    assert store.rooms() == (replace(room, private=None),)


async def test_it_is_known_whether_anything_of_a_room_is_kept(
    store: InMemoryStore | RocksStore,
) -> None:
    rooms = (DEMO, OPS, RoomName("asked"), RoomName("offered"))
    assert [await store.keeps_any_of(room) for room in rooms] == [False] * 4
    await store.put_memory(a_memory(an_entry(room=OPS)))
    await store.put_task(replace(A_TASK, order=an_order(room="asked")))
    await store.put_offer(OfferRecord(order=an_order(room="offered")))
    assert [await store.keeps_any_of(room) for room in rooms] == [False, True, True, True]


async def test_the_latest_binding_of_each_endpoint_is_kept(
    store: InMemoryStore | RocksStore,
) -> None:
    first = BindingRecord(endpoint=BOB, signer=GpgIdentity("AB" * 20), signed_at_ms=1)
    second = BindingRecord(
        endpoint=BOB, signer=SshIdentity("ssh-ed25519 AAAA"), signed_at_ms=2, signature=b"signed"
    )
    other = BindingRecord(endpoint=ALICE, signer=GpgIdentity("AB" * 20), signed_at_ms=3)
    for record in (first, second, other):
        await store.put_binding(record)
    assert store.bindings() == tuple(sorted((second, other), key=lambda it: it.endpoint))
    await store.delete_binding(ALICE)
    await store.delete_binding(ALICE)
    assert store.bindings() == (second,)


async def test_policies_are_kept_replaced_and_forgotten(store: InMemoryStore | RocksStore) -> None:
    demo, ops = sorted((open_room_id(DEMO), open_room_id(OPS)))
    listed = Policy((SshIdentity("ssh-ed25519 AAAA"), GpgIdentity("AB" * 20)))
    signed = Policy(require_signed=True)
    assert store.policies.all() == ()
    await store.policies.put(ops, listed)
    await store.policies.put(demo, listed)
    await store.policies.put(demo, signed)

    assert store.policies.all() == (PolicyRecord(demo, signed), PolicyRecord(ops, listed))
    await store.policies.delete(demo)
    await store.policies.delete(demo)
    assert store.policies.all() == (PolicyRecord(ops, listed),)


async def test_presences_belong_to_their_room_and_the_latest_counts(
    store: InMemoryStore | RocksStore,
) -> None:
    old, new, of_bob, elsewhere = (
        PresenceRecord(
            room_id=open_room_id(room), endpoint=endpoint, proof=proof, received_at_ms=at_ms
        )
        for room, endpoint, proof, at_ms in (
            (DEMO, ALICE, b"old", 1),
            (DEMO, ALICE, b"new", 2),
            (DEMO, BOB, b"bob", 3),
            (OPS, ALICE, b"ops", 4),
        )
    )
    for presence in (of_bob, old, new, elsewhere):
        await store.put_presence(presence)

    assert store.presences(open_room_id(DEMO)) == (new, of_bob)
    assert store.get_presence(new.room_id, new.endpoint) == new
    assert store.get_presence(elsewhere.room_id, of_bob.endpoint) is None
    for room_id in (new.room_id, elsewhere.room_id):
        await store.raise_watermark(presence_mark(room_id, new.endpoint), 5)
    await store.delete_presence(open_room_id(DEMO), new.endpoint)
    assert store.watermarks(b"presence") == ((presence_mark(elsewhere.room_id, new.endpoint), 5),)
    assert store.presences(open_room_id(DEMO)) == (of_bob,)
    await store.delete_presences(open_room_id(DEMO))
    assert store.presences(open_room_id(DEMO)) == ()
    assert store.presences(open_room_id(OPS)) == (elsewhere,)


async def test_a_watermark_never_falls(store: InMemoryStore | RocksStore) -> None:
    await store.raise_watermark(b"sent", 1 << 60)
    await store.raise_watermark(b"sent", 5)
    await store.raise_watermark(b"sen", 7)

    assert [store.watermark(name) for name in (b"sent", b"sen", b"se")] == [1 << 60, 7, 0]
    assert store.watermarks(b"sen") == ((b"sen", 7), (b"sent", 1 << 60))
    assert store.watermarks(b"sent") == ((b"sent", 1 << 60),)

    await store.forget_watermark(b"sent")
    await store.forget_watermark(b"never")
    await store.raise_watermark(b"sent", 5)
    assert store.watermarks(b"sen") == ((b"sen", 7), (b"sent", 5))


A_WORKER = Worker(endpoint=BOB, user="bob", agent="codex")
A_TASK = TaskRecord(
    order=an_order(1),
    idempotency_key="",
    state=TaskState.SUBMITTED,
    attempt=0,
    lost=0,
    worker=None,
    progress="",
    result=None,
    result_sha256=b"",
    reason="",
    late=(),
    rejected_by=(),
    rejections=(),
    start_left_s=600.0,
    finish_left_s=None,
    changed_at_ms=1,
)


@pytest.mark.parametrize(
    "result", [None, TaskSucceeded(""), TaskSucceeded("日本"), TaskFailed("no")]
)
async def test_a_task_comes_back_with_every_field(
    store: InMemoryStore | RocksStore, result: TaskResult | None
) -> None:
    late = LateResult(
        attempt=1, worker=CAROL, result=TaskFailed("late"), why="over", sha256=b"s" * 32
    )
    task = replace(
        A_TASK,
        order=an_order(
            1,
            target=TaskTarget(peer=BOB, agent="codex", capability="tests"),
            limits=TaskLimits(start_s=1.0, finish_s=2.0, silence_s=3.0, overall_s=4.0),
            retryable=False,
            path=("a/x", "b/y"),
        ),
        idempotency_key="key",
        state=TaskState.WORKING,
        attempt=3,
        lost=2,
        worker=A_WORKER,
        progress="half",
        result=result,
        result_sha256=b"r" * 32,
        reason="because",
        late=(late, late),
        rejected_by=("c/z",),
        rejections=("z: no",),
        start_left_s=None,
        finish_left_s=12.5,
        changed_at_ms=99,
        told_legacy=True,
    )
    await store.put_task(A_TASK)
    await store.put_task(task)

    assert store.get_task(task.order.id) == task
    assert await store.tasks() == (task,)


@pytest.mark.parametrize("result", [None, TaskSucceeded(""), TaskFailed("no")])
async def test_an_offer_comes_back_with_every_field(
    store: InMemoryStore | RocksStore, result: TaskResult | None
) -> None:
    offer = OfferRecord(
        order=an_order(1),
        state=OfferState.SUBMITTED,
        attempt=2,
        agent="codex",
        user="bob",
        result=result,
        verdict="late: over",
        reason="gone",
        rejected_by=("claude", "gemini"),
        legacy=True,
        changed_at_ms=7,
    )
    await store.put_offer(OfferRecord(order=an_order(1)))
    await store.put_offer(offer)

    assert store.get_offer(offer.order.id) == offer
    assert await store.offers() == (offer,)


async def test_tasks_and_offers_of_one_id_do_not_meet_and_can_be_forgotten(
    store: InMemoryStore | RocksStore,
) -> None:
    second = replace(A_TASK, order=an_order(2))
    offer = OfferRecord(order=an_order(1))
    await store.put_task(second)
    await store.put_task(A_TASK)
    await store.put_offer(offer)

    assert await store.tasks() == (A_TASK, second)
    await store.delete_task(A_TASK.order.id)
    await store.delete_task(A_TASK.order.id)
    assert (store.get_task(A_TASK.order.id), await store.tasks()) == (None, (second,))
    assert await store.offers() == (offer,)
    await store.delete_offer(offer.order.id)
    assert (store.get_offer(offer.order.id), await store.offers()) == (None, ())


async def test_a_list_goes_on_behind_a_memory_whatever_has_come_since(
    store: InMemoryStore | RocksStore,
) -> None:
    memories = [
        a_memory(an_entry(number, created_at_s=1_700_000_000 + number // 2)) for number in range(6)
    ]
    for memory in memories:
        await store.put_memory(memory)
    newest_first = memories[::-1]
    place = MemoryPlace(newest_first[2].entry.created_at_s, newest_first[2].key)

    first, _ = await store.list_memories(EVERYTHING, 3)
    late = a_memory(an_entry(7, created_at_s=1_700_000_000))
    for memory in (a_memory(an_entry(6, created_at_s=1_800_000_000)), late):
        await store.put_memory(memory)
    rest, _ = await store.list_memories(EVERYTHING, 9, after=place)
    of_room, _ = await store.list_memories(MemoryFilter(room=DEMO), 9, after=place)

    assert (*first, *rest) == heads(*newest_first[:4], late, *newest_first[4:])
    assert of_room == rest


async def test_a_list_goes_on_behind_one_of_two_memories_with_the_same_id_and_time(
    store: InMemoryStore | RocksStore,
) -> None:
    for memory in (
        twins := (a_memory(), a_memory(verified=Verified.UNVERIFIED), a_memory(an_entry(2)))
    ):
        await store.put_memory(memory)

    for number, memory in enumerate(twins):
        place = MemoryPlace(memory.entry.created_at_s, memory.key)
        rest, _ = await store.list_memories(EVERYTHING, 9, after=place)
        assert rest == heads(*twins[:number][::-1])


async def test_a_list_behind_a_memory_that_is_gone_begins_anew_with_its_second(
    store: InMemoryStore | RocksStore,
) -> None:
    memories = [
        a_memory(an_entry(number, created_at_s=1_700_000_000 + number)) for number in range(4)
    ]
    for memory in memories:
        await store.put_memory(memory)

    gone = MemoryPlace(1_700_000_002, MemoryKey(b"v" + bytes(48)))
    rest, _ = await store.list_memories(EVERYTHING, 9, after=gone)

    assert rest == heads(memories[2], memories[1], memories[0])

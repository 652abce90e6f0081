"""Two nodes compare their histories, and both have all of it then, whatever a liar does."""

import hashlib
from collections.abc import Callable

import pytest

from buddies_core.errors import Busy, QuotaExceeded
from buddies_core.history import exchange as exchanging
from buddies_core.history.answering import ITEMS_GIVEN_BURST
from buddies_core.model.bodies import MemoryCreated
from buddies_core.model.ids import MemoryId, RoomName
from buddies_core.model.memory import Memory, MemoryFilter
from buddies_core.model.room import CatchingUp, KeptHistory
from buddies_core.model.skill_views import Tally
from buddies_core.pb.peer_pb2 import (
    Items,
    ItemsTaken,
    PeerReply,
    PeerRequest,
    Reconciled,
)
from tests.support.memories import DEMO, an_entry
from tests.support.worlds.history_team import HistoryNode, HistoryTeam
from tests.support.worlds.whole_daemon import sealed, unsigned

LONG = "all of it " * 20_000


@pytest.fixture
def team() -> HistoryTeam:
    return HistoryTeam()


def asked(node: HistoryNode) -> list[str | None]:
    return [request.WhichOneof("ask") for request in node.asked]


async def test_both_have_all_memories_skills_and_votes_after_one_exchange(
    team: HistoryTeam,
) -> None:
    alice, bob = team.historian("alice"), team.historian("bob")
    for number in range(40):
        await alice.store_memory(f"of alice {number}")
        await bob.store_memory(f"of bob {number}")
    skill = await alice.publish()
    await alice.vote(skill.hash, 1)

    await bob.exchange(alice)

    assert bob.ids() == alice.ids()
    assert len(bob.ids()) == 82
    assert (await bob.shown(skill.hash)).votes == Tally(up=1)
    assert alice.rooms.published == bob.rooms.published == []


async def test_a_member_is_asked_who_vouches_for_the_authors_of_what_it_gives(
    team: HistoryTeam,
) -> None:
    alice, bob, carol = (team.historian(name) for name in ("alice", "bob", "carol"))
    await alice.store_memory("of alice")
    await bob.exchange(alice)

    await carol.exchange(bob)

    assert carol.rooms.asked_who_vouches == {(alice.endpoint, bob.endpoint)}


async def test_equal_histories_take_one_question(team: HistoryTeam) -> None:
    alice, bob = team.historian("alice"), team.historian("bob")
    for number in range(40):
        await alice.store_memory(f"of alice {number}")
    await bob.exchange(alice)
    alice.asked.clear()

    await bob.exchange(alice)

    assert asked(alice) == ["reconcile"]


async def test_a_copy_is_kept_as_its_authors_and_not_as_of_the_member_that_gave_it(
    team: HistoryTeam,
) -> None:
    alice, bob, carol = (team.historian(name) for name in ("alice", "bob", "carol"))
    stored = await alice.store_memory("We use PostgreSQL")
    await bob.exchange(alice)
    team.goes(alice)

    await carol.exchange(bob)

    got = (await carol.memories.get(stored.id, 0, 1000)).memory
    assert (got.author, got.author_name, got.verified.value) == (
        alice.endpoint.hex(),
        "alice",
        "peer",
    )


async def test_a_long_content_is_fetched_after_its_beginning(team: HistoryTeam) -> None:
    alice, bob = team.historian("alice"), team.historian("bob")
    stored = await alice.store_memory(LONG)

    await bob.exchange(alice)

    assert (await bob.memories.get(stored.id, 0, len(LONG))).memory.content == LONG
    assert hashlib.sha256(LONG.encode()).hexdigest()


async def test_more_items_than_fit_into_one_request_are_all_given_and_fetched(
    team: HistoryTeam,
) -> None:
    alice, bob = team.historian("alice"), team.historian("bob")
    for number in range(300):
        await alice.store_memory(f"{number} " + "x" * 1500)
        await bob.store_memory(f"{number} " + "y" * 1500)

    await bob.exchange(alice)

    assert bob.ids() == alice.ids()
    assert len(bob.ids()) == 600
    assert asked(alice).count("fetch_items") >= 2
    assert asked(alice).count("give_items") >= 4


async def test_a_member_that_gives_too_much_at_once_gives_the_rest_later(
    team: HistoryTeam,
) -> None:
    alice, bob = team.historian("alice"), team.historian("bob")
    for number in range(60):
        await bob.store_memory(f"of bob {number}")
    for _ in range(int(ITEMS_GIVEN_BURST) + 10):
        alice.history._answering._given.reserve(bob.endpoint, team.clock.now_s())

    await bob.exchange(alice)
    refused = len(alice.ids())
    team.clock.monotonic_s += 60
    await bob.exchange(alice)

    assert (refused, len(alice.ids())) == (0, 60)


# What an honest node refuses


async def test_what_one_node_refuses_is_not_exchanged_for_ever(team: HistoryTeam) -> None:
    alice, bob = team.historian("alice"), team.historian("bob")
    stranger = team.node("dave")
    proof = sealed(stranger.key, MemoryCreated(an_entry(author=stranger.endpoint)))
    await alice.hear(DEMO, proof)
    bob.history._exchanger._taker._memories = Deaf()

    for _ in range(3):
        await bob.exchange(alice)

    assert bob.ids() == set()
    assert asked(alice).count("fetch_items") == 1
    assert alice.counters["history_members_dropped"] == 0


class Deaf:
    """Keeps nothing."""

    async def receive(self, admitted: object, neighbor: object = None) -> None:
        return


async def test_an_unsigned_copy_is_refused_where_0_1_4_is_switched_off(team: HistoryTeam) -> None:
    alice, bob = team.historian("alice"), team.historian("bob")
    await alice.hear(DEMO, unsigned(MemoryCreated(an_entry())))

    await bob.exchange(alice)

    assert len(alice.ids()) == 1
    assert bob.ids() == set()
    assert bob.counters["history_items_refused"] == 1
    assert bob.counters["history_members_dropped"] == 0


# What a liar does


def gives(*proofs: bytes) -> Callable[[PeerRequest, list[PeerReply]], list[PeerReply]]:
    """Answer each request for items with these proofs."""

    def answer(request: PeerRequest, replies: list[PeerReply]) -> list[PeerReply]:
        given = [PeerReply(items=Items(proofs=proofs))]
        return given if request.HasField("fetch_items") else replies

    return answer


def of_another_room(node: HistoryNode) -> bytes:
    return sealed(
        node.key, MemoryCreated(an_entry(author=node.endpoint)), room=RoomName("elsewhere")
    )


async def dropped_after(alice: HistoryNode, bob: HistoryNode) -> None:
    """Have bob exchange with alice, who lies, and check that he drops her, once."""
    own = bob.ids()

    await bob.exchange(alice)

    assert bob.counters["history_members_dropped"] == 1
    assert bob.counters["bugs"] == 0
    assert bob.ids() == own
    assert bob.history.catching_up(DEMO) == ()


@pytest.mark.parametrize("size", [0, 10, 100])
async def test_a_member_that_gives_half_of_an_item_is_dropped(team: HistoryTeam, size: int) -> None:
    alice, bob = team.historian("alice"), team.historian("bob")
    await alice.store_memory("We use PostgreSQL")
    [(_, proof)] = alice.rooms.sent
    alice.lies = gives(proof[:size])

    await dropped_after(alice, bob)


async def test_a_member_that_hangs_is_given_up_and_left_alone_for_a_while(
    team: HistoryTeam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchanging, "EXCHANGE_S_MAX", 0.05)
    alice, bob = team.historian("alice"), team.historian("bob")
    await alice.store_memory("We use PostgreSQL")
    team.silent.add(alice.endpoint)

    await bob.exchange(alice)

    assert bob.counters["history_exchanges_failed"] == 1
    assert bob.history.catching_up() == ()
    assert bob.history._schedule._is_left_alone(alice.endpoint, team.clock.now_s())


async def test_a_member_that_gives_what_was_not_asked_for_is_dropped(team: HistoryTeam) -> None:
    alice, bob = team.historian("alice"), team.historian("bob")
    await alice.store_memory("We use PostgreSQL")
    entry = an_entry(author=alice.endpoint)
    alice.lies = gives(sealed(alice.key, MemoryCreated(entry)))

    await dropped_after(alice, bob)


async def test_a_member_that_hands_on_an_item_of_another_room_is_dropped(
    team: HistoryTeam,
) -> None:
    alice, bob = team.historian("alice"), team.historian("bob")
    listed = of_another_room(alice)
    alice.lies = promises(listed)

    await dropped_after(alice, bob)


async def test_a_member_that_hands_on_a_forgery_is_dropped(team: HistoryTeam) -> None:
    alice, bob, carol = (team.historian(name) for name in ("alice", "bob", "carol"))
    forged = sealed(
        alice.key, MemoryCreated(an_entry(author=carol.endpoint)), claimed=carol.endpoint
    )
    alice.lies = promises(forged)

    await dropped_after(alice, bob)


def promises(*proofs: bytes) -> Callable[[PeerRequest, list[PeerReply]], list[PeerReply]]:
    """List these in each answer, and give them."""
    ids = b"".join(hashlib.sha256(proof).digest() for proof in proofs)
    message = b"\x61\x00\x00\x02" + bytes([len(proofs)]) + ids

    def answer(request: PeerRequest, replies: list[PeerReply]) -> list[PeerReply]:
        if request.HasField("reconcile"):
            return [PeerReply(reconciled=Reconciled(message=message))]
        return gives(*proofs)(request, replies)

    return answer


async def test_a_member_that_promises_items_and_gives_none_is_dropped(team: HistoryTeam) -> None:
    alice, bob = team.historian("alice"), team.historian("bob")
    number = 0

    def invents(request: PeerRequest, replies: list[PeerReply]) -> list[PeerReply]:
        nonlocal number
        if not request.HasField("reconcile"):
            return [PeerReply(items=Items())]
        number += 1
        ids = b"".join(hashlib.sha256(b"%d %d" % (number, n)).digest() for n in range(500))
        message = b"\x61\x00\x00\x02\x83\x74" + ids
        return [PeerReply(reconciled=Reconciled(message=message))]

    alice.lies = invents

    await dropped_after(alice, bob)


async def test_a_member_whose_fingerprints_are_always_different_is_dropped(
    team: HistoryTeam,
) -> None:
    alice, bob = team.historian("alice"), team.historian("bob")
    for number in range(100):
        await bob.store_memory(f"of bob {number}")
    wrong = PeerReply(reconciled=Reconciled(message=b"\x61\x00\x00\x01" + b"?" * 16))
    alice.lies = lambda request, replies: [wrong]

    await dropped_after(alice, bob)
    assert len(alice.asked) == exchanging.IDLE_ROUNDS_MAX


@pytest.mark.parametrize(
    "reply",
    [
        PeerReply(),
        PeerReply(items=Items()),
        PeerReply(items_taken=ItemsTaken()),
        PeerReply(reconciled=Reconciled()),
        PeerReply(reconciled=Reconciled(message=b"nonsense")),
        PeerReply(reconciled=Reconciled(message=b"\x62")),
        PeerReply(reconciled=Reconciled(message=b"\x61" * (64 << 10) + b"\x61")),
    ],
)
async def test_a_member_whose_answer_makes_no_sense_is_dropped(
    team: HistoryTeam, reply: PeerReply
) -> None:
    alice, bob = team.historian("alice"), team.historian("bob")
    await bob.store_memory("We use PostgreSQL")
    alice.lies = lambda request, replies: [reply]

    await dropped_after(alice, bob)


async def test_a_member_that_claims_to_lack_all_is_given_it_once_and_refuses_it_in_vain(
    team: HistoryTeam,
) -> None:
    alice, bob = team.historian("alice"), team.historian("bob")
    for number in range(10):
        await bob.store_memory(f"of bob {number}")
    ids = bob.ids()

    def takes_nothing(request: PeerRequest, replies: list[PeerReply]) -> list[PeerReply]:
        if request.HasField("reconcile"):
            return [PeerReply(reconciled=Reconciled(message=b"\x61\x00\x00\x02\x00"))]
        return [PeerReply(items_taken=ItemsTaken(refused=ids))]

    alice.lies = takes_nothing

    for _ in range(3):
        await bob.exchange(alice)

    assert asked(alice).count("give_items") == 1
    assert bob.counters["history_members_dropped"] == 0


async def test_a_member_that_lied_is_left_alone_for_a_while_and_ever_longer(
    team: HistoryTeam,
) -> None:
    alice, bob = team.historian("alice"), team.historian("bob")
    alice.lies = lambda request, replies: [PeerReply()]
    schedule = bob.history._schedule

    pauses = []
    for _ in range(10):
        await bob.exchange(alice)
        began_s = team.clock.now_s()
        bob.history.neighbor_up(DEMO, alice.endpoint)
        while not schedule.start(team.clock.now_s()):
            team.clock.monotonic_s += 5
            bob.history.neighbor_up(DEMO, alice.endpoint)
        pauses.append(round(team.clock.now_s() - began_s, -1))

    assert pauses == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


async def test_an_item_for_which_there_is_no_room_does_not_end_the_exchange(
    team: HistoryTeam,
) -> None:
    alice, bob = team.historian("alice"), team.historian("bob")
    full = await alice.store_memory("of an author who has used up its share")
    other = await alice.store_memory("of another")
    put = bob.store.put_memory

    async def put_some(memory: Memory) -> bool:
        if memory.entry.id == full.id:
            raise QuotaExceeded("full")
        return await put(memory)

    bob.store.put_memory = put_some  # type: ignore[method-assign]
    await bob.exchange(alice)

    assert [it.id for it in (await bob.memories.list(MemoryFilter(room=DEMO), 10)).results] == [
        other.id
    ]
    assert bob.counters["history_exchanges"] == 1


# How much of it a room is to have


async def test_a_node_that_wants_what_was_said_since_it_joined_gets_that_alone(
    team: HistoryTeam,
) -> None:
    alice, bob = team.historian("alice"), team.historian("bob")
    for number in range(40):
        team.clock.unix_ms += 1000
        await alice.store_memory(f"memory {number}")
    bob.rooms.history, bob.rooms.joined_at_ms = KeptHistory.SINCE_JOIN, team.clock.unix_ms - 4500

    await bob.exchange(alice)
    asked_by_bob = len(bob.ids())
    await alice.exchange(bob)

    assert (asked_by_bob, len(bob.ids())) == (5, 5)


async def test_a_node_that_wants_no_history_gets_none_and_gives_what_it_has(
    team: HistoryTeam,
) -> None:
    alice, bob = team.historian("alice"), team.historian("bob")
    bob.rooms.history = KeptHistory.NONE
    await alice.store_memory("of alice")
    await bob.store_memory("of bob")

    await bob.exchange(alice)
    await alice.exchange(bob)

    assert len(bob.ids()) == 1
    assert len(alice.ids()) == 2


async def test_what_is_being_fetched_is_told_while_it_is(team: HistoryTeam) -> None:
    alice, bob = team.historian("alice"), team.historian("bob")
    for number in range(600):
        await alice.store_memory(f"memory {number}")
    told: list[tuple[CatchingUp, ...]] = []

    def look(request: PeerRequest, replies: list[PeerReply]) -> list[PeerReply]:
        told.append(bob.history.catching_up(DEMO))
        return replies

    alice.lies = look
    await bob.exchange(alice)

    seen = [(it.name, it.received, it.expected) for shown in told for it in shown]
    assert {name for name, _, _ in seen} == {"alice"}
    assert all(received < expected <= 600 for _, received, expected in seen)
    assert {expected for _, _, expected in seen} == {600}
    assert bob.history.catching_up(DEMO) == ()


# Who has it


async def held_by(node: HistoryNode, id: MemoryId) -> int | None:
    return (await node.memories.get(id, 0, 10)).memory.held_by


def a_minute_passes(team: HistoryTeam) -> None:
    team.clock.unix_ms += 60_000
    team.clock.monotonic_s += 60


async def test_a_memory_is_stored_then_told_then_held_by_those_that_were_compared_with(
    team: HistoryTeam,
) -> None:
    alice, bob, _ = (team.historian(name) for name in ("alice", "bob", "carol"))

    stored = await alice.store_memory("We use PostgreSQL")
    assert (stored.told, await held_by(alice, stored.id)) == (2, 0)
    a_minute_passes(team)
    await alice.exchange(bob)

    assert await held_by(alice, stored.id) == 1


async def test_a_member_that_refused_a_memory_does_not_count_as_a_holder(
    team: HistoryTeam,
) -> None:
    alice, bob = team.historian("alice"), team.historian("bob")
    stored = await alice.store_memory("We use PostgreSQL")
    bob.history._answering._taker._memories = Deaf()
    a_minute_passes(team)

    await alice.exchange(bob)

    assert await held_by(alice, stored.id) == 0


@pytest.mark.parametrize("kept", [KeptHistory.NONE, KeptHistory.SINCE_JOIN])
async def test_a_member_that_does_not_want_a_memory_does_not_count_as_a_holder(
    team: HistoryTeam, kept: KeptHistory
) -> None:
    alice, bob = team.historian("alice"), team.historian("bob")
    stored = await alice.store_memory("We use PostgreSQL")
    a_minute_passes(team)
    bob.rooms.history, bob.rooms.joined_at_ms = kept, team.clock.unix_ms

    await alice.exchange(bob)

    assert len(bob.ids()) == 0
    assert await held_by(alice, stored.id) == 0


async def test_nobody_is_told_of_a_memory_whose_broadcast_failed(team: HistoryTeam) -> None:
    alice, _ = team.historian("alice"), team.historian("bob")

    def fail(proof: bytes) -> None:
        raise Busy("too much is being said")

    alice.rooms.on_send = fail

    assert (await alice.store_memory("We use PostgreSQL")).told == 0

"""Which 0.1.4 peers are in a room, and whether they want each message signed."""

from uuid import UUID

import pytest

from buddies_core.legacy.members import (
    LASTS_S,
    MEMBERS_MAX,
    MEMBERS_PER_NEIGHBOR_MAX,
    WANT_SIGNATURES_MS,
    LegacyMembers,
    RoomOfLegacy,
)
from buddies_core.model.bodies import AgentPresence, Join, Leave, SearchResponse, StatusUpdate
from buddies_core.model.ids import EndpointId, RequestId, RoomName, open_room_id
from buddies_core.model.room import Member
from tests.support.fakes.clocks import ManualClock
from tests.support.in_memory.store import InMemoryStore

ANN, BOB, NEIGHBOR = (EndpointId(name * 32) for name in (b"a", b"b", b"n"))
ROOM_ID = open_room_id(RoomName("demo"))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def room(clock: ManualClock) -> RoomOfLegacy:
    return LegacyMembers(InMemoryStore(), clock).enter(ROOM_ID)


def names(room: RoomOfLegacy, *neighbors: EndpointId) -> list[str]:
    return [member.name for member in room.members(neighbors)]


def test_an_old_peer_stays_until_it_leaves_is_cut_off_or_falls_silent(
    room: RoomOfLegacy, clock: ManualClock
) -> None:
    assert room.heard(Join("olga", "cursor"), ANN, is_author=True)
    assert not room.heard(Join("olga", "cursor"), NEIGHBOR, is_author=False)
    assert room.heard(Join("otto", "cursor"), BOB, is_author=True)
    assert room.heard(Join("oona", "cursor"), NEIGHBOR, is_author=False)
    room.cut_off(BOB)
    assert (room.left("oona"), room.left("oona")) == (True, False)
    assert room.members(()) == (
        Member(
            endpoint=ANN,
            name="olga",
            agents=(AgentPresence(name="cursor"),),
            speaks_direct=False,
            heard_at_ms=clock.wall_ms(),
        ),
    )
    clock.monotonic_s += LASTS_S
    assert names(room, ANN) == ["olga"]
    assert names(room) == []


def test_an_old_peer_that_says_something_stays_for_another_while(
    room: RoomOfLegacy, clock: ManualClock
) -> None:
    for name, endpoint in (("olga", ANN), ("otto", BOB), ("oona", None)):
        room.heard(Join(name, "cursor"), endpoint or NEIGHBOR, is_author=endpoint is not None)
    clock.monotonic_s += LASTS_S - 1
    clock.unix_ms += 1_000
    assert not room.heard(StatusUpdate(ANN.hex(), "busy"), ANN, is_author=True)
    answer = RequestId(UUID(int=1))
    assert not room.heard(SearchResponse(answer, (), "oona"), NEIGHBOR, is_author=False)
    assert not room.heard(SearchResponse(answer, (), "nobody we know"), NEIGHBOR, is_author=False)
    clock.monotonic_s += 2
    assert [(member.name, member.heard_at_ms) for member in room.members(())] == [
        ("olga", clock.wall_ms()),
        ("oona", clock.wall_ms()),
    ]


def test_a_name_is_shown_only_as_long_as_a_name_may_be(room: RoomOfLegacy) -> None:
    room.heard(Join("o" * 4000, "cursor"), NEIGHBOR, is_author=False)
    assert names(room) == ["o" * 64]
    room.forget("o" * 64)
    assert names(room) == []


def test_a_room_that_is_entered_again_is_empty(clock: ManualClock) -> None:
    members = LegacyMembers(InMemoryStore(), clock)
    members.enter(ROOM_ID).heard(Join("olga", "cursor"), ANN, is_author=True)
    assert names(members.of(ROOM_ID)) == ["olga"]
    assert names(members.enter(ROOM_ID)) == []


@pytest.mark.parametrize(
    ("since_ms", "wanted"), [(0, True), (WANT_SIGNATURES_MS - 1, True), (WANT_SIGNATURES_MS, False)]
)
async def test_old_peers_want_signatures_for_a_day_over_restarts_too(
    clock: ManualClock, since_ms: int, wanted: bool
) -> None:
    marks, other = InMemoryStore(), open_room_id(RoomName("other"))
    before = LegacyMembers(marks, clock)
    room = before.enter(ROOM_ID)
    before.enter(other)
    assert not before.want_signatures(ROOM_ID)
    room.heard(Leave("olga"), NEIGHBOR, is_author=False)
    await before.keep()
    after = LegacyMembers(marks, clock)
    after.enter(ROOM_ID)
    clock.unix_ms += since_ms
    for members in (before, after):
        assert members.want_signatures(ROOM_ID) is wanted
    assert not before.want_signatures(other)


def test_one_neighbor_fills_its_own_share_of_the_room_with_names_and_no_more(
    room: RoomOfLegacy,
) -> None:
    room.heard(Join("olga", "cursor"), ANN, is_author=True)
    room.heard(Join("otto", "cursor"), BOB, is_author=False)
    for number in range(MEMBERS_PER_NEIGHBOR_MAX + 50):
        room.heard(Join(f"ghost {number}", "cursor"), NEIGHBOR, is_author=False)
    assert {"olga", "otto"} <= set(names(room))
    assert len(names(room)) == MEMBERS_PER_NEIGHBOR_MAX + 2


def test_many_neighbors_with_made_up_names_push_out_no_peer_that_is_a_neighbor_itself(
    room: RoomOfLegacy,
) -> None:
    room.heard(Join("olga", "cursor"), ANN, is_author=True)
    for number in range(MEMBERS_MAX + 50):
        neighbor = EndpointId(number.to_bytes(32, "big"))
        room.heard(Join(f"ghost {number}", "cursor"), neighbor, is_author=False)
    assert "olga" in names(room)
    assert len(names(room)) == MEMBERS_MAX

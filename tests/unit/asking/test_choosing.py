"""In a room of more members than one search asks, it chooses the members to ask."""

import pytest

from buddies_core.asking.choosing import SAME_FOR_MS, Asked, Choosing
from buddies_core.asking.members import MEMBERS_ASKED_MAX
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.memory import MemoryFilter
from buddies_core.model.room import Member
from tests.support.memories import DEMO
from tests.support.worlds.history_team import HistoryTeam

NOW_MS = 1_700_000_000_000
OPS = RoomName("ops")
CROWD = 200
TOO_MANY = f"not_asked: a search asks {MEMBERS_ASKED_MAX} members at most"


def member(number: int, *rooms: RoomName) -> Asked:
    return rooms or (DEMO,), Member(endpoint=id_of(number), name=f"peer {number:03}")


def id_of(number: int) -> EndpointId:
    return EndpointId(number.to_bytes(32, "big"))


def test_all_members_are_asked_as_long_as_they_are_not_too_many() -> None:
    members = [member(number) for number in range(MEMBERS_ASKED_MAX)]
    just_now = Choosing(lambda _room, _peer: NOW_MS)
    assert just_now.choose(members, NOW_MS) == (members, [])


def test_four_searches_in_a_room_of_200_ask_each_member_once_or_twice() -> None:
    members = [member(number) for number in range(CROWD)]
    choosing = Choosing()
    asked = [it.name for _ in range(4) for _, it in choosing.choose(members, 0)[0]]
    assert {asked.count(it.name) for _, it in members} == {1, 2}
    assert len(asked) == 4 * MEMBERS_ASKED_MAX


@pytest.mark.parametrize(
    ("age_ms", "is_last"), [(0, True), (SAME_FOR_MS - 1, True), (SAME_FOR_MS, False)]
)
def test_members_that_were_compared_with_lately_come_last(age_ms: int, is_last: bool) -> None:
    members = [member(number) for number in range(MEMBERS_ASKED_MAX + 2)]
    choosing = Choosing(lambda _room, peer: NOW_MS - age_ms if peer < id_of(2) else None)
    asked, left = choosing.choose(members, NOW_MS)
    if is_last:
        why = f"{TOO_MANY}, and this machine compared histories with it {age_ms // 1000} s ago"
        assert (asked, left) == (members[2:], [(it, why) for _, it in members[:2]])
    else:
        assert (asked, left) == (members[:-2], [(it, TOO_MANY) for _, it in members[-2:]])


def test_a_member_is_compared_with_only_if_it_is_in_all_rooms_that_are_asked_about() -> None:
    members = [member(number, DEMO, OPS) for number in range(MEMBERS_ASKED_MAX + 1)]
    compared = {(DEMO, id_of(0)), (DEMO, id_of(1)), (OPS, id_of(1))}
    choosing = Choosing(lambda room, peer: NOW_MS if (room, peer) in compared else None)
    asked, left = choosing.choose(members, NOW_MS)
    assert [it.name for it, _ in left] == ["peer 001"]
    assert len(asked) == MEMBERS_ASKED_MAX


async def test_of_200_members_those_are_asked_whose_histories_may_have_something_new() -> None:
    team = HistoryTeam()
    nodes = [team.historian(f"peer {number:03}") for number in range(CROWD)]
    me, known, last = nodes[0], nodes[1 : CROWD - MEMBERS_ASKED_MAX], nodes[-1]
    for node in known:
        await me.exchange(node)
    await last.store_memory("We're using PostgreSQL for the user table")  # Nobody hears of it.

    found = await me.search.search("user table", MemoryFilter(), 10, 5)

    assert [it.content for it in found.results] == ["We're using PostgreSQL for the user table"]
    assert len(found.answered) == MEMBERS_ASKED_MAX
    assert {it.name for it in found.unanswered} == {it.name for it in known}

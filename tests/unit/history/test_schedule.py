"""Whom to exchange with next."""

from random import Random

import pytest

from buddies_core.history.schedule import (
    BACKOFF_MAX_S,
    BACKOFF_S,
    EVERY_S,
    PENDING_MAX,
    SOON_S,
    Schedule,
)
from buddies_core.model.ids import EndpointId, RoomName

ROOM, OTHER = RoomName("feature-a"), RoomName("feature-b")
A, B, C, D = (EndpointId(bytes([n]) * 32) for n in range(4))
EVERYBODY = (A, B, C, D)


@pytest.fixture
def schedule() -> Schedule:
    return Schedule(Random(1))


def test_a_neighbor_is_asked_once_though_it_came_up_twice(schedule: Schedule) -> None:
    schedule.neighbor_up(ROOM, A, 0, 0)
    schedule.neighbor_up(ROOM, A, 0, 0)

    assert schedule.start(0) == [(ROOM, A)]
    assert schedule.start(0) == []
    assert schedule.next_s(0.0) is None


def test_a_neighbor_is_asked_within_the_time_given(schedule: Schedule) -> None:
    schedule.neighbor_up(ROOM, A, 10, 2)

    due_s = schedule.next_s(0.0)

    assert due_s is not None
    assert 10 < due_s < 12
    assert schedule.start(due_s - 0.01) == []
    assert schedule.start(due_s) == [(ROOM, A)]


def test_two_exchanges_are_under_way_in_a_room_and_one_with_a_peer(schedule: Schedule) -> None:
    for peer in EVERYBODY:
        schedule.neighbor_up(ROOM, peer, 0, 0)
    schedule.neighbor_up(OTHER, A, 0, 0)

    assert schedule.start(0) == [(ROOM, A), (ROOM, B)]
    schedule.ended(ROOM, A, 1)
    assert schedule.start(1) == [(ROOM, C), (OTHER, A)]


def test_each_room_has_its_turn_with_a_member_at_random_every_few_minutes(
    schedule: Schedule,
) -> None:
    asked = []
    for now_s in range(int(EVERY_S * 40)):
        schedule.take_turns(lambda _: EVERYBODY, (ROOM,), now_s)
        for room, peer in schedule.start(now_s):
            asked.append(peer)
            schedule.ended(room, peer, now_s)

    assert len(asked) in range(33, 50)
    assert set(asked) == set(EVERYBODY)


def test_a_room_that_was_left_has_no_turn_any_more(schedule: Schedule) -> None:
    schedule.take_turns(lambda _: EVERYBODY, (ROOM,), 0)
    schedule.take_turns(lambda _: EVERYBODY, (), EVERY_S * 2)

    assert schedule.start(EVERY_S * 3) == []


def test_after_a_sleep_two_members_of_each_room_are_asked(schedule: Schedule) -> None:
    members = {ROOM: (A, B, C), OTHER: (D,)}

    schedule.all_again(members.__getitem__, (ROOM, OTHER), 5)

    started = schedule.start(5)
    assert sorted(room for room, _ in started) == [ROOM, ROOM, OTHER]


def test_one_that_failed_is_left_alone_ever_longer_and_another_takes_its_place(
    schedule: Schedule,
) -> None:
    now_s, pauses = 0.0, []
    for _ in range(9):
        schedule.neighbor_up(ROOM, A, now_s, 0)
        assert schedule.start(now_s) == [(ROOM, A)]
        schedule.failed(ROOM, A, (A, B), now_s, lied=True)
        assert schedule.start(now_s + SOON_S) == [(ROOM, B)]
        schedule.ended(ROOM, B, now_s + SOON_S)
        failed_s, now_s = now_s, now_s + SOON_S
        while schedule._is_left_alone(A, now_s):
            now_s += 1
        pauses.append(now_s - failed_s)

    assert pauses == [min(BACKOFF_S * 2**n, BACKOFF_MAX_S) for n in range(9)]


def test_one_that_was_not_reached_and_comes_up_again_is_asked_at_once(schedule: Schedule) -> None:
    schedule.neighbor_up(ROOM, A, 0, 0)
    schedule.start(0)
    schedule.failed(ROOM, A, (), 0, lied=False)

    schedule.neighbor_up(ROOM, A, 1, 0)

    assert schedule.start(1) == [(ROOM, A)]


def test_one_that_lied_and_comes_up_again_is_left_alone_all_the_same(schedule: Schedule) -> None:
    schedule.neighbor_up(ROOM, A, 0, 0)
    schedule.start(0)
    schedule.failed(ROOM, A, (), 0, lied=True)

    schedule.neighbor_up(ROOM, A, 1, 0)

    assert schedule.start(1) == []


def test_an_exchange_that_was_cut_short_goes_on_soon(schedule: Schedule) -> None:
    schedule.neighbor_up(ROOM, A, 0, 0)
    schedule.start(0)

    schedule.ended(ROOM, A, 10, again=True)

    assert schedule.next_s(10) == 10 + SOON_S


def test_what_waits_is_bounded(schedule: Schedule) -> None:
    for number in range(PENDING_MAX * 2):
        schedule.neighbor_up(ROOM, EndpointId(number.to_bytes(32, "big")), 0, 0)

    assert len(schedule._due_s) == PENDING_MAX

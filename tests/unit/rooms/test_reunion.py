from itertools import pairwise
from random import Random

from buddies_core.model.ids import EndpointId
from buddies_core.rooms.reunion import (
    DIALS_WHEN_ALONE,
    DIALS_WHEN_CONNECTED,
    LONGEST_PAUSE_S,
    Reunion,
)

PEERS = {EndpointId(bytes([number]) * 32): 0 for number in range(10)}
ONE = dict(list(PEERS.items())[:1])
TWO = dict(list(PEERS.items())[:2])


def test_a_lonely_node_dials_several_members_at_once_and_a_connected_one_few() -> None:
    alone = Reunion(Random(1)).who_to_dial(PEERS, alone=True, now_s=0.0)
    connected = Reunion(Random(1)).who_to_dial(PEERS, alone=False, now_s=0.0)
    assert (len(alone), len(connected)) == (DIALS_WHEN_ALONE + 1, DIALS_WHEN_CONNECTED + 1)


def test_the_most_trusted_are_dialled_first_however_many_others_there_are() -> None:
    made_up = {EndpointId(number.to_bytes(32, "big")): 0 for number in range(4000)}
    known = {EndpointId(b"a" * 32): 9, EndpointId(b"b" * 32): 7, EndpointId(b"c" * 32): 7}
    reunion = Reunion(Random(1))
    first = reunion.who_to_dial(made_up | known, alone=True, now_s=0.0)
    assert (first[0], set(first[:3])) == (EndpointId(b"a" * 32), set(known))
    again = reunion.who_to_dial(made_up | known, alone=True, now_s=5.0)
    assert (again[0], set(again[:3])) == (EndpointId(b"a" * 32), set(known))


def test_members_of_the_lowest_standing_are_tried_in_the_end() -> None:
    trusted = {EndpointId(bytes([100 + number]) * 32): 9 for number in range(100)}
    reunion, tried = Reunion(Random(1)), set[EndpointId]()
    for now in range(0, 3600, 5):
        tried.update(reunion.who_to_dial(trusted | PEERS, alone=False, now_s=float(now)))
    assert tried >= set(PEERS)


def test_nobody_is_dialled_twice_within_its_pause() -> None:
    reunion = Reunion(Random(1))
    first = reunion.who_to_dial(dict(list(PEERS.items())[:3]), alone=True, now_s=0.0)
    assert sorted(first) == sorted(dict(list(PEERS.items())[:3]))
    assert reunion.who_to_dial(dict(list(PEERS.items())[:3]), alone=True, now_s=0.1) == ()


def test_each_absent_member_is_tried_for_ever_and_at_least_once_in_every_longest_pause() -> None:
    reunion = Reunion(Random(7))
    tried_at = [
        now for now in range(3600) if reunion.who_to_dial(ONE, alone=True, now_s=float(now))
    ]
    gaps = [later - earlier for earlier, later in pairwise(tried_at)]
    assert gaps[0] < 5
    assert max(gaps) <= LONGEST_PAUSE_S * 1.25 + 1
    assert tried_at[-1] > 3600 - LONGEST_PAUSE_S * 1.25 - 1


def test_a_member_that_came_back_starts_again_with_the_shortest_pause() -> None:
    reunion = Reunion(Random(1))
    for now in range(0, 600, 5):
        reunion.who_to_dial(ONE, alone=True, now_s=float(now))
    assert reunion.who_to_dial({}, alone=False, now_s=600.0) == ()
    assert reunion.who_to_dial(ONE, alone=True, now_s=601.0) == tuple(ONE)


def test_after_a_reset_everybody_is_due() -> None:
    reunion = Reunion(Random(1))
    reunion.who_to_dial(TWO, alone=True, now_s=0.0)
    reunion.reset()
    assert sorted(reunion.who_to_dial(TWO, alone=True, now_s=0.1)) == sorted(TWO)

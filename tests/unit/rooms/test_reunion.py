from itertools import pairwise
from random import Random

from buddies_core.model.ids import EndpointId
from buddies_core.rooms.reunion import (
    DIALS_WHEN_ALONE,
    DIALS_WHEN_CONNECTED,
    LONGEST_PAUSE_S,
    Reunion,
)

PEERS = tuple(EndpointId(bytes([number]) * 32) for number in range(10))


def test_a_lonely_node_dials_several_members_at_once_and_a_connected_one_few() -> None:
    assert len(Reunion(Random(1)).who_to_dial(PEERS, alone=True, now_s=0.0)) == DIALS_WHEN_ALONE
    assert (
        len(Reunion(Random(1)).who_to_dial(PEERS, alone=False, now_s=0.0)) == DIALS_WHEN_CONNECTED
    )


def test_nobody_is_dialled_twice_within_its_pause() -> None:
    reunion = Reunion(Random(1))
    first = reunion.who_to_dial(PEERS[:3], alone=True, now_s=0.0)
    assert sorted(first) == sorted(PEERS[:3])
    assert reunion.who_to_dial(PEERS[:3], alone=True, now_s=0.1) == ()


def test_each_absent_member_is_tried_for_ever_and_at_least_once_in_every_longest_pause() -> None:
    reunion = Reunion(Random(7))
    tried_at = [
        now for now in range(3600) if reunion.who_to_dial(PEERS[:1], alone=True, now_s=float(now))
    ]
    gaps = [later - earlier for earlier, later in pairwise(tried_at)]
    assert gaps[0] < 5
    assert max(gaps) <= LONGEST_PAUSE_S * 1.25 + 1
    assert tried_at[-1] > 3600 - LONGEST_PAUSE_S * 1.25 - 1


def test_a_member_that_came_back_starts_again_with_the_shortest_pause() -> None:
    reunion = Reunion(Random(1))
    for now in range(0, 600, 5):
        reunion.who_to_dial(PEERS[:1], alone=True, now_s=float(now))
    assert reunion.who_to_dial((), alone=False, now_s=600.0) == ()
    assert reunion.who_to_dial(PEERS[:1], alone=True, now_s=601.0) == PEERS[:1]


def test_after_a_reset_everybody_is_due() -> None:
    reunion = Reunion(Random(1))
    reunion.who_to_dial(PEERS[:2], alone=True, now_s=0.0)
    reunion.reset()
    assert sorted(reunion.who_to_dial(PEERS[:2], alone=True, now_s=0.1)) == sorted(PEERS[:2])

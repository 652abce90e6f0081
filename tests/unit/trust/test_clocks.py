"""A clock that does not fit those of teammates is noticed, and one slow message is not."""

import pytest

from buddies_core.model.ids import EndpointId
from buddies_core.trust.clocks import PEERS_MAX, REMEMBERED_S, PeerClocks
from tests.support.fakes.clocks import ManualClock

ANN, BEN, CAL = (EndpointId(bytes([number]) * 32) for number in (1, 2, 3))
MINUTE_MS = 60_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def clocks(clock: ManualClock) -> PeerClocks:
    return PeerClocks(clock)


@pytest.mark.parametrize(
    ("ahead_min", "said"),
    [
        (5, "this machine's clock is 5 min behind that of a teammate."),
        (-5, "this machine's clock is 5 min ahead of that of a teammate."),
    ],
)
def test_a_clock_that_is_minutes_off_is_told_with_its_direction(
    clock: ManualClock, clocks: PeerClocks, ahead_min: int, said: str
) -> None:
    clocks.heard(ANN, clock.wall_ms() + ahead_min * MINUTE_MS)

    [warning] = clocks.warnings()

    assert warning.startswith(said)


def test_a_message_that_was_long_on_its_way_is_no_trouble(
    clock: ManualClock, clocks: PeerClocks
) -> None:
    clocks.heard(ANN, clock.wall_ms())
    clocks.heard(ANN, clock.wall_ms() - 30 * MINUTE_MS)

    assert clocks.warnings() == ()


def test_one_teammate_with_a_wrong_clock_is_not_believed_against_two(
    clock: ManualClock, clocks: PeerClocks
) -> None:
    for peer, ahead_min in ((ANN, 0), (BEN, 90), (CAL, 0)):
        clocks.heard(peer, clock.wall_ms() + ahead_min * MINUTE_MS)

    assert clocks.warnings() == ()


def test_what_was_heard_long_ago_counts_no_more(clock: ManualClock, clocks: PeerClocks) -> None:
    clocks.heard(ANN, clock.wall_ms() + 9 * MINUTE_MS)
    clock.monotonic_s += REMEMBERED_S + 1
    assert clocks.warnings() == ()

    clocks.heard(ANN, clock.wall_ms() + 1)
    assert clocks.warnings() == ()


def test_no_more_peers_are_remembered_than_there_is_room_for(
    clock: ManualClock, clocks: PeerClocks
) -> None:
    for number in range(3 * PEERS_MAX):
        clocks.heard(EndpointId(number.to_bytes(32, "big")), clock.wall_ms())

    assert len(clocks._ahead) == PEERS_MAX


def test_a_neighbors_clock_is_behind_by_what_its_own_messages_say_and_not_after_a_while(
    clock: ManualClock, clocks: PeerClocks
) -> None:
    clocks.heard(ANN, clock.wall_ms() - 60 * MINUTE_MS)
    clocks.heard(BEN, clock.wall_ms() - MINUTE_MS // 2)  # It may have been long on its way.
    clocks.heard(CAL, clock.wall_ms() + 60 * MINUTE_MS)

    assert [clocks.behind_ms(it) for it in (ANN, BEN, CAL)] == [60 * MINUTE_MS, 0, 0]

    clock.monotonic_s += REMEMBERED_S + 1
    assert clocks.behind_ms(ANN) == 0

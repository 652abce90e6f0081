import pytest

from buddies_core.model.ids import EndpointId
from buddies_core.net import rates
from buddies_core.net.rates import PeerRates

ANN = EndpointId(b"a" * 32)
BOB = EndpointId(b"b" * 32)


def test_a_burst_passes_and_then_so_many_a_second() -> None:
    each = PeerRates(per_s=10, burst=3)
    assert [each.take(ANN, 0.0) for _ in range(4)] == [True, True, True, False]
    assert not each.take(ANN, 0.09)
    assert [each.take(ANN, 0.11), each.take(ANN, 0.11)] == [True, False]


def test_a_token_can_be_had_in_advance_and_is_then_waited_for() -> None:
    each = PeerRates(per_s=10, burst=2)
    waits_s = [each.reserve(ANN, 0.0) for _ in range(4)]
    assert waits_s == pytest.approx([0.0, 0.0, 0.1, 0.2])
    assert [each.take(ANN, 0.29), each.take(ANN, 0.31)] == [False, True]


def test_what_was_had_in_advance_is_made_up_for_in_time() -> None:
    each = PeerRates(per_s=10, burst=2)
    for _ in range(5):
        each.reserve(ANN, 0.0)
    debts_s = [
        each.debt_s(peer, at_s) for peer, at_s in ((ANN, 0.0), (ANN, 0.2), (ANN, 1.0), (BOB, 0.0))
    ]
    assert debts_s == pytest.approx([0.3, 0.1, 0.0, 0.0])


def test_a_pause_gives_back_no_more_than_a_burst() -> None:
    each = PeerRates(per_s=10, burst=2)
    assert each.take(ANN, 0.0)
    assert [each.take(ANN, 1000.0) for _ in range(3)] == [True, True, False]


def test_one_peer_takes_nothing_from_another() -> None:
    each = PeerRates(per_s=1, burst=1)
    assert [each.take(ANN, 0.0), each.take(BOB, 0.0), each.take(ANN, 0.0)] == [True, True, False]


def test_of_too_many_peers_the_quietest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "PEERS_MAX", 1)
    each = PeerRates(per_s=1, burst=1)
    assert [each.take(ANN, 0.0), each.take(BOB, 0.0), each.take(ANN, 0.0)] == [True, True, True]

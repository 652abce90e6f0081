"""Who is dialled when it is missing: made-up members push out none that was known before."""

import pytest

from buddies_core.model.address import AddressInfo, PeerAddress
from buddies_core.model.ids import EndpointId
from buddies_core.rooms import last_seen
from buddies_core.rooms.last_seen import LastSeen
from buddies_core.rooms.presence import MEMBERS_MAX, MEMBERS_PER_NEIGHBOR_MAX

ANN, BOB, CAROL = (EndpointId(letter * 32) for letter in (b"a", b"b", b"c"))
MALLORIES = tuple(EndpointId(bytes([number]) * 32) for number in range(5))
NOW_MS = 1_700_000_000_000
MINUTE_MS = 60_000


def ghosts(seen: LastSeen, count: int, *, told_by: EndpointId, at_ms: int = NOW_MS) -> None:
    """Have a neighbor bring in so many made-up members."""
    for number in range(count):
        made_up = EndpointId(told_by[:16] + number.to_bytes(16, "big"))
        seen.note(made_up, AddressInfo(), at_ms, "ghost", told_by)


def test_made_up_members_fill_the_share_of_their_neighbor_and_no_more() -> None:
    seen = LastSeen(())
    seen.note(ANN, AddressInfo(), NOW_MS, "ann", BOB)
    ghosts(seen, 4200, told_by=MALLORIES[0])
    assert seen.name_of(ANN) == "ann"
    assert len(seen.since(0)) == 1 + MEMBERS_PER_NEIGHBOR_MAX


def test_those_that_an_honest_neighbor_hands_on_push_out_nobody_known_for_a_minute() -> None:
    seen = LastSeen(())
    for at_ms in (NOW_MS - MINUTE_MS, NOW_MS):
        seen.note(ANN, AddressInfo(), at_ms, "ann", BOB)
    seen.note(CAROL, AddressInfo(), NOW_MS, "carol", CAROL)  # itself, just now
    ghosts(seen, 4200, told_by=BOB)
    assert (seen.name_of(ANN), seen.name_of(CAROL)) == ("ann", "carol")


def test_those_of_many_neighbors_push_out_nobody_that_was_known_for_longer_or_met() -> None:
    seen = LastSeen((), is_chosen=lambda it: it == BOB)
    for at_ms in (NOW_MS - 7 * MINUTE_MS, NOW_MS):
        seen.note(ANN, AddressInfo(), at_ms, "ann", CAROL)
    seen.note(BOB, AddressInfo(), NOW_MS - 7 * MINUTE_MS, "bob", CAROL)
    for mallory in MALLORIES:
        ghosts(seen, MEMBERS_PER_NEIGHBOR_MAX, told_by=mallory, at_ms=NOW_MS)
        ghosts(seen, MEMBERS_PER_NEIGHBOR_MAX, told_by=mallory, at_ms=NOW_MS + MINUTE_MS)
    assert (seen.name_of(ANN), seen.name_of(BOB)) == ("ann", "bob")
    assert len(seen.since(0)) == MEMBERS_MAX


def test_a_newcomer_that_an_honest_neighbor_brings_finds_a_place_among_made_up_ones() -> None:
    seen = LastSeen(())
    for mallory in MALLORIES:
        ghosts(seen, MEMBERS_PER_NEIGHBOR_MAX, told_by=mallory)
    assert ANN not in seen.note(ANN, AddressInfo(), NOW_MS, "ann", BOB)
    assert seen.since(0)[ANN] == PeerAddress(ANN, AddressInfo())


def test_of_those_of_one_standing_the_one_that_was_silent_for_longest_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(last_seen, "MEMBERS_MAX", 2)
    seen = LastSeen(())
    for member in (ANN, BOB, ANN):
        assert seen.note(member, AddressInfo(), NOW_MS, "x") == ()
    assert seen.note(CAROL, AddressInfo(), NOW_MS, "x") == (BOB,)
    assert set(seen.since(0)) == {ANN, CAROL}


def test_who_was_reached_stands_out_among_those_known_for_as_long() -> None:
    seen = LastSeen(())
    for member in (ANN, BOB):
        seen.note(member, AddressInfo(), NOW_MS, "x", CAROL)
    seen.reached(ANN)
    seen.reached(CAROL)  # of whom nothing else is known
    assert seen.standing(ANN) > seen.standing(BOB) == seen.standing(CAROL)

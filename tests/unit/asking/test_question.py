"""Merging what several nodes found: each thing once, the right answer first."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buddies_core.asking.question import Hit, credible, merge
from buddies_core.model.ids import RoomName
from tests.support.memories import DEMO


@dataclass(frozen=True)
class Thing:
    key: bytes
    at_s: int = 0
    copy: int = 0
    truncated: bool = False
    room: RoomName = DEMO


def hits(*scores: tuple[str, float]) -> list[Hit[Thing]]:
    return [Hit(Thing(name.encode()), score) for name, score in scores]


def newer_copy(new: Thing, known: Thing) -> bool:
    return new.copy > known.copy


def merged(*found: Hit[Thing]) -> list[tuple[str, float]]:
    return [(hit.item.key.decode(), hit.score) for hit in merge(found, newer_copy)]


def test_what_one_member_alone_has_comes_before_what_everybody_has_but_is_less_relevant() -> None:
    everybody = hits(*((letter, 0.3) for letter in "abcdefghijklmnopqrst"))
    assert merged(*everybody, *everybody, *hits(("A", 0.4)))[0] == ("A", 0.4)


def test_the_first_of_a_member_that_knows_nothing_relevant_comes_last() -> None:
    assert merged(*hits(("junk", 0.1)), *hits(("a", 0.6), ("b", 0.5))) == [
        ("a", 0.6),
        ("b", 0.5),
        ("junk", 0.1),
    ]


def test_a_thing_has_the_greatest_relevance_that_a_member_gives_it() -> None:
    assert merged(*hits(("a", 0.1), ("b", 0.2)), *hits(("a", 0.3))) == [("a", 0.3), ("b", 0.2)]


def test_of_several_copies_the_one_that_prevails_is_shown_wherever_it_came() -> None:
    old, new = Thing(b"a", copy=1), Thing(b"a", copy=2)
    for found in ([Hit(old, 0.5), Hit(new, 0.4)], [Hit(new, 0.4), Hit(old, 0.5)]):
        assert merge(found, newer_copy) == [Hit(new, 0.5)]


def test_of_what_is_equally_good_the_newest_comes_first() -> None:
    old, new = Thing(b"a", at_s=1), Thing(b"b", at_s=2)
    # One score came as a float32.
    assert merge([Hit(old, 0.7), Hit(new, 0.699999988079071)], newer_copy) == [
        Hit(new, 0.7),
        Hit(old, 0.7),
    ]


@given(st.lists(st.tuples(st.sampled_from("abcdefghij"), st.floats(0, 1)), max_size=40))
def test_a_merge_names_each_thing_once_and_does_not_depend_on_the_order_of_the_answers(
    scores: list[tuple[str, float]],
) -> None:
    found = hits(*scores)
    assert sorted(name for name, _ in merged(*found)) == sorted({name for name, _ in scores})
    assert merged(*found) == merged(*found[::-1])


@pytest.mark.parametrize(
    ("claimed", "believed"),
    [(0.7, 0.7), (9e9, 1.5), (-1.0, 0.0), (float("inf"), 0.0), (float("nan"), 0.0)],
)
def test_a_peer_cannot_claim_more_relevance_than_there_is(claimed: float, believed: float) -> None:
    assert credible(claimed) == believed

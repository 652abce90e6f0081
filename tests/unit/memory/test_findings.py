"""Merging what several nodes found: one memory once, the right answer first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buddies_core.memory.findings import RecentFinds, credible, merge
from tests.support.memories import BOB, a_memory, an_entry, memory_id


def test_what_one_member_alone_has_comes_before_what_everybody_has_but_is_less_relevant() -> None:
    everybody = [(letter, 0.3) for letter in "abcdefghijklmnopqrst"]
    assert merge([everybody, everybody, [*everybody, ("A", 0.4)]])[0] == ("A", 0.4)


def test_the_first_of_a_member_that_knows_nothing_relevant_comes_last() -> None:
    assert merge([[("a", 0.6), ("b", 0.5)], [("junk", 0.1)]]) == [
        ("a", 0.6),
        ("b", 0.5),
        ("junk", 0.1),
    ]


def test_a_thing_has_the_greatest_relevance_that_a_member_gives_it() -> None:
    assert merge([[("a", 0.1), ("b", 0.2)], [("a", 0.3)]]) == [("a", 0.3), ("b", 0.2)]


@given(st.lists(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1)), max_size=8), max_size=5))
def test_a_merge_names_each_thing_once_and_does_not_depend_on_the_order_of_the_lists(
    lists: list[list[tuple[int, float]]],
) -> None:
    merged = merge(lists)
    assert sorted(key for key, _ in merged) == sorted(
        {key for ranked in lists for key, _ in ranked}
    )
    assert dict(merged) == dict(merge(lists[::-1]))


@pytest.mark.parametrize(
    ("claimed", "believed"),
    [(0.7, 0.7), (9e9, 1.5), (-1.0, 0.0), (float("inf"), 0.0), (float("nan"), 0.0)],
)
def test_a_peer_cannot_claim_more_relevance_than_there_is(claimed: float, believed: float) -> None:
    assert credible(claimed) == believed


def test_recent_finds_are_found_by_id_until_newer_ones_need_their_place() -> None:
    finds = RecentFinds()
    of_alice, of_bob = a_memory(an_entry(1)), a_memory(an_entry(1, author=BOB))
    for memory in (of_alice, of_bob, of_alice):
        finds.keep(memory)
    assert finds.find(memory_id(1)) == (of_bob, of_alice)

    for number in range(2, 18):
        finds.keep(a_memory(an_entry(number, content="x" * (1 << 20))))
    assert finds.find(memory_id(1)) == ()
    assert len(finds.find(memory_id(17))) == 1
    for number in range(100, 1200):
        finds.keep(a_memory(an_entry(number)))
    assert sum(len(finds.find(memory_id(number))) for number in range(1200)) == 1000

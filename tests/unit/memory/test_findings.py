"""Merging what several nodes found: one memory once, the right answer first."""

from hypothesis import given
from hypothesis import strategies as st

from buddies_core.memory.findings import RecentFinds, merge
from buddies_core.memory.ranking import RRF_K
from tests.support.memories import BOB, a_memory, an_entry, memory_id

FIRST, SECOND = 1 / (RRF_K + 1), 1 / (RRF_K + 2)


def names(lists: list[list[str]]) -> str:
    """Return what `merge` makes of lists of letters without scores."""
    return "".join(key for key, _ in merge([[(key, 0.0) for key in ranked] for ranked in lists]))


def test_what_one_member_alone_has_comes_before_what_everybody_has_but_ranks_lower() -> None:
    everybody = list("abcdefghijklmnopqrst")

    assert names([everybody, everybody, everybody, ["A", *everybody]])[0] == "A"
    assert names([["A", *everybody], everybody, everybody])[:3] == "Aab"


def test_of_equal_ranks_the_better_score_comes_first_and_then_the_first_list() -> None:
    assert merge([[("a", 0.1), ("b", 0.1)], [("c", 0.3), ("d", 0.1)]]) == [
        ("c", FIRST),
        ("a", FIRST),
        ("b", SECOND),
        ("d", SECOND),
    ]


def test_a_thing_that_a_list_names_twice_has_its_first_place() -> None:
    assert merge([[("a", 0.0), ("a", 0.0), ("b", 0.0)]]) == [("a", FIRST), ("b", SECOND)]


@given(st.lists(st.lists(st.integers(0, 9), unique=True), min_size=1, max_size=5))
def test_a_merge_names_each_thing_once_and_a_single_list_stays_as_it_is(
    lists: list[list[int]],
) -> None:
    merged = merge([[(key, 0.0) for key in ranked] for ranked in lists])

    assert sorted(key for key, _ in merged) == sorted({key for ranked in lists for key in ranked})
    assert [key for key, _ in merge([[(key, 0.0) for key in lists[0]]])] == lists[0]
    scores = [score for _, score in merged]
    assert scores == sorted(scores, reverse=True)


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

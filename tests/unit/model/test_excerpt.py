"""Cutting a shown text, and what is known of it along."""

from hypothesis import given
from hypothesis import strategies as st

from buddies_core.model.excerpt import Match, shorter
from tests.support.matches import a_match

TEXT = "".join(f"word{number:03} " for number in range(100))
"""Eight characters a word."""


def test_a_text_is_cut_around_the_words_in_its_best_passage() -> None:
    match = a_match(offset=50, passage=(400, 600), marks=((8, 15), (480, 487), (700, 707)))

    assert shorter(TEXT, match, 100) == (
        TEXT[456:556],
        a_match(offset=506, passage=(0, 100), marks=((24, 31),)),
    )


def test_without_words_it_is_cut_around_the_beginning_of_its_best_passage() -> None:
    match = a_match(passage=(400, 600), marks=((8, 15),))

    assert shorter(TEXT, match, 100) == (TEXT[376:476], a_match(offset=376, passage=(24, 100)))


def test_near_its_ends_a_text_is_cut_no_shorter_than_a_word_more() -> None:
    assert shorter(TEXT, a_match(passage=(0, 9)), 100)[0] == TEXT[:100]
    assert shorter(TEXT, a_match(passage=(790, 800)), 100)[0] == TEXT[-96:]


def test_a_text_without_spaces_is_cut_all_the_same() -> None:
    assert shorter("x" * 900, a_match(passage=(500, 600)), 100)[1] == a_match(
        offset=475, passage=(25, 100)
    )


def test_what_no_search_found_keeps_its_beginning_and_what_is_short_enough_everything() -> None:
    assert shorter(TEXT, None, 100) == (TEXT[:100], None)
    match = a_match(marks=((0, 7),))
    assert shorter(TEXT, match, len(TEXT)) == (TEXT, match)


SPANS = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda it: (min(it), max(it)))


@given(st.text(min_size=60, max_size=60), SPANS, st.lists(SPANS, max_size=5), st.integers(1, 60))
def test_marks_stay_at_the_same_characters_however_a_text_is_cut(
    text: str, passage: tuple[int, int], marks: list[tuple[int, int]], chars: int
) -> None:
    match: Match = a_match(passage=passage, marks=tuple(sorted(marks)))

    cut, shown = shorter(text, match, chars)

    assert shown is not None
    assert cut == text[shown.offset : shown.offset + chars]
    for first, last in (*shown.marks, shown.passage):
        assert 0 <= first <= last <= chars
        assert cut[first:last] == text[shown.offset + first : shown.offset + last]

"""Which part of a text is shown for a question, and why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buddies_core.finding.excerpts import excerpt
from buddies_core.model.excerpt import Excerpt, Why

FILLER = "Nothing of interest was said about the weather on that day. "
LONG = f"{FILLER * 30}The pooler pgbouncer listens on 6432. {FILLER * 30}"


def marked(made: Excerpt) -> list[str]:
    return [made.text[start:end] for start, end in made.marks]


def test_a_short_text_is_shown_whole_with_the_words_marked() -> None:
    made = excerpt("users in postgres-16", "T", "Postgres-16 has\nall users", (), 0.9, 200)
    assert made == Excerpt(
        text="Postgres-16 has\nall users",
        start=0,
        passage=(0, 25),
        marks=((0, 11), (20, 25)),
        why=Why.BOTH,
    )


def test_of_a_long_text_the_part_around_the_best_passage_is_shown() -> None:
    made = excerpt("which port has pgbouncer", "", LONG, (), 0.7, 500)
    assert marked(made) == ["pgbouncer"]
    assert LONG[made.start :].startswith(made.text)
    assert 400 < len(made.text) <= 500
    assert made.text.split()[0] in FILLER.split()


def test_a_hit_by_meaning_shows_the_passage_that_was_found() -> None:
    made = excerpt("which door do clients knock on", "", LONG, (), 0.4, 200, passage=10)
    first = excerpt("which door do clients knock on", "", LONG, (), 0.4, 200)
    assert (made.why, made.marks, first.start) == (Why.MEANING, (), 0)
    assert "pgbouncer" in made.text


@pytest.mark.parametrize(
    ("query", "score", "why"),
    [
        ("pgbouncer", 0.9, Why.BOTH),
        ("pgbouncer", 0.55, Why.WORDS),
        ("pooling of connections", 0.4, Why.MEANING),
        ("zebra quagga pgbouncer", 0.02, Why.WORDS),
        ("#pool", 0.6, Why.WORDS),
    ],
)
def test_a_hit_says_why_it_was_found(query: str, score: float, why: Why) -> None:
    made = excerpt(query, "", "The pooler pgbouncer listens.", ("#pool",), score, 200)
    assert made.why is why


@given(
    st.text("ab .\n\u6570\u3002", max_size=400),
    st.text("ab \u6570", max_size=9),
    st.integers(1, 99),
)
def test_an_excerpt_is_a_part_of_the_text_and_its_marks_are_in_it(
    text: str, query: str, chars_max: int
) -> None:
    made = excerpt(query, "a", text, ("b",), 0.3, chars_max)
    assert text[made.start : made.start + len(made.text)] == made.text
    assert len(made.text) <= chars_max
    assert all(0 <= start < end <= len(made.text) for start, end in made.marks)

"""The parts of texts that lists and searches show to people."""

import click
import pytest

from buddies_cli.snippets import origin, snippet
from buddies_core.model.excerpt import Match, Why
from tests.support.matches import a_match


def shown(title: str, content: str, match: Match | None = None) -> str:
    """Return a snippet with «» where words stand out."""
    styled = snippet(title, content, match)
    return styled.replace("\x1b[1m", "«").replace("\x1b[0m", "»")


def test_a_list_shows_the_beginning_without_the_title() -> None:
    assert shown("Database", "Database\n\nWe use\nPostgreSQL ") == "  We use\n  PostgreSQL"
    assert shown("", "x" * 301) == f"  {'x' * 300}…"
    assert shown("Title alone", "Title alone") == ""


def test_the_words_of_the_question_stand_out() -> None:
    text = "Database\nWe use PostgreSQL\nfor users"
    match = a_match(passage=(0, len(text)), marks=((0, 8), (16, 26), (31, 36)))

    assert shown("Database", text, match) == "  We use «PostgreSQL»\n  for «users»"
    assert click.unstyle(snippet("", text, match)) == "  Database\n  We use PostgreSQL\n  for users"


def test_dots_stand_for_what_is_left_out_before_and_after() -> None:
    text = "a " * 400 + "here " + "b " * 400
    match = a_match(passage=(800, 805), marks=((800, 804),))

    seen = shown("", text, match)

    assert (seen[:5], seen[-3:]) == ("  …a ", " b…")
    assert "a «here» b" in seen
    assert shown("", "the end", a_match(offset=9, passage=(0, 7))) == "  …the end"


def test_nothing_in_a_text_can_move_the_cursor() -> None:
    assert shown("", "a\x1b[2Jb c", a_match(marks=((0, 6),))) == "  «a�[2Jb» c"


@pytest.mark.parametrize(
    ("match", "line"),
    [
        (None, ""),
        (a_match(0.834), "3 weeks ago; found by words and meaning, score 0.83"),
        (a_match(0.5, why=Why.WORDS), "3 weeks ago; found by words, score 0.50"),
        (
            a_match(0.2, why=Why.MEANING),
            "3 weeks ago; weak: it may be about something else; found by meaning, score 0.20",
        ),
    ],
)
def test_a_line_says_why_something_was_found(match: Match | None, line: str) -> None:
    assert origin(match) == line

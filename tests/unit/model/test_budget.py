"""What an answer costs a model."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buddies_core.model.budget import (
    ANSWER_COST_MAX,
    answer_cost,
    fitting_chars,
    json_cost,
    json_text,
)


def test_the_budget_is_twenty_thousand_tokens_of_four_ascii_characters() -> None:
    assert answer_cost("a" * 4 * 20_000) == ANSWER_COST_MAX


def test_a_character_of_another_script_costs_a_whole_token() -> None:
    assert [answer_cost(text) for text in ("字" * 20_000, "a字", "", "é", "😀")] == [
        ANSWER_COST_MAX, 5, 0, 4, 4,
    ]  # fmt: skip


@given(st.text(st.characters(codec=None)))
def test_the_cost_is_counted_character_by_character(text: str) -> None:
    assert answer_cost(text) == sum(1 if ord(char) < 128 else 4 for char in text)


def test_what_json_escapes_costs_what_is_written() -> None:
    assert json_cost('"\n\x01字') == len('"') + 2 + 2 + len("\\u0001") + 4 + len('"')
    assert json.loads(json_text({"字": [1, "\x01"]})) == {"字": [1, "\x01"]}


@given(st.text(), st.integers(2, 200))
def test_as_many_characters_fit_as_their_json_does(text: str, cost_max: int) -> None:
    end = fitting_chars(text, cost_max)

    assert json_cost(text[:end]) <= cost_max
    assert end == len(text) or json_cost(text[: end + 1]) > cost_max


@pytest.mark.parametrize("cost_max", [-1, 0, 1, 2])
def test_nothing_fits_where_there_is_no_room(cost_max: int) -> None:
    assert fitting_chars("text", cost_max) == 0

"""The last guard before an answer goes to a model."""

import json
from typing import cast

import mcp_types as mcp
import pytest

from buddies_core.model.budget import ANSWER_COST_MAX, answer_cost, json_text
from buddies_core.model.json_view import JsonObject, JsonValue
from buddies_mcp import render

ROW: JsonValue = {"title": "t" * 200, "tags": cast("list[JsonValue]", ["字" * 100] * 30)}
LARGE: dict[str, JsonObject] = {
    "one text": {"text": "字" * 200_000},
    "many texts": {"texts": ["x" * 3000] * 1000},
    "many rows": {"results": [ROW] * 5000, "next_cursor": "here"},
    "controls": {"text": "\x01" * 20_000, "rows": [["\x01" * 40] * 900] * 900},
    "many keys": {f"key {number}": "x" for number in range(20_000)},
}


def text_of(result: mcp.CallToolResult) -> str:
    [part] = result.content
    assert isinstance(part, mcp.TextContent)
    return part.text


@pytest.mark.parametrize("name", LARGE)
def test_an_answer_that_is_too_large_is_shortened_and_says_so(name: str) -> None:
    result = render.result(LARGE[name], json_text)

    assert answer_cost(text_of(result)) <= ANSWER_COST_MAX
    assert result.structured_content == json.loads(text_of(result))
    assert result.structured_content["shortened"] == render.SHORTENED


def test_what_is_small_in_a_large_answer_stays() -> None:
    shortened = render.result({"id": "an id", "text": "x" * 100_000, "done": True}, json_text)

    assert shortened.structured_content == {
        "id": "an id",
        "text": "x" * 4000 + "…",
        "done": True,
        "shortened": render.SHORTENED,
    }


def test_an_answer_as_large_as_may_be_is_not_touched() -> None:
    answer: JsonObject = {"text": "x" * (ANSWER_COST_MAX - len('{"text":""}'))}

    assert render.result(answer, json_text).structured_content == answer


def test_a_failure_is_no_larger_than_an_answer() -> None:
    text = text_of(render.failure("字" * 1_000_000))

    assert (text, answer_cost(text) < ANSWER_COST_MAX) == ("字" * 8000 + "…", True)

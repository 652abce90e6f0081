import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from buddies_core.errors import InvalidInput
from buddies_mcp.server import TOOLS
from buddies_mcp.tools.tool import Tool


def refusal(tool: str, given: dict[str, object]) -> str:
    with pytest.raises(InvalidInput) as refused:
        TOOLS[tool].check(given)
    return str(refused.value)


def test_a_missing_argument_is_named_with_what_it_means() -> None:
    assert refusal("get_room_status", {}) == ("get_room_status was not called: room is missing")


def test_every_wrong_argument_is_named_at_once() -> None:
    given = {"room": 7, "content": "", "kind": "rumour", "tags": ["ok", ""], "title": "x" * 513}
    assert refusal("store_memory", given) == (
        "store_memory was not called: room must be a string, not 7;"
        " content must not be empty;"
        ' kind must be one of decision, implementation, context, skill, status, not "rumour";'
        " tags[1] must not be empty;"
        " title has 513 characters; at most 512 are allowed"
    )


def test_an_unknown_argument_is_refused_with_the_known_ones() -> None:
    assert refusal("list_rooms", {"room": "a"}) == (
        "list_rooms was not called: there is no argument 'room'; allowed: cursor"
    )
    assert refusal("get_memory", {"id": "x", "size": None}) == (
        "get_memory was not called: there is no argument 'size'; allowed: id, offset, limit"
    )


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"limit": 0}, "limit must be a whole number from 1 to 500, not 0"),
        ({"limit": 501}, "limit must be a whole number from 1 to 500, not 501"),
        ({"limit": True}, "limit must be a whole number from 1 to 500, not true"),
        ({"limit": 2.5}, "limit must be a whole number from 1 to 500, not 2.5"),
        ({"limit": "many"}, 'limit must be a whole number from 1 to 500, not "many"'),
        ({"limit": "true"}, 'limit must be a whole number from 1 to 500, not "true"'),
        ({"limit": ""}, 'limit must be a whole number from 1 to 500, not ""'),
        ({"limit": "501"}, "limit must be a whole number from 1 to 500, not 501"),
        ({"limit": [5]}, "limit must be a whole number from 1 to 500, not [5]"),
        ({"tags": "db"}, 'tags must be a list of strings, such as ["a", "b"], not "db"'),
        (
            {"tags": "db, auth"},
            'tags must be a list of strings, such as ["a", "b"], not "db, auth"',
        ),
        ({"tags": '"db"'}, r'tags must be a list of strings, such as ["a", "b"], not "\"db\""'),
        ({"tags": {"a": 1}}, 'tags must be a list of strings, such as ["a", "b"], not {"a": 1}'),
        ({"tags": '["a", 1]'}, "tags[1] must be a string, not 1"),
        ({"tags": ["a", ["b"]]}, 'tags[1] must be a string, not ["b"]'),
        ({"tags": ["t"] * 33}, "tags has 33 items; at most 32 are allowed"),
    ],
)
def test_a_wrong_filter_is_refused(given: dict[str, object], problem: str) -> None:
    assert refusal("list_memories", given) == f"list_memories was not called: {problem}"


NUMBERS = [
    (tool.name, field, schema)
    for tool in TOOLS.values()
    for field, schema in tool.properties.items()
    if schema["type"] in ("integer", "number")
]
OUT_OF_EVERY_RANGE = [
    math.nan, math.inf, -math.inf, 10**300, 1e300, -2, -1.5, 10**5000, True, False,
    "NaN", "Infinity", "-Infinity", "1e999", "-2", "1" * 5000, "true", "1_0", "+1", "0x10",
]  # fmt: skip


@pytest.mark.parametrize(("tool", "field", "schema"), NUMBERS)
def test_a_number_out_of_its_range_is_refused_with_the_field_and_the_range(
    tool: str, field: str, schema: dict[str, Any]
) -> None:
    kind = "a whole number" if schema["type"] == "integer" else "a number"
    asked = f"{field} must be {kind} from {schema['minimum']} to {schema['maximum']:.0f}, not "
    for value in OUT_OF_EVERY_RANGE:
        text = refusal(tool, {**_required(tool), field: value})
        assert text.startswith(f"{tool} was not called: {asked}"), value
        assert len(text) < 200


def _required(tool: str) -> dict[str, Any]:
    """Return the least that a tool takes."""
    of_kind = {"string": "x", "integer": 1, "boolean": True, "array": []}
    schemas = {name: TOOLS[tool].properties[name] for name in TOOLS[tool].required}
    return {
        name: schema["enum"][0] if "enum" in schema else of_kind[schema["type"]]
        for name, schema in schemas.items()
    }


@pytest.mark.parametrize(
    ("tool", "given", "read"),
    [
        ("list_memories", {"tags": '["a","b"]'}, {"tags": ["a", "b"]}),
        ("list_memories", {"tags": " [] "}, {"tags": []}),
        ("list_memories", {"tags": ['["a"]', "5"]}, {"tags": ['["a"]', "5"]}),
        ("list_memories", {"limit": "5"}, {"limit": 5}),
        ("list_memories", {"limit": "5.0"}, {"limit": 5.0}),
        ("list_memories", {"limit": "1e2"}, {"limit": 100.0}),
        ("search_memory", {"query": "q", "timeout_secs": "2.5"}, {"timeout_secs": 2.5}),
        ("join_room", {"room": "a", "private": "true"}, {"private": True}),
        ("join_room", {"room": "a", "private": "false"}, {"private": False}),
        ("join_room", {"room": "5", "ticket": "null"}, {"room": "5", "ticket": "null"}),
        ("store_memory", {"room": "a", "content": '["a"]'}, {"content": '["a"]'}),
        ("store_memory", {"room": "true", "content": "12"}, {"room": "true", "content": "12"}),
    ],
)
def test_a_string_that_spells_the_wanted_type_in_json_is_taken_and_text_stays_text(
    tool: str, given: dict[str, object], read: dict[str, object]
) -> None:
    values = TOOLS[tool].check(given)._values
    assert {name: values[name] for name in read} == read
    assert {type(values[name]) for name in read} == {type(value) for value in read.values()}


@pytest.mark.parametrize("field", ["tags", "limit"])
def test_a_null_in_a_string_leaves_out_what_is_no_text(field: str) -> None:
    left_out = TOOLS["list_memories"].check({})._values
    assert TOOLS["list_memories"].check({field: "null"})._values == left_out


def test_minus_zero_is_zero() -> None:
    waits = TOOLS["wait_task"].check({"task_id": "x", "wait_secs": -0.0, "offset": "-0"})
    assert (str(waits.number("wait_secs")), str(waits.integer("offset"))) == ("0.0", "0")


def test_a_call_with_very_much_wrong_is_refused_in_a_few_words() -> None:
    given = {"tags": [7] * 32, "x" * 10_000: 1} | {f"unknown{n}": n for n in range(1000)}
    assert len(refusal("list_memories", given)) < 2000
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    assert refusal("list_memories", {"tags": [nested]}) == (
        "list_memories was not called: tags[0] must be a string, not what is too large or too deep"
        " to show"
    )


KNOWN = {
    "string": {"minLength", "maxLength", "enum", "default"},
    "array": {"items", "maxItems"},
    "integer": {"minimum", "maximum", "default"},
    "number": {"minimum", "maximum", "default"},
    "boolean": {"default"},
}


def test_a_schema_asks_for_nothing_that_is_not_checked_and_bounds_every_number_and_list() -> None:
    for tool in TOOLS.values():
        for schema in tool.properties.values():
            asked = set(schema) - {"type", "description"}
            assert asked <= KNOWN[schema["type"]]
            assert schema["type"] not in ("integer", "number") or {"minimum", "maximum"} <= asked
            assert schema["type"] != "array" or {"items", "maxItems"} <= asked
            assert schema.get("minLength", 1) == 1


texts = st.text('a1[]"é\u200b', max_size=9) | st.sampled_from(
    ["null", "true", "5", "[]", '["a"]', "NaN", "1e999", "-0.0"]
)
numbers = st.integers() | st.floats(allow_nan=False) | st.sampled_from([0, 1, 1.0, -1])
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=500)
@given(st.sampled_from(list(TOOLS.values())), st.data())
def test_any_json_is_taken_as_the_published_schema_says_or_refused(
    tool: Tool, data: st.DataObject
) -> None:
    names = st.sampled_from([*tool.properties, "unknown"])
    given_ = _required(tool.name) | data.draw(st.dictionaries(names, json_values, max_size=4))
    schema = Draft202012Validator(tool.input_schema)
    try:
        values = tool.check(given_)._values
    except InvalidInput:
        assert not schema.is_valid(given_) or "unknown" in given_
    else:
        assert schema.is_valid(values)


def test_a_long_wrong_value_is_shown_by_its_beginning() -> None:
    assert len(refusal("list_memories", {"limit": "9" * 100_000})) < 150


def test_a_null_for_an_argument_that_may_be_left_out_leaves_it_out() -> None:
    arguments = TOOLS["join_room"].check({"room": "a", "ticket": None})
    assert (arguments.text("room"), arguments.optional_text("ticket")) == ("a", None)


def test_a_null_for_a_required_argument_is_refused() -> None:
    assert refusal("join_room", {"room": None}) == (
        "join_room was not called: room must be a string, not null"
    )


def test_an_argument_that_was_left_out_has_the_default_that_the_schema_shows() -> None:
    arguments = TOOLS["search_memory"].check({"query": "db"})
    assert (arguments.integer("limit"), arguments.number("timeout_secs")) == (20, 3.0)


def test_a_whole_number_may_come_as_a_fraction_of_zero() -> None:
    limit = TOOLS["list_memories"].check({"limit": 3.0}).integer("limit")
    assert (limit, type(limit)) == (3, int)

"""Our key goes into a configuration and comes out again, and nothing else of it changes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buddies_cli.setup import json_text
from buddies_core.errors import InvalidInput
from buddies_core.model.json_view import JsonObject

OURS: JsonObject = {
    "type": "stdio",
    "command": "/opt/bin/buddies",
    "args": [],
    "env": {"A": 'é "x"'},
}
KEYS = ("mcpServers", "buddies")
EXAMPLES = 40
"""json-five takes milliseconds for each of these texts."""

BLANKS = st.sampled_from(
    ["", " ", "\n", "\n  ", "\r\n\t", " // a note\n  ", " /* b */ ", "\n  /* c\n */\n  ", "\u00a0"]
)
SCALARS = st.sampled_from(
    ['"x"', "'y'", "1", "-1.50e3", "+.5", "0xFF", "true", "null", "NaN", '"\\u0061\\/"', '"é"']
)
NAMES = st.sampled_from(["a", "'b'", '"c"', '"\\u0064"', "$e", '"mcp servers"', '"://"'])


@st.composite
def objects(draw: st.DrawFn, depth: int = 1) -> str:
    """An object as people write it: any blanks anywhere, keys of every kind, a trailing comma."""
    names = draw(st.lists(NAMES, max_size=3, unique=True))
    pairs = []
    for name in names:
        value = draw(objects(depth - 1) | SCALARS if depth else SCALARS)
        before, inside, after, end = (draw(BLANKS) for _ in range(4))
        pairs.append(f"{before}{name}{inside}:{after}{value}{end}")
    comma = "," if names != [] and draw(st.booleans()) else ""
    return "{" + ",".join(pairs) + comma + draw(BLANKS) + "}"


@st.composite
def configurations(draw: st.DrawFn) -> str:
    """A whole configuration, often with servers in it."""
    text = draw(objects())
    if draw(st.booleans()):
        servers = f'{draw(BLANKS)}"mcpServers"{draw(BLANKS)}:{draw(objects(0))}{draw(BLANKS)}'
        rest = text[1:]
        text = "{" + servers + ("," if ":" in rest else "") + rest
    return draw(BLANKS) + text + draw(BLANKS)


@settings(max_examples=EXAMPLES)
@given(configurations())
def test_what_is_put_in_is_there_and_everything_else_is_as_it_was(text: str) -> None:
    after = json_text.put(text, KEYS, OURS)

    before, found = json_text.read(text), json_text.read(after)
    assert found["mcpServers"].pop("buddies") == OURS
    if "mcpServers" not in before:
        assert found.pop("mcpServers") == {}
    assert repr(found) == repr(before)  # NaN is not equal to itself


@settings(max_examples=EXAMPLES)
@given(configurations())
def test_taking_it_out_gives_the_very_text_that_was_there(text: str) -> None:
    had_servers = json_text.read(text).get("mcpServers")
    back = json_text.remove(json_text.put(text, KEYS, OURS), KEYS, prune=had_servers is None)

    was_empty = had_servers == {} or not json_text.read(text)
    assert (without_blanks(back) if was_empty else back) == (
        without_blanks(text) if was_empty else text
    )


@settings(max_examples=EXAMPLES)
@given(configurations())
def test_putting_it_in_twice_is_putting_it_in_once(text: str) -> None:
    once = json_text.put(text, KEYS, OURS)
    assert json_text.put(once, KEYS, OURS) == once


@settings(max_examples=EXAMPLES)
@given(configurations())
def test_a_newer_value_takes_the_place_of_the_older_one(text: str) -> None:
    newer = {**OURS, "command": "/new"}
    older = json_text.put(text, KEYS, OURS)
    after = json_text.put(older, KEYS, newer)
    assert json_text.read(after)["mcpServers"]["buddies"] == newer
    assert json_text.remove(after, KEYS) == json_text.remove(older, KEYS)


@settings(max_examples=EXAMPLES)
@given(configurations())
def test_what_is_not_there_is_not_removed(text: str) -> None:
    assert json_text.remove(text, ("other", "buddies")) == text


def without_blanks(text: str) -> str:
    """Return a text without what is between the braces of an object that holds nothing."""
    return "".join(text.split())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '{\n  "s": {\n    "b": 1\n  }\n}\n'),
        ("{}", '{\n  "s": {\n    "b": 1\n  }\n}'),
        ('{"a": 1}', '{"a": 1, "s": {"b": 1}}'),
        ('{\n\t"a": 1\n}\n', '{\n\t"a": 1,\n\t"s": {\n\t\t"b": 1\n\t}\n}\n'),
        ('{\r\n "a": 1\r\n}', '{\r\n "a": 1,\r\n "s": {\r\n  "b": 1\r\n }\r\n}'),
        (
            '{\n  "a": 1, // mine\n}',
            '{\n  "a": 1, // mine\n  "s": {\n    "b": 1\n  },\n}',
        ),
        (
            '{\n  "s": {\n    "x": 1 // mine\n  }\n}',
            '{\n  "s": {\n    "x": 1, // mine\n    "b": 1\n  }\n}',
        ),
        ('{\n  "s": {}\n}', '{\n  "s": {\n    "b": 1\n  }\n}'),
        ('{\n  "s": {"b": 0, "x": [1,2]}\n}', '{\n  "s": {"b": 1, "x": [1,2]}\n}'),
        ("\ufeff{'s': {x: 0xF,},}", "\ufeff{'s': {x: 0xF, \"b\": 1,},}"),
    ],
)
def test_it_is_written_in_the_manner_of_the_text_around_it(before: str, after: str) -> None:
    assert json_text.put(before, ("s", "b"), 1) == after  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not valid JSON"),
        ('{"a": 1', "not valid JSON"),
        ('{"a": 1} x', "not valid JSON"),
        ("// only a note", "not valid JSON"),
        ("[]", "does not hold an object"),
        ('{"mcpServers": []}', "mcpServers in it is not an object"),
        ('{"mcpServers": null}', "mcpServers in it is not an object"),
        ('{"mcpServers": {"buddies": 1, "buddies": 2}}', "has the key buddies twice"),
        ('{"a": ' * 5000 + "1" + "}" * 5000, "nested too deeply"),
    ],
)
def test_what_cannot_be_changed_safely_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        json_text.put(text, KEYS, OURS)


@pytest.mark.parametrize("text", ["{", "[]", "7", '"x"', "{a b}"])
def test_what_is_not_an_object_is_not_read_as_one(text: str) -> None:
    with pytest.raises(InvalidInput):
        json_text.read(text)

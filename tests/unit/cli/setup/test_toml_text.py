"""Our table goes into a configuration of Codex and comes out again, and nothing else changes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buddies_cli.setup import toml_text
from buddies_core.errors import InvalidInput
from buddies_core.model.json_view import JsonObject

OURS: JsonObject = {
    "command": "/opt/buddies",
    "args": [],
    "env": {"A": 'é "x"'},
    "tool_timeout_sec": 120,
}
KEYS = ("mcp_servers", "buddies")

LINES = st.sampled_from(
    ["", "# a note", "  # set in", "x = 1", 'model = "m"  # why', "d.e = [\n  1, # one\n  2,\n]",
     "t = 07:32:00", 's = """\nlong\n"""', "'q' = {a = 1, b = {c = 2}}"]
)  # fmt: skip
SERVERS = st.sampled_from(
    ["", '[mcp_servers.other]\ncommand = "y"', '[mcp_servers.other]\ncommand = "y"\n# end',
     '[mcp_servers]\nother = { command = "y" }', 'mcp_servers = { other = { command = "y" } }',
     'mcp_servers.other.command = "y"', "mcp_servers = {}", "[mcp_servers]",
     '[mcp_servers.other]\ncommand = "y"\n\n[mcp_servers.other.env]\nA = "b"',
     '[mcp_servers.other] # why\ncommand="y"\n[mcp_servers."o.p"]\ncommand = "z"']
)  # fmt: skip
TABLES = st.sampled_from(
    ["", "[history]\npersistence = 'none'", "[[rows]]\na = 1\n\n[[rows]]\na = 2",
     "[a.b]\nc = 1\n# after", "[projects.\"/p\"]\ntrust_level = 'trusted'\n"]
)  # fmt: skip


@st.composite
def configurations(draw: st.DrawFn) -> str:
    """A whole configuration: keys, servers, tables, in an order that TOML allows."""
    top = draw(st.lists(LINES, max_size=4, unique_by=lambda line: line or object()))
    servers, tables = draw(SERVERS), draw(st.lists(TABLES, max_size=2, unique=True))
    parts = [*top, servers, *tables]
    if servers.startswith("[") and draw(st.booleans()):
        parts = [*top, *tables, servers]
    return "\n".join(parts) + draw(st.sampled_from(["", "\n", "\n\n"]))


@settings(max_examples=200)
@given(configurations())
def test_what_is_put_in_is_there_and_everything_else_is_as_it_was(text: str) -> None:
    after = toml_text.put(text, KEYS, OURS)

    found, before = toml_text.read(after), toml_text.read(text)
    assert found["mcp_servers"].pop("buddies") == OURS
    if "mcp_servers" not in before:
        assert found.pop("mcp_servers") == {}
    assert found == before
    left = after.splitlines()
    assert [
        line for line in text.splitlines() if line not in left and "mcp_servers" not in line
    ] == []


@settings(max_examples=200)
@given(configurations())
def test_taking_it_out_gives_the_text_that_was_there_but_for_blank_lines(
    text: str,
) -> None:
    """Texts with and without one become the same; the backup tells them apart."""
    had_servers = "mcp_servers" in toml_text.read(text)
    after = toml_text.put(text, KEYS, OURS)
    back = toml_text.remove(after, KEYS, prune=not had_servers)
    assert list(filter(None, back.splitlines())) == list(filter(None, text.splitlines()))


@settings(max_examples=50)
@given(configurations())
def test_what_is_not_there_is_not_removed(text: str) -> None:
    assert toml_text.remove(text, KEYS) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = ", "not valid TOML"),
        ("x = 1\nx = 2\n", "not valid TOML: .*line 2"),
        ("mcp_servers = 7", "mcp_servers in it is not a table"),
        ("[[mcp_servers]]\na = 1", "mcp_servers in it is not a table"),
        ("\ufeffx = 1", "not valid TOML"),
        ('mcp_servers = {other.env = {A = "b"}}', r"write it as \[mcp_servers\] with a line"),
    ],
)
def test_what_cannot_be_changed_safely_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        toml_text.put(text, KEYS, OURS)

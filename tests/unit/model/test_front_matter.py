"""Front matter: what is read of anybody's, and that every reader reads ours alike."""

import re
import subprocess
import sys
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from buddies_core.model.front_matter import (
    FRONT_CHARS_MAX,
    SkillText,
    read_skill_text,
    write_front_matter,
)

# What a reader may take for something other than text: words of YAML 1.1 in any case and of the
# core schema of 1.2, and their numbers and times.
NOT_TEXT = re.compile(
    r"~|null|y|n|yes|no|on|off|true|false|[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-f_]+|[0-9][0-9_]*)|"
    r"[-+]?[0-9_]*\.?[0-9_]*(e[-+]?[0-9]+)?|[-+]?\.inf|\.nan|[-+]?[0-9][0-9_:]*(\.[0-9_]*)?|"
    r"[0-9]{4}-[0-9]+-[0-9]+.*",
    re.IGNORECASE,
)
PECULIAR = [
    "yes", "null", "12345", "2026-05-01", "1e3", "~", "on", "0x1F", "1:30", "y", "N", "0o17", "017",
    "1_000", ".5", "-1", ".inf", "NaN", "e3", "=", "<<", "a: b", "q\"uo'te", "a # b", "# x",
    "- dash", "---", "--- x", "...", "? q", "! tag", "&a", "*a", "[a]", "{a}", "| x", "> y",
    "%YAML", "@a", "`a`", "🎉 done", "back\\slash \\n", "trailing ", " leading", "two  spaces",
    "é ü 日本", "line\nbreak", "crlf\r\nbreak", "\ttab", "\u2028", "\u0085", "\u00a0", "\ufeff",
    "\x00", "\x1b[0m", "", "x" * 3000,
]  # fmt: skip
NAMES = ["yes", "null", "12345", "2026-05-01", "1e3", "on", "0x1f", "e3", "e-3", "y"]


def skill_names() -> st.SearchStrategy[str]:
    return st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,8}){0,2}", fullmatch=True)


def check_that_it_is_read_back(name: str, description: str) -> None:
    written = write_front_matter(name, description)
    assert yaml.safe_load(written[4:-4]) == {"name": name, "description": description}
    assert read_skill_text(f"{written}\nbody") == SkillText("\nbody", description)
    first, second, third, *_ = written.split("\n")
    assert (first, second[:6], third[:14]) == ("---", "name: ", 'description: "')


@pytest.mark.parametrize("text", PECULIAR)
def test_text_that_looks_like_something_else_is_read_back_as_text(text: str) -> None:
    check_that_it_is_read_back("release", text)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_looks_like_something_else_is_quoted_and_read_back_as_text(name: str) -> None:
    check_that_it_is_read_back(name, "Release")
    assert f'\nname: "{name}"\n' in write_front_matter(name, "")


@given(skill_names(), st.text())
def test_whatever_is_written_is_read_back(name: str, description: str) -> None:
    check_that_it_is_read_back(name, description)


@given(skill_names())
def test_a_name_that_is_no_text_to_some_reader_is_quoted(name: str) -> None:
    line = write_front_matter(name, "").splitlines()[1]
    if NOT_TEXT.fullmatch(name):
        assert line == f'name: "{name}"'
    assert line in (f"name: {name}", f'name: "{name}"')


def test_a_usual_name_and_an_emoji_are_written_as_they_are() -> None:
    assert write_front_matter("release", 'Ship it 🎉: "now"') == (
        '---\nname: release\ndescription: "Ship it 🎉: \\"now\\""\n---\n'
    )


@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "  \n"])
def test_front_matter_is_found_with_any_line_ending_and_a_bom(bom: str, end: str) -> None:
    content = (
        f"{bom}---{end}name: x{end}description: When you release{end}hooks: y{end}---{end}Do it."
    )
    assert read_skill_text(content) == SkillText("Do it.", "When you release", ("hooks",))
    assert read_skill_text(f"{bom}Do it.{end}") == SkillText(f"Do it.{end}")


@pytest.mark.parametrize("title", ["yes", "12345", "2026-05-01", "1e3", "on", "0x1F", "1:30"])
def test_a_description_without_quotes_stays_what_its_author_wrote(title: str) -> None:
    assert read_skill_text(f"---\ndescription: {title}\n---\n").description == title


@pytest.mark.parametrize(
    ("front", "description", "left_out"),
    [
        ("description: null", "", ()),
        ("description: ~", "", ()),
        ("description:", "", ()),
        ("description: |\n  one\n  two", "one\ntwo\n", ()),
        ("description: >\n  one\n  two", "one two\n", ()),
        ("description: [a, b]", "", ("description (not text)",)),
        ("description: !!binary aGk=", "", ("description (not text)",)),
        ("description: !mine x", "", ("description (not text)",)),
        ("description: a\ndescription: b", "a", ("description (again)",)),
        ("a: &x b\ndescription: *x", "b", ("a",)),
        ("1: a\nnull: b\n? [x]\n: c", "", ("1", "null", "a field whose name is not text")),
        ("<<: {hooks: y}\nb: c", "", ("<<", "b")),
        ("!!python/object/apply:os.system hooks: !!python/name:os.system y", "", ("hooks",)),
        ('"a\\u200b\\e[31m\\nb": c', "", ("a [31m b",)),
        ("\n".join(f"k{n}: x" for n in range(22)), "", (*(f"k{n}" for n in range(20)), "2 more")),
        (f"{'k' * 80}: x", "", (f"{'k' * 60}…",)),
    ],
)
def test_of_fields_the_description_is_taken_and_the_others_are_named(
    front: str, description: str, left_out: tuple[str, ...]
) -> None:
    found = read_skill_text(f"---\n{front}\n---\nDo it.")
    assert found == SkillText("Do it.", description, left_out)


@pytest.mark.parametrize(
    ("front", "why"),
    [
        ("description: Use when: always", "mapping values are not allowed here"),
        ("tools: *", "expected alphabetic or numeric character"),
        ("a: b\n\tc: d", "found character '\\t' that cannot start any token"),
        ("a: " + "[" * 3000, "nested too deeply"),
        ("a: b\nb: \x01", "a character that YAML does not allow"),
        ('a: "\\UFFFFFFFF"', "a character that YAML does not allow"),
        ("a: b\n--- \t!x\nc: d", "another document"),
        ("a: *nobody", "undefined alias"),
        (f"a: {'x' * FRONT_CHARS_MAX}", "it has 8,196 characters"),
    ],
)
def test_front_matter_that_cannot_be_read_is_shown_as_a_whole(front: str, why: str) -> None:
    found = read_skill_text(f"---\n{front}\n---\nDo it.")
    (left_out,) = found.left_out
    assert found == SkillText("Do it.", "", (left_out,))
    assert why in left_out
    assert front[:4] in left_out
    assert len(left_out) < 500


@pytest.mark.parametrize(
    "content",
    [
        "---\n# Title\n---\nDo it.", "---\nSome words.\n---\n", "---\n- a\n---\n", "---\n[a\n---\n",
        "---", "---\na: b", "----\na: b\n----\n", " ---\na: b\n---\n", "\n---\na: b\n---\n", "",
    ],
)  # fmt: skip
def test_text_between_rules_that_has_no_fields_stays(content: str) -> None:
    assert read_skill_text(content) == SkillText(content)


def test_empty_front_matter_is_dropped() -> None:
    assert read_skill_text("---\n \n---\nDo it.") == SkillText("Do it.")


@given(st.text())
def test_any_front_matter_can_be_read(front: str) -> None:
    found = read_skill_text(f"---\n{front}\n---\nDo it.")
    assert found.body.endswith("Do it.")
    assert all(name.isprintable() for name in found.left_out)


@pytest.mark.parametrize(
    "content",
    [
        "---\na: &a [x, x]\n"
        + "".join(
            f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(24)
        )
        + "---\n",
        "---\na: " + "{a: " * 2000 + "\n---\n",
        "---\n" + "--- x\n" * 170_000,
        "---\n" + "\n" * 1_000_000,
        "---\n" + "- a\n" * 2000 + "---\n",
    ],
    ids=["aliases", "nesting", "markers", "lines", "list"],
)
def test_no_front_matter_takes_long(content: str) -> None:
    begun = time.process_time()
    read_skill_text(content)
    assert time.process_time() - begun < 2


def test_commands_and_tools_start_without_yaml() -> None:
    code = (
        "import sys, buddies_cli.commands.skill, buddies_mcp.tools.skill, buddies_core.client;"
        "print('yaml' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"False\n"

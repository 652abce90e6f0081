"""What the documentation refers to is there."""

import ast
import re
import tomllib
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.worlds.stories import STORIES

ROOT = Path(__file__).parents[2]
DOCS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")

STORY = re.compile(r'`make world ONLY="([^"]+)"`')

BOX = re.compile(r'(\w+)\["([^"]+)"\]')
ARROW = re.compile(r'^ +(\w+)(?:\["[^"]+"\])? --> (\w+)', re.MULTILINE)

WAITS = re.compile(r"^ {4}(\S.*?) +→ (\S.*?)(?: {2,}.*)?$", re.MULTILINE)

each_doc = pytest.mark.parametrize(
    "doc", [pytest.param(doc, id=str(doc.relative_to(ROOT))) for doc in DOCS]
)


def test_no_two_queues_wait_for_each_other() -> None:
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text("utf-8")
    section = text.partition("## Queues and what they wait for")[2].partition("\n## ")[0]
    waits = WAITS.findall(section)
    assert len(waits) > 10
    graph: dict[str, set[str]] = {}
    for waiting, awaited in waits:
        graph.setdefault(waiting, set()).add(awaited)
    TopologicalSorter(graph).prepare()  # It raises CycleError, which names the cycle.


def test_the_picture_of_the_modules_shows_the_layers_that_lint_enforces() -> None:
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text("utf-8")
    picture = text.partition("## Modules")[2].partition("```mermaid")[2].partition("```")[0]
    boxes = dict(BOX.findall(picture))
    arrows = [(upper.strip(), lower.strip()) for upper, lower in ARROW.findall(picture)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (contract,) = [
        it for it in project["tool"]["importlinter"]["contracts"] if it["type"] == "layers"
    ]

    shown = [set(re.split(r" · |<br/>", boxes[lower])) for _, lower in arrows[1:]]
    assert [{"daemon"}, *shown] == [set(re.split(r" [|:] ", it)) for it in contract["layers"]]
    assert [upper for upper, _ in arrows] == ["programs", "daemon", *[it for _, it in arrows[1:-1]]]
    assert boxes["programs"] == "buddies_mcp · buddies_cli"


@each_doc
def test_every_test_that_is_named_exists(doc: Path) -> None:
    named = TEST.findall(doc.read_text("utf-8"))
    missing = [f"{path}::{name}" for path, name in named if name not in named_in(path)]
    assert missing == []


@each_doc
def test_every_mention_of_tests_can_be_looked_up(doc: Path) -> None:
    """One that is written another way would not be checked by the test above."""
    text = doc.read_text("utf-8")
    assert text.count(".py::") == len(TEST.findall(text))


@each_doc
def test_every_relative_link_leads_to_a_file(doc: Path) -> None:
    links = LINK.findall(doc.read_text("utf-8"))
    paths = [link.partition("#")[0] for link in links if "://" not in link]
    assert [path for path in paths if not (doc.parent / path).exists()] == []


@each_doc
def test_every_story_that_is_named_is_told(doc: Path) -> None:
    named = set(STORY.findall(doc.read_text("utf-8")))
    assert named - {story.name for story in STORIES} == set()


def test_each_of_at_least_fifty_faults_has_something_that_shows_what_is_seen() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    section = text.partition("## What breaks, and what you see")[2]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 50
    assert [row for row in rows if not (TEST.search(row) or STORY.search(row))] == []


@cache
def named_in(path: str) -> frozenset[str]:
    """Return the tests in a file of this project by name; none if there is no such file."""
    try:
        module = ast.parse((ROOT / path).read_text("utf-8"))
    except FileNotFoundError:
        return frozenset()
    functions = (
        node for node in module.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return frozenset(it.name for it in functions if it.name.startswith("test_"))

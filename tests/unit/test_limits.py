"""The socket, the tools' schemas and the command line have the same limits."""

import re
from collections.abc import Callable, Iterator

import click
import pytest

from buddies_core.convert import arguments
from buddies_core.errors import InvalidInput
from buddies_core.model import limits
from buddies_core.model.task import TIMEOUT_S_MAX
from buddies_mcp.server import TOOLS
from tests.support.commands import command_at

Range = tuple[float, float, float | None]
"""The least, the most, and what is taken if it is left out."""

ITEMS: Range = (1, limits.LIST_ITEMS_MAX, limits.LIST_ITEMS_DEFAULT)
CLAIMS: Range = (1, limits.CLAIMS_MAX, limits.CLAIMS_DEFAULT)
PAGE: Range = (1, limits.PAGE_CHARS_MAX, limits.PAGE_CHARS_DEFAULT)
SEARCH: Range = (
    limits.SEARCH_TIMEOUT_S_MIN,
    limits.SEARCH_TIMEOUT_S_MAX,
    limits.SEARCH_TIMEOUT_S_DEFAULT,
)
LIFE: Range = (limits.TASK_TIMEOUT_S_MIN, TIMEOUT_S_MAX, None)

DOORS: dict[tuple[str, str], tuple[str, str, Range]] = {
    ("list_memories", "limit"): ("memory list", "limit", ITEMS),
    ("search_memory", "limit"): ("memory search", "limit", ITEMS),
    ("search_memory", "timeout_secs"): ("memory search", "timeout_s", SEARCH),
    ("get_memory", "limit"): ("memory get", "limit", PAGE),
    ("search_skills", "limit"): ("skill search", "limit", ITEMS),
    ("search_skills", "timeout_secs"): ("skill search", "timeout_s", SEARCH),
    ("get_skill", "limit"): ("skill get", "limit", PAGE),
    ("list_tasks", "limit"): ("task list", "limit", ITEMS),
    ("poll_pending_tasks", "limit"): ("task poll", "limit", CLAIMS),
    ("delegate_task", "timeout_secs"): ("task delegate", "timeout_s", LIFE),
}


def option(command: str, name: str) -> click.Parameter:
    params = command_at(*command.split()).params
    return next(parameter for parameter in params if parameter.name == name)


@pytest.mark.parametrize(("tool", "argument"), DOORS)
def test_a_tool_and_its_command_have_the_range_of_the_table(tool: str, argument: str) -> None:
    command, name, (least, most, default) = DOORS[tool, argument]
    schema = TOOLS[tool].properties[argument]
    given = option(command, name)

    assert (schema["minimum"], schema["maximum"], schema.get("default")) == (least, most, default)
    assert isinstance(given.type, click.IntRange | click.FloatRange)
    assert (given.type.min, given.type.max, given.type.min_open) == (least, most, False)
    # A page's default depends on who reads it: a person gets all pages.
    assert given.to_info_dict()["default"] == (None if most == limits.PAGE_CHARS_MAX else default)


@pytest.mark.parametrize(
    ("take", "most"),
    [
        (arguments.limit, limits.LIST_ITEMS_MAX),
        (arguments.claims, limits.CLAIMS_MAX),
        (arguments.page_chars, limits.PAGE_CHARS_MAX),
        (arguments.search_timeout_s, limits.SEARCH_TIMEOUT_S_MAX),
        (arguments.task_timeout_s, TIMEOUT_S_MAX),
        (lambda chars: len(arguments.query("q" * chars)), limits.QUERY_CHARS_MAX),
    ],
)
def test_the_socket_takes_the_most_of_the_table_and_no_more(
    take: Callable[[float], float], most: float
) -> None:
    assert take(most) == most
    with pytest.raises(InvalidInput, match=re.escape(f"{most:g}")):
        take(most + 1)


def test_no_limit_of_a_tool_is_missing_from_this_comparison() -> None:
    def bounded() -> Iterator[tuple[str, str]]:
        for name, tool in TOOLS.items():
            for argument, schema in tool.properties.items():
                if argument in ("limit", "timeout_secs") and "maximum" in schema:
                    yield name, argument

    assert set(bounded()) == set(DOORS)

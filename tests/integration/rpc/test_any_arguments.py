"""Whatever JSON a model sends for an argument, it gets a result or a refusal that it can act on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import mcp_types as mcp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from buddies_core.client import DaemonClient
from buddies_core.paths import Paths
from buddies_mcp.link import DaemonLink
from buddies_mcp.server import TOOLS, call_tool
from tests.support.callers import a_call
from tests.support.fakes.node import fake_node

NUMBERS = [0, 1, -1, 5, 2**31, 2**32, 2**64, 10**300, 0.5, -0.0, 1e300, float("nan"), float("inf")]
TEXTS = ["", " ", "x", "null", "true", "5", "-1", "1e999", "[]", '["a"]', "\0", "\u200b", "a" * 300]
IDS = ["8d3e5c1a-7f0b-4c52-9a54-1f0c2b7d9e61", "0" * 64, "feature-a"]

values = st.recursive(
    st.none() | st.booleans() | st.sampled_from(NUMBERS) | st.sampled_from(TEXTS + IDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("a"), inner, max_size=1),
    max_leaves=4,
)


def fitting(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return values of which many pass the schema, so that the daemon is asked too."""
    sieve = Draft202012Validator(schema)
    fits = [value for value in [*NUMBERS, *TEXTS, *IDS, True, ["a"], []] if sieve.is_valid(value)]
    return st.sampled_from(schema.get("enum", fits)) | values


@asynccontextmanager
async def linked(paths: Paths) -> AsyncIterator[DaemonLink]:
    @asynccontextmanager
    async def connect() -> AsyncIterator[DaemonClient]:
        async with DaemonClient.connect(paths) as client:
            yield client

    async with fake_node(paths), DaemonLink.open(connect) as link:
        yield link


async def tell(_passed_s: float, _text: str) -> None:
    pass


@pytest.mark.parametrize("name", [name for name in TOOLS if name != "install_skill"])
async def test_any_json_for_any_argument_gives_a_result_or_a_refusal(
    name: str, paths: Paths
) -> None:
    tool = TOOLS[name]
    calls: list[dict[str, Any]] = []

    @settings(max_examples=40, database=None)
    @given(
        st.fixed_dictionaries(
            {field: fitting(dict(tool.properties[field])) for field in tool.required},
            optional={
                field: fitting(dict(schema))
                for field, schema in tool.properties.items()
                if field not in tool.required
            },
        )
    )
    def draw(given_: dict[str, Any]) -> None:
        calls.append(given_)

    draw()
    async with linked(paths) as link:
        for call in calls:
            result = await call_tool(link, name, call, a_call())
            [part] = result.content
            assert isinstance(part, mcp.TextContent)
            assert "bug" not in part.text, call
            assert "can't be sent" not in part.text, call
            assert "failed at this" not in part.text, call
            assert result.model_dump_json()

"""The daemon's answer as a tool's result: structured for programs, as text for models."""

import logging
from collections.abc import Callable

import mcp_types as mcp

from buddies_core.model.budget import ANSWER_COST_MAX, answer_cost, json_text
from buddies_core.model.json_view import JsonObject, JsonValue
from buddies_mcp.tools.tool import Tool

FAILURE_CHARS_MAX = 8000
SHORTENED = (
    "this answer was too large: long texts end in … and long lists lack items. Ask for less at"
    " once, or for one thing by its id"
)
_SHORTER = ((4000, 200), (1000, 50), (200, 20), (50, 5))
"""Characters of a text and items of a list, from mild to harsh."""

logger = logging.getLogger(__name__)


def result(answer: JsonObject, as_text: Callable[[JsonObject], str]) -> mcp.CallToolResult:
    """Return an answer as structured content and in text: clients show a model either."""
    answer = fitting(answer)
    text = as_text(answer)
    return mcp.CallToolResult(
        content=[mcp.TextContent(type="text", text=text)], structured_content=answer
    )


def fitting(answer: JsonObject) -> JsonObject:
    """Return an answer that is not too large for a model.

    The daemon and the tools see to that. This is the last guard, for what they have overlooked.
    """
    if answer_cost(json_text(answer)) <= ANSWER_COST_MAX:
        return answer
    logger.warning("answer_shortened keys=%s", ",".join(answer))
    for chars, items in _SHORTER:
        shorter = {key: _cut(value, chars, items) for key, value in answer.items()}
        shorter["shortened"] = SHORTENED
        if answer_cost(json_text(shorter)) <= ANSWER_COST_MAX:
            return shorter
    return {"shortened": SHORTENED}


def _cut(value: JsonValue, chars: int, items: int) -> JsonValue:
    match value:
        case str():
            return value if len(value) <= chars else f"{value[:chars]}…"
        case list():
            return [_cut(item, chars, items) for item in value[:items]]
        case dict():
            return {key: _cut(item, chars, items) for key, item in value.items()}
        case _:
            return value


def failure(text: str) -> mcp.CallToolResult:
    """Return a failure whose text a model sees; of a JSON-RPC error it often sees nothing."""
    if len(text) > FAILURE_CHARS_MAX:
        text = f"{text[:FAILURE_CHARS_MAX]}…"
    return mcp.CallToolResult(content=[mcp.TextContent(type="text", text=text)], is_error=True)


def listing(tool: Tool) -> mcp.Tool:
    """Return a tool as `tools/list` shows it."""
    return mcp.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.shown_description,
        input_schema=tool.shown_schema,
        output_schema=tool.output_schema,
        annotations=_annotations(tool),
    )


def _annotations(tool: Tool) -> mcp.ToolAnnotations:
    """Return a tool's hints without those that have the value which the protocol assumes.

    Each context has the list. For a tool that only reads, the protocol gives two no meaning.
    """
    hints = mcp.ToolAnnotations(open_world_hint=None if tool.reaches_peers else False)
    if tool.read_only:
        return hints.model_copy(update={"read_only_hint": True})
    return hints.model_copy(
        update={
            "destructive_hint": tool.destructive,
            "idempotent_hint": True if tool.idempotent else None,
        }
    )

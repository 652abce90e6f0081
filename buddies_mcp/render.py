"""What the daemon said as a tool's result: structured for programs, as text for models."""

import json

import mcp_types as mcp

from buddies_core.model.json_view import JsonObject
from buddies_mcp.tools.tool import Tool


def result(answer: JsonObject) -> mcp.CallToolResult:
    """Return an answer as structured content and as the same in text: hosts show either."""
    text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    return mcp.CallToolResult(
        content=[mcp.TextContent(type="text", text=text)], structured_content=answer
    )


def failure(text: str) -> mcp.CallToolResult:
    """Return a failure whose text a model sees; of a JSON-RPC error it often sees nothing."""
    return mcp.CallToolResult(content=[mcp.TextContent(type="text", text=text)], is_error=True)


def listing(tool: Tool) -> mcp.Tool:
    """Return a tool as `tools/list` shows it."""
    return mcp.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.input_schema,
        annotations=mcp.ToolAnnotations(
            title=tool.title,
            read_only_hint=tool.read_only,
            destructive_hint=tool.destructive,
            idempotent_hint=tool.idempotent or tool.read_only,
            open_world_hint=tool.reaches_peers,
        ),
    )

"""The tools for memories: storing, listing, searching and reading them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from buddies_core.clock import SystemClock
from buddies_core.model import json_view
from buddies_core.model.fields import FilterFields, MemoryFields
from buddies_core.model.json_view import JsonObject
from buddies_core.model.limits import QUERY_CHARS_MAX
from buddies_core.model.memory import (
    CONTENT_BYTES_MAX,
    REFERENCES_MAX,
    TAG_BYTES_MAX,
    TAGS_MAX,
    TITLE_BYTES_MAX,
    MemoryKind,
)
from buddies_core.model.moments import moment_ms
from buddies_mcp import hits
from buddies_mcp.tools.paging import CURSOR, LIMIT, OFFSET, PAGE_LIMIT, SEARCH_TIMEOUT
from buddies_mcp.tools.room import ROOM
from buddies_mcp.tools.tool import Arguments, Tool, at_once

if TYPE_CHECKING:
    from buddies_core.client import DaemonClient

_KIND: dict[str, Any] = {
    "type": "string",
    "enum": [kind.value for kind in MemoryKind],
    "description": "What it is about",
}
_TAG = {"type": "string", "minLength": 1, "maxLength": TAG_BYTES_MAX}
_ID = {"type": "string", "minLength": 1}

_FILTERS: dict[str, dict[str, Any]] = {
    "room": ROOM,
    "kind": {key: value for key, value in _KIND.items() if key != "description"},
    "tags": {
        "type": "array",
        "items": _TAG,
        "maxItems": TAGS_MAX,
        "description": "Any of these",
    },
    "author": {
        "type": "string",
        "minLength": 1,
        "description": "User name or endpoint id",
    },
    "agent": {
        "type": "string",
        "minLength": 1,
        "description": "Such as codex",
    },
    "since": {
        "type": "string",
        "minLength": 1,
        "description": "Only since then: 2h, 7d, an ISO 8601 time or Unix seconds",
    },
    "include_superseded": {"type": "boolean", "default": False},
    "limit": LIMIT,
}


def _filter(arguments: Arguments) -> FilterFields:
    filter = arguments.given(FilterFields)
    if (since := arguments.optional_text("since")) is not None:
        filter["since_ms"] = moment_ms(since, SystemClock().wall_ms())
    return filter


async def _store_memory(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    view = await daemon.store_memory(
        room=arguments.text("room"),
        content=arguments.text("content"),
        **arguments.given(MemoryFields),
    )
    return json_view.json_of(view)


async def _list_memories(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    listed = await daemon.list_memories(
        **_filter(arguments),
        limit=arguments.integer("limit"),
        oldest_first=arguments.text("order") == "oldest",
        cursor=arguments.text("cursor"),
    )
    return hits.list_json(
        listed.results, hits.memory_hit, damaged=listed.damaged, next_cursor=listed.next_cursor
    )


async def _search_memory(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    result = await daemon.search_memory(
        arguments.text("query"),
        timeout_s=arguments.number("timeout_secs"),
        limit=arguments.integer("limit"),
        **_filter(arguments),
    )
    return hits.search_json(result, hits.memory_hit)


async def _get_memory(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    page = await daemon.get_memory(
        arguments.text("id"),
        offset=arguments.integer("offset"),
        limit=arguments.integer("limit"),
    )
    return json_view.json_of(page)


async def _delete_memory(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    deleted = await daemon.delete_memory(arguments.text("id"), arguments.text("reason"))
    return json_view.json_of(deleted)


async def _forget_memory(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    id = arguments.text("id")
    return json_view.forgotten_json(id, await daemon.forget_memory(id))


MEMORY_TOOLS: tuple[Tool, ...] = (
    Tool(
        name="store_memory",
        title="Store a memory",
        description=(
            "Store what the team's agents should find later: a decision and its reason, how"
            " something was built, context. All members get it, now or later. It must be"
            " understandable alone. Calling twice stores two."
        ),
        properties={
            "room": ROOM,
            "title": {
                "type": "string",
                "maxLength": TITLE_BYTES_MAX,
                "default": "",
                "description": "The content's first line if left out",
            },
            "content": {
                "type": "string",
                "minLength": 1,
                "maxLength": CONTENT_BYTES_MAX,
                "description": "Up to 1 MiB",
            },
            "kind": {**_KIND, "default": MemoryKind.CONTEXT.value},
            "tags": {
                "type": "array",
                "items": _TAG,
                "maxItems": TAGS_MAX,
                "description": "Words to filter by",
            },
            "references": {
                "type": "array",
                "items": _ID,
                "maxItems": REFERENCES_MAX,
                "description": "Ids of memories that it builds on",
            },
            "supersedes": {
                "type": "string",
                "default": "",
                "description": "Id of the memory that it replaces",
            },
        },
        required=("room", "content"),
        ask=at_once(_store_memory),
        answers_with=("id",),
    ),
    Tool(
        name="search_memory",
        title="Search the team's memories",
        description=(
            "Search what the team's agents have stored, by meaning and by words, here and at every"
            " member present. Do it before you decide or build something. Ask in plain words: how"
            " is the DB set up? Each hit has the best part of its text; get_memory reads the whole."
            " `weak` hits may be about something else."
        ),
        properties={
            "query": {
                "type": "string",
                "minLength": 1,
                "maxLength": QUERY_CHARS_MAX,
                "description": "What you want to know",
            },
            **_FILTERS,
            "timeout_secs": SEARCH_TIMEOUT,
        },
        required=("query",),
        ask=at_once(_search_memory),
        as_text=hits.hits_text,
        answers_with=("results",),
        tells_of_peers=True,
        read_only=True,
    ),
    Tool(
        name="list_memories",
        title="List memories",
        description=("List this machine's memories by time. Use search_memory to find something."),
        properties={
            **_FILTERS,
            "order": {"type": "string", "enum": ["newest", "oldest"], "default": "newest"},
            "cursor": CURSOR,
        },
        ask=at_once(_list_memories),
        as_text=hits.hits_text,
        answers_with=("results",),
        tells_of_peers=True,
        read_only=True,
        reaches_peers=False,
    ),
    Tool(
        name="get_memory",
        title="Read a memory",
        description="Read a memory by its id. A long one has pages: continue from next_offset.",
        properties={
            "id": _ID,
            "offset": OFFSET,
            "limit": PAGE_LIMIT,
        },
        required=("id",),
        ask=at_once(_get_memory),
        tells_of_peers=True,
        read_only=True,
        reaches_peers=False,
    ),
    Tool(
        name="delete_memory",
        title="Delete a memory",
        description="Erase your user's own memory everywhere, for ever. To correct one, supersede.",
        properties={
            "id": _ID,
            "reason": {"type": "string", "default": "", "description": "For the others"},
        },
        required=("id",),
        ask=at_once(_delete_memory),
        answers_with=("id",),
        destructive=True,
    ),
    Tool(
        name="forget_memory",
        title="Forget a memory",
        description="Hide any memory on this machine only.",
        properties={"id": _ID},
        required=("id",),
        ask=at_once(_forget_memory),
        answers_with=("id",),
        reaches_peers=False,
    ),
)

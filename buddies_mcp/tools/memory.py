"""The tools for memories: storing, listing, searching and reading them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from buddies_core.clock import SystemClock
from buddies_core.model import json_view
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
from buddies_core.model.moments import FORMS, moment_ms
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
_ID = {"type": "string", "minLength": 1, "description": "Id of the memory"}

_FILTERS: dict[str, dict[str, Any]] = {
    "room": {**ROOM, "description": "Only this room; leave it out for all that were joined"},
    "kind": {**_KIND, "description": "Only this kind"},
    "tags": {
        "type": "array",
        "items": _TAG,
        "maxItems": TAGS_MAX,
        "description": "Only memories with at least one of these tags",
    },
    "author": {
        "type": "string",
        "minLength": 1,
        "description": "Only from this author: a user name or an endpoint id",
    },
    "agent": {
        "type": "string",
        "minLength": 1,
        "description": "Only what this agent has stored, such as claude-code",
    },
    "since": {
        "type": "string",
        "minLength": 1,
        "description": f"Only memories created since then: {FORMS}",
    },
    "limit": LIMIT,
}


class _Filters(TypedDict):
    room: str | None
    kind: str | None
    tags: tuple[str, ...]
    author: str | None
    agent: str | None
    since_ms: int | None
    limit: int


def _filters(arguments: Arguments) -> _Filters:
    since = arguments.optional_text("since")
    return _Filters(
        room=arguments.optional_text("room"),
        kind=arguments.optional_text("kind"),
        tags=arguments.texts("tags"),
        author=arguments.optional_text("author"),
        agent=arguments.optional_text("agent"),
        since_ms=None if since is None else moment_ms(since, SystemClock().wall_ms()),
        limit=arguments.integer("limit"),
    )


async def _store_memory(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    view = await daemon.store_memory(
        room=arguments.text("room"),
        title=arguments.text("title"),
        content=arguments.text("content"),
        kind=arguments.text("kind"),
        tags=arguments.texts("tags"),
        references=arguments.texts("references"),
    )
    return json_view.memory_json(view)


async def _list_memories(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    return json_view.memory_list_json(
        await daemon.list_memories(**_filters(arguments), cursor=arguments.text("cursor"))
    )


async def _search_memory(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    result = await daemon.search_memory(
        arguments.text("query"),
        timeout_s=arguments.number("timeout_secs"),
        **_filters(arguments),
    )
    return json_view.search_json(result)


async def _get_memory(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    page = await daemon.get_memory(
        arguments.text("id"),
        offset=arguments.integer("offset"),
        limit=arguments.integer("limit"),
    )
    return json_view.memory_page_json(page)


MEMORY_TOOLS: tuple[Tool, ...] = (
    Tool(
        name="store_memory",
        title="Store a memory",
        description=(
            "Keep something that the team's agents should find later: a decision and its reason,"
            " how something was built, context that others need. It is on this machine's disk"
            " when this returns, and goes to everybody in the room, also to those who join later."
            " You must have joined the room. Write it so that it can be understood alone. Calling"
            " twice stores two."
        ),
        properties={
            "room": {**ROOM, "description": "Name of a room that you have joined"},
            "title": {
                "type": "string",
                "maxLength": TITLE_BYTES_MAX,
                "default": "",
                "description": "Short title; the content's first line if left out",
            },
            "content": {
                "type": "string",
                "minLength": 1,
                "maxLength": CONTENT_BYTES_MAX,
                "description": "The memory itself, up to 1 MiB of text",
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
                "description": "Ids of memories that this one builds on",
            },
        },
        required=("room", "content"),
        ask=at_once(_store_memory),
    ),
    Tool(
        name="search_memory",
        title="Search the team's memories",
        description=(
            "Search by meaning what the team's agents have stored, on this machine and at every"
            " teammate's machine that is in the room now. Use it before deciding or building"
            " something. Ask in plain words, such as 'how is the DB set up?'. Results come best"
            " first, each with the part of its text around the best passage (get_memory reads the"
            " whole, or on from `offset`), its age, its author and how the author was verified."
            " `why` says whether words, meaning or both matched, `matches` which words;"
            " `weak` marks a result that may be about something else. `answered` and `unanswered`"
            " say which peers were heard, and `left_out` how many results did not fit into the"
            " answer. It returns as soon as all have answered."
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
        read_only=True,
    ),
    Tool(
        name="list_memories",
        title="List memories",
        description=(
            "List the memories that this machine has, newest first, with snippets (get_memory"
            " reads the whole). Snippets are shorter where there are many; `next_cursor` gives the"
            " rest of the list, and is null at its end. It asks no peer: use search_memory to find"
            " something."
        ),
        properties={**_FILTERS, "cursor": CURSOR},
        ask=at_once(_list_memories),
        read_only=True,
        reaches_peers=False,
    ),
    Tool(
        name="get_memory",
        title="Read a memory",
        description=(
            "Read one memory by its id. A long one comes in pages: go on from next_offset until"
            " it is null."
        ),
        properties={
            "id": _ID,
            "offset": OFFSET,
            "limit": PAGE_LIMIT,
        },
        required=("id",),
        ask=at_once(_get_memory),
        read_only=True,
        reaches_peers=False,
    ),
)

"""The tools for skills: publishing, finding, voting on, reading and installing them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from buddies_core.clock import SystemClock
from buddies_core.errors import InvalidInput
from buddies_core.model import json_view
from buddies_core.model.fields import SkillFields
from buddies_core.model.json_view import JsonObject
from buddies_core.model.limits import QUERY_CHARS_MAX
from buddies_core.model.memory import CONTENT_BYTES_MAX, TAG_BYTES_MAX, TAGS_MAX, TITLE_BYTES_MAX
from buddies_core.model.skill import HASH_HEX_CHARS, VERSION_MAX
from buddies_core.model.skill_file import NAME_CHARS_MAX, SkillHost, plan_json
from buddies_mcp import hits
from buddies_mcp.tools.paging import CURSOR, LIMIT, OFFSET, PAGE_LIMIT, SEARCH_TIMEOUT
from buddies_mcp.tools.room import ROOM
from buddies_mcp.tools.tool import Arguments, Tool, at_once, for_caller

if TYPE_CHECKING:
    from buddies_core.client import DaemonClient
    from buddies_mcp.caller import Caller

_HASH: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 2 * HASH_HEX_CHARS,  # with quotes around it, or the like
}
_TAGS: dict[str, Any] = {
    "type": "array",
    "items": {"type": "string", "minLength": 1, "maxLength": TAG_BYTES_MAX},
    "maxItems": TAGS_MAX,
}


async def _publish_skill(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    skill = await daemon.publish_skill(
        room=arguments.text("room"),
        title=arguments.text("title"),
        content=arguments.text("content"),
        **arguments.given(SkillFields),
    )
    return json_view.json_of(skill)


async def _search_skills(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    query, cursor = arguments.text("query"), arguments.text("cursor")
    room, tags = arguments.optional_text("room"), arguments.texts("tags")
    limit = arguments.integer("limit")
    if not query.strip():
        skills = await daemon.list_skills(room=room, tags=tags, limit=limit, cursor=cursor)
        return hits.list_json(
            skills.results, hits.skill_hit, damaged=skills.damaged, next_cursor=skills.next_cursor
        )
    if cursor:
        raise InvalidInput("a cursor continues the list without a query; leave one of the two out")
    found = await daemon.search_skills(
        query, room=room, tags=tags, timeout_s=arguments.number("timeout_secs"), limit=limit
    )
    return hits.search_json(found, hits.skill_hit)


async def _get_skill(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    page = await daemon.get_skill(
        arguments.text("hash"),
        offset=arguments.integer("offset"),
        limit=arguments.integer("limit"),
    )
    return json_view.json_of(page)


async def _vote_skill(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    score = arguments.integer("score")
    if score not in (-1, 1):
        raise InvalidInput(f"score is {score}; vote 1 for a skill or -1 against it")
    report = await daemon.vote_skill(
        room=arguments.text("room"), hash=arguments.text("hash"), score=score
    )
    return json_view.vote_json(report)


async def _install_skill(daemon: DaemonClient, arguments: Arguments, caller: Caller) -> JsonObject:
    from buddies_core.client.skill_files import SkillDirectory

    host = SkillHost(arguments.text("client"))
    directory = SkillDirectory.of(host, caller.environ, caller.directory)
    page = await daemon.whole_skill(arguments.text("hash"))
    plan = directory.plan(page.skill, arguments.optional_text("name"))
    confirm = arguments.optional_text("confirm")
    if confirm is None:
        return plan_json(plan, installed=False)
    directory.install(plan, confirm, SystemClock())
    return plan_json(plan, installed=True)


SKILL_TOOLS: tuple[Tool, ...] = (
    Tool(
        name="publish_skill",
        title="Publish a skill",
        description=(
            "Share a procedure that works: when to use it, then how, step by step. It is signed"
            " with this machine's key, if there is one. To improve a skill, publish the new text"
            " with the old one's hash as parent_hash."
        ),
        properties={
            "room": ROOM,
            "title": {
                "type": "string",
                "minLength": 1,
                "maxLength": TITLE_BYTES_MAX,
                "description": "What it does",
            },
            "content": {
                "type": "string",
                "minLength": 1,
                "maxLength": CONTENT_BYTES_MAX,
                "description": "Markdown, up to 1 MiB",
            },
            "tags": {**_TAGS, "description": "Words to filter by"},
            "version": {
                "type": "integer",
                "minimum": 0,
                "maximum": VERSION_MAX,
                "default": 0,
                "description": "If left out: the parent's and 1",
            },
            "parent_hash": {**_HASH, "description": "The version that it improves"},
        },
        required=("room", "title", "content"),
        ask=at_once(_publish_skill),
        answers_with=("hash",),
        idempotent=True,
    ),
    Tool(
        name="search_skills",
        title="Search the team's skills",
        description=(
            "Find procedures that teammates have published, here and at every member present, or"
            " without a query list this machine's, latest first. Do it before you work out how"
            " something is done. Hits come by relevance and votes; get_skill reads a whole one."
            " `weak` hits may be about something else."
        ),
        properties={
            "query": {
                "type": "string",
                "maxLength": QUERY_CHARS_MAX,
                "default": "",
                "description": "What you want to do",
            },
            "room": {**ROOM, "description": "Only this room"},
            "tags": {**_TAGS, "description": "Only with one of these tags"},
            "limit": LIMIT,
            "timeout_secs": SEARCH_TIMEOUT,
            "cursor": {**CURSOR, "description": "next_cursor of the list before"},
        },
        ask=at_once(_search_skills),
        as_text=hits.hits_text,
        answers_with=("results",),
        tells_of_peers=True,
        read_only=True,
    ),
    Tool(
        name="vote_skill",
        title="Vote on a skill",
        description="After you have used a skill, say whether it works. Your newest vote counts.",
        properties={
            "room": ROOM,
            "hash": _HASH,
            "score": {
                "type": "integer",
                "minimum": -1,
                "maximum": 1,
                "description": "1 or -1",
            },
        },
        required=("room", "hash", "score"),
        ask=at_once(_vote_skill),
        idempotent=True,
    ),
    Tool(
        name="get_skill",
        title="Read a skill",
        description=(
            "Read a skill by its hash, with its versions and changes. A long one comes in pages: go"
            " on from next_offset."
        ),
        properties={
            "hash": _HASH,
            "offset": OFFSET,
            "limit": PAGE_LIMIT,
        },
        required=("hash",),
        ask=at_once(_get_skill),
        tells_of_peers=True,
        read_only=True,
    ),
    Tool(
        name="install_skill",
        title="Install a skill",
        description=(
            "Write a skill as SKILL.md into a client's skill directory. The first call installs"
            " nothing and shows who wrote it, warnings and the diff. Show these to your user; if"
            " they agree, call again with the `confirm` of the answer."
        ),
        properties={
            "hash": _HASH,
            "client": {
                "type": "string",
                "enum": [host.value for host in SkillHost],
                "description": "The client; project is .agents/skills here",
            },
            "name": {
                "type": "string",
                "minLength": 1,
                "maxLength": NAME_CHARS_MAX,
                "description": "The directory's name; from the title if left out",
            },
            "confirm": {
                "type": "string",
                "minLength": 1,
                "description": "From the first call, once your user has agreed",
            },
        },
        required=("hash", "client"),
        ask=for_caller(_install_skill),
        tells_of_peers=True,
        destructive=True,
        idempotent=True,
    ),
)

"""The tools for skills: publishing, finding, voting on, reading and installing them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from buddies_core.clock import SystemClock
from buddies_core.errors import InvalidInput
from buddies_core.model import skill_json
from buddies_core.model.json_view import JsonObject
from buddies_core.model.limits import QUERY_CHARS_MAX
from buddies_core.model.memory import CONTENT_BYTES_MAX, TAG_BYTES_MAX, TAGS_MAX, TITLE_BYTES_MAX
from buddies_core.model.skill import HASH_HEX_CHARS, VERSION_MAX
from buddies_core.model.skill_file import NAME_CHARS_MAX, SkillHost, plan_json
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
    "description": "Hash of the skill",
}
_TAGS: dict[str, Any] = {
    "type": "array",
    "items": {"type": "string", "minLength": 1, "maxLength": TAG_BYTES_MAX},
    "maxItems": TAGS_MAX,
}
_FILTERS: dict[str, dict[str, Any]] = {
    "room": {**ROOM, "description": "Only this room; leave it out for all that were joined"},
    "tags": {**_TAGS, "description": "Only skills with at least one of these tags"},
    "limit": LIMIT,
}


async def _publish_skill(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    skill = await daemon.publish_skill(
        room=arguments.text("room"),
        title=arguments.text("title"),
        content=arguments.text("content"),
        tags=arguments.texts("tags"),
        version=arguments.integer("version"),
        parent_hash=arguments.optional_text("parent_hash") or "",
    )
    return skill_json.skill_json(skill)


async def _search_skills(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    found = await daemon.search_skills(
        arguments.text("query"),
        room=arguments.optional_text("room"),
        tags=arguments.texts("tags"),
        timeout_s=arguments.number("timeout_secs"),
        limit=arguments.integer("limit"),
    )
    return skill_json.skill_search_json(found)


async def _list_skills(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    skills = await daemon.list_skills(
        room=arguments.optional_text("room"),
        tags=arguments.texts("tags"),
        limit=arguments.integer("limit"),
        cursor=arguments.text("cursor"),
    )
    return skill_json.skill_list_json(skills)


async def _get_skill(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    page = await daemon.get_skill(
        arguments.text("hash"),
        offset=arguments.integer("offset"),
        limit=arguments.integer("limit"),
    )
    return skill_json.skill_page_json(page)


async def _vote_skill(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    score = arguments.integer("score")
    if score not in (-1, 1):
        raise InvalidInput(f"score is {score}; vote 1 for a skill or -1 against it")
    report = await daemon.vote_skill(
        room=arguments.text("room"), hash=arguments.text("hash"), score=score
    )
    return skill_json.vote_json(report)


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
            "Share a procedure that works, so that every agent of the room can find and follow it:"
            " when to use it, then step by step how. It is signed with this machine's key, if it"
            " has one, and named by the hash of title, content and tags. To improve one, publish"
            " the new content with the old one's hash as parent_hash. You must have joined the"
            " room."
        ),
        properties={
            "room": {**ROOM, "description": "Name of a room that you have joined"},
            "title": {
                "type": "string",
                "minLength": 1,
                "maxLength": TITLE_BYTES_MAX,
                "description": "What it does, in a few words",
            },
            "content": {
                "type": "string",
                "minLength": 1,
                "maxLength": CONTENT_BYTES_MAX,
                "description": "The procedure as Markdown, up to 1 MiB",
            },
            "tags": {**_TAGS, "description": "Words to filter by"},
            "version": {
                "type": "integer",
                "minimum": 0,
                "maximum": VERSION_MAX,
                "default": 0,
                "description": "Its number; if left out one more than the parent's, or 1",
            },
            "parent_hash": {**_HASH, "description": "Hash of the version that this one improves"},
        },
        required=("room", "title", "content"),
        ask=at_once(_publish_skill),
        idempotent=True,
    ),
    Tool(
        name="search_skills",
        title="Search the team's skills",
        description=(
            "Find procedures that teammates' agents have published, by meaning, on this machine and"
            " at every teammate's machine that is in the room now. Use it before you work out how"
            " something is done. Results come by relevance and votes, each with the part of its"
            " text around the best passage (get_skill reads the whole), its age, its author and"
            " who has signed it. `why` says whether words, meaning or both matched, `matches` which"
            " words; `weak` marks a result that may be about something else, and `left_out` says"
            " how many did not fit into the answer."
        ),
        properties={
            "query": {
                "type": "string",
                "minLength": 1,
                "maxLength": QUERY_CHARS_MAX,
                "description": "What you want to do",
            },
            **_FILTERS,
            "timeout_secs": SEARCH_TIMEOUT,
        },
        required=("query",),
        ask=at_once(_search_skills),
        read_only=True,
    ),
    Tool(
        name="vote_skill",
        title="Vote on a skill",
        description=(
            "After you have used a skill, tell the room whether it works: 1 for it, -1 against it."
            " Each voter has one vote a skill, and the newest counts."
        ),
        properties={
            "room": {**ROOM, "description": "The room that the skill is in"},
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
            "Read one skill by its hash, with its versions and what it changes in the one before."
            " A long one comes in pages: go on from next_offset until it is null; versions and"
            " changes come with the first page alone. What is not on this machine is asked of the"
            " members who are present, and checked against its hash."
        ),
        properties={
            "hash": _HASH,
            "offset": OFFSET,
            "limit": PAGE_LIMIT,
        },
        required=("hash",),
        ask=at_once(_get_skill),
        read_only=True,
    ),
    Tool(
        name="list_skills",
        title="List skills",
        description=(
            "List the skills that this machine has, the latest first, with snippets (get_skill"
            " reads the whole). Snippets are shorter where there are many; `next_cursor` gives the"
            " rest of the list, and is null at its end. It asks no peer: use search_skills to find"
            " something."
        ),
        properties={**_FILTERS, "cursor": CURSOR},
        ask=at_once(_list_skills),
        read_only=True,
        reaches_peers=False,
    ),
    Tool(
        name="install_skill",
        title="Install a skill",
        description=(
            "Write a skill as a SKILL.md into a client's skill directory, where that client's"
            " agents find it in every session. Takes two calls: the first installs nothing and"
            " returns who wrote it, how that was verified, warnings and the diff. Show these to"
            " your user; if they agree, call again with the `confirm` that you were given."
        ),
        properties={
            "hash": _HASH,
            "client": {
                "type": "string",
                "enum": [host.value for host in SkillHost],
                "description": "Whose skill directory; project is .agents/skills right here",
            },
            "name": {
                "type": "string",
                "minLength": 1,
                "maxLength": NAME_CHARS_MAX,
                "description": "Name of its directory; made of the title if left out",
            },
            "confirm": {
                "type": "string",
                "minLength": 1,
                "description": "What the first call returned, once your user has agreed",
            },
        },
        required=("hash", "client"),
        ask=for_caller(_install_skill),
        destructive=True,
        idempotent=True,
    ),
)

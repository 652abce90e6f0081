"""No tool gives a model more than it can take, whatever the services behind the socket have."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import mcp_types as mcp
import pytest
from mcp.client import Client

from buddies_core.client import DaemonClient
from buddies_core.convert.cursors import memory_cursor, skill_cursor, task_cursor
from buddies_core.errors import InvalidInput
from buddies_core.model.bodies import AgentPresence
from buddies_core.model.budget import ANSWER_COST_MAX, answer_cost
from buddies_core.model.ids import EndpointId, MemoryId, RoomName, TaskId
from buddies_core.model.limits import CLAIMS_MAX, LIST_ITEMS_MAX, PAGE_CHARS_MAX
from buddies_core.model.listing import Listed
from buddies_core.model.memory import MemoryFilter, MemoryKey, MemoryPlace
from buddies_core.model.policy import IDENTITIES_MAX, MEMBERS_SHOWN_MAX, AffectedMember
from buddies_core.model.room import DialAttempt, Member
from buddies_core.model.skill import skill_key
from buddies_core.model.task import TaskFailed, TaskPlace, TaskState, TaskSucceeded
from buddies_core.model.views import (
    LINKS_MAX,
    Link,
    MemoryPage,
    PeerAnswer,
    PeerSilence,
    Relation,
)
from buddies_core.paths import Paths
from buddies_mcp.link import DaemonLink
from buddies_mcp.server import TOOLS, call_tool
from buddies_mcp.tools.tool import FROM_PEERS
from buddies_mcp.waking import INBOX_URI
from tests.support.callers import a_call, a_server
from tests.support.fakes.node import FakeNode, fake_node
from tests.support.fakes.policies import REPORT, VIEW
from tests.support.fakes.services import JOIN_REPORT, MEMORY, MEMORY_ID, ROOM_STATUS, SEARCH_RESULT
from tests.support.fakes.skills import HASH, PAGE, SKILL, a_version
from tests.support.fakes.skills import SEARCH_RESULT as SKILLS_FOUND
from tests.support.fakes.tasks import COMPLETED, FAILED, TASK_ID, WORKING
from tests.support.matches import a_match

SCRIPTS = {"ascii": "x", "cjk": "字", "emoji": "😀", "quotes": '"', "controls": "\x01"}
ROOM: dict[str, object] = {"room": "feature-a"}
CALLS: dict[str, dict[str, object]] = {
    "join_room": ROOM,
    "create_invite": ROOM,
    "leave_room": ROOM,
    "list_rooms": {},
    "get_room_status": ROOM,
    "notify_peers": ROOM | {"text": "t"},
    "store_memory": ROOM | {"content": "c"},
    "search_memory": {"query": "q", "limit": LIST_ITEMS_MAX},
    "list_memories": {"limit": LIST_ITEMS_MAX},
    "get_memory": {"id": str(MEMORY_ID), "limit": PAGE_CHARS_MAX},
    "delete_memory": {"id": str(MEMORY_ID)},
    "forget_memory": {"id": str(MEMORY_ID)},
    "delegate_task": ROOM | {"description": "d"},
    "wait_task": {"task_id": str(TASK_ID)},
    "poll_pending_tasks": {"limit": CLAIMS_MAX},
    "submit_task_result": {"task_id": str(TASK_ID), "success": True, "output": "o"},
    "task_progress": {"task_id": str(TASK_ID), "text": "t"},
    "cancel_task": {"task_id": str(TASK_ID)},
    "reject_task": {"task_id": str(TASK_ID), "reason": "r"},
    "list_tasks": {"limit": LIST_ITEMS_MAX},
    "publish_skill": ROOM | {"title": "t", "content": "c"},
    "search_skills": {"query": "q", "limit": LIST_ITEMS_MAX},
    "vote_skill": ROOM | {"hash": HASH, "score": 1},
    "get_skill": {"hash": HASH, "limit": PAGE_CHARS_MAX},
    "install_skill": {"hash": HASH, "client": "project"},
    "set_identity_policy": ROOM | {"identities": []},
    "add_whitelisted_identity": ROOM | {"identity": "gpg:x"},
    "get_identity_policy": ROOM,
}
REPLY_BYTES_MAX = 350_000
"""The budget in bytes of UTF-8, at most four for a character that costs four; and some more."""


def text_of(result: mcp.CallToolResult) -> str:
    [part] = result.content
    assert isinstance(part, mcp.TextContent)
    return part.text


def fill(node: FakeNode, char: str) -> None:
    """Give the services the most of everything, in texts of this character."""

    def text(bytes_max: int) -> str:
        return char * (bytes_max // len(char.encode()))

    label = f"ssh:{'A' * 3000}"
    endpoints = [EndpointId(number.to_bytes(32)) for number in range(600)]
    agents = tuple(
        AgentPresence(name=f"{number:02}{text(60)}", status=text(1024)) for number in range(16)
    )
    members = tuple(
        Member(endpoint=it, name=text(64), agents=agents, signed_by=label) for it in endpoints
    )
    warnings = (text(400),) * 400
    node.rooms.names = tuple(RoomName(f"{number:03}{text(200)}") for number in range(900))
    node.rooms.seen = replace(ROOM_STATUS, members=members, warnings=warnings)
    node.rooms.report = replace(
        JOIN_REPORT,
        members=members,
        warnings=warnings,
        tried=tuple(DialAttempt(it, reached=False, outcome=text(200)) for it in endpoints),
    )
    memory = replace(
        MEMORY,
        title=text(512),
        tags=(text(64),) * 32,
        references=(MEMORY_ID,) * 32,
        content=char * 1000,
        signed_by=label,
        supersedes=(MEMORY_ID,) * LINKS_MAX,
        superseded_by=(MEMORY_ID,) * LINKS_MAX,
        proposals=(MEMORY_ID,) * LINKS_MAX,
        proposed_for=(MEMORY_ID,) * LINKS_MAX,
        match=a_match(
            offset=1 << 20,
            passage=(0, 1000),
            marks=tuple((at, at + 20) for at in range(0, 1000, 25)),
        ),
    )
    memories = tuple(replace(memory, id=MemoryId(UUID(int=number << 96))) for number in range(501))
    heard = tuple(
        PeerAnswer(endpoint=it, name=text(64), results=1, elapsed_ms=1) for it in endpoints
    )
    silent = tuple(PeerSilence(endpoint=it, name=text(64), reason=text(200)) for it in endpoints)
    node.memories.listed = Listed(memories, 0, tuple(str(memory.id) for memory in memories))
    node.memories.page = MemoryPage(
        memory=replace(memory, content=char * PAGE_CHARS_MAX),
        offset=0,
        next_offset=PAGE_CHARS_MAX,
        total=1 << 20,
        links=tuple(
            Link(relation, MEMORY_ID, char * 120, text(64))
            for relation in Relation
            for _ in range(LINKS_MAX)
        ),
    )
    node.search.result = replace(
        SEARCH_RESULT, results=memories, answered=heard, unanswered=silent, notes=warnings
    )
    skill = replace(
        SKILL, title=text(512), tags=(text(64),) * 32, content=char * 1000, signed_by=label
    )
    skills = tuple(replace(skill, hash=f"{number:064x}") for number in range(501))
    node.skills.listed = Listed(skills, 0, tuple(skill.hash for skill in skills))
    node.skills.page = replace(
        PAGE,
        skill=skill,
        chain=tuple(map(a_version, (*skills[:16], skill, *skills[16:32]))),
        diff=text(10_000),
    )
    node.skills.content = char * (PAGE_CHARS_MAX + 1)
    node.skills.found = replace(
        SKILLS_FOUND, results=skills, answered=heard, unanswered=silent, notes=warnings
    )
    node.policies.view = replace(
        VIEW, identities=tuple(f"{number}{label}" for number in range(IDENTITIES_MAX))
    )
    affected = (
        AffectedMember(endpoint=endpoints[0], name=text(64), signed_by=label, present=True),
    ) * MEMBERS_SHOWN_MAX
    node.policies.report = replace(
        REPORT, view=node.policies.view, shut_out=affected, admitted=affected
    )
    working = replace(WORKING, description=text(64 << 10), progress=text(4 << 10), reason=text(500))
    done = replace(working, state=TaskState.COMPLETED, result=TaskSucceeded(text(1 << 20)))
    node.tasks.story = (done,)
    node.tasks.claimed = (working,) * CLAIMS_MAX
    node.tasks.kept = tuple(
        replace(done, id=TaskId(UUID(int=number)), created_at_ms=1000 - number)
        for number in range(501)
    )


@asynccontextmanager
async def a_link(paths: Paths) -> AsyncIterator[DaemonLink]:
    async with DaemonLink.open(lambda: DaemonClient.connect(paths)) as link:
        yield link


async def answer(link: DaemonLink, name: str, **given: object) -> dict[str, Any]:
    result = await call_tool(link, name, given, a_call())
    assert not result.is_error, text_of(result)
    assert answer_cost(text_of(result)) <= ANSWER_COST_MAX
    shown: dict[str, Any] | None = result.structured_content
    assert shown is not None
    assert "shortened" not in shown, "the daemon cuts, not the last guard"
    return shown


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("name", TOOLS)
async def test_every_tool_keeps_to_the_budget_and_so_does_what_crosses_the_socket(
    name: str, script: str, paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "buddies_core.client.connection.CLIENT_OPTIONS",
        (("grpc.max_receive_message_length", REPLY_BYTES_MAX),),
    )
    async with fake_node(paths) as node, a_link(paths) as link:
        fill(node, SCRIPTS[script])
        await answer(link, name, **CALLS[name])


async def test_the_description_of_each_tool_that_shows_texts_of_peers_says_that_these_are_data(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ours = {
        "list_rooms",  # the names of rooms that this machine has joined
        "store_memory",
        "publish_skill",
        "get_identity_policy",  # its warnings are ours
    }
    async with fake_node(paths) as node, a_link(paths) as link:
        fill(node, "☠")
        tell = {
            name
            for name in TOOLS
            if "☠" in json.dumps(await answer(link, name, **CALLS[name]), ensure_ascii=False)
        }

    assert tell - ours == {name for name, tool in TOOLS.items() if tool.tells_of_peers}
    for name, tool in TOOLS.items():
        assert tool.shown_description.endswith(FROM_PEERS) is tool.tells_of_peers, name


@pytest.mark.parametrize("char", SCRIPTS.values())
async def test_the_inbox_keeps_to_the_budget_too(paths: Paths, char: str) -> None:
    async with (
        fake_node(paths) as node,
        a_link(paths) as link,
        Client(a_server(link), mode="legacy") as client,
    ):
        fill(node, char)
        [shown] = (await client.read_resource(INBOX_URI)).contents

    assert isinstance(shown, mcp.TextResourceContents)
    assert answer_cost(shown.text) <= ANSWER_COST_MAX
    inbox = json.loads(shown.text)
    assert (inbox["results"][0]["task_id"], inbox["waiting"]) == (str(UUID(int=0)), 3)
    assert "shortened" not in inbox


async def test_a_long_list_gives_more_items_with_shorter_texts(paths: Paths) -> None:
    async with fake_node(paths) as node, a_link(paths) as link:
        bare = replace(MEMORY, content="x" * 1000)
        node.memories.listed = Listed((bare,) * 101, 0, tuple(map(str, range(101))))
        few = await answer(link, "list_memories", limit=5)
        many = await answer(link, "list_memories", limit=100)

    assert [len(it["content"]) for it in few["results"]] == [1000] * 5
    assert few["next_cursor"] == "4"
    assert [len(it["content"]) for it in many["results"]] == [250] * 100
    assert all(it["truncated"] for it in many["results"])
    assert many["next_cursor"] == "99"


async def test_results_that_a_search_leaves_out_are_counted_with_a_way_to_them(
    paths: Paths,
) -> None:
    async with fake_node(paths) as node, a_link(paths) as link:
        fill(node, "x")
        found = await answer(link, "search_memory", query="q", limit=500)

    shown = found["results"]
    assert len(shown) + found["left_out"] == 501
    assert [it["id"] for it in shown] == [f"{number:08x}" for number in range(len(shown))]
    assert found["notes"][-1] == (
        f"{found['left_out']} less relevant results were left out because the answer would be too"
        " large; to see them, narrow the search by room, kind, tags, author, agent or since, or ask"
        " more precisely"
    )


@pytest.mark.parametrize("tool", ["search_memory", "search_skills"])
async def test_results_that_are_shortened_still_show_what_was_found_in_them(
    paths: Paths, tool: str
) -> None:
    content = f"{'x ' * 390}pgbouncer{' x' * 100}"
    match = a_match(offset=5000, passage=(700, 900), marks=((780, 789),))
    async with fake_node(paths) as node, a_link(paths) as link:
        memory = replace(MEMORY, content=content, match=match)
        node.search.result = replace(node.search.result, results=(memory,) * 200)
        skill = replace(SKILL, content=content, match=match)
        node.skills.found = replace(node.skills.found, results=(skill,) * 200)
        found = await answer(link, tool, query="pgbouncer", limit=200)

    for result in found["results"]:
        [shown] = result["matches"]
        assert len(result["content"]) == 120
        at = result["content"].index(shown)
        assert (shown, result["offset"] + at) == ("pgbouncer", 5000 + 780)


@pytest.mark.parametrize("char", SCRIPTS.values())
@pytest.mark.parametrize(
    ("kind", "key"), [(TaskSucceeded, "output"), (TaskFailed, "error")], ids=["output", "error"]
)
async def test_the_pages_of_a_result_add_up_to_all_of_it(
    paths: Paths, kind: type[TaskSucceeded | TaskFailed], key: str, char: str
) -> None:
    text = "".join(f"{number} {char * 20}\n" for number in range(4000))
    over = COMPLETED if kind is TaskSucceeded else FAILED
    async with fake_node(paths) as node, a_link(paths) as link:
        node.tasks.story = (replace(over, result=kind(text)),)

        assert await read(link, key) == text


@pytest.mark.parametrize("char", SCRIPTS.values())
async def test_the_pages_of_a_description_add_up_to_all_of_it(paths: Paths, char: str) -> None:
    text = "".join(f"{number} {char * 20}\n" for number in range(4000))
    async with fake_node(paths) as node, a_link(paths) as link:
        node.tasks.story = (replace(WORKING, description=text),)
        beginning = await answer(link, "wait_task", task_id=str(TASK_ID))

        assert (beginning["description"], beginning["truncated"]) == (text[:1000], True)
        assert await read(link, "description", of="description") == text


async def read(link: DaemonLink, key: str, **given: object) -> str:
    parts, offset = [], 0
    while True:
        page = await answer(link, "wait_task", task_id=str(TASK_ID), offset=offset, **given)
        parts.append(str(page[key]))
        if page["next_offset"] is None:
            assert "next" not in page
            return "".join(parts)
        assert "offset=next_offset" in page["next"]
        offset = page["next_offset"]


async def test_a_claimed_task_whose_description_is_cut_says_how_it_goes_on(paths: Paths) -> None:
    async with fake_node(paths) as node, a_link(paths) as link:
        node.tasks.claimed = (replace(WORKING, description="字" * 21_000),)
        cut = await answer(link, "poll_pending_tasks")
        node.tasks.claimed = (replace(WORKING, description="a" * 65_536),)
        whole = await answer(link, "poll_pending_tasks")

    [task] = cut["tasks"]
    assert (task["description"], task["truncated"]) == ("字" * task["next_offset"], True)
    assert "of=description and offset=next_offset" in cut["next"]
    assert (whole["tasks"][0]["description"], "next" in whole) == ("a" * 65_536, False)


async def test_an_offset_behind_the_end_of_a_result_is_refused(paths: Paths) -> None:
    async with fake_node(paths), DaemonClient.connect(paths) as client:
        with pytest.raises(InvalidInput, match="offset is 12, but the result has 11 characters"):
            await client.task_after(str(TASK_ID), 0, offset=12)


async def all_of(link: DaemonLink, tool: str, key: str, **given: object) -> list[Any]:
    """Return what a list has on all of its pages."""
    items: list[Any] = []
    cursor = ""
    while True:
        page = await answer(link, tool, **given, cursor=cursor)
        items += page[key]
        if page.get("next_cursor") is None:
            return items
        assert page[key], "each page has something"
        cursor = page["next_cursor"]


async def test_a_cursor_leads_through_all_rooms(paths: Paths) -> None:
    async with fake_node(paths) as node, a_link(paths) as link:
        fill(node, "x")

        assert await all_of(link, "list_rooms", "rooms") == list(node.rooms.names)
        assert await link.ask(lambda daemon: daemon.list_rooms()) == node.rooms.names


async def test_a_cursor_leads_through_all_members_and_their_agents(paths: Paths) -> None:
    async with fake_node(paths) as node, a_link(paths) as link:
        fill(node, "x")
        me = replace(ROOM_STATUS.members[0], name="zoe")
        node.rooms.seen = replace(node.rooms.seen, members=(me, *node.rooms.seen.members[:40]))

        rows = await all_of(link, "get_room_status", "peers", **ROOM)

    assert [(row["endpoint_id"], row["agent"]) for row in rows] == [
        (member.endpoint.hex(), agent.name)
        for member in node.rooms.seen.members
        for agent in member.agents
    ]


async def test_a_cursor_leads_through_a_whitelist_whose_length_is_told(paths: Paths) -> None:
    async with fake_node(paths) as node, a_link(paths) as link:
        fill(node, "x")
        first = await answer(link, "get_identity_policy", **ROOM)

        assert first["left_out"] == IDENTITIES_MAX - len(first["identities"]) > 0
        assert "the 256 identities" in first["meaning"]
        listed = await all_of(link, "get_identity_policy", "identities", **ROOM)
        assert listed == list(node.policies.view.identities)


async def test_a_list_goes_on_behind_the_place_that_the_cursor_names(
    client: DaemonClient, node: FakeNode
) -> None:
    memory = MemoryPlace(1_700_000_000, MemoryKey(b"v" + bytes(48)))
    skill = skill_key(HASH, RoomName("a room. with a dot"))
    task = TaskPlace(1_700_000_000_000, TASK_ID)

    await client.list_memories(cursor=memory_cursor(memory))
    await client.list_skills(cursor=skill_cursor(skill))
    await client.list_tasks(cursor=task_cursor(task))

    assert node.memories.calls == [("list", MemoryFilter(), 21, memory)]
    assert node.skills.calls == [("list", None, (), 21, skill)]
    assert node.tasks.calls == [("list", None, None, 21, "buddies-cli", task)]


@pytest.mark.parametrize("cursor", ["7", ".", "-1.00", "1.zz", "1." + "0" * 2000, "é.7", "2.0.0.x"])
async def test_a_cursor_that_no_list_has_given_is_refused(
    client: DaemonClient, node: FakeNode, cursor: str
) -> None:
    lists: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: client.list_memories(cursor=cursor),
        lambda: client.list_skills(cursor=cursor),
        lambda: client.list_tasks(cursor=cursor),
        lambda: client.room_status("feature-a", cursor),
        lambda: client.get_policy("feature-a", cursor),
    )
    for ask in lists:
        with pytest.raises(InvalidInput, match="leave it out to begin anew"):
            await ask()
    assert node.memories.calls + node.skills.calls + node.tasks.calls == []

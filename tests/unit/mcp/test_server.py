import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import mcp_types as mcp
import pytest
from jsonschema import Draft202012Validator
from mcp.client import Client
from mcp.shared.exceptions import MCPError

from buddies_core.errors import NotFound
from buddies_core.model.budget import answer_cost, json_text
from buddies_mcp.link import DaemonLink
from buddies_mcp.server import INSTRUCTIONS, TOOLS, call_tool
from tests.support.callers import a_call, a_server
from tests.support.fakes.client import FakeClient

COST_OF_A_TOKEN = 4
"""ASCII characters. OpenAI's o200k counts 8 % fewer tokens in this list."""


@asynccontextmanager
async def linked(daemon: FakeClient) -> AsyncIterator[DaemonLink]:
    @asynccontextmanager
    async def connect() -> AsyncIterator[FakeClient]:
        yield daemon

    async with DaemonLink.open(connect) as link:
        yield link


async def call(daemon: FakeClient, name: str, given: dict[str, object]) -> mcp.CallToolResult:
    async with linked(daemon) as link:
        return await call_tool(link, name, given, a_call())


def text_of(result: mcp.CallToolResult) -> str:
    [part] = result.content
    assert isinstance(part, mcp.TextContent)
    return part.text


async def test_a_result_is_the_same_object_structured_and_as_text() -> None:
    result = await call(FakeClient(), "list_rooms", {})
    assert result.structured_content == {"rooms": ["feature-a"]}
    assert json.loads(text_of(result)) == result.structured_content
    assert not result.is_error


async def test_every_result_says_how_many_tasks_wait_if_any_do() -> None:
    daemon = FakeClient()
    daemon.waiting = 2
    result = await call(daemon, "list_rooms", {})
    assert result.structured_content == {"rooms": ["feature-a"], "inbox": 2}
    assert json.loads(text_of(result)) == result.structured_content


@pytest.mark.parametrize(("tool", "arguments"), [("list_rooms", {}), ("join_room", {"room": "a"})])
async def test_every_result_says_that_a_daemon_of_another_version_serves(
    tool: str, arguments: dict[str, object]
) -> None:
    daemon = FakeClient()
    plain = (await call(daemon, tool, arguments)).structured_content
    daemon.warning = "the daemon is still buddies 0.1.9"

    warned = (await call(daemon, tool, arguments)).structured_content

    assert plain is not None
    assert warned == plain | {"warnings": ["the daemon is still buddies 0.1.9"]}


async def test_what_the_daemon_refuses_is_told_in_its_words() -> None:
    daemon = FakeClient()
    daemon.failure = NotFound("not in room x; join it first with join_room")
    async with linked(daemon) as link:
        await link.warm_up()
        result = await call_tool(link, "get_room_status", {"room": "x"}, a_call())
    assert (result.is_error, text_of(result)) == (
        True,
        "not in room x; join it first with join_room",
    )


async def test_wrong_arguments_are_told_without_asking_the_daemon() -> None:
    daemon = FakeClient()
    result = await call(daemon, "join_room", {})
    assert (result.is_error, daemon.asked) == (True, [])
    assert text_of(result) == "join_room was not called: room is missing"


async def test_a_bug_is_told_as_ours_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    daemon = FakeClient()
    daemon.failure = KeyError("secret")
    result = await call(daemon, "get_room_status", {"room": "x"})
    assert result.is_error
    assert "bug in buddies (KeyError)" in text_of(result)
    assert "secret" not in text_of(result)
    assert [record.getMessage() for record in caplog.records] == [
        "tool_failed tool=get_room_status"
    ]


async def test_an_unknown_tool_is_a_protocol_error_with_the_known_ones() -> None:
    async with linked(FakeClient()) as link:
        with pytest.raises(
            MCPError, match="there is no tool 'fly'; there are join_room"
        ) as refused:
            await call_tool(link, "fly", {}, a_call())
    assert refused.value.error.code == mcp.INVALID_PARAMS


async def test_a_client_sees_the_tools_the_instructions_and_the_results() -> None:
    daemon = FakeClient()
    async with (
        linked(daemon) as link,
        Client(a_server(link), mode="legacy") as client,
    ):
        assert client.instructions == INSTRUCTIONS
        assert [tool.name for tool in (await client.list_tools()).tools] == list(TOOLS)
        result = await client.call_tool("list_rooms", {})
    assert result.structured_content == {"rooms": ["feature-a"]}


def test_the_tools_are_those_that_agents_know() -> None:
    assert list(TOOLS) == [
        "join_room",
        "create_invite",
        "leave_room",
        "list_rooms",
        "get_room_status",
        "notify_peers",
        "store_memory",
        "search_memory",
        "list_memories",
        "get_memory",
        "delete_memory",
        "forget_memory",
        "delegate_task",
        "wait_task",
        "poll_pending_tasks",
        "submit_task_result",
        "task_progress",
        "cancel_task",
        "reject_task",
        "list_tasks",
        "publish_skill",
        "search_skills",
        "vote_skill",
        "get_skill",
        "install_skill",
        "set_identity_policy",
        "add_whitelisted_identity",
        "get_identity_policy",
    ]


@pytest.mark.parametrize("name", TOOLS)
def test_a_schema_is_valid_and_plain_and_describes_what_a_name_does_not_say(name: str) -> None:
    schema = TOOLS[name].shown_schema
    Draft202012Validator.check_schema(schema)
    assert not {"$ref", "anyOf", "oneOf", "allOf"} & set(json.dumps(schema).split('"'))
    evident = {
        "room",
        "id",
        "hash",
        "task_id",
        "limit",
        "offset",
        "wait_secs",
        "success",
        "text",
        "kind",
        "order",
        "include_superseded",
    }
    assert {
        name for name, field in schema["properties"].items() if "description" not in field
    } <= evident
    assert set(schema.get("required", ())) <= set(schema["properties"])


@pytest.mark.parametrize("name", TOOLS)
def test_clients_are_shown_every_argument_and_no_limit(name: str) -> None:
    tool = TOOLS[name]
    assert tool.shown_schema["properties"].keys() == tool.input_schema["properties"].keys()
    for field, applied in tool.input_schema["properties"].items():
        shown = tool.shown_schema["properties"][field]
        assert shown.keys() <= {"type", "items", "enum", "default", "description"}
        assert {key: shown[key] for key in shown if key != "items"}.items() <= applied.items()


@pytest.mark.parametrize("name", TOOLS)
def test_a_description_is_shorter_than_what_hosts_cut(name: str) -> None:
    assert len(TOOLS[name].shown_description) < 2048
    assert len(name) <= 30


def test_tools_that_only_read_say_so() -> None:
    assert [name for name, tool in TOOLS.items() if tool.read_only] == [
        "list_rooms",
        "get_room_status",
        "search_memory",
        "list_memories",
        "get_memory",
        "wait_task",
        "list_tasks",
        "search_skills",
        "get_skill",
        "get_identity_policy",
    ]


async def test_the_list_of_tools_costs_a_context_no_more_than_4500_tokens() -> None:
    async with linked(FakeClient()) as link, Client(a_server(link), mode="legacy") as client:
        listed = await client.list_tools()
    text = json_text(listed.model_dump(by_alias=True, exclude_none=True, mode="json"))
    assert answer_cost(text) / COST_OF_A_TOKEN <= 4500
    assert len(INSTRUCTIONS.encode()) < 2048


async def test_every_tool_has_a_title_and_says_what_it_may_change() -> None:
    async with linked(FakeClient()) as link, Client(a_server(link), mode="legacy") as client:
        tools = (await client.list_tools()).tools
    for tool in tools:
        assert tool.title
        assert tool.annotations is not None
        hints = tool.annotations
        assert (hints.read_only_hint is None) != (hints.destructive_hint is None), tool.name
    assert [it.name for it in tools if it.annotations and it.annotations.destructive_hint] == [
        "leave_room",
        "delete_memory",
        "cancel_task",
        "install_skill",
        "set_identity_policy",
        "add_whitelisted_identity",
    ]


def test_arguments_of_0_1_4_that_are_not_needed_are_taken_and_not_shown() -> None:
    tool = TOOLS["submit_task_result"]
    given = {"task_id": "t", "success": True, "output": "o"}
    taken = tool.check({**given, "room": "a", "source_peer": 7})
    assert taken.text("task_id") == "t"
    assert not {"room", "source_peer"} & tool.shown_schema["properties"].keys()

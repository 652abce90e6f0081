import pytest

from buddies_core.model import json_view
from buddies_core.model.json_view import JsonObject
from buddies_mcp.server import TOOLS
from tests.support.callers import a_call
from tests.support.fakes.client import FakeClient


async def call(daemon: FakeClient, tool: str, **given: object) -> JsonObject:
    return await TOOLS[tool].ask(daemon, TOOLS[tool].check(given), a_call())


@pytest.mark.parametrize(
    ("tool", "given", "question"),
    [
        ("join_room", {"room": "a"}, ("join_room", "a", None)),
        ("join_room", {"room": "a", "ticket": "t"}, ("join_room", "a", "t")),
        ("leave_room", {"room": "a"}, ("leave_room", "a", False)),
        ("list_rooms", {}, ("list_rooms",)),
        ("get_room_status", {"room": "a"}, ("room_status", "a")),
        ("notify_peers", {"room": "a", "text": "testing"}, ("notify", "a", "testing")),
        (
            "store_memory",
            {"room": "a", "content": "c"},
            ("store_memory", "a", "c", "", "context", (), ()),
        ),
        (
            "store_memory",
            {
                "room": "a",
                "content": "c",
                "title": "t",
                "kind": "decision",
                "tags": ["db"],
                "references": ["id"],
            },
            ("store_memory", "a", "c", "t", "decision", ("db",), ("id",)),
        ),
        (
            "store_memory",
            {"room": "a", "content": "c", "supersedes": "old"},
            ("store_memory", "a", "c", "", "context", (), (), "old"),
        ),
        ("delete_memory", {"id": "m"}, ("delete_memory", "m", "")),
        ("delete_memory", {"id": "m", "reason": "r"}, ("delete_memory", "m", "r")),
        ("forget_memory", {"id": "m"}, ("forget_memory", "m", False)),
        (
            "list_memories",
            {"order": "oldest"},
            ("list_memories", None, None, (), None, None, None, 20, "oldest first"),
        ),
        (
            "list_memories",
            {"include_superseded": True},
            ("list_memories", None, None, (), None, None, None, 20, True),
        ),
        (
            "search_memory",
            {"query": "q", "include_superseded": True},
            ("search_memory", "q", None, None, (), None, None, None, 3.0, 20, True),
        ),
        ("list_memories", {}, ("list_memories", None, None, (), None, None, None, 20)),
        (
            "list_memories",
            {
                "room": "a",
                "kind": "status",
                "tags": ["db"],
                "author": "bob",
                "agent": "claude",
                "since": "2023-11-14",
                "limit": 5,
            },
            ("list_memories", "a", "status", ("db",), "bob", "claude", 1_699_920_000_000, 5),
        ),
        (
            "search_memory",
            {"query": "how?"},
            ("search_memory", "how?", None, None, (), None, None, None, 3.0, 20),
        ),
        (
            "search_memory",
            {"query": "how?", "room": "a", "timeout_secs": 0.5, "limit": 1},
            ("search_memory", "how?", "a", None, (), None, None, None, 0.5, 1),
        ),
        ("get_memory", {"id": "m"}, ("get_memory", "m", 0, 20_000)),
        ("get_memory", {"id": "m", "offset": 3, "limit": 2}, ("get_memory", "m", 3, 2)),
        (
            "delegate_task",
            {"room": "a", "description": "d"},
            ("delegate_task", "a", "d", None, "", "", "", "", True, ""),
        ),
        (
            "delegate_task",
            {
                "room": "a",
                "description": "d",
                "timeout_secs": 90,
                "peer": "bob",
                "agent": "codex",
                "capability": "gpu",
                "idempotency_key": "k",
                "retryable": False,
                "parent_task_id": "t",
                "wait_secs": 0,
            },
            ("delegate_task", "a", "d", 90.0, "bob", "codex", "gpu", "k", False, "t"),
        ),
        ("wait_task", {"task_id": "t"}, ("task_after", "t", 0)),
        ("poll_pending_tasks", {}, ("poll_tasks", None, 0.0, 1)),
        ("poll_pending_tasks", {"room": "a", "limit": 3}, ("poll_tasks", "a", 0.0, 3)),
        (
            "submit_task_result",
            {"task_id": "t", "success": True, "output": "o"},
            ("submit_task_result", "t", True, "o"),
        ),
        (
            "submit_task_result",
            {"task_id": "t", "room": "a", "source_peer": "p", "success": False, "output": ""},
            ("submit_task_result", "t", False, ""),
        ),
        ("task_progress", {"task_id": "t", "text": "half"}, ("task_progress", "t", "half")),
        ("cancel_task", {"task_id": "t"}, ("cancel_task", "t", "")),
        ("cancel_task", {"task_id": "t", "reason": "r"}, ("cancel_task", "t", "r")),
        ("reject_task", {"task_id": "t", "reason": "r"}, ("reject_task", "t", "r")),
        ("list_tasks", {}, ("list_tasks", None, None, 20)),
        (
            "list_tasks",
            {"room": "a", "state": "working", "limit": 5},
            ("list_tasks", "a", "working", 5),
        ),
    ],
)
async def test_a_tool_asks_the_daemon_one_question(
    tool: str, given: dict[str, object], question: tuple[object, ...]
) -> None:
    daemon = FakeClient()
    await call(daemon, tool, **given)
    assert daemon.asked == [question]


async def test_a_tool_answers_with_the_object_that_the_command_line_prints() -> None:
    page = await FakeClient().get_memory("m")
    assert await call(FakeClient(), "get_memory", id="m") == json_view.json_of(page)


async def test_joining_warns_of_settings_that_the_running_daemon_does_not_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BUDDIES_NETWORK", "loopback")
    monkeypatch.setenv("BUDDIES_RELAY_URL", "https://relay.example/")
    assert (await call(FakeClient(), "join_room", room="a"))["warnings"] == [
        "BUDDIES_RELAY_URL=https://relay.example/ has no effect: the daemon of this machine runs"
        " with none. To change it for all agents:"
        " buddies-cli config set relay https://relay.example/, then buddies-cli daemon restart"
    ]

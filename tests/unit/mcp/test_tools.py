import pytest

from buddies_core.model import json_view
from buddies_core.model.json_view import JsonObject
from buddies_mcp.server import TOOLS
from tests.support.fake_client import FOUND, FakeClient


async def call(daemon: FakeClient, tool: str, **given: object) -> JsonObject:
    return await TOOLS[tool].ask(daemon, TOOLS[tool].check(given))


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
        ("list_memories", {}, ("list_memories", None, None, (), None, None, 20)),
        (
            "list_memories",
            {
                "room": "a",
                "kind": "status",
                "tags": ["db"],
                "author": "bob",
                "since": "2023-11-14",
                "limit": 5,
            },
            ("list_memories", "a", "status", ("db",), "bob", 1_699_920_000_000, 5),
        ),
        (
            "search_memory",
            {"query": "how?"},
            ("search_memory", "how?", None, None, (), None, None, 3.0, 20),
        ),
        (
            "search_memory",
            {"query": "how?", "room": "a", "timeout_secs": 0.5, "limit": 1},
            ("search_memory", "how?", "a", None, (), None, None, 0.5, 1),
        ),
        ("get_memory", {"id": "m"}, ("get_memory", "m", 0, 20_000)),
        ("get_memory", {"id": "m", "offset": 3, "limit": 2}, ("get_memory", "m", 3, 2)),
    ],
)
async def test_a_tool_asks_the_daemon_one_question(
    tool: str, given: dict[str, object], question: tuple[object, ...]
) -> None:
    daemon = FakeClient()
    await call(daemon, tool, **given)
    assert daemon.asked == [question]


async def test_a_tool_answers_with_the_object_that_the_command_line_prints() -> None:
    assert await call(FakeClient(), "search_memory", query="db") == json_view.search_json(FOUND)


async def test_joining_warns_of_settings_that_the_running_daemon_does_not_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BUDDIES_NETWORK", "loopback")
    monkeypatch.setenv("BUDDIES_RELAY_URL", "https://relay.example/")
    assert (await call(FakeClient(), "join_room", room="a"))["warnings"] == [
        "BUDDIES_RELAY_URL=https://relay.example/ has no effect: the daemon of this machine runs"
        " with none. To change it for all agents:"
        " BUDDIES_RELAY_URL=https://relay.example/ buddies-cli daemon restart"
    ]

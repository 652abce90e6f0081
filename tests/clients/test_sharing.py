"""Agents of two makers on one machine share a memory, each driven by a scripted model."""

import json
import re
from collections.abc import Sequence

from tests.clients.homes import ClientHome
from tests.clients.model import Call, Model, scripted

ROOM = "feature-a"
NOTE = "We're using PostgreSQL for the user table"
PROVIDER = "scripted"
TASK_ID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def claude(home: ClientHome, model: Model) -> str:
    return home.types(
        *("claude", "-p", "go", "--dangerously-skip-permissions"),
        ANTHROPIC_BASE_URL=model.url,
        ANTHROPIC_API_KEY="sk-none",
        IS_SANDBOX="1",
        ENABLE_TOOL_SEARCH="false",
    )


def opencode(home: ClientHome, model: Model) -> str:
    return home.types(
        *("opencode", "run", "--model", f"{PROVIDER}/{PROVIDER}", "go"),
        OPENCODE_CONFIG_CONTENT=json.dumps(
            {
                "permission": "allow",
                "provider": {
                    PROVIDER: {
                        "npm": "@ai-sdk/openai-compatible",
                        "options": {"baseURL": f"{model.url}/v1", "apiKey": "none"},
                        "models": {PROVIDER: {"tool_call": True}},
                    }
                },
            }
        ),
    )


def test_two_makers_agents_share_a_memory_and_a_task_and_the_daemon_outlives_both(
    home: ClientHome,
) -> None:
    home.cli("config", "set", "network", "loopback")
    home.cli("setup", "--client", "claude", "--client", "opencode", "--yes")

    asking: list[Call | str] = [
        Call("join_room", {"room": ROOM}),
        Call("store_memory", {"room": ROOM, "content": NOTE}),
        Call("delegate_task", {"room": ROOM, "description": "count the tests", "wait_secs": 0}),
        "asked",
    ]
    with scripted(lambda results: asking[len(results)]) as model:
        said = claude(home, model)
        assert said.splitlines()[-1] == "asked", said
    pid = home.machine.daemon_pid()
    assert pid is not None

    found: list[str] = []

    def answer(results: Sequence[str]) -> Call | str:
        found[:] = results
        if not results:
            return Call("search_memory", {"query": "how is the DB set up?", "room": ROOM})
        if len(results) == 1:
            return Call("poll_pending_tasks", {"room": ROOM, "wait_secs": 20})
        if len(results) == 2:
            task = re.search(TASK_ID, results[1])
            assert task is not None, results
            return Call("submit_task_result", {"task_id": task[0], "success": True, "output": "7"})
        return "answered"

    with scripted(answer) as model:
        said = opencode(home, model)
        assert "answered" in said, said
    assert NOTE in json.loads(found[0])
    (task,) = home.cli("task", "list")["results"]
    assert (task["state"], task["requester_agent"], task["worker_agent"]) == (
        "completed",
        "claude-code",
        "opencode",
    )
    assert home.machine.daemon_pid() == pid

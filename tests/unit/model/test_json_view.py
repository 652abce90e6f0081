"""The objects that MCP and `--json` show, key by key."""

import re
from dataclasses import replace

import pytest

from buddies_core import __version__
from buddies_core.local_protocol import PROTOCOL
from buddies_core.model import json_view, task_json
from buddies_core.model.ids import RoomName
from buddies_core.model.room import LeaveReport, NotifyReport, RoomList
from buddies_core.model.task import (
    SubmitVerdict,
    TaskFailed,
    TaskList,
    TaskState,
    TaskSucceeded,
    TaskView,
    TextPage,
)
from buddies_core.model.views import MemoryList, MemoryPage
from tests.support.fakes.services import (
    CAROL,
    DAEMON_STATUS,
    FOUND,
    JOIN_REPORT,
    MEMORY,
    MEMORY_ID,
    OTHER_ID,
    PEER,
    ROOM_STATUS,
    ROTATED,
    SEARCH_RESULT,
    SELF,
)
from tests.support.fakes.tasks import (
    CANCELED,
    COMPLETED,
    FAILED,
    REJECTED,
    SUBMITTED,
    TASK_ID,
    WORKING,
)
from tests.support.matches import a_match

ALICE_ROW: dict[str, object] = {
    "name": "alice",
    "agent": "claude",
    "user": "ann",
    "last_status": "reading",
    "last_status_at_ms": 1_700_000_000_001,
    "capabilities": ["python", "sql"],
    "endpoint_id": SELF.hex(),
    "is_self": True,
    "speaks_direct": True,
    "heard_at_ms": 1_700_000_000_002,
    "verified": "unverified",
    "signed_by": None,
    "online": True,
}
BOB_ROW: dict[str, object] = {
    "name": "bob",
    "agent": "",
    "user": "bob",
    "last_status": "",
    "last_status_at_ms": None,
    "capabilities": [],
    "endpoint_id": PEER.hex(),
    "is_self": False,
    "speaks_direct": False,
    "heard_at_ms": 3,
    "verified": "unverified",
    "signed_by": None,
    "online": True,
}
CAROL_ROW = BOB_ROW | {
    "name": "carol",
    "user": "carol",
    "endpoint_id": CAROL.hex(),
    "speaks_direct": True,
    "heard_at_ms": 0,
    "path": "relay",
    "round_trip_ms": 0,
}
MEMORY_JSON: dict[str, object] = {
    "id": str(MEMORY_ID),
    "author": SELF.hex(),
    "author_name": "alice",
    "agent": "claude",
    "verified": "peer",
    "signed_by": None,
    "room": "feature-a",
    "kind": "decision",
    "title": "Database",
    "content": "We're using PostgreSQL for the user table ☺",
    "tags": ["db", "users"],
    "references": [str(OTHER_ID)],
    "timestamp": 1_700_000_000,
    "truncated": True,
    "size": 200_000,
}
FOUND_JSON: dict[str, object] = {
    "id": str(OTHER_ID),
    "author": PEER.hex(),
    "author_name": "bob",
    "agent": "",
    "verified": "unverified",
    "signed_by": None,
    "room": "feature-a",
    "kind": "context",
    "title": "",
    "content": "x",
    "tags": [],
    "references": [],
    "timestamp": 0,
    "truncated": False,
    "size": 1,
    "score": 0.5,
    "why": "words",
    "matches": [{"text": "x", "at": 0}],
    "age": "3 weeks ago",
    "offset": 7,
}

SUBMITTED_JSON: dict[str, object] = {
    "task_id": str(TASK_ID),
    "room": "feature-a",
    "description": "Run the test suite ☺",
    "state": "submitted",
    "mine": True,
    "source_peer": "aa" * 32,
    "requester_user": "alice",
    "requester_agent": "claude",
    "worker_endpoint_id": None,
    "worker_user": "",
    "worker_agent": "",
    "attempt": 0,
    "progress": "",
    "reason": "",
    "late_results": 0,
    "timeout_secs": 599.5,
    "created_at_ms": 1_700_000_000_000,
    "truncated": False,
}
WORKING_JSON = SUBMITTED_JSON | {
    "state": "working",
    "worker_endpoint_id": "bb" * 32,
    "worker_user": "bob",
    "worker_agent": "codex",
    "attempt": 2,
    "progress": "half of it",
    "late_results": 1,
    "timeout_secs": 30.0,
}
OVER = {"timeout_secs": None}


def test_a_join_shows_who_is_there_and_what_was_tried() -> None:
    assert json_view.json_of(JOIN_REPORT) == {
        "room": "feature-a",
        "ticket": "ticket-text",
        "endpoint_id": SELF.hex(),
        "private": False,
        "already_joined": True,
        "members": [ALICE_ROW, BOB_ROW],
        "tried": [{"endpoint_id": PEER.hex(), "reached": False, "outcome": "refused"}],
        "warnings": ["one peer did not answer"],
        "history": "all",
        "catching_up": [],
    }


def test_a_room_has_one_row_an_agent_and_one_for_a_member_without() -> None:
    [alice, bob, carol] = ROOM_STATUS.members
    two_agents = (*alice.agents, replace(alice.agents[0], name="codex", user=""))

    shown = json_view.json_of(
        replace(ROOM_STATUS, members=(replace(alice, agents=two_agents), bob, carol))
    )

    assert shown == {
        "room": "feature-a",
        "private": False,
        "topic": ROOM_STATUS.topic.hex(),
        "joined_at_ms": 1_700_000_000_003,
        "neighbors": 1,
        "members": 3,
        "peers": [
            ALICE_ROW,
            ALICE_ROW | {"agent": "codex", "user": "alice"},
            BOB_ROW | {"online": False, "silent_since_ms": 4},
            CAROL_ROW,
        ],
        "warnings": [],
        "history": "all",
        "catching_up": [],
        "next_cursor": None,
        "away": [
            {
                "name": "dave",
                "endpoint_id": ROOM_STATUS.away[0].endpoint.hex(),
                "last_seen_at_ms": 5,
            }
        ],
    }


def test_a_rotation_shows_who_has_the_new_secret_and_who_has_not() -> None:
    bob = {"endpoint_id": PEER.hex(), "name": "bob"}
    alice = {"endpoint_id": SELF.hex(), "name": "alice"}

    assert json_view.json_of(ROTATED) == {
        "room": "feature-a",
        "epoch": 2,
        "removed": [bob],
        "told": [alice],
        "waiting": [],
        "brought": [],
    }


def test_a_leave_says_whether_the_machine_stays() -> None:
    shown = json_view.leave_json(LeaveReport(RoomName("r"), False, ("codex",)))

    assert shown == {
        "left": True,
        "room": "r",
        "node_left": False,
        "still_joined_by": ["codex"],
    }


def test_rooms_and_notify_have_the_keys_of_0_1_4() -> None:
    assert json_view.json_of(RoomList((RoomName("a"), RoomName("b")), "b")) == {
        "rooms": ["a", "b"],
        "next_cursor": "b",
    }
    assert json_view.json_of(RoomList((RoomName("a"),))) == {"rooms": ["a"]}
    assert json_view.notify_json(NotifyReport(RoomName("a"), "hello", 2)) == {
        "notified": True,
        "room": "a",
        "text": "hello",
        "members": 2,
    }


def test_a_memory_says_why_it_was_found_only_where_it_was_searched_for() -> None:
    assert json_view.json_of(MemoryList((MEMORY, FOUND), 2)) == {
        "results": [MEMORY_JSON, FOUND_JSON],
        "damaged": 2,
        "next_cursor": None,
    }


def test_a_score_is_free_of_the_noise_of_single_precision() -> None:
    assert FOUND.match is not None
    match = replace(FOUND.match, score=0.8999999761581421)
    assert json_view.json_of(replace(FOUND, match=match)) == FOUND_JSON | {"score": 0.9}


@pytest.mark.parametrize(("score", "weak"), [(0.2499, {"weak": True}), (0.25, {})])
def test_a_result_with_a_low_score_is_weak(score: float, weak: dict[str, bool]) -> None:
    found = json_view.json_of(replace(FOUND, match=a_match(score)))
    assert {key: it for key, it in found.items() if key == "weak"} == weak


def test_each_word_of_the_question_is_shown_once_and_not_too_many_of_them() -> None:
    text = "Table table TABLE " + " ".join(f"w{number}" for number in range(20))
    marks = tuple(match.span() for match in re.finditer(r"\S+", text))

    assert json_view.match_json(text, a_match(marks=marks))["matches"] == [
        {"text": "Table", "at": 0},
        *({"text": f"w{number}", "at": 18 + 3 * number} for number in range(7)),
    ]


def test_a_page_is_the_memory_and_where_it_goes_on() -> None:
    page = MemoryPage(memory=MEMORY, offset=20, next_offset=None, total=63)

    assert json_view.json_of(page) == MEMORY_JSON | {
        "offset": 20,
        "next_offset": None,
        "total": 63,
    }


def test_a_search_names_who_answered_and_who_did_not() -> None:
    assert json_view.json_of(SEARCH_RESULT) == {
        "results": [FOUND_JSON, MEMORY_JSON],
        "left_out": 0,
        "answered": [{"endpoint_id": PEER.hex(), "name": "bob", "results": 1, "elapsed_ms": 12}],
        "unanswered": [{"endpoint_id": SELF.hex(), "name": "carol", "reason": "timed out"}],
        "method": "hybrid",
        "notes": ["a note"],
    }


def test_a_task_shows_who_asked_for_it_and_who_works_on_it() -> None:
    assert task_json.claimed_json((SUBMITTED, WORKING)) == {
        "count": 2,
        "tasks": [SUBMITTED_JSON, WORKING_JSON],
    }


def test_a_task_that_is_cut_marked_or_warned_of_says_so() -> None:
    cut = replace(WORKING, description="Run", description_page=TextPage(0, 10), already_yours=True)
    assert task_json.claimed_json((cut,)) == {
        "count": 1,
        "tasks": [
            WORKING_JSON
            | {"description": "Run", "already_yours": True, "truncated": True}
            | {"offset": 0, "next_offset": 3, "total": 10}
        ],
    }
    warned = task_json.outcome_json(replace(SUBMITTED, warning="nobody is there"))
    assert warned == SUBMITTED_JSON | {"status": "pending", "warning": "nobody is there"}


def test_an_outcome_has_the_keys_of_0_1_4_and_a_page_of_the_output() -> None:
    whole = {"status": "completed", "output": "all 12 pass", "offset": 0, "next_offset": None}
    completed = WORKING_JSON | OVER | {"state": "completed", "total": 11}

    assert task_json.outcome_json(COMPLETED) == completed | whole
    page = replace(COMPLETED, result=TaskSucceeded("12"), result_page=TextPage(4, 11))
    assert task_json.outcome_json(page) == completed | {
        "status": "completed",
        "output": "12",
        "offset": 4,
        "next_offset": 6,
        "truncated": True,
    }


def test_a_page_of_a_long_error_says_where_it_goes_on() -> None:
    page = replace(FAILED, result=TaskFailed("no"), result_page=TextPage(0, 11))

    assert task_json.outcome_json(page) == WORKING_JSON | OVER | {
        "state": "failed",
        "status": "error",
        "error": "no",
        "offset": 0,
        "next_offset": 2,
        "total": 11,
        "truncated": True,
    }


def test_a_page_of_a_description_comes_without_the_result() -> None:
    page = replace(COMPLETED, description="the", description_page=TextPage(4, 20))

    assert task_json.description_json(page) == WORKING_JSON | OVER | {
        "state": "completed",
        "status": "completed",
        "description": "the",
        "offset": 4,
        "next_offset": 7,
        "total": 20,
        "truncated": True,
    }


def test_a_claimed_task_with_a_long_description_says_where_it_goes_on() -> None:
    long = replace(WORKING, description="Run", description_page=TextPage(0, 20))

    assert task_json.claimed_json((long,)) == {
        "count": 1,
        "tasks": [
            WORKING_JSON
            | {
                "description": "Run",
                "truncated": True,
                "offset": 0,
                "next_offset": 3,
                "total": 20,
            }
        ],
    }


def test_an_outcome_that_is_open_is_pending_and_has_no_error() -> None:
    assert task_json.outcome_json(WORKING) == WORKING_JSON | {"status": "pending"}


@pytest.mark.parametrize(
    ("task", "error"),
    [
        (FAILED, "no compiler"),
        (REJECTED, "the task was rejected by all who were asked: bob's codex: no compiler"),
        (CANCELED, "the task was canceled: not needed"),
        (replace(SUBMITTED, state=TaskState.EXPIRED), "the task has expired"),
        (replace(FAILED, result=TaskFailed("")), "the task failed"),
    ],
)
def test_an_outcome_without_output_says_which_and_why(task: TaskView, error: str) -> None:
    shown = task_json.outcome_json(task)

    assert (shown["status"], shown["state"], shown["error"]) == ("error", task.state, error)


def test_a_list_of_tasks_says_which_texts_are_cut_and_where_it_goes_on() -> None:
    long = replace(SUBMITTED, description="Run", description_page=TextPage(0, 20))

    assert json_view.json_of(TaskList((long, FAILED), 3, "a cursor")) == {
        "results": [
            SUBMITTED_JSON | {"description": "Run", "truncated": True},
            WORKING_JSON | OVER | {"state": "failed", "error": "no compiler"},
        ],
        "waiting": 3,
        "next_cursor": "a cursor",
    }


@pytest.mark.parametrize(("verdict", "counts"), [("accepted", True), ("late", False)])
def test_a_late_result_is_said_not_to_be_submitted(verdict: str, counts: bool) -> None:
    assert task_json.submitted_json("id", SubmitVerdict(verdict, "why")) == {  # type: ignore[arg-type]
        "submitted": counts,
        "task_id": "id",
        "verdict": verdict,
        "text": "why",
    }


def test_the_status_shows_everything_the_daemon_says() -> None:
    assert json_view.json_of(DAEMON_STATUS) == {
        "version": __version__,
        "protocol": PROTOCOL,
        "pid": 4711,
        "uptime_s": 1.5,
        "user": "alice",
        "endpoint_id": SELF.hex(),
        "signer": "none",
        "local_identity": None,
        "signer_problem": None,
        "legacy": "on",
        "network": "loopback",
        "relay_url": None,
        "relay": "https://relay.example/",
        "addresses": ["127.0.0.1:5"],
        "data_dir": "/d",
        "rooms": ["a", "b"],
        "agents": [{"id": str(OTHER_ID), "name": "claude", "user": "", "pid": 7, "rooms": ["a"]}],
        "peers_connected": 2,
        "memories": 1 << 33,
        "index": "ready",
        "model": "loading",
        "disk": {
            "room_quota": 1 << 30,
            "author_quota": 1 << 20,
            "rooms": {"a": 5, "b": 3},
            "authors": {"alice (61)": 8},
        },
        "counters": {"bad_frames": 3, "wire_errors": 1 << 40},
        "warnings": ["the UDP port was taken"],
        "catching_up": [],
    }

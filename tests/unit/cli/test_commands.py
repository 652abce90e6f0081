import io
import sys
from dataclasses import replace
from uuid import UUID

import pytest

from buddies_core.model import json_view, task_json
from buddies_core.model.ids import MemoryId
from buddies_core.model.room import RoomStatus
from buddies_core.model.task import TaskList
from buddies_core.model.views import Link, MemoryList, Relation
from tests.support.fakes.client import FOUND, MEMORY, STATUS
from tests.support.fakes.services import ROOM_STATUS
from tests.support.fakes.tasks import CANCELED, COMPLETED, FAILED, WORKING
from tests.unit.cli.conftest import Person


def pipe_in(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))


@pytest.mark.parametrize(
    ("typed", "question"),
    [
        ("join a", ("join_room", "a", None)),
        ("join a --ticket t", ("join_room", "a", "t")),
        ("ticket a", ("room_ticket", "a", None, None)),
        ("ticket a --uses 1 --expires 30m", ("room_ticket", "a", 1, 1800.0)),
        ("join a --private", ("join_room", "a", None, "private")),
        ("room rotate a", ("rotate_room", "a", ())),
        (
            "room rotate a --without bob --without 12345678",
            ("rotate_room", "a", ("bob", "12345678")),
        ),
        ("status a", ("room_status", "a")),
        ("notify a testing", ("notify", "a", "testing")),
        ("memory store c --room a", ("store_memory", "a", "c", "", "context", (), ())),
        (
            "memory store c --room a --title t --kind decision --tag x --tag y --reference id",
            ("store_memory", "a", "c", "t", "decision", ("x", "y"), ("id",)),
        ),
        ("memory list", ("list_memories", None, None, (), None, None, None, 20)),
        (
            "memory list --room a --kind status --tag x --author bob --agent claude"
            " --since 2023-11-14 --limit 5",
            ("list_memories", "a", "status", ("x",), "bob", "claude", 1_699_920_000_000, 5),
        ),
        ("memory search q", ("search_memory", "q", None, None, (), None, None, None, 3.0, 20)),
        (
            "memory search q --room a --timeout 0.5",
            ("search_memory", "q", "a", None, (), None, None, None, 0.5, 20),
        ),
        (
            "memory store c --room a --supersedes old",
            ("store_memory", "a", "c", "", "context", (), (), "old"),
        ),
        (
            "memory list --include-superseded",
            ("list_memories", None, None, (), None, None, None, 20, True),
        ),
        ("memory delete m", ("delete_memory", "m", "")),
        ("memory delete m --reason r", ("delete_memory", "m", "r")),
        ("memory forget m", ("forget_memory", "m", False)),
        ("memory forget m --undo", ("forget_memory", "m", True)),
        ("memory get m", ("get_memory", "m", 0, 40_000)),
        ("memory get m --offset 3 --limit 2", ("get_memory", "m", 3, 2)),
        ("task submit t o", ("submit_task_result", "t", True, "o")),
        ("task submit t o --failed", ("submit_task_result", "t", False, "o")),
        ("task progress t half", ("task_progress", "t", "half")),
        ("task cancel t", ("cancel_task", "t", "")),
        ("task cancel t --reason r", ("cancel_task", "t", "r")),
        ("task reject t r", ("reject_task", "t", "r")),
        ("task poll", ("poll_tasks", None, 0.0, 1)),
        ("task list", ("list_tasks", None, None, 20)),
        ("task list --room a --state working --limit 5", ("list_tasks", "a", "working", 5)),
        ("whoami", ("status",)),
        ("daemon start", ("status",)),
        ("daemon status", ("status",)),
    ],
)
def test_a_command_asks_the_daemon_one_question(
    person: Person, typed: str, question: tuple[object, ...]
) -> None:
    assert person.asked(*typed.split()) == [question]


@pytest.mark.parametrize(
    "typed",
    [
        "join a",
        "ticket a",
        "leave a",
        "notify a testing",
        "status a",
        "memory store c --room a",
        "memory list",
        "memory search q",
        "memory get m",
        "memory delete m",
        "memory forget m",
        "task delegate d --room a",
        "task wait t",
        "task poll",
        "task submit t o",
        "task progress t half",
        "task cancel t",
        "task reject t r",
        "task list",
        "daemon start",
        "daemon restart",
    ],
)
def test_a_command_starts_a_daemon_where_none_runs_unless_it_only_looks_at_it(
    person: Person, typed: str
) -> None:
    person.machine.runs = False
    starts = typed != "status a"
    assert person.types(*typed.split()).code == (0 if starts else 3)
    assert person.machine.runs is starts


@pytest.mark.parametrize("typed", ["rooms", "status", "daemon status", "daemon stop"])
def test_a_command_that_only_looks_says_how_to_start_the_daemon(person: Person, typed: str) -> None:
    person.machine.runs = False
    seen = person.types(*typed.split())
    assert (seen.code, seen.out) == (3, "")
    assert seen.err == "error: no daemon; start it with: buddies-cli daemon start\n"
    assert not person.machine.runs


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("rooms", {"rooms": ["feature-a"]}),
        (
            "ticket a",
            {"room": "a", "ticket": "buddiesticket", "warnings": ["it may work here alone"]},
        ),
        ("status", json_view.json_of(STATUS)),
        ("daemon restart", json_view.json_of(STATUS)),
        ("daemon stop", {"stopped": 4321}),
        ("memory search q", json_view.json_of(FOUND)),
        ("task delegate d --room a", task_json.outcome_json(COMPLETED)),
        ("task wait t", task_json.outcome_json(COMPLETED)),
        ("task poll", task_json.claimed_json((WORKING,))),
        ("task cancel t", json_view.json_of(CANCELED)),
        ("task list", json_view.json_of(TaskList((WORKING, FAILED), 0))),
    ],
)
def test_with_json_stdout_is_the_object_that_the_mcp_tool_returns(
    person: Person, typed: str, answer: object
) -> None:
    assert person.types(*typed.split(), "--json").json == answer


def test_a_ticket_from_stdin_is_taken_without_its_line_end(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe_in(monkeypatch, b"  buddiesticket\n")
    assert person.asked("join", "a", "--ticket", "-") == [("join_room", "a", "buddiesticket")]


def test_a_memory_from_stdin_is_taken_as_it_is(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe_in(monkeypatch, "  größer\n\nals 3\n".encode())
    [question] = person.asked("memory", "store", "-", "--room", "a")
    assert question == ("store_memory", "a", "  größer\n\nals 3", "", "context", (), ())


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"caf\xe9", "stdin is not UTF-8: byte 3 can't be read"),
        (b"x" * (1 << 20) + b"x", "stdin has more than 1048576 bytes"),
    ],
)
def test_what_is_no_text_or_too_much_is_not_stored(
    person: Person, monkeypatch: pytest.MonkeyPatch, content: bytes, problem: str
) -> None:
    pipe_in(monkeypatch, content)
    seen = person.types("memory", "store", "-", "--room", "a")
    assert seen.code == 2
    assert problem in seen.err
    assert person.machine.daemon.asked == []


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_what_is_to_be_known_of_a_ticket_is_told_beside_it(
    person: Person, options: tuple[str, ...]
) -> None:
    seen = person.types("ticket", "a", *options)
    assert seen.err == "warning: it may work here alone\n"
    assert options or seen.out == "buddiesticket\n"


def test_each_command_says_that_a_daemon_of_another_version_serves(person: Person) -> None:
    person.machine.daemon.warning = "the daemon is still buddies 0.1.9"
    seen = person.types("rooms", "--json")
    assert seen.err == "warning: the daemon is still buddies 0.1.9\n"
    assert seen.json == {"rooms": ["feature-a"]}


def test_leaving_names_the_agents_that_it_leaves_for_before_it_does(person: Person) -> None:
    seen = person.types("leave", "feature-a")
    assert (seen.code, seen.out) == (0, "Left feature-a.\n")
    assert seen.err == "leaving for claude (process 99) too\n"
    assert person.machine.daemon.asked == [("status",), ("leave_room", "feature-a", True)]


def test_reading_a_memory_reads_all_of_its_pages(person: Person) -> None:
    content = "x" * 100_000
    person.machine.daemon.content = content
    seen = person.types("memory", "get", "m")
    assert content in seen.out
    assert person.machine.daemon.asked == [
        ("get_memory", "m", 0, 40_000),
        ("get_memory", "m", 40_000, 40_000),
        ("get_memory", "m", 80_000, 40_000),
    ]


def test_reading_a_memory_shows_what_it_has_to_do_with_others(person: Person) -> None:
    other = MemoryId(UUID(int=7))
    person.machine.daemon.links = (
        Link(Relation.SUPERSEDED_BY, other, "MySQL", "bob"),
        Link(Relation.REFERS_TO, other),
    )
    assert person.types("memory", "get", "m").out.splitlines()[-2:] == [
        f"replaced by\t{other}\tMySQL\tbob",
        f"refers to\t{other}\t(not on this machine)\t",
    ]


def test_deleting_and_forgetting_say_what_it_was(person: Person) -> None:
    assert person.types("memory", "delete", "m").out == (
        f"Deleted {MEMORY.id} (Database) from feature-a.\n"
    )
    assert person.types("memory", "forget", "m").out == "Forgotten: Database\n"
    assert person.types("memory", "forget", "m", "--undo").out == "Shown again: Database\n"


def test_reading_a_page_says_where_the_next_one_begins(person: Person) -> None:
    assert person.types("memory", "get", "m", "--limit", "5").err == (
        "41 characters in all; go on with --offset 5\n"
    )


def test_a_search_says_who_answered_and_who_did_not(person: Person) -> None:
    assert person.types("memory", "search", "db").err == (
        "bob answered in 12 ms: 1 result\ncarol did not answer: timed out\n"
    )


@pytest.mark.parametrize("given", ["", "  ", "-"])
def test_an_empty_ticket_is_refused_rather_than_taken_for_none(
    given: str, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe_in(monkeypatch, b"\n")
    answer = person.types("join", "a", "--ticket", given)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: the ticket is empty; ask a member for one")
    assert person.machine.daemon.asked == []


def test_a_ticket_is_printed_by_join_and_ticket_alone(person: Person) -> None:
    assert person.types("ticket", "a").out == "buddiesticket\n"
    assert "buddiesticket" in person.types("join", "a").out
    for typed in ("rooms", "status", "status a", "leave a", "daemon status"):
        seen = person.types(*typed.split())
        assert "buddiesticket" not in seen.out + seen.err


def test_a_memory_is_shown_with_its_author_and_its_id(person: Person) -> None:
    lines = person.types("memory", "list").out.splitlines()
    assert lines[0] == "Database"
    assert lines[1].startswith("decision in feature-a by alice (claude), ")
    assert lines[1].endswith(", tagged db")
    assert lines[2:] == [str(MEMORY.id), "  We're using PostgreSQL for the user table"]


def test_a_hit_names_what_has_replaced_it_and_what_is_proposed(person: Person) -> None:
    one, other = MemoryId(UUID(int=1)), MemoryId(UUID(int=2))
    hit = replace(MEMORY, superseded_by=(one,), proposals=(one, other), proposed_for=(other,))
    person.machine.daemon.found = replace(FOUND, results=(hit,))
    assert person.types("memory", "search", "q").out.splitlines()[2:5] == [
        f"replaced by {one}",
        f"proposed in its place {one}, {other}",
        f"proposed in place of {other}",
    ]


def test_a_room_shows_its_members_and_what_their_agents_do(person: Person) -> None:
    _, *members = person.types("status", "feature-a").out.splitlines()
    assert members == [
        "alice (this machine)\there\t\t\t\taaaaaaaaaa\tssh-ed25519 …fghijklmnopq\tclaude"
        "\twriting tests",
        "bob\tonline\t\t\t\tbbbbbbbbbb\tno key\tcodex\t",
    ]


def test_a_room_shows_who_is_silent_by_which_way_the_others_are_heard_and_who_is_away(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def room_status(*_given: object) -> RoomStatus:
        return ROOM_STATUS

    monkeypatch.setattr(person.machine.daemon, "room_status", room_status)

    _, _, *others = person.types("status", "feature-a").out.splitlines()
    assert others == [
        "bob\tsilent\t1970-01-01T00:00:00Z\t\t\t0102030405\tunverified\tno agent\t",
        "carol\tonline\t\trelay\t0 ms\t0203040506\tunverified\tno agent\t",
        "dave\taway\t1970-01-01T00:00:00Z\t\t\t0304050607\t\t\t",
    ]


@pytest.mark.parametrize("typed", ["rooms", "status"])
def test_rooms_are_shown_with_who_is_in_them_and_as_json_by_name_alone(
    person: Person, typed: str
) -> None:
    first = {"rooms": "list_rooms", "status": "status"}[typed]
    assert "feature-a\topen\t2\tall\tbob\n" in person.types(typed).out
    assert person.machine.daemon.asked == [(first,), ("room_status", "feature-a")]
    person.machine.daemon.asked.clear()
    assert person.asked(typed, "--json") == [(first,)]


def test_a_list_that_goes_on_says_how_to_get_the_rest(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def list_memories(**_given: object) -> MemoryList:
        return MemoryList((MEMORY,), 0, "a cursor")

    monkeypatch.setattr(person.machine.daemon, "list_memories", list_memories)

    assert (
        person.types("memory", "list").err == "there is more; continue with: --cursor 'a cursor'\n"
    )


@pytest.mark.parametrize("command", ["memory list", "task list", "rooms", "status a"])
def test_a_cursor_is_handed_to_the_daemon(person: Person, command: str) -> None:
    person.types(*command.split(), "--cursor", "7.x", "--json")

    assert person.machine.daemon.asked[-1][-1] == "7.x"  # type: ignore[index]


def test_json_has_the_page_that_the_tool_gives(person: Person) -> None:
    person.machine.daemon.content = "x" * 30_000
    page = person.types("memory", "get", "m", "--json").json

    assert (len(page["content"]), page["next_offset"]) == (20_000, 20_000)

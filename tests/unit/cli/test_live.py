"""watch tells what has happened between two looks, each thing once, and nothing else."""

import asyncio
import json
import os
import signal
from dataclasses import replace
from uuid import UUID

import pytest

from buddies_cli.commands import watch as module
from buddies_cli.live import Seen, happenings
from buddies_core.errors import DaemonUnavailable
from buddies_core.model.bodies import AgentPresence
from buddies_core.model.ids import MemoryId, RoomName, topic_of
from buddies_core.model.room import Member, RoomStatus
from buddies_core.model.task import TaskList
from buddies_core.model.views import MemoryList
from tests.support.fakes.client import BOB, CAROL, FEATURE, MEMORY
from tests.support.fakes.tasks import COMPLETED, WORKING
from tests.unit.cli.conftest import Person

BOB_HERE = Member(endpoint=BOB, name="bob", agents=(AgentPresence(name="codex"),))
CAROL_HERE = Member(endpoint=CAROL, name="carol")
NEWER = replace(
    MEMORY, id=MemoryId(UUID(int=7)), title="Newer", created_at_s=MEMORY.created_at_s + 1
)
OLDER = replace(
    MEMORY, id=MemoryId(UUID(int=8)), title="Older", created_at_s=MEMORY.created_at_s - 1
)


def a_room(*members: Member, name: str = FEATURE) -> RoomStatus:
    room = RoomName(name)
    return RoomStatus(room=room, topic=topic_of(room), members=members, neighbors=1, joined_at_ms=0)


def told(before: Seen, after: Seen) -> list[tuple[str, str]]:
    return [(it.kind, it.text) for it in happenings(before, after)]


def rooms(*seen: RoomStatus) -> Seen:
    return Seen(5, seen, (), ())


BEFORE = rooms(a_room(BOB_HERE))


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (BEFORE, []),
        (rooms(a_room()), [("member_left", "bob has left")]),
        (rooms(a_room(BOB_HERE, CAROL_HERE)), [("member_joined", "carol has come")]),
        (rooms(), [("room_left", "this machine has left")]),
        (
            rooms(a_room(BOB_HERE), a_room(name="b")),
            [("room_joined", "this machine has joined")],
        ),
        (
            rooms(a_room(replace(BOB_HERE, silent_since_ms=4))),
            [("member_silent", "bob is silent")],
        ),
        (
            rooms(a_room(replace(BOB_HERE, agents=(AgentPresence(name="claude", status="x"),)))),
            [
                ("agent_joined", "bob has the agent claude"),
                ("status", "bob (claude): x"),
                ("agent_left", "bob has the agent codex no longer"),
            ],
        ),
    ],
)
def test_each_coming_and_going_is_told(after: Seen, expected: list[tuple[str, str]]) -> None:
    assert told(BEFORE, after) == expected


def test_a_memory_is_told_once_and_not_when_an_older_one_moves_up() -> None:
    before = Seen(5, (), (MEMORY,), ())
    after = Seen(6, (), (NEWER, MEMORY, OLDER), ())
    assert told(before, after) == [("memory", "alice (claude) stored a decision: Newer")]
    assert told(after, after) == []
    assert told(after, Seen(7, (), (MEMORY, OLDER), ())) == []


def test_a_task_is_told_when_it_comes_and_when_its_state_changes() -> None:
    nothing, working = Seen(5, (), (), ()), Seen(6, (), (), (WORKING,))
    done = Seen(7, (), (), (replace(COMPLETED, id=WORKING.id),))
    [(kind, text)] = told(nothing, working)
    assert (kind, text.startswith("working by codex of bob")) == ("task", True)
    assert told(working, working) == []
    [(kind, text)] = told(working, done)
    assert (kind, text.startswith("completed by codex of bob")) == ("task", True)


@pytest.fixture
def story(person: Person, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Have the daemon tell one thing after the other, and Ctrl-C come at the end."""
    monkeypatch.setattr(module, "POLL_S", 0)
    monkeypatch.setattr(module, "PAUSE_S", 0)
    looks: list[object] = []

    async def room_status(_room: str, *_more: object) -> RoomStatus:
        if not looks:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0)
            return a_room(BOB_HERE, CAROL_HERE)
        look = looks.pop(0)
        if isinstance(look, Exception):
            raise look
        assert isinstance(look, RoomStatus)
        return look

    async def list_memories(**_: object) -> MemoryList:
        return MemoryList((MEMORY,), 0)

    async def list_tasks(**_: object) -> TaskList:
        return TaskList((), 0)

    for name, answer in (
        ("room_status", room_status),
        ("list_memories", list_memories),
        ("list_tasks", list_tasks),
    ):
        monkeypatch.setattr(person.machine.daemon, name, answer)
    return looks


def test_a_program_reads_an_object_a_line_over_a_restart_until_it_is_interrupted(
    person: Person, story: list[object]
) -> None:
    story += [a_room(BOB_HERE), DaemonUnavailable("it is away"), a_room(BOB_HERE, CAROL_HERE)]
    seen = person.types("watch", "feature-a")
    assert (seen.code, seen.err) == (130, "")
    [event] = map(json.loads, seen.out.splitlines())
    assert event.pop("at_ms") > 0
    assert event == {
        "event": "member_joined",
        "room": "feature-a",
        "name": "carol",
        "endpoint_id": CAROL.hex(),
    }


def test_a_person_sees_a_page_and_keeps_what_happened(person: Person, story: list[object]) -> None:
    story += [a_room(BOB_HERE), DaemonUnavailable("it is away"), a_room(BOB_HERE, CAROL_HERE)]
    seen = person.types_at(60, "watch", "feature-a", LINES="20")
    assert seen.code == 130
    assert "The daemon does not answer; waiting for it." in seen.out
    page, _, left = seen.out.rpartition("\x1b[?1049l")
    assert "\x1b[?1049h" in page
    assert "carol has come" in left


def test_without_a_daemon_watch_says_how_to_start_it(person: Person) -> None:
    person.machine.runs = False
    seen = person.types("watch")
    assert (seen.code, seen.err) == (
        3,
        "error: no daemon; start it with: buddies-cli daemon start\n",
    )

"""Events in rooms, for a person who watches: members, memories and tasks. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from buddies_cli.tables import When
from buddies_core.model.json_view import json_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buddies_core.model.json_view import JsonObject
    from buddies_core.model.room import Member, RoomStatus
    from buddies_core.model.task import TaskView
    from buddies_core.model.views import MemoryView


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that is watched, as it was at one moment."""

    at_ms: int
    rooms: Sequence[RoomStatus]
    memories: Sequence[MemoryView]
    """The newest."""
    tasks: Sequence[TaskView]
    """The newest."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened between two moments."""

    at_ms: int
    kind: str
    room: str
    text: str
    """The event in words; names and contents in it are from elsewhere."""
    more: JsonObject = field(default_factory=dict)
    """The event as an object for programs."""

    def as_json(self) -> JsonObject:
        """Return it as a program reads it."""
        return {"event": self.kind, "at_ms": self.at_ms, "room": self.room, **self.more}

    def row(self) -> tuple[When, str, str, str]:
        """Return it as a row for people."""
        return When(self.at_ms), self.room, self.kind, self.text


def happenings(before: Seen, after: Seen) -> Iterator[Happening]:
    """Return what is new, room by room, then memories and tasks from the oldest on."""
    at_ms = after.at_ms
    old_rooms = {room.room: room for room in before.rooms}
    new_rooms = {room.room: room for room in after.rooms}
    for name in old_rooms.keys() - new_rooms.keys():
        yield Happening(at_ms, "room_left", name, "this machine has left")
    for name, room in new_rooms.items():
        if name not in old_rooms:
            yield Happening(at_ms, "room_joined", name, "this machine has joined")
            continue
        yield from _comings(old_rooms[name], room, at_ms)
    known = {memory.id for memory in before.memories}
    oldest_s = min((memory.created_at_s for memory in before.memories), default=0)
    for memory in reversed(after.memories):
        # An older one moves up into the newest when another is deleted.
        if memory.id not in known and memory.created_at_s >= oldest_s:
            who = f"{memory.author_name} ({memory.agent})" if memory.agent else memory.author_name
            text = f"{who} stored a {memory.kind}: {memory.title}"
            yield Happening(at_ms, "memory", memory.room, text, {"memory": json_of(memory)})
    states = {task.id: (task.state, task.progress) for task in before.tasks}
    oldest_ms = min((task.created_at_ms for task in before.tasks), default=0)
    for task in reversed(after.tasks):
        is_new = task.id not in states
        if (is_new and task.created_at_ms < oldest_ms) or states.get(task.id) == (
            task.state,
            task.progress,
        ):
            continue
        yield Happening(at_ms, "task", task.room, _task_text(task), {"task": json_of(task)})


def _comings(before: RoomStatus, after: RoomStatus, at_ms: int) -> Iterator[Happening]:
    """Return who has come, gone, fallen silent or told something in a room."""
    old = {_key(member): member for member in before.members}
    new = {_key(member): member for member in after.members}
    room = after.room
    for key, member in old.items():
        if key not in new:
            yield _of(member, at_ms, "member_left", room, "has left")
    for key, member in new.items():
        was = old.get(key)
        if was is None:
            yield _of(member, at_ms, "member_joined", room, "has come")
            continue
        if bool(member.silent_since_ms) != bool(was.silent_since_ms):
            is_silent = bool(member.silent_since_ms)
            kind, text = ("member_silent", "is silent") if is_silent else ("member_back", "is back")
            yield _of(member, at_ms, kind, room, text)
        agents = {agent.name: agent for agent in was.agents}
        for agent in member.agents:
            told = agents.pop(agent.name, None)
            if told is None:
                text = f"has the agent {agent.name}"
                yield _of(member, at_ms, "agent_joined", room, text, agent.name)
            if agent.status and (told is None or told.status != agent.status):
                text = f"({agent.name}): {agent.status}"
                yield _of(member, at_ms, "status", room, text, agent.name, agent.status)
        for name in agents:
            text = f"has the agent {name} no longer"
            yield _of(member, at_ms, "agent_left", room, text, name)


def _of(
    member: Member,
    at_ms: int,
    kind: str,
    room: str,
    text: str,
    agent: str = "",
    status: str = "",
) -> Happening:
    more: JsonObject = {"name": member.name, "endpoint_id": member.endpoint.hex()}
    if agent:
        more["agent"] = agent
    if status:
        more["status"] = status
    return Happening(at_ms, kind, room, f"{member.name} {text}", more)


def _key(member: Member) -> bytes | str:
    return member.endpoint or member.name  # a 0.1.4 peer may have no endpoint


def _task_text(task: TaskView) -> str:
    worker = f" by {task.worker_agent} of {task.worker_user}" if task.worker_user else ""
    how = f" ({task.progress})" if task.progress and not task.state.is_terminal else ""
    asked = f"{task.requester_agent} of {task.requester_user}"
    return f"{task.state}{worker}{how}, asked by {asked}: {task.description}"

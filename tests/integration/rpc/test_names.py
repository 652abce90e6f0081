"""Whatever form a caller gives a room's name in, each method means the one that is joined."""

import contextlib
import unicodedata
from collections.abc import Awaitable, Callable

import pytest

from buddies_core.client import DaemonClient
from buddies_core.errors import NotFound
from buddies_core.pb import (
    daemon_pb2,
    identity_pb2,
    memory_pb2,
    policy_pb2,
    room_pb2,
    skill_pb2,
    task_pb2,
)
from tests.support.fakes.node import FakeNode

NAME = "caf\u00e9"
TYPED = f" {unicodedata.normalize('NFD', NAME)}\u200b"

CALLS: dict[str, Callable[[DaemonClient], Awaitable[object]]] = {
    "Rooms.Leave": lambda it: it.leave_room(TYPED, for_all=True),
    "Rooms.Status": lambda it: it.room_status(TYPED),
    "Rooms.Ticket": lambda it: it.room_ticket(TYPED),
    "Rooms.Rotate": lambda it: it.rotate_room(TYPED),
    "Rooms.Notify": lambda it: it.notify(TYPED, "x"),
    "Memories.Store": lambda it: it.store_memory(room=TYPED, content="x"),
    "Memories.List": lambda it: it.list_memories(room=TYPED),
    "Memories.Search": lambda it: it.search_memory("x", room=TYPED),
    "Tasks.Delegate": lambda it: it.delegate_task(TYPED, "x"),
    "Tasks.Poll": lambda it: it.poll_tasks(room=TYPED),
    "Tasks.List": lambda it: it.list_tasks(room=TYPED),
    "Skills.Publish": lambda it: it.publish_skill(room=TYPED, title="x", content="x"),
    "Skills.List": lambda it: it.list_skills(room=TYPED),
    "Skills.Search": lambda it: it.search_skills("x", room=TYPED),
    "Skills.Vote": lambda it: it.vote_skill(room=TYPED, hash="0" * 64, score=1),
    "Policies.Get": lambda it: it.get_policy(TYPED),
    "Policies.Set": lambda it: it.set_policy(TYPED),
    "Policies.Add": lambda it: it.add_to_policy(TYPED, "x"),
    "Policies.Remove": lambda it: it.remove_from_policy(TYPED, "x"),
}
JOIN = "Rooms.Join"
"""Takes the name as it was typed: it says what is wrong with it."""


@pytest.mark.parametrize("method", CALLS)
async def test_a_name_in_another_form_means_the_room_that_is_joined(
    client: DaemonClient, node: FakeNode, method: str
) -> None:
    calls: list[object] = []
    for fake in (node.rooms, node.memories, node.search, node.tasks, node.skills, node.policies):
        assert fake.calls == []
        fake.calls = calls  # type: ignore[assignment]
    with contextlib.suppress(NotFound):  # the fakes are in no such room
        await CALLS[method](client)
    [call] = calls
    assert NAME in str(call)
    assert TYPED.strip("\u200b ") not in str(call)


def test_every_method_that_takes_a_room_is_among_these() -> None:
    services = [
        service
        for module in (
            daemon_pb2,
            identity_pb2,
            memory_pb2,
            policy_pb2,
            room_pb2,
            skill_pb2,
            task_pb2,
        )
        for service in module.DESCRIPTOR.services_by_name.values()
    ]
    takes_room = {
        f"{service.name}.{method.name}"
        for service in services
        for method in service.methods
        if {"room", "filter"} & set(method.input_type.fields_by_name)
    }
    assert takes_room == {*CALLS, JOIN}

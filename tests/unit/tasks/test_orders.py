"""What is asked for: refused here rather than at a peer, and told at once if nobody can do it."""

import asyncio
from typing import Any

import pytest

from buddies_core.errors import InvalidInput
from buddies_core.model.ids import EndpointId, RoomName, TaskId
from buddies_core.model.room import Member
from buddies_core.model.task import PERSON, TaskState
from tests.support.memories import DEMO
from tests.support.worlds.task_machines import TaskWorld
from tests.support.worlds.task_stories import CODEX, GEMINI, delegate, last, poll, story, two

OPS = RoomName("ops")
RUSTY = Member(endpoint=EndpointId(b""), name="rusty", speaks_direct=False)
NAME = "é" * 32
"""64 bytes."""


# The same key


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"room": OPS}, "room"),
        ({"description": "Run it twice"}, "description"),
        ({"timeout_s": 60.0}, "timeout_secs"),
        ({"peer": ""}, "peer"),
        ({"peer": "carol"}, "peer"),
        ({"agent_target": "gemini"}, "agent"),
        ({"capability": "gpu"}, "capability"),
        ({"retryable": False}, "retryable"),
        ({"parent": "other"}, "parent_task_id"),
        ({"parent": None}, "parent_task_id"),
        ({"peer": "carol", "timeout_s": None}, "timeout_secs and another peer"),
    ],
)
def test_a_key_that_belongs_to_another_task_is_refused_with_what_differs(
    changes: dict[str, Any], differs: str
) -> None:
    async def tell(world: TaskWorld) -> None:
        alice, _, claude, _ = await two(world)
        carol = await world.machine("carol")
        alice.rooms = (DEMO, OPS)
        parents: dict[str | None, TaskId | None] = {
            None: None,
            "one": (await delegate(carol, peer="alice")).id,
            "other": (await delegate(carol, peer="alice")).id,
        }
        await asyncio.sleep(1)
        assert len(await poll(alice, claude, 5)) == 2
        order: dict[str, Any] = {
            "timeout_s": 90.0, "peer": "bob", "capability": "tests", "parent": "one",
            "idempotency_key": "build 42",
        }  # fmt: skip

        async def ask(**more: Any) -> TaskId:
            given = order | more
            given["parent"] = parents[given["parent"]]
            return (await delegate(alice, claude, **given)).id

        id = await ask()
        assert await ask() == id
        text = f"^idempotency_key 'build 42' belongs to task {id}, .* with another {differs};"
        with pytest.raises(InvalidInput, match=text):
            await ask(**changes)

    story(tell)


def test_the_same_order_is_the_same_task_when_its_peer_and_its_parent_are_gone() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        parent = await delegate(bob, codex, peer="alice")
        assert await poll(alice, claude, 5) == [parent.id]
        order: dict[str, Any] = {
            "peer": "BOB ", "agent_target": " gemini", "parent": parent.id, "idempotency_key": "k",
        }  # fmt: skip
        first = await delegate(alice, claude, **order)
        await alice.tasks.submit(parent.id, True, "done", claude)
        world.islands.append(frozenset({"bob"}))
        await asyncio.sleep(120)
        assert (await delegate(alice, claude, **order)).id == first.id
        assert (await delegate(alice, claude, **order | {"peer": bob.endpoint.hex()})).id == (
            first.id
        )

    story(tell)


# Names


@pytest.mark.parametrize("field", ["peer", "agent", "capability"])
def test_a_name_that_no_peer_would_take_is_refused_here(field: str) -> None:
    async def tell(world: TaskWorld) -> None:
        alice, _, claude, _ = await two(world)
        argument = "agent_target" if field == "agent" else field
        text = f"^{field} has 65 bytes, and no name has more than 64; get_room_status"
        with pytest.raises(InvalidInput, match=text):
            await delegate(alice, claude, **{argument: NAME + "x"})
        assert await alice.tasks.list(None, None, 10, claude) == ((), 0)

    story(tell)


def test_the_longest_names_reach_the_peer() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, _ = await two(world)
        worker = bob.attach(GEMINI, NAME, NAME)
        task = await delegate(alice, claude, agent_target=NAME, capability=NAME)
        assert await poll(bob, worker, 5) == [task.id]

    story(tell)


# Nobody there


@pytest.mark.parametrize(
    ("target", "warning"),
    [
        ({"capability": "gpu"}, "no other agent that can do 'gpu' is in room 'demo' now"),
        ({"agent_target": "gemini"}, "no agent called 'gemini' is in room 'demo' now"),
        ({"agent_target": "claude"}, "no other agent called 'claude' is in room 'demo' now"),
        (
            {"agent_target": "codex", "capability": "gpu"},
            "no agent called 'codex' that can do 'gpu' is in room 'demo' now",
        ),
        ({"peer": "bob", "capability": "gpu"}, "no other agent that can do 'gpu' is at peer"),
        ({"peer": "ab" * 32}, "peer ababababab is not in room 'demo' now; the task waits for it"),
    ],
)
def test_that_nobody_present_can_do_it_is_told_at_once_while_the_task_waits(
    target: dict[str, str], warning: str
) -> None:
    async def tell(world: TaskWorld) -> None:
        alice, _, claude, _ = await two(world)
        task = await delegate(alice, claude, **target)
        assert task.warning.startswith(warning)
        assert (await last(alice, task.id, 0)).warning == task.warning
        assert task.state is TaskState.SUBMITTED

    story(tell)


def test_the_warning_ends_when_somebody_comes_who_can_do_it_and_gets_it() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, _ = await two(world)
        task = await delegate(alice, claude, capability="gpu")
        assert task.warning
        gemini = bob.attach(GEMINI, "gemini", "gpu")
        assert (await last(alice, task.id, 0)).warning == ""
        assert await poll(bob, gemini, 5) == [task.id]
        assert (await last(alice, task.id, 0)).warning == ""

    story(tell)


def test_nobody_is_warned_of_a_task_that_somebody_present_may_take() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, _ = await two(world)
        assert (await delegate(alice, claude)).warning == ""
        bob.detach(CODEX)  # Bob himself may be polling, or an agent of his may come.
        assert (await delegate(alice, claude)).warning == ""
        bob.kill()
        await asyncio.sleep(120)
        alone = "no other agent is in room 'demo' now"
        assert (await delegate(alice, claude)).warning.startswith(alone)
        alice.legacy = (RUSTY,)
        assert (await delegate(alice, claude)).warning == ""
        assert (await delegate(alice, PERSON)).warning == ""

    story(tell)

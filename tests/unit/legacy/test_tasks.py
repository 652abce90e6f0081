"""Tasks with 0.1.4 peers: broadcasts, between whole services on a virtual clock."""

import asyncio

import pytest

from buddies_core.errors import NotFound
from buddies_core.legacy.tasks import order_of
from buddies_core.model.bodies import TaskClaimed, TaskRequest, TaskResponse
from buddies_core.model.ids import EndpointId, RoomName, TaskId
from buddies_core.model.room import Member
from buddies_core.model.task import (
    SubmitVerdict,
    TaskState,
    TaskSucceeded,
)
from buddies_core.wire.bodies import encode_body
from tests.support.memories import DEMO
from tests.support.tasks import task_id
from tests.support.worlds.task_machines import TaskMachine, TaskWorld
from tests.support.worlds.task_stories import (
    ACCEPTED,
    CLAUDE,
    CODEX,
    delegate,
    last,
    poll,
    story,
    two,
)

RUSTY = Member(endpoint=EndpointId(b""), name="rusty", speaks_direct=False)


async def answer_unsigned(machine: TaskMachine, id: TaskId, room: RoomName) -> None:
    """Say in a 0.1.4 peer's name that it has done a task."""
    await machine.tasks.broadcast.finished(id, room, TaskSucceeded("done"), "rusty")


def test_a_task_of_a_legacy_peer_is_claimed_and_answered_as_it_expects() -> None:
    async def tell(world: TaskWorld) -> None:
        bob = await world.machine("bob")
        codex = bob.attach(CODEX, "codex")
        request = TaskRequest(
            task_id=task_id(7),
            source_peer="rusty",
            room=DEMO,
            description="do it",
            timeout_s=60,
            created_at_s=0,
        )
        for _ in range(2):
            await bob.tasks.broadcast.offered(
                order_of(request, DEMO, bob.clock.wall_ms()), RUSTY.endpoint
            )
        assert await poll(bob, codex, 5) == [task_id(7)]
        verdict = await bob.tasks.submit(task_id(7), True, "x" * 9000, codex)
        assert verdict == SubmitVerdict(
            "sending", "it was broadcast; buddies 0.1.4 does not tell whether it counts"
        )
        assert bob.daemon is not None
        claimed, response = bob.daemon.said
        assert claimed == TaskClaimed(task_id(7), "bob")
        assert isinstance(response, TaskResponse)
        assert isinstance(response.result, TaskSucceeded)
        assert response.result.output.endswith("takes no more in one message]")
        assert len(encode_body(response)) < 3900

    story(tell)


def test_an_unsigned_answer_ends_no_task_that_legacy_peers_were_not_told_of_in_that_room() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, _, claude, _ = await two(world)
        untold = await delegate(alice, claude)
        await asyncio.sleep(5)
        await answer_unsigned(alice, untold.id, DEMO)
        alice.legacy = (RUSTY,)
        long = await delegate(alice, claude, description="x" * 4000)
        told = await delegate(alice, claude)
        await asyncio.sleep(5)
        await answer_unsigned(alice, long.id, DEMO)
        await answer_unsigned(alice, told.id, RoomName("ops"))
        for task in (untold, long, told):
            shown = await last(alice, task.id, 0)
            assert (shown.state, shown.late_results) == (TaskState.SUBMITTED, 0)
        assert alice.counters == {"task_responses_ignored": 3}

    story(tell)


def test_a_restart_forgets_neither_that_legacy_peers_were_told_nor_that_they_were_not() -> None:
    async def tell(world: TaskWorld) -> None:
        alice = await world.machine("alice")
        claude = alice.attach(CLAUDE, "claude")
        untold = await delegate(alice, claude)
        await asyncio.sleep(5)
        alice.legacy = (RUSTY,)
        told = await delegate(alice, claude)
        await asyncio.sleep(0.5)  # Less than it takes to look for members that came.
        alice.legacy = ()
        alice.kill()
        await alice.start()
        for task in (untold, told):
            await answer_unsigned(alice, task.id, DEMO)
        assert (await last(alice, untold.id, 0)).state is TaskState.SUBMITTED
        assert (await last(alice, told.id, 0)).state is TaskState.COMPLETED

        alice.legacy = (RUSTY,)
        await asyncio.sleep(30)
        assert alice.daemon is not None
        heard = [it.task_id for it in alice.daemon.said if isinstance(it, TaskRequest)]
        assert heard == [untold.id]

    story(tell)


def test_a_legacy_peer_is_told_once_and_its_answer_counts_while_nobody_has_a_lease() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        alice.legacy = (RUSTY,)
        free, leased = await delegate(alice, claude), await delegate(alice, claude, timeout_s=99.0)
        await delegate(alice, claude, peer="bob")
        await delegate(alice, claude, description="x" * 4000)
        await asyncio.sleep(30)
        assert alice.daemon is not None
        told = [
            (it.task_id, it.timeout_s) for it in alice.daemon.said if isinstance(it, TaskRequest)
        ]
        assert told == [(free.id, 600), (leased.id, 99)]
        await answer_unsigned(alice, free.id, DEMO)
        done = await last(alice, free.id)
        assert (done.result, done.worker, done.worker_user) == (
            TaskSucceeded("done"),
            None,
            "rusty",
        )
        await poll(bob, codex, 1)
        await answer_unsigned(alice, leased.id, DEMO)
        working = await last(alice, leased.id, 0)
        assert (working.state, working.late_results) == (TaskState.WORKING, 1)

    story(tell)


def test_a_machine_that_is_done_with_old_peers_forgets_their_tasks_and_sends_no_result() -> None:
    async def tell(world: TaskWorld) -> None:
        bob = await world.machine("bob")
        codex = bob.attach(CODEX, "codex")
        for number in (7, 8):
            request = TaskRequest(
                task_id=task_id(number),
                source_peer="rusty",
                room=DEMO,
                description="do it",
                timeout_s=600,
                created_at_s=0,
            )
            await bob.tasks.broadcast.offered(
                order_of(request, DEMO, bob.clock.wall_ms()), RUSTY.endpoint
            )
        assert await poll(bob, codex, 5, 1) == [task_id(7)]
        bob.kill()
        bob.talks_legacy = False
        await bob.start()
        codex = bob.attach(CODEX, "codex")
        verdict = await bob.tasks.submit(task_id(7), True, "done", codex)
        assert (verdict.verdict, "buddies 0.1.4" in verdict.text) == ("late", True)
        with pytest.raises(NotFound):
            await last(bob, task_id(8), 0)
        assert bob.daemon is not None
        assert bob.daemon.said == []

    story(tell)


def test_tasks_go_their_usual_way_on_machines_without_old_peers() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        for machine in (alice, bob):
            machine.kill()
            machine.talks_legacy = False
            await machine.start()
        claude, codex = alice.attach(CLAUDE, "claude"), bob.attach(CODEX, "codex")
        alice.legacy = (RUSTY,)
        task = await delegate(alice, claude)
        assert await poll(bob, codex) == [task.id]
        assert await bob.tasks.submit(task.id, True, "done", codex) == ACCEPTED
        assert (await last(alice, task.id)).result == TaskSucceeded("done")
        assert alice.daemon is not None
        assert alice.daemon.said == []

    story(tell)

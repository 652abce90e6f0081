"""Limits of time over restarts, sleeps and clocks that are set."""

import asyncio

import pytest

from buddies_core.legacy.tasks import order_of
from buddies_core.model.bodies import TaskRequest
from buddies_core.model.task import TaskState, TaskSucceeded
from buddies_core.tasks.broadcasts import NOBODY
from tests.support.memories import DEMO
from tests.support.tasks import task_id
from tests.support.worlds.task_machines import TaskMachine, TaskWorld
from tests.support.worlds.task_stories import (
    CODEX,
    delegate,
    last,
    now_s,
    poll,
    story,
    two,
)

HOUR_MS = 3_600_000


async def restart(machine: TaskMachine, *, off_s: float = 1.0) -> None:
    machine.kill()
    await asyncio.sleep(off_s)
    await machine.start()


@pytest.mark.parametrize("claimed", [False, True])
@pytest.mark.parametrize("restarts_at_s", [(10,), (3, 8, 12)])
def test_a_task_expires_when_it_was_to_whatever_restarts_meanwhile(
    claimed: bool, restarts_at_s: tuple[int, ...]
) -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        task = await delegate(alice, claude, timeout_s=15.0)
        began_s = now_s()
        if claimed:
            await poll(bob, codex)
        for at_s in restarts_at_s:
            await asyncio.sleep(began_s + at_s - now_s())
            await restart(alice)
        over = await last(alice, task.id)
        assert over.state is TaskState.EXPIRED
        assert now_s() - began_s == pytest.approx(15, abs=1.5)

    story(tell)


@pytest.mark.parametrize("off_s", [20.0, 8 * 86_400.0])
def test_a_task_that_nobody_began_is_over_at_once_when_its_time_ran_out_meanwhile(
    off_s: float,
) -> None:
    async def tell(world: TaskWorld) -> None:
        alice, _, claude, _ = await two(world)
        task = await delegate(alice, claude, timeout_s=15.0, idempotency_key="k")
        await restart(alice, off_s=off_s)
        started_s = now_s()
        over = await last(alice, task.id)
        assert (over.state, over.reason) == (TaskState.EXPIRED, "nobody began within 15 s")
        assert now_s() - started_s < 2
        same = await delegate(alice, claude, timeout_s=15.0, idempotency_key="k")
        assert (same.id, same.state) == (task.id, TaskState.EXPIRED)

    story(tell)


def test_what_was_finished_in_time_counts_though_the_requester_was_away_then() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        task = await delegate(alice, claude, timeout_s=15.0)
        await poll(bob, codex)
        alice.kill()
        assert (await bob.tasks.submit(task.id, True, "done", codex)).verdict == "sending"
        await asyncio.sleep(100)
        await alice.start()
        assert (await last(alice, task.id)).result == TaskSucceeded("done")

    story(tell)


def test_a_worker_that_says_nothing_when_the_requester_is_back_has_a_lease_and_no_more() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        task = await delegate(alice, claude, timeout_s=15.0)
        await poll(bob, codex)
        bob.kill()
        await restart(alice, off_s=20)
        started_s = now_s()
        over = await last(alice, task.id, 100)
        assert over.state is TaskState.EXPIRED
        assert now_s() - started_s == pytest.approx(60, abs=2)

    story(tell)


@pytest.mark.parametrize("set_by_ms", [-HOUR_MS, HOUR_MS])
def test_a_clock_that_is_set_while_the_daemon_runs_moves_no_deadline(set_by_ms: int) -> None:
    async def tell(world: TaskWorld) -> None:
        alice, _, claude, _ = await two(world)
        task = await delegate(alice, claude, timeout_s=60.0)
        await asyncio.sleep(20)
        alice.clock.skew_ms = set_by_ms
        await asyncio.sleep(10)
        await restart(alice)
        assert (await last(alice, task.id, 0)).left_s == pytest.approx(29, abs=0.1)
        assert (await last(alice, task.id)).state is TaskState.EXPIRED
        assert now_s() == pytest.approx(60, abs=1.5)

    story(tell)


def test_a_clock_that_is_set_back_while_the_daemon_is_off_gives_no_more_than_was_left() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, _, claude, _ = await two(world)
        task = await delegate(alice, claude, timeout_s=60.0)
        alice.kill()
        alice.clock.skew_ms = -HOUR_MS
        await alice.start()
        left_s = (await last(alice, task.id, 0)).left_s
        assert left_s == pytest.approx(60, abs=0.1)

    story(tell)


def test_the_usual_limit_to_begin_is_not_begun_anew_by_a_restart() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, _, claude, _ = await two(world)
        task = await delegate(alice, claude)
        for _ in range(3):
            await asyncio.sleep(190)
            await restart(alice)
        over = await last(alice, task.id)
        assert (over.state, over.reason) == (TaskState.EXPIRED, "nobody began within 600 s")
        assert now_s() == pytest.approx(600, abs=2)

    story(tell)


def test_a_worker_knows_how_much_time_is_left_after_its_own_restart() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        task = await delegate(alice, claude, timeout_s=300.0)
        await poll(bob, codex)
        await restart(bob)
        bob.attach(CODEX, "codex")
        await asyncio.sleep(25)  # Until it has renewed its lease.
        left_s = (await last(bob, task.id, 0)).left_s
        assert left_s == pytest.approx(300 - now_s(), abs=0.1)

    story(tell)


@pytest.mark.parametrize("claimed", [False, True])
def test_a_task_of_a_legacy_peer_ends_when_it_was_to_whatever_restarts_meanwhile(
    claimed: bool,
) -> None:
    async def tell(world: TaskWorld) -> None:
        bob = await world.machine("bob")
        codex = bob.attach(CODEX, "codex")
        request = TaskRequest(
            task_id=task_id(7),
            source_peer="rusty",
            room=DEMO,
            description="do it",
            timeout_s=300,
            created_at_s=0,
        )
        await bob.tasks.broadcast.offered(order_of(request, DEMO, bob.clock.wall_ms()), NOBODY)
        if claimed:
            assert await poll(bob, codex, 5) == [task_id(7)]
        await asyncio.sleep(200)
        await restart(bob)
        codex = bob.attach(CODEX, "codex")
        # An offer is kept a minute longer, for messages that are under way.
        await asyncio.sleep(105 if claimed else 225)
        if claimed:
            assert (await last(bob, task_id(7), 0)).reason == "its time is over"
        assert await poll(bob, codex, 5) == []

    story(tell)

"""Tasks between machines and between agents of one: the whole service, on a virtual clock."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from buddies_core.model.ids import TaskId
from buddies_core.model.task import (
    PERSON,
    Caller,
    SubmitVerdict,
    TaskFailed,
    TaskState,
    TaskSucceeded,
    TaskView,
)
from tests.support.machines_with_tasks import Machine, World
from tests.support.memories import DEMO
from tests.support.virtual_time import run_virtually

CLAUDE, CODEX, GEMINI = UUID(int=1), UUID(int=2), UUID(int=3)
ACCEPTED = SubmitVerdict("accepted", "who asked for it has the result")


def story(tell: Callable[[World], Awaitable[None]]) -> None:
    """Let a story happen in a world of its own, on a virtual clock."""

    async def run() -> None:
        async with World() as world:
            await tell(world)

    run_virtually(run())


async def delegate(machine: Machine, caller: Caller = PERSON, **changes: Any) -> TaskView:
    arguments: dict[str, Any] = {
        "room": DEMO,
        "description": "Run the test suite and report failures",
        "timeout_s": None,
        "peer": "",
        "agent_target": "",
        "capability": "",
        "idempotency_key": "",
        "retryable": True,
        "parent": None,
        "caller": caller,
    }
    return await machine.tasks.delegate(**(arguments | changes))


async def poll(
    machine: Machine, caller: Caller, timeout_s: float = 50, limit: int = 20
) -> list[TaskId]:
    tasks = await machine.tasks.poll(caller, None, timeout_s, limit)
    return [task.id for task in tasks]


async def last(machine: Machine, id: TaskId, timeout_s: float = 50) -> TaskView:
    views = [view async for view in machine.tasks.watch(id, timeout_s)]
    return views[-1]


def test_a_task_is_done_elsewhere_and_its_result_comes_back() -> None:
    async def tell(world: World) -> None:
        alice, bob = await world.machine("alice"), await world.machine("bob")
        asking, doing = alice.attach(CLAUDE, "claude"), bob.attach(CODEX, "codex")
        task = await delegate(alice, asking)
        assert await poll(bob, doing) == [task.id]
        await bob.tasks.progress(task.id, "half way", doing)
        assert (await last(alice, task.id, 0)).progress == "half way"
        assert await bob.tasks.submit(task.id, True, "2 failures", doing) == ACCEPTED
        done = await last(alice, task.id)
        assert (done.state, done.result) == (TaskState.COMPLETED, TaskSucceeded("2 failures"))

    story(tell)


def test_agents_of_one_machine_work_for_each_other_and_nobody_for_itself() -> None:
    async def tell(world: World) -> None:
        alice = await world.machine("alice")
        claude, codex = alice.attach(CLAUDE, "claude"), alice.attach(CODEX, "codex")
        task = await delegate(alice, claude)
        assert await poll(alice, claude, 5) == []
        assert await poll(alice, codex, 5) == [task.id]
        assert await alice.tasks.submit(task.id, False, "no", codex) == ACCEPTED
        assert (await last(alice, task.id)).result == TaskFailed("no")
        assert world.asked == []

    story(tell)

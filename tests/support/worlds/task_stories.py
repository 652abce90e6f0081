"""Stories of tasks, told in a few words: machines on a virtual clock, and what their agents do."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from buddies_core.model.ids import TaskId
from buddies_core.model.task import PERSON, Caller, SubmitVerdict, TaskView
from tests.support.memories import DEMO
from tests.support.virtual_time import run_virtually
from tests.support.worlds.task_machines import TaskMachine, TaskWorld

ACCEPTED = SubmitVerdict("accepted", "who asked for it has the result")
CLAUDE, CODEX, GEMINI = UUID(int=1), UUID(int=2), UUID(int=3)


def story(tell: Callable[[TaskWorld], Awaitable[None]]) -> None:
    """Let a story happen in a world of its own, on a virtual clock."""

    async def run() -> None:
        async with TaskWorld() as world:
            await tell(world)

    run_virtually(run())


async def delegate(machine: TaskMachine, caller: Caller = PERSON, **changes: Any) -> TaskView:
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
    machine: TaskMachine, caller: Caller, timeout_s: float = 50, limit: int = 20
) -> list[TaskId]:
    tasks = await machine.tasks.poll(caller, None, timeout_s, limit)
    return [task.id for task in tasks]


async def last(machine: TaskMachine, id: TaskId, timeout_s: float = 50) -> TaskView:
    views = [view async for view in machine.tasks.watch(id, timeout_s)]
    return views[-1]


async def two(world: TaskWorld) -> tuple[TaskMachine, TaskMachine, Caller, Caller]:
    """Return Alice and Bob, Alice's claude and Bob's codex."""
    alice, bob = await world.machine("alice"), await world.machine("bob")
    return alice, bob, alice.attach(CLAUDE, "claude"), bob.attach(CODEX, "codex")


def now_s() -> float:
    return asyncio.get_running_loop().time()

"""The requester's tasks over sleeps of the machine and damage on its disk."""

import asyncio
from dataclasses import dataclass

import pytest

from buddies_core.errors import StoreError
from buddies_core.model.task import TaskState
from buddies_core.store.task_records import TaskRecord, Worker
from buddies_core.tasks.events import LeaseRequested
from buddies_core.tasks.ledger import Ledger
from buddies_core.tasks.lifecycle import new_task
from tests.support.in_memory.store import InMemoryStore
from tests.support.memories import BOB
from tests.support.tasks import an_order, task_id
from tests.support.virtual_time import LoopClock, run_virtually

BOBS = Worker(endpoint=BOB, user="bob", agent="codex")


@dataclass
class SleepyClock:
    """The clock of a machine that sleeps: Linux' monotonic time stands still meanwhile."""

    slept_ms: int = 0

    def now_s(self) -> float:
        return LoopClock().now_s()

    def wall_ms(self) -> int:
        return LoopClock().wall_ms() + self.slept_ms


def test_a_worker_has_a_whole_lease_to_be_heard_again_after_the_machine_has_slept() -> None:
    async def tell() -> list[TaskState]:
        clock = SleepyClock()
        ledger = Ledger(InMemoryStore(), clock, lambda task, effect: None)
        states = []
        async with asyncio.TaskGroup() as group:
            running = group.create_task(ledger.run())
            await ledger.add(new_task(an_order(1), "", clock.now_s()))
            await ledger.apply(task_id(1), LeaseRequested(BOBS))
            await asyncio.sleep(50)
            clock.slept_ms = 3_600_000
            for wait_s in (50, 15):
                await asyncio.sleep(wait_s)
                states.append(ledger.open_tasks()[0].state)
            running.cancel()
        return states

    assert run_virtually(tell()) == [TaskState.WORKING, TaskState.SUBMITTED]


class FullStore(InMemoryStore):
    """A store on a disk without room."""

    async def put_task(self, task: TaskRecord) -> None:
        raise StoreError("no space left on the disk")


async def test_a_task_that_could_not_be_kept_is_none_and_its_key_is_free() -> None:
    ledger = Ledger(FullStore(), LoopClock(), lambda task, effect: None)
    with pytest.raises(StoreError):
        await ledger.add(new_task(an_order(1), "key", 0.0))

    assert (ledger.open_tasks(), ledger.id_for_key("claude", "key")) == ((), None)

"""The tasks that this node requested. Each change is on disk before anyone is told of it.

Open tasks are kept in memory; finished ones are read from disk on request.
"""

import asyncio
import logging
from collections.abc import Callable
from weakref import WeakValueDictionary

from buddies_core.clock import Clock
from buddies_core.errors import Busy, StoreError
from buddies_core.model.ids import TaskId
from buddies_core.store.task_records import TaskRecord
from buddies_core.tasks.events import Effect, Event, Restarted, TellWaiters, TimePassed
from buddies_core.tasks.lifecycle import Step, Task, step
from buddies_core.tasks.ports import StorePort
from buddies_core.tasks.waiting import Signal, Signals

OPEN_TASKS_MAX = 1000
TICK_S = 1.0
GAP_S = 15.0
"""If the loop is this late, the machine was asleep, not busy."""
KEPT_MS = 7 * 24 * 3600 * 1000
FORGET_EVERY_S = 3600.0

_log = logging.getLogger(__name__)


class Ledger:
    """The tasks of this node. One event loop owns this."""

    def __init__(self, store: StorePort, clock: Clock, act: Callable[[Task, Effect], None]) -> None:
        """Keep tasks in `store`, and pass the effects of each step to `act`."""
        self._store = store
        self._clock = clock
        self._act = act
        self._open: dict[TaskId, Task] = {}
        self._keys: dict[tuple[str, str], TaskId] = {}
        self._locks: WeakValueDictionary[TaskId, asyncio.Lock] = WeakValueDictionary()
        self._opened = Signal()
        self.changed = Signals()

    async def load(self) -> None:
        """Load the tasks on disk, and give workers time to be heard again.

        A task's time limits kept running while the daemon was away. Only the wall clock knows for
        how long; if it was set back meanwhile, no time counts as passed.
        """
        now_s, wall_ms = self._clock.now_s(), self._clock.wall_ms()
        for record in await self._store.tasks():
            self._remember_key(record)
            if not record.state.is_terminal:
                away_s = max(0, wall_ms - record.changed_at_ms) / 1000
                task = step(task_of(record, now_s - away_s), Restarted(), now_s).task
                self._open[record.order.id] = task

    def open_tasks(self) -> tuple[Task, ...]:
        """Return the open tasks, in the order they were requested."""
        return tuple(self._open.values())

    def get_open(self, id: TaskId) -> Task | None:
        """Return the task if it is not over."""
        return self._open.get(id)

    def get(self, id: TaskId) -> Task | None:
        """Return the task, whether or not it is over.

        Raises:
            StoreError: its record is damaged.
        """
        if id in self._open:
            return self._open[id]
        record = self._store.get_task(id)
        return None if record is None else task_of(record, self._clock.now_s())

    def id_for_key(self, agent: str, key: str) -> TaskId | None:
        """Return the task that this agent requested under an idempotency key."""
        return self._keys.get((agent, key))

    async def add(self, task: Task) -> None:
        """Keep a new task; on return it is on disk.

        Raises:
            Busy: too many are open.
            StoreError: the disk refused; the task was not created.
        """
        id = task.order.id
        if len(self._open) >= OPEN_TASKS_MAX:
            raise Busy(
                f"{OPEN_TASKS_MAX} tasks of this machine are not finished, which is the most; wait "
                "for some of them (wait_task), or cancel some (list_tasks, cancel_task)"
            )
        name = task.order.requester_agent, task.idempotency_key
        if task.idempotency_key:
            self._keys[name] = id
        async with self._lock(id):
            self._open[id] = task
            try:
                await self._put(task)
            except StoreError:
                del self._open[id]
                self._keys.pop(name, None)
                raise
        self._opened.give()

    async def wait_stored(self, id: TaskId) -> Task | None:
        """Return the task once any change in progress is finished."""
        async with self._lock(id):
            return self.get(id)

    async def apply(self, id: TaskId, event: Event) -> Step | None:
        """Apply an event to a task; return the step once on disk, or None if there is no such task.

        Raises:
            StoreError: the disk refused; nothing has changed.
        """
        async with self._lock(id):
            before = self.get(id)
            if before is None:
                return None
            taken = step(before, event, self._clock.now_s())
            task = taken.task
            if task != before:
                if taken.stored_first:
                    await self._put(task)
                if task.state.is_terminal:
                    self._open.pop(id, None)
                else:
                    self._open[id] = task
            for effect in taken.effects:
                if isinstance(effect, TellWaiters):
                    self.changed.give(id)
                self._act(task, effect)
            return taken

    async def run(self) -> None:
        """Apply the time limits of all tasks until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_time())
            group.create_task(self._forget())

    async def _watch_time(self) -> None:
        loop_s, wall_ms = self._clock.now_s(), self._clock.wall_ms()
        while True:
            opened = self._opened.listen()
            if not self._open:
                await opened.wait()
                loop_s, wall_ms = self._clock.now_s(), self._clock.wall_ms()
            await asyncio.sleep(TICK_S)
            slept_s = self._clock.now_s() - loop_s
            slept_by_wall_s = (self._clock.wall_ms() - wall_ms) / 1000
            loop_s, wall_ms = self._clock.now_s(), self._clock.wall_ms()
            if abs(slept_by_wall_s - slept_s) > GAP_S:
                await self._keep_limits()
            # Linux's monotonic clock stops while the machine sleeps; other systems' clocks don't.
            if max(slept_s, slept_by_wall_s) > TICK_S + GAP_S:
                _log.info("sleep_gap seconds=%.0f", max(slept_s, slept_by_wall_s))
                await self._apply_to_all(Restarted())
            await self._apply_to_all(TimePassed())

    async def _keep_limits(self) -> None:
        """Store the remaining times again after the wall clock was set.

        A record says when it was written, so after a restart the clock's adjustment would count as
        time that has passed.
        """
        for id in tuple(self._open):
            async with self._lock(id):
                try:
                    if (task := self._open.get(id)) is not None:
                        await self._put(task)
                except StoreError as error:
                    _log.warning("task_not_kept task=%s: %s", id, error)

    async def _apply_to_all(self, event: Event) -> None:
        now_s = self._clock.now_s()
        due = [id for id, task in self._open.items() if step(task, event, now_s).task != task]
        for id in due:
            try:
                await self.apply(id, event)
            except StoreError as error:
                _log.warning("task_not_kept task=%s: %s", id, error)

    async def _forget(self) -> None:
        while True:
            oldest_ms = self._clock.wall_ms() - KEPT_MS
            try:
                for record in await self._store.tasks():
                    if record.state.is_terminal and record.changed_at_ms < oldest_ms:
                        self._keys.pop((record.order.requester_agent, record.idempotency_key), None)
                        await self._store.delete_task(record.order.id)
            except StoreError as error:
                _log.warning("tasks_not_forgotten: %s", error)
            await asyncio.sleep(FORGET_EVERY_S)

    def _lock(self, id: TaskId) -> asyncio.Lock:
        return self._locks.setdefault(id, asyncio.Lock())

    def _remember_key(self, record: TaskRecord) -> None:
        if record.idempotency_key:
            self._keys[record.order.requester_agent, record.idempotency_key] = record.order.id

    async def _put(self, task: Task) -> None:
        record = record_of(task, self._clock.now_s(), self._clock.wall_ms())
        await self._store.put_task(record)


def record_of(task: Task, now_s: float, wall_ms: int) -> TaskRecord:
    """Return the task as stored on disk, with durations instead of points in time."""
    return TaskRecord(
        order=task.order,
        idempotency_key=task.idempotency_key,
        state=task.state,
        attempt=task.attempt,
        lost=task.lost,
        worker=task.worker,
        progress=task.progress,
        result=task.result,
        result_sha256=task.result_sha256,
        reason=task.reason,
        late=task.late,
        rejected_by=task.rejected_by,
        rejections=task.rejections,
        start_left_s=None if task.start_by_s is None else task.start_by_s - now_s,
        finish_left_s=None if task.finish_by_s is None else task.finish_by_s - now_s,
        changed_at_ms=wall_ms,
        told_legacy=task.told_legacy,
    )


def task_of(record: TaskRecord, written_s: float) -> Task:
    """Return the stored task; `written_s` is when it was written, on this run's clock.

    Its lease has no end until `Restarted` is applied.
    """
    return Task(
        order=record.order,
        idempotency_key=record.idempotency_key,
        state=record.state,
        attempt=record.attempt,
        lost=record.lost,
        worker=record.worker,
        progress=record.progress,
        result=record.result,
        result_sha256=record.result_sha256,
        reason=record.reason,
        late=record.late,
        rejected_by=record.rejected_by,
        rejections=record.rejections,
        start_by_s=None if record.start_left_s is None else written_s + record.start_left_s,
        finish_by_s=None if record.finish_left_s is None else written_s + record.finish_left_s,
        told_legacy=record.told_legacy,
    )

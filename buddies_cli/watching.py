"""Does the tasks that wait for this machine by running a command for each."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from buddies_cli import terminal
from buddies_cli.execution import Done, Execution, NotDone, NotHere
from buddies_cli.restarts import PAUSE_S, through_restarts
from buddies_core.errors import BuddiesError, DaemonUnavailable, NotAllowed, NotFound
from buddies_core.model import json_view, task_json
from buddies_core.model.task import PROGRESS_BYTES_MAX, REASON_BYTES_MAX, WAIT_S_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from buddies_cli.execution import Outcome
    from buddies_core.client import DaemonClient
    from buddies_core.model.ids import TaskId
    from buddies_core.model.json_view import JsonObject
    from buddies_core.model.task import TaskView

SIGN_OF_LIFE_S = 15.0
"""Seconds between two signs of life of a running command, and between two looks at its task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Which tasks are claimed, and what is done with them."""

    command: str
    environ: Mapping[str, str]
    room: str | None
    timeout_s: float
    """The time limit of one run of the command."""
    jobs: int
    """The number of tasks that run at once."""
    tasks_max: int | None
    """The number of tasks after which to end; None for never."""
    note: Callable[[str], None]
    show_stderr: Callable[[str], None]
    report: Callable[[JsonObject, str], None]
    """Receives each result, as JSON for programs and as text for people."""


async def watch(daemon: DaemonClient, plan: Watch, ending: asyncio.Event) -> None:
    """Claim and do tasks until there were enough, `ending` is set, or for ever.

    Once `ending` is set, commands are asked to end and their tasks go back to others; results that
    are there are still submitted. Cancelling kills the commands that are left.

    Raises:
        DaemonUnavailable: the daemon has gone and did not come back.
        BuddiesError: it refuses to give tasks, or the report can't be written.
    """
    watcher = _Watcher(daemon, plan, ending)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(plan.jobs):
                group.create_task(watcher.work())
    except* BuddiesError as failed:
        failure = next(_leaves(failed.exceptions))
    else:
        return
    raise failure


def _leaves(errors: Iterable[BaseException]) -> Iterator[BaseException]:
    for error in errors:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error.exceptions)
        else:
            yield error


class _Watcher:
    """State that all jobs of a watch share."""

    def __init__(self, daemon: DaemonClient, plan: Watch, ending: asyncio.Event) -> None:
        self._daemon = daemon
        self._plan = plan
        self._ending = ending
        self._numbers = itertools.count(1)
        self._mine: set[TaskId] = set()
        """Claimed, and not answered yet."""
        self._waiting: deque[TaskView] = deque()
        """Claimed, and not begun: those that an earlier watch has left behind come all at once."""
        self._polling = asyncio.Lock()

    async def work(self) -> None:
        """Claim and do one task after the other."""
        enough = self._plan.tasks_max
        while not self._ending.is_set():
            if enough is not None and next(self._numbers) > enough:
                return
            task = await self._claim()
            if task is None:
                return
            try:
                await self._do(task)
            finally:
                self._mine.discard(task.id)

    async def _claim(self) -> TaskView | None:
        """Return a task that is this job's now; None if the watch is to end."""
        async with asyncio.TaskGroup() as group:
            claiming = group.create_task(self._next_task())
            await self._first_of(group, claiming)
        return None if claiming.cancelled() else claiming.result()

    async def _next_task(self) -> TaskView:
        async with self._polling:
            while not self._waiting:
                await self._poll()
            return self._waiting.popleft()

    async def _poll(self) -> None:
        tasks: tuple[TaskView, ...] = ()
        try:
            tasks = await through_restarts(
                lambda: self._daemon.poll_tasks(
                    room=self._plan.room, timeout_s=WAIT_S_MAX, limit=1, new_only=True
                )
            )
        except DaemonUnavailable:
            if not self._mine:
                raise
            # Other jobs have commands running, whose results are worth waiting for.
        new = [task for task in tasks if task.id not in self._mine]
        self._mine.update(task.id for task in new)
        self._waiting.extend(new)
        if tasks and not new:
            # A daemon that was restarted tells an agent of the claims that are still open.
            await asyncio.sleep(PAUSE_S)

    async def _first_of(self, group: asyncio.TaskGroup, *tasks: asyncio.Task[Any]) -> None:
        """Wait until one of these is done, or the watch is to end; cancel the others."""
        every = (*tasks, group.create_task(self._ending.wait()))
        await asyncio.wait(every, return_when=asyncio.FIRST_COMPLETED)
        for task in every:
            task.cancel()

    async def _do(self, task: TaskView) -> None:
        plan, id = self._plan, task.id
        plan.note(terminal.line(f"task {id} from {task.requester_agent} of {task.requester_user}"))
        execution = Execution(
            plan.command,
            task,
            environ=plan.environ,
            timeout_s=plan.timeout_s,
            show=plan.show_stderr,
        )
        async with asyncio.TaskGroup() as group:
            running = group.create_task(execution.run())
            minding = group.create_task(self._mind(task, execution))
            await self._first_of(group, running, minding)
            if self._ending.is_set() and not running.done():
                plan.note(f"task {id}: its command was asked to end; a second signal kills it")
        if not running.cancelled():
            await self._answer(task, running.result())
        elif not minding.cancelled():
            plan.note(f"task {id}: its command was ended: {minding.result()}")
        else:
            plan.note(
                f"task {id}: its command was ended. The task goes to another worker in 30 s, or to "
                "the next watch on this machine if that starts before"
            )

    async def _mind(self, task: TaskView, execution: Execution) -> str:
        """Show signs of life; return why nobody wants the command's result any more."""
        id = str(task.id)

        async def show_life() -> TaskView:
            now = await self._daemon.task_after(id, SIGN_OF_LIFE_S)
            if now.state.is_terminal:
                return now
            words = _cut(execution.last_words, PROGRESS_BYTES_MAX)
            return await self._daemon.task_progress(id, words or "running")

        while True:
            try:
                now = await through_restarts(show_life)
                if now.state.is_terminal:
                    return task_json.ending(now)
            except (NotFound, NotAllowed) as error:
                return str(error)
            except BuddiesError as error:
                self._plan.note(f"task {id}: no sign of life could be sent: {error}")
                await asyncio.sleep(SIGN_OF_LIFE_S)

    async def _answer(self, task: TaskView, outcome: Outcome) -> None:
        try:
            answer, human = await through_restarts(lambda: _give(self._daemon, task, outcome))
        except DaemonUnavailable:
            raise
        except BuddiesError as error:  # somebody else has the task by now, or its requester is odd
            self._plan.note(f"task {task.id}: its result was not accepted: {error}")
        else:
            self._plan.report(answer, human)


async def _give(daemon: DaemonClient, task: TaskView, outcome: Outcome) -> tuple[JsonObject, str]:
    """Hand in what came of a task; return what to report, for programs and for people."""
    id = str(task.id)
    match outcome:
        case Done(output):
            verdict = await daemon.submit_task_result(id, success=True, output=output)
            return task_json.submitted_json(id, verdict), f"task {id}: done, {verdict.verdict}"
        case NotDone(reason):
            verdict = await daemon.submit_task_result(id, success=False, output=reason)
            return task_json.submitted_json(id, verdict), f"task {id}: failed, {verdict.verdict}"
        case NotHere(reason):
            view = await daemon.reject_task(id, _cut(reason, REASON_BYTES_MAX))
            return json_view.json_of(view), f"task {id}: rejected"


def _cut(text: str, bytes_max: int) -> str:
    """Return the beginning of a text, without half a character at its end."""
    return text.encode()[:bytes_max].decode(errors="ignore")

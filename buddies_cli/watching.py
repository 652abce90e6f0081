"""Does the tasks that wait for this machine by running a command for each."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from buddies_cli import terminal
from buddies_cli.execution import Done, Execution, NotDone, NotHere
from buddies_cli.restarts import through_restarts
from buddies_core.errors import BuddiesError, DaemonUnavailable, NotAllowed, NotFound
from buddies_core.model import json_view
from buddies_core.model.task import PROGRESS_BYTES_MAX, REASON_BYTES_MAX, WAIT_S_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from buddies_cli.execution import Outcome
    from buddies_core.client import DaemonClient
    from buddies_core.model.json_view import JsonObject
    from buddies_core.model.task import TaskView

SIGN_OF_LIFE_S = 15.0
"""How often the requester hears of a command that runs, and the command of a task that is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Who claims which tasks, and what is done with them."""

    command: str
    environ: Mapping[str, str]
    room: str | None
    timeout_s: float
    """For one run of the command."""
    jobs: int
    """Tasks that are done at once."""
    tasks_max: int | None
    """After how many to end; None for never."""
    note: Callable[[str], None]
    show_stderr: Callable[[str], None]
    report: Callable[[JsonObject, str], None]
    """Takes what became of a task, for programs and for people."""


async def watch(daemon: DaemonClient, plan: Watch) -> None:
    """Claim and do tasks until there were enough, or for ever.

    Raises:
        DaemonUnavailable: the daemon has gone and did not come back.
        BuddiesError: it refuses to give tasks.
    """
    begun = itertools.count(1)
    failures: list[BuddiesError] = []

    async def work() -> None:
        while plan.tasks_max is None or next(begun) <= plan.tasks_max:
            await _do(daemon, plan, await _claim(daemon, plan))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(plan.jobs):
                group.create_task(work())
    except* BuddiesError as failed:
        failures += (error for error in failed.exceptions if isinstance(error, BuddiesError))
    if failures:
        raise failures[0]


async def _claim(daemon: DaemonClient, plan: Watch) -> TaskView:
    while True:
        tasks = await through_restarts(
            lambda: daemon.poll_tasks(room=plan.room, timeout_s=WAIT_S_MAX, limit=1)
        )
        if tasks:
            return tasks[0]


async def _do(daemon: DaemonClient, plan: Watch, task: TaskView) -> None:
    plan.note(terminal.line(f"task {task.id} from {task.requester_agent} of {task.requester_user}"))
    execution = Execution(
        plan.command,
        task,
        environ=plan.environ,
        timeout_s=plan.timeout_s,
        show=plan.show_stderr,
    )
    async with asyncio.TaskGroup() as group:
        running = group.create_task(execution.run())
        minding = group.create_task(_mind(daemon, plan, task, execution, running))
        running.add_done_callback(lambda _: minding.cancel())
    if running.cancelled():
        return
    try:
        answer, human = await through_restarts(lambda: _give(daemon, task, running.result()))
        plan.report(answer, human)
    except DaemonUnavailable:
        raise
    except BuddiesError as error:  # somebody else has the task by now, or its requester is odd
        plan.note(f"task {task.id}: its result was not taken: {error}")


async def _mind(
    daemon: DaemonClient,
    plan: Watch,
    task: TaskView,
    execution: Execution,
    running: asyncio.Task[Outcome],
) -> None:
    """Show signs of life, and end the command when nobody wants its result any more."""
    id = str(task.id)
    why = ""
    while not why:
        try:
            now = await daemon.task_after(id, SIGN_OF_LIFE_S)
            if now.state.is_terminal:
                why = json_view.ending(now)
            else:
                words = _cut(execution.last_words, PROGRESS_BYTES_MAX)
                await daemon.task_progress(id, words or "running")
        except (NotFound, NotAllowed) as error:
            why = str(error)
        except BuddiesError as error:
            plan.note(f"task {id}: no sign of life was sent: {error}")
            await asyncio.sleep(SIGN_OF_LIFE_S)
    plan.note(f"task {id}: its command is ended: {why}")
    running.cancel()


async def _give(daemon: DaemonClient, task: TaskView, outcome: Outcome) -> tuple[JsonObject, str]:
    """Hand in what came of a task, and return what is to be told of that."""
    id = str(task.id)
    match outcome:
        case Done(output):
            verdict = await daemon.submit_task_result(id, success=True, output=output)
            return json_view.submitted_json(id, verdict), f"task {id}: done, {verdict.verdict}"
        case NotDone(reason):
            verdict = await daemon.submit_task_result(id, success=False, output=reason)
            return json_view.submitted_json(id, verdict), f"task {id}: failed, {verdict.verdict}"
        case NotHere(reason):
            view = await daemon.reject_task(id, _cut(reason, REASON_BYTES_MAX))
            return json_view.task_brief_json(view), f"task {id}: rejected"


def _cut(text: str, bytes_max: int) -> str:
    """Return the beginning of a text, without half a character at its end."""
    return text.encode()[:bytes_max].decode(errors="ignore")

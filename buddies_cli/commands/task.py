"""The commands for tasks: handing work to agents, doing it, waiting for what comes of it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Unpack

import click

from buddies_cli import terminal
from buddies_cli.app import (
    FAILED,
    TIMED_OUT,
    App,
    Group,
    Seconds,
    cursor_option,
    limit_option,
    text_argument,
)
from buddies_cli.commands.task_watch import watch_
from buddies_cli.mistakes import ID, ROOM
from buddies_cli.restarts import through_restarts
from buddies_cli.tables import Column, Entries, Entry, Raw, Styled, Table, When
from buddies_core.model import json_view, task_json
from buddies_core.model.fields import TaskFields
from buddies_core.model.limits import CLAIMS_DEFAULT, CLAIMS_MAX, OFFSET_MAX, TASK_TIMEOUT_S_MIN
from buddies_core.model.task import (
    DESCRIPTION_BYTES_MAX,
    OUTPUT_BYTES_MAX,
    TIMEOUT_S_MAX,
    WAIT_S_MAX,
    TaskState,
    TaskSucceeded,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buddies_cli.tables import Cell
    from buddies_core.client import DaemonClient
    from buddies_core.model.task import TaskView, TextPage

STATES = click.Choice([state.value for state in TaskState])
WAIT = Seconds(0, TIMEOUT_S_MAX)
_COLUMNS = (
    Column("TASK"),
    Column("STATE"),
    Column("ROOM", wraps=True),
    Column("FROM → TO", wraps=True),
    Column("BEGUN", wraps=True),
    Column("TEXT", wraps=True),
)
_STYLES = {
    TaskState.COMPLETED: "green",
    TaskState.FAILED: "red",
    TaskState.WORKING: "yellow",
}


@click.group(cls=Group)
def task() -> None:
    """Delegate work to agents, do tasks, and get results."""


@task.command()
@click.argument("text")
@click.option("--room", type=ROOM, required=True, help="Room whose agents may do it.")
@click.option("--peer", default="", help="Only this user's machine, or this endpoint id.")
@click.option("--agent", default="", help="Only agents of this name.")
@click.option("--capability", default="", help="Only agents with this capability.")
@click.option(
    "--timeout",
    "timeout_s",
    type=Seconds(TASK_TIMEOUT_S_MIN, TIMEOUT_S_MAX),
    show_default="10 min to begin, 1 h to finish",
    help="Seconds after which the task expires.",
)
@click.option(
    "--key",
    "idempotency_key",
    default="",
    help="The same key again means the same task, not another one.",
)
@click.option("--no-retry", is_flag=True, help="Don't start it again if its worker disappears.")
@click.option(
    "--parent", "parent_task_id", default="", help="Id of the task that this is a part of."
)
@click.option("--wait", "wait_s", type=WAIT, show_default="to the end", help="Seconds to wait.")
@click.pass_obj
def delegate(
    app: App,
    text: str,
    room: str,
    timeout_s: float | None,
    no_retry: bool,
    wait_s: float | None,
    **fields: Unpack[TaskFields],
) -> None:
    """Delegate TEXT to an agent in the room, and print its output.

    - reads TEXT from stdin. The task goes on if you end this command: see task wait and task
    cancel.

    Examples:
        buddies-cli task delegate "Run the test suite" --room feature-a,
        buddies-cli task delegate "Review PR 12" --room feature-a --agent codex --wait 600
    """
    description = text_argument(text, DESCRIPTION_BYTES_MAX)

    async def hand_over(daemon: DaemonClient) -> TaskView:
        given = await daemon.delegate_task(
            room,
            description,
            timeout_s=timeout_s,
            retryable=not no_retry,
            **fields,
        )
        app.note(f"task {given.id}")
        last = await _follow(app, daemon, given, wait_s)
        return last if app.as_json else await daemon.with_whole_result(last)

    _show_outcome(app, app.ask(hand_over))


@task.command()
@click.argument("id", type=ID)
@click.option("--wait", "wait_s", type=WAIT, show_default="to the end", help="Seconds to wait.")
@click.option(
    "--offset",
    type=click.IntRange(0, OFFSET_MAX),
    help="Only the page that begins at this character.",
)
@click.option("--description", is_flag=True, help="Print the task's text instead; don't wait.")
@click.pass_obj
def wait(app: App, id: str, wait_s: float | None, offset: int | None, description: bool) -> None:
    """Wait for the task with this ID, and print its output.

    Example: buddies-cli task wait ID
    """

    async def describe(daemon: DaemonClient) -> TaskView:
        task = await daemon.task_after(id, 0, offset=offset or 0, description=True)
        return task if is_page else await daemon.with_whole_description(task)

    async def follow(daemon: DaemonClient) -> TaskView:
        task = await daemon.task_after(id, 0, offset=offset or 0)
        task = await _follow(app, daemon, task, wait_s, offset or 0)
        return task if is_page else await daemon.with_whole_result(task)

    is_page = app.as_json or offset is not None
    if description:
        found = app.ask(describe)
        _note_page(app, found.description, found.description_page)
        app.show(task_json.description_json(found), Raw(terminal.plain(found.description)))
    else:
        _show_outcome(app, app.ask(follow))


def _note_page(app: App, text: str, page: TextPage | None) -> None:
    if page is not None and (end := page.offset + len(text)) < page.total:
        app.note(f"{page.total} characters in all; go on with --offset {end}")


async def _follow(
    app: App, daemon: DaemonClient, task: TaskView, wait_s: float | None, offset: int = 0
) -> TaskView:
    """Return the task when it is over or the wait is; tell meanwhile how it goes."""
    loop = asyncio.get_running_loop()
    end_s = None if wait_s is None else loop.time() + wait_s
    latest = task
    told = ""
    if task.warning:
        app.note(terminal.line(task.warning))

    async def follow_for(left_s: float) -> None:
        nonlocal latest, told
        async for latest in daemon.wait_task(str(task.id), left_s, offset=offset):
            if (how := _how(latest)) != told:
                app.note(terminal.line(how))
                told = how

    while not latest.state.is_terminal:
        left_s = WAIT_S_MAX if end_s is None else min(WAIT_S_MAX, end_s - loop.time())
        if left_s <= 0:
            break
        await through_restarts(partial(follow_for, left_s))
    return latest


def _how(task: TaskView) -> str:
    worker = f"{task.worker_agent} of {task.worker_user}"
    match task.state:
        case TaskState.SUBMITTED:
            return "nobody has started it yet"
        case TaskState.WORKING:
            return f"{worker}: {task.progress or 'begun'}"
        case _:
            return task.state.value


def _show_outcome(app: App, task: TaskView) -> None:
    output = task.result.output if isinstance(task.result, TaskSucceeded) else ""
    app.show(task_json.outcome_json(task), Raw(terminal.plain(output)))
    _note_page(app, task.result_text, task.result_page)
    if not task.state.is_terminal:
        app.note(f"the task goes on; wait again with: buddies-cli task wait {task.id}")
        _exit(TIMED_OUT)
    if task.state is not TaskState.COMPLETED:
        app.note(f"error: {task_json.ending(task)}")
        _exit(FAILED)


@task.command()
@click.option("--room", type=ROOM, help="Only of this room.", show_default="all rooms")
@click.option("--wait", "wait_s", type=WAIT, default=0, help="Seconds to wait for a task.")
@click.option(
    "--limit", type=click.IntRange(1, CLAIMS_MAX), default=CLAIMS_DEFAULT, help="At most so many."
)
@click.pass_obj
def poll(app: App, room: str | None, wait_s: float, limit: int) -> None:
    """Claim a waiting task, and print it.

    The claim ends 10 minutes after the last sign of life: see task progress. The exit code is 4 if
    no task waits.

    Example: buddies-cli task poll --wait 60
    """

    async def claim(daemon: DaemonClient) -> tuple[TaskView, ...]:
        loop = asyncio.get_running_loop()
        end_s = loop.time() + wait_s
        while True:
            left_s = max(0.0, min(end_s - loop.time(), WAIT_S_MAX))
            tasks = await daemon.poll_tasks(room=room, timeout_s=left_s, limit=limit)
            if tasks or loop.time() >= end_s:
                if app.as_json:
                    return tasks
                return tuple([await daemon.with_whole_description(task) for task in tasks])

    tasks = app.ask(claim)
    app.show(task_json.claimed_json(tasks), Raw("\n\n".join(map(_block, tasks))))
    if not tasks:
        app.note("no task waits")
        _exit(TIMED_OUT)


def _block(task: TaskView) -> str:
    origin = f"in {task.room} from {task.requester_agent} of {task.requester_user}"
    if task.left_s is not None:
        origin += f", {terminal.span(task.left_s)} left"
    return "\n".join(
        [
            terminal.bold(str(task.id)),
            terminal.dim(terminal.line(origin)),
            terminal.block(task.description),
        ]
    )


@task.command()
@click.argument("id", type=ID)
@click.argument("output")
@click.option("--failed", is_flag=True, help="The task failed; OUTPUT is the reason.")
@click.pass_obj
def submit(app: App, id: str, output: str, failed: bool) -> None:
    """Answer the task with this ID with OUTPUT.

    - reads OUTPUT from stdin.

    Examples:
        buddies-cli task submit ID "All 412 tests pass",
        buddies-cli task submit ID "It does not build" --failed
    """
    text = text_argument(output, OUTPUT_BYTES_MAX)
    verdict = app.ask(lambda daemon: daemon.submit_task_result(id, success=not failed, output=text))
    said = f"{verdict.verdict}: {verdict.text}" if verdict.text else verdict.verdict
    app.show(task_json.submitted_json(id, verdict), terminal.line(said))
    if verdict.verdict == "late":
        _exit(FAILED)


@task.command()
@click.argument("id", type=ID)
@click.argument("text")
@click.pass_obj
def progress(app: App, id: str, text: str) -> None:
    """Report the progress of the task with this ID.

    This is a sign of life, too: the claim lasts for another 10 minutes.

    Example:
        buddies-cli task progress ID "half of the tests have run"
    """
    told = app.ask(lambda daemon: daemon.task_progress(id, text))
    app.show(json_view.json_of(told), f"Told {terminal.line(told.requester_user)}.")


@task.command()
@click.argument("id", type=ID)
@click.option("--reason", default="", help="The reason, which the worker is told.")
@click.pass_obj
def cancel(app: App, id: str, reason: str) -> None:
    """Cancel the task with this ID, which this machine delegated.

    Example:
        buddies-cli task cancel ID --reason "no longer needed"
    """
    ended = app.ask(lambda daemon: daemon.cancel_task(id, reason))
    app.show(json_view.json_of(ended), f"The task is {ended.state}.")


@task.command()
@click.argument("id", type=ID)
@click.argument("reason")
@click.pass_obj
def reject(app: App, id: str, reason: str) -> None:
    """Refuse the task with this ID for all agents of this machine.

    Example: buddies-cli task reject ID "there is no GPU here"
    """
    rejected = app.ask(lambda daemon: daemon.reject_task(id, reason))
    app.show(json_view.json_of(rejected), "Rejected.")


@task.command(name="list")
@click.option("--room", type=ROOM, help="Only of this room.", show_default="all rooms")
@click.option("--state", type=STATES, help="Only in this state.")
@limit_option
@cursor_option
@click.pass_obj
def list_(app: App, room: str | None, state: str | None, limit: int, cursor: str) -> None:
    """List the tasks that this machine knows, newest first.

    These are the tasks that it delegated, and those that were delegated to it.

    Examples: buddies-cli task list, buddies-cli task list --room feature-a --state working
    """
    found = app.ask(
        lambda daemon: daemon.list_tasks(room=room, state=state, limit=limit, cursor=cursor)
    )
    if not found.tasks:
        app.note("no task")
    app.show(json_view.json_of(found), _table(found.tasks))
    app.note_more(found.next_cursor)


def _table(tasks: Sequence[TaskView]) -> Table:
    rows = [_row(task) for task in tasks]
    entries = [
        Entry(
            title=_beginning(task.description),
            lines=(
                f"{task.state.value} in {task.room}, {_parties(task)},"
                f" {terminal.when(task.created_at_ms)}",
            ),
            id=str(task.id),
        )
        for task in tasks
    ]
    return Table(_COLUMNS, rows, narrow=Entries(entries))


def _row(task: TaskView) -> tuple[Cell, ...]:
    return (
        str(task.id),
        Styled(task.state.value, _STYLES.get(task.state, "")),
        task.room,
        _parties(task),
        When(task.created_at_ms),
        _beginning(task.description),
    )


def _parties(task: TaskView) -> str:
    worker = f"{task.worker_agent} of {task.worker_user}" if task.worker_user else "nobody"
    return f"{task.requester_agent} of {task.requester_user} → {worker}"


def _beginning(text: str, chars: int = 60) -> str:
    return text if len(text) <= chars else f"{text[:chars]}…"


def _exit(code: int) -> None:
    click.get_current_context().exit(code)


task.add_command(watch_)

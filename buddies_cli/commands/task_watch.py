"""The command that does the tasks that come, by running a command for each."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from buddies_cli import terminal
from buddies_cli.app import App, Command, Seconds
from buddies_cli.ending import Ending
from buddies_cli.mistakes import ROOM
from buddies_cli.watching import Watch, watch
from buddies_core.model.task import TIMEOUT_S_MAX
from buddies_core.settings import Settings

if TYPE_CHECKING:
    from buddies_core.client import DaemonClient

JOBS_MAX = 16
TASKS_MAX = 1_000_000


@click.command(name="watch", cls=Command)
@click.option(
    "--exec", "command", required=True, metavar="CMD", help="Command to run with /bin/sh."
)
@click.option("--room", type=ROOM, help="Only of this room.", show_default="all rooms")
@click.option(
    "--agent",
    envvar="BUDDIES_AGENT",
    default="buddies-watch",
    help="Name of the agent that does the tasks.",
)
@click.option(
    "--capability",
    "capabilities",
    multiple=True,
    show_default="BUDDIES_CAPABILITIES",
    help="A capability of this agent; may be given often.",
)
@click.option("--jobs", type=click.IntRange(1, JOBS_MAX), default=1, help="Tasks at once.")
@click.option(
    "--count",
    type=click.IntRange(1, TASKS_MAX),
    show_default="never",
    help="End after this many tasks.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=Seconds(0, TIMEOUT_S_MAX, min_open=True),
    default=3600,
    help="Time limit of one run in seconds.",
)
@click.pass_context
def watch_(
    context: click.Context,
    command: str,
    room: str | None,
    agent: str,
    capabilities: tuple[str, ...],
    jobs: int,
    count: int | None,
    timeout_s: float,
) -> None:
    """Run CMD for each incoming task.

    CMD gets the task's text on stdin and its id in BUDDIES_TASK_ID; BUDDIES_TASK_ROOM, _USER,
    _AGENT and _ATTEMPT say where it is from. If CMD exits with 0, its stdout is the result, up to
    1 MiB. If it exits with 75, the task is left to others. Otherwise the task has failed, and the
    end of stderr is the reason. The requester sees the last line of stderr as progress.

    The task is done when CMD itself ends. Processes that CMD left in the background are ended
    then, and CMD is ended when the task is canceled. A restart of the daemon disturbs nothing.

    Ctrl-C, SIGTERM or SIGHUP ends the watch: CMD gets SIGTERM, SIGKILL 5 seconds later or at the
    second Ctrl-C, and its task goes to another worker after 30 seconds.

    With --json, each result is an object on its own line.

    The text of a task was written by somebody else, so CMD must not trust it.

    Examples:
        buddies-cli task watch --exec ./run-task,
        buddies-cli task watch --exec "claude -p" --room feature-a --jobs 2
    """
    app = context.ensure_object(App)

    async def serve(daemon: DaemonClient) -> None:
        told = os.environ.get("BUDDIES_CAPABILITIES", "").split(",")
        can = capabilities or tuple(filter(None, map(str.strip, told)))
        agent_name = Settings.load(os.environ).agent_name(agent)
        await daemon.attach(agent_name, os.environ.get("BUDDIES_USER", ""), can)
        plan = Watch(
            command=command,
            environ=os.environ,
            room=room,
            timeout_s=timeout_s,
            jobs=jobs,
            tasks_max=count,
            note=app.note,
            show_stderr=lambda text: click.echo(terminal.plain(text), nl=False, err=True),
            report=app.show_line,
        )
        with ending.by_signals():
            await watch(daemon, plan, ending.asked)

    ending = Ending()
    with suppress(asyncio.CancelledError):  # asked to end twice
        app.ask(serve)
    context.exit(ending.exit_code)

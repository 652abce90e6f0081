"""The command that shows what this machine's programs have logged."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from buddies_cli import terminal
from buddies_cli.app import App, Command
from buddies_cli.logfiles import LogFile, merged
from buddies_core.paths import Paths

if TYPE_CHECKING:
    from collections.abc import Iterable

    from buddies_cli.logfiles import Line

LINES_MAX = 100_000
PAUSE_S = 0.2
_COLORS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}


@click.command(cls=Command)
@click.option("-f", "--follow", is_flag=True, help="Also show new lines as they are logged.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0, LINES_MAX),
    default=50,
    help="How many of the last lines to show.",
)
@click.option(
    "--of",
    type=click.Choice(["daemon", "host", "start"]),
    multiple=True,
    show_default="daemon and host",
    help="Whose log; may be given often. The host is the process that serves the agents; start is"
    " what the daemon wrote as it was started.",
)
@click.pass_obj
def logs(app: App, follow: bool, lines: int, of: tuple[str, ...]) -> None:
    """Show the logs of the daemon and of the agents' host.

    This works even if neither is running. To log more, run: buddies-cli config set log debug.
    With --json each line is an object.

    Examples: buddies-cli logs, buddies-cli logs -f, buddies-cli logs -n 500 --of daemon
    """
    paths = Paths.from_environment(os.environ)
    known = {"daemon": paths.log, "host": paths.host_log, "start": paths.start_log}
    files = [LogFile(name, path) for name, path in known.items() if name in (of or known)]
    if not of:
        files = [it for it in files if it.log != "start"]
    with ExitStack() as stack:
        for file in files:
            stack.callback(file.close)
        shown = merged(line for file in files for line in file.last(lines))
        _show(app, shown[-lines:] if lines else [])
        if not shown and lines:
            app.note(f"nothing is logged in {', '.join(str(it.path) for it in files)}")
        while follow:
            time.sleep(PAUSE_S)  # nothing that all systems have tells of a file that grows
            _show(app, merged(line for file in files for line in file.new()))


def _show(app: App, lines: Iterable[Line]) -> None:
    for line in lines:
        answer = {
            "log": line.log,
            "time": line.time or None,
            "level": line.level,
            "text": line.text,
        }
        text = terminal.plain(line.text)
        app.show_line(
            {**answer},
            click.style(text, fg=_COLORS[line.level]) if line.level in _COLORS else text,
        )

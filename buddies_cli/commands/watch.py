"""The command that shows what goes on in rooms while it goes on."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from buddies_cli import terminal
from buddies_cli.app import App, Command
from buddies_cli.commands.status import member_table, room_table, seen_rooms
from buddies_cli.ending import Ending
from buddies_cli.live import Seen, happenings
from buddies_cli.mistakes import ROOM
from buddies_cli.restarts import PAUSE_S
from buddies_cli.tables import Column, Page, Prose, Table, heading
from buddies_core.clock import SystemClock
from buddies_core.errors import DaemonUnavailable, TimedOut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buddies_cli.live import Happening
    from buddies_core.client import DaemonClient

POLL_S = 1.0
"""Seconds between two looks: the daemon is on this machine, and a look is a few short questions."""
NEWEST = 50
"""The number of memories and tasks that one look compares; faster arrivals are not shown."""
KEPT = 200
"""The number of events that fit on the tallest terminal."""
_COLUMNS = (
    Column("WHEN", wraps=True),
    Column("ROOM", wraps=True),
    Column("EVENT"),
    Column("WHAT", wraps=True),
)


@click.command(cls=Command)
@click.argument("room", type=ROOM, required=False)
@click.pass_obj
def watch(app: App, room: str | None) -> None:
    """Show events in ROOM, or in all rooms, until Ctrl-C.

    Events are members that come and go, statuses of agents, memories and tasks. In a pipe, or with
    --json, each event is an object on its own line. The watch survives a restart of the daemon.

    Examples: buddies-cli watch, buddies-cli watch feature-a --json
    """
    is_live = app.screen().width is not None and not app.as_json
    ending = Ending()
    view = _Live(app, room) if is_live else _Lines(app)

    async def serve(daemon: DaemonClient) -> None:
        with ending.by_signals(), view:
            await _follow(daemon, room, view, ending.asked)

    with suppress(asyncio.CancelledError):  # asked to end twice
        app.ask(serve, start=False, doing="")
    click.get_current_context().exit(ending.exit_code)


async def _follow(
    daemon: DaemonClient, room: str | None, view: _Lines | _Live, asked: asyncio.Event
) -> None:
    before: Seen | None = None
    while not asked.is_set():
        try:
            after = await _look(daemon, room)
        except (DaemonUnavailable, TimedOut):
            if before is None:
                raise
            view.away()
        else:
            view.show(after, () if before is None else tuple(happenings(before, after)))
            before = after
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S if before else PAUSE_S):
                await asked.wait()


async def _look(daemon: DaemonClient, room: str | None) -> Seen:
    if room is not None:
        rooms = [await daemon.room_status(room)]
    else:
        rooms = await seen_rooms(daemon, (await daemon.status()).rooms)
    memories = await daemon.list_memories(room=room, limit=NEWEST)
    tasks = await daemon.list_tasks(room=room, state=None, limit=NEWEST, cursor="")
    return Seen(SystemClock().wall_ms(), rooms, memories.results, tasks.tasks)


class _Lines:
    """An object for each event, for programs."""

    def __init__(self, app: App) -> None:
        app.as_json = True
        self._app = app

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def away(self) -> None:
        """Say nothing: the next event says enough."""

    def show(self, _seen: Seen, new: Sequence[Happening]) -> None:
        """Print what is new."""
        for it in new:
            self._app.show_line(it.as_json(), "")


class _Live:
    """A page that is drawn again and again, for people."""

    def __init__(self, app: App, room: str | None) -> None:
        from rich.console import Console
        from rich.live import Live

        self._app = app
        self._room = room
        self._events: deque[Happening] = deque(maxlen=KEPT)
        self._seen: Seen | None = None
        is_styled = app.screen().is_styled
        console = Console(
            file=sys.stdout, force_terminal=True, no_color=not is_styled, highlight=False
        )
        self._live = Live(
            console=console,
            auto_refresh=False,
            screen=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> None:
        self._live.start()

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        if self._events:  # what was seen stays on the screen
            rows = [it.row() for it in self._events]
            click.echo(Table(_COLUMNS, rows).text(self._app.screen()))

    def away(self) -> None:
        """Tell that the daemon is away."""
        self._draw("The daemon does not answer; waiting for it.")

    def show(self, seen: Seen, new: Sequence[Happening]) -> None:
        """Draw the page anew."""
        self._seen = seen
        self._events.extend(new)
        self._draw("Ctrl-C ends it.")

    def _draw(self, note: str) -> None:
        from rich.text import Text

        assert self._seen is not None, "it was shown before"
        screen = self._app.screen()
        rooms = self._seen.rooms
        title = f"{self._room or 'All rooms'}"
        one = next(iter(rooms), None) if self._room else None
        state = member_table(one) if one else room_table(rooms)
        top = Page([heading(title), state, Prose(terminal.dim(note))]).text(screen)
        height = self._live.console.size.height
        room_left = height - top.count("\n") - 3
        events = self._recent(screen, max(room_left, 0))
        lines = f"{top}\n\n{events}".split("\n")[:height]
        self._live.update(Text.from_ansi("\n".join(lines)), refresh=True)

    def _recent(self, screen: terminal.Screen, lines: int) -> str:
        """Return the newest events, the newest first, in so many lines."""
        if not self._events:
            return "Nothing has happened yet."[: screen.width]
        rows = [it.row() for it in reversed(self._events)][:lines]
        return "\n".join(Table(_COLUMNS, rows).text(screen).split("\n")[:lines])

"""The commands for rooms: coming in, going, who is there, what one is doing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from buddies_cli import terminal
from buddies_cli.app import App, Command, Duration, Group, cursor_option, text_argument
from buddies_cli.commands.status import room_table, seen_rooms
from buddies_cli.mistakes import ROOM
from buddies_cli.tables import Page, Prose, Raw
from buddies_core.errors import InvalidInput, NotAllowed
from buddies_core.model import json_view
from buddies_core.model.ids import short
from buddies_core.model.private import INVITE_USES_MAX
from buddies_core.model.room import typed_room

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buddies_cli.tables import Shown
    from buddies_core.client import DaemonClient
    from buddies_core.model.room import (
        JoinReport,
        LeaveReport,
        NamedPeer,
        RoomList,
        RoomStatus,
        RotateReport,
    )

TICKET_BYTES_MAX = 64 << 10


@click.command(cls=Command)
@click.argument("room", type=ROOM)
@click.option(
    "--ticket",
    help="Ticket or invite from a member; - reads it from stdin, so that ps does not show it.",
)
@click.option("--private", is_flag=True, help="Open a private room, which needs an invite.")
@click.option(
    "--history",
    type=click.Choice(["all", "since-join", "none"]),
    help="What to fetch of what was said there before; of a room you are in, from now on."
    " Default: the setting history, which is all.",
)
@click.pass_obj
def join(app: App, room: str, ticket: str | None, history: str | None, *, private: bool) -> None:
    """Join ROOM and, if it is open, print a ticket to pass on.

    Without a ticket, this opens a new room or returns to a room that this machine knows. The
    machine stays in the room until it leaves, even after a restart. Anyone who knows the name of an
    open room may join it; a private room needs an invite: buddies-cli ticket ROOM.

    Examples:
        buddies-cli join feature-a,
        buddies-cli join feature-a --ticket pmrhe33p…,
        buddies-cli join launch --private
    """
    given = None if ticket is None else text_argument(ticket, TICKET_BYTES_MAX).strip()
    if given == "":  # `--ticket "$TICKET"` with nothing in it must not open a room of one's own
        raise InvalidInput(
            "the ticket is empty; ask a member for one (buddies-cli ticket ROOM), or leave out "
            "--ticket to open the room"
        )
    report = app.ask(
        lambda daemon: daemon.join_room(room, given, private=private, history=history or "")
    )
    for attempt in report.tried:
        if not attempt.reached:
            app.note(f"could not reach {short(attempt.endpoint)}: {attempt.outcome}")
    for warning in report.warnings:
        app.note(f"warning: {warning}")
    for it in report.catching_up:
        app.note(terminal.catching_up(it))
    app.show(json_view.json_of(report), _joined(report))


def _joined(report: JoinReport) -> Shown:
    names = ", ".join(terminal.line(member.name) for member in report.members if not member.is_self)
    done = "Already in" if report.already_joined else "Joined"
    kind = "private room " if report.private else ""
    room = terminal.line(report.room)
    joined = f"{done} {kind}{room}; {names or 'nobody else'} is here."
    if report.private:
        return Prose(
            f"{joined}\nTo let somebody else in, make an invite: buddies-cli ticket {room}"
        )
    return Page([Prose(f"{joined}\nTicket for others:"), Raw(report.ticket)], is_spaced=False)


@click.command(cls=Command)
@click.argument("room", type=ROOM)
@click.option(
    "--uses",
    type=click.IntRange(1, INVITE_USES_MAX),
    show_default="1",
    help="How many machines may use an invite.",
)
@click.option(
    "--expires",
    type=Duration(),
    show_default="24h",
    help="How long an invite lasts, such as 30m, 24h or 7d.",
)
@click.pass_obj
def ticket(app: App, room: str, uses: int | None, expires: float | None) -> None:
    """Print a ticket with which others can join ROOM.

    For a private room this makes a new invite, which expires. This machine must be on when it is
    used.

    Examples: buddies-cli ticket feature-a, buddies-cli ticket launch --uses 3 --expires 2h
    """
    report = app.ask(lambda daemon: daemon.room_ticket(room, uses=uses, expires_s=expires))
    for warning in report.warnings:
        app.note(f"warning: {warning}")
    app.show(json_view.json_of(report), Raw(report.ticket))


@click.group(cls=Group)
def room() -> None:
    """Manage a private room."""


@room.command(cls=Command)
@click.argument("room", type=ROOM)
@click.option(
    "--without",
    multiple=True,
    metavar="MEMBER",
    help="Remove this member: a name, or the beginning of an endpoint id. Can be given repeatedly.",
)
@click.option(
    "--along",
    is_flag=True,
    help="Also remove everyone whom these members brought in; they are shown first.",
)
@click.option("--yes", is_flag=True, help="Don't ask before others are removed along with them.")
@click.pass_obj
def rotate(app: App, room: str, without: tuple[str, ...], *, along: bool, yes: bool) -> None:
    """Change the keys of the private ROOM.

    Removed members keep the messages that they have, but cannot read new ones. All invites to the
    room stop working.

    Examples: buddies-cli room rotate launch, buddies-cli room rotate launch --without carol
    """
    if along and not yes:
        shown = app.ask(lambda daemon: daemon.rotate_room(room, without, preview=True))
        if shown.brought:
            along_with = f"these would be removed along with them: {_names(shown.brought)}"
            if app.as_json or not sys.stdin.isatty():
                raise NotAllowed(f"nothing was changed: {along_with}; to do it, add --yes")
            app.note(along_with)
            if not click.confirm("Change the keys without all of them?", default=False, err=True):
                raise NotAllowed("nothing was changed; without --along they stay")
    report = app.ask(lambda daemon: daemon.rotate_room(room, without, along=along))
    app.show(json_view.json_of(report), _rotated(report))


def _rotated(report: RotateReport) -> str:
    lines = [f"The keys of {terminal.line(report.room)} were changed (epoch {report.epoch})."]
    for what, peers in (
        ("Left out", report.removed),
        ("Have them", report.told),
        ("Away; they get the keys from the first member that they meet", report.waiting),
        (
            "Brought in by the removed members, and still here (--along removes them)",
            report.brought,
        ),
    ):
        if peers:
            lines.append(f"{what}: {_names(peers)}.")
    return "\n".join(lines)


def _names(peers: Sequence[NamedPeer]) -> str:
    return ", ".join(f"{terminal.line(it.name)} ({short(it.endpoint)})" for it in peers)


@click.command(cls=Command)
@click.argument("room", type=ROOM)
@click.pass_obj
def leave(app: App, room: str) -> None:
    """Leave ROOM for all agents of this machine.

    The agents that joined it are named first. Everything that was stored in it stays.

    Example: buddies-cli leave feature-a
    """

    async def leave_for_all(daemon: DaemonClient) -> LeaveReport:
        for agent in (await daemon.status()).agents:
            if typed_room(room) in map(typed_room, agent.rooms):
                app.note(f"leaving for {agent.name} (process {agent.pid}) too")
        return await daemon.leave_room(room, for_all=True)

    report = app.ask(leave_for_all)
    app.show(json_view.leave_json(report), f"Left {terminal.line(report.room)}.")


@click.command(cls=Command)
@cursor_option
@click.pass_obj
def rooms(app: App, cursor: str) -> None:
    """List the rooms that this machine is in, and their members.

    Example: buddies-cli rooms
    """

    async def look(daemon: DaemonClient) -> tuple[RoomList, list[RoomStatus]]:
        found = await daemon.room_list(cursor)
        return found, [] if app.as_json else await seen_rooms(daemon, found.rooms)

    found, seen = app.ask(look, start=False)
    if not cursor:
        app.machine.remember_rooms(found.rooms)
    if not found.rooms:
        app.note("This machine is in no room; join one with: buddies-cli join ROOM")
    app.show(json_view.json_of(found), room_table(seen))
    app.note_more(found.next_cursor)


@click.command(cls=Command)
@click.argument("room", type=ROOM)
@click.argument("text")
@click.pass_obj
def notify(app: App, room: str, text: str) -> None:
    """Tell the members of ROOM about your current work.

    Example: buddies-cli notify feature-a "rebasing, please wait"
    """
    report = app.ask(lambda daemon: daemon.notify(room, text))
    told = terminal.count(report.members, "member")
    app.show(json_view.notify_json(report), f"Told {told} of {terminal.line(report.room)}.")

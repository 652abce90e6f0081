"""The command that shows how things are: this machine, its rooms, and who is in a room."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from buddies_cli import terminal
from buddies_cli.app import App, Command, cursor_option
from buddies_cli.mistakes import ROOM
from buddies_cli.tables import Column, Facts, Page, Prose, Styled, Table, When, heading
from buddies_core.errors import BuddiesError
from buddies_core.model import json_view
from buddies_core.model.identity import Verified
from buddies_core.model.ids import short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buddies_cli.tables import Cell, Shown
    from buddies_core.client import DaemonClient
    from buddies_core.model.ids import RoomName
    from buddies_core.model.room import Member, RoomStatus
    from buddies_core.model.views import DaemonStatus

ROOMS_SHOWN = 10
"""Rooms on the page of the machine; `rooms` shows all."""
AT_ONCE = 8
"""Rooms that the daemon is asked about at the same time."""

_NO_KEY = {Verified.SIGNER: "", Verified.PEER: "no key", Verified.UNVERIFIED: "unverified"}
_ROOMS = (
    Column("ROOM", wraps=True),
    Column("KIND"),
    Column("MEMBERS", right=True),
    Column("HISTORY"),
    Column("WHO IS HERE", wraps=True),
)
_AGENTS = (
    Column("AGENT", wraps=True),
    Column("USER", wraps=True),
    Column("PROCESS", right=True),
    Column("ROOMS", wraps=True),
)
_MEMBERS = (
    Column("MEMBER", wraps=True),
    Column("STATE"),
    Column("SEEN", wraps=True),
    Column("PATH"),
    Column("RTT", right=True),
    Column("ENDPOINT", is_spare=True),
    Column("KEY", wraps=True, is_spare=True),
    Column("AGENT", wraps=True),
    Column("DOING", wraps=True),
)


@click.command(cls=Command)
@click.argument("room", type=ROOM, required=False)
@cursor_option
@click.pass_obj
def status(app: App, room: str | None, cursor: str) -> None:
    """Show the members of ROOM, or the state of this machine.

    With --json and without ROOM this prints the same as: buddies-cli daemon status --json.

    Examples: buddies-cli status, buddies-cli status feature-a
    """
    if room is not None:
        seen = app.ask(lambda daemon: daemon.room_status(room, cursor), start=False)
        app.show(json_view.json_of(seen), _room_page(seen))
        app.note_more(seen.next_cursor)
        return

    async def look(daemon: DaemonClient) -> tuple[DaemonStatus, list[RoomStatus]]:
        overview = await daemon.status()
        shown = () if app.as_json else overview.rooms[:ROOMS_SHOWN]
        return overview, await seen_rooms(daemon, shown)

    overview, rooms = app.ask(look, start=False)
    app.machine.remember_rooms(overview.rooms)
    app.show(json_view.json_of(overview), _machine_page(overview, rooms))


async def seen_rooms(daemon: DaemonClient, rooms: Sequence[RoomName]) -> list[RoomStatus]:
    """Return how these rooms are; one that was left meanwhile is not among them."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def look(room: RoomName) -> RoomStatus | None:
        async with turns:
            try:
                return await daemon.room_status(room)
            except BuddiesError:
                return None

    async with asyncio.TaskGroup() as group:
        looking = [group.create_task(look(room)) for room in rooms]
    return [seen for task in looking if (seen := task.result()) is not None]


def room_table(rooms: Sequence[RoomStatus]) -> Table:
    """Return a row for each room."""
    return Table(
        _ROOMS,
        [
            (
                room.room,
                "private" if room.private else "open",
                str(room.members_total or len(room.members)),
                room.history.value,
                ", ".join(member.name for member in room.members if not member.is_self),
            )
            for room in rooms
        ],
    )


def member_table(seen: RoomStatus) -> Table:
    """Return a row for each agent of each member, and for each member that is away."""
    rows = [row for member in seen.members for row in _member_rows(member)]
    rows += [
        (
            it.name,
            Styled("away", "dim"),
            When(it.last_seen_ms),
            "",
            "",
            short(it.endpoint),
            *[""] * 3,
        )
        for it in seen.away
    ]
    return Table(_MEMBERS, rows, grouped=7)


def _machine_page(status: DaemonStatus, rooms: Sequence[RoomStatus]) -> Shown:
    info = status.info
    network = f"{info.network}, relay {info.relay_url}" if info.relay_url else info.network
    facts: list[tuple[str, Cell]] = [
        ("you", info.user),
        ("your key", terminal.signer(info.identity) or f"none (signer {info.signer})"),
        ("endpoint", short(info.endpoint)),
        ("network", f"{network}, {terminal.count(status.peers_connected, 'connection')}"),
        ("0.1.4 peers", "" if info.legacy else "refused (BUDDIES_LEGACY=off)"),
        ("memories", f"{status.memories}; index {status.index}, model {status.model}"),
        ("disk", terminal.disk_use(status.disk)),
        ("data", info.data_dir),
    ]
    agents = [
        (agent.name, agent.user or info.user, str(agent.pid), ", ".join(agent.rooms))
        for agent in status.agents
    ]
    more = len(status.rooms) - ROOMS_SHOWN
    return Page(
        [
            heading(f"buddies {info.version}, up {terminal.span(status.uptime_s)}"),
            Facts(facts),
            room_table(rooms),
            Prose(
                f"and {terminal.count(more, 'more room')}: buddies-cli rooms" if more > 0 else ""
            ),
            Table(_AGENTS, agents),
            Prose("\n".join(map(terminal.catching_up, status.catching_up))),
            _warnings((info.signer_problem, *status.warnings)),
        ]
    )


def _room_page(seen: RoomStatus) -> Shown:
    members = seen.members_total or len(seen.members)
    title = (
        f"{seen.room}: {'private' if seen.private else 'open'} room,"
        f" {terminal.count(members, 'member')}, joined {terminal.when(seen.joined_at_ms)}"
    )
    return Page(
        [
            heading(title),
            member_table(seen),
            Prose("\n".join(map(terminal.catching_up, seen.catching_up))),
            _warnings(seen.warnings),
        ]
    )


def _warnings(warnings: Sequence[str]) -> Prose:
    return Prose("\n".join(f"warning: {terminal.line(it)}" for it in warnings if it))


def _member_rows(member: Member) -> list[tuple[Cell, ...]]:
    name = f"{member.name} (this machine)" if member.is_self else member.name
    state, seen = _presence(member)
    path = member.path.value if member.path else ""
    round_trip = "" if member.round_trip_ms is None else f"{member.round_trip_ms} ms"
    endpoint = short(member.endpoint) or "unknown"
    key = terminal.signer(member.signed_by) if member.signed_by else _NO_KEY[member.verified]
    agents = [
        (f"{agent.name} ({agent.user})" if agent.user else agent.name, agent.status)
        for agent in member.agents
    ]
    return [
        (name, state, seen, path, round_trip, endpoint, key, agent, doing)
        for agent, doing in agents or [("no agent", "")]
    ]


def _presence(member: Member) -> tuple[Cell, Cell]:
    if member.is_self:
        return Styled("here", "green"), ""
    if member.silent_since_ms:
        return Styled("silent", "yellow"), When(member.silent_since_ms)
    return Styled("online", "green"), When(member.heard_at_ms)

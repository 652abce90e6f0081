"""The tools for rooms: coming in, going, who is there, what one is doing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from buddies_core.model import json_view
from buddies_core.model.json_view import JsonObject
from buddies_core.model.private import INVITE_USES_MAX
from buddies_core.model.room import ROOM_NAME_BYTES_MAX, STATUS_BYTES_MAX
from buddies_mcp.tools.paging import CURSOR
from buddies_mcp.tools.tool import Arguments, Tool, at_once, for_caller

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buddies_core.client import DaemonClient
    from buddies_core.model.views import DaemonInfo
    from buddies_mcp.caller import Caller


INVITE_LASTS_S = 24 * 3600.0

ROOM: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": ROOM_NAME_BYTES_MAX,
}


async def _join_room(daemon: DaemonClient, arguments: Arguments, caller: Caller) -> JsonObject:
    report = await daemon.join_room(
        arguments.text("room"),
        arguments.optional_text("ticket"),
        private=arguments.flag("private"),
    )
    warnings = report.warnings + _overruled(daemon.info, caller.environ)
    return json_view.json_of(replace(report, warnings=warnings))


def _overruled(info: DaemonInfo, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return what this agent's environment asks for and its daemon, started by another, is not."""
    return tuple(
        f"{name}={wanted} has no effect: the daemon of this machine runs with {has or 'none'}."
        f" To change it for all agents: buddies-cli config set {setting} {wanted}, then"
        " buddies-cli daemon restart"
        for name, setting, has in (
            ("BUDDIES_NETWORK", "network", info.network),
            ("BUDDIES_RELAY_URL", "relay", info.relay_url),
            ("BUDDIES_SIGNER", "signer", info.signer),
        )
        if (wanted := environ.get(name)) and wanted.rstrip("/") != has.rstrip("/")
    )


async def _create_invite(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    return json_view.json_of(
        await daemon.room_ticket(
            arguments.text("room"), uses=arguments.integer("uses"), expires_s=INVITE_LASTS_S
        )
    )


async def _leave_room(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    return json_view.leave_json(await daemon.leave_room(arguments.text("room"), for_all=False))


async def _list_rooms(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    return json_view.json_of(await daemon.room_list(arguments.text("cursor")))


async def _get_room_status(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    return json_view.json_of(
        await daemon.room_status(arguments.text("room"), arguments.text("cursor"))
    )


async def _notify_peers(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    return json_view.notify_json(
        await daemon.notify(arguments.text("room"), arguments.text("text"))
    )


ROOM_TOOLS: tuple[Tool, ...] = (
    Tool(
        name="join_room",
        title="Join a room",
        description=(
            "Join a room of teammates' agents; do this first. With a teammate's ticket or invite,"
            " their machines are dialled; without one you open the room, or come back to one you"
            " know. The answer has the members and, of an open room, a ticket for teammates. Anyone"
            " who knows an open room's name can come in; a private one takes invites. You stay in"
            " it until leave_room."
        ),
        properties={
            "room": ROOM,
            "ticket": {
                "type": "string",
                "minLength": 1,
                "description": "Ticket or invite from a member",
            },
            "private": {
                "type": "boolean",
                "default": False,
                "description": "Open a private room",
            },
        },
        required=("room",),
        ask=for_caller(_join_room),
        tells_of_peers=True,
        idempotent=True,
    ),
    Tool(
        name="create_invite",
        title="Invite others into a private room",
        description=(
            "Invite others into a private room, for 24 h or until its keys change. Anyone with the"
            " invite can come in and read: make one only if your user asks."
        ),
        properties={
            "room": ROOM,
            "uses": {
                "type": "integer",
                "minimum": 1,
                "maximum": INVITE_USES_MAX,
                "default": 1,
                "description": "Machines that may use it",
            },
        },
        required=("room",),
        ask=at_once(_create_invite),
        reaches_peers=False,
    ),
    Tool(
        name="leave_room",
        title="Leave a room",
        description=(
            "Leave a room. The machine stays in it while another of its agents does. Memories stay."
        ),
        properties={"room": ROOM},
        required=("room",),
        ask=at_once(_leave_room),
        destructive=True,
        idempotent=True,
    ),
    Tool(
        name="list_rooms",
        title="List rooms",
        description="List the rooms that this machine is in.",
        properties={"cursor": CURSOR},
        ask=at_once(_list_rooms),
        answers_with=("rooms",),
        read_only=True,
        reaches_peers=False,
    ),
    Tool(
        name="get_room_status",
        title="Show a room's members",
        description="Show who is in a room, their agents, and their current work.",
        properties={"room": ROOM, "cursor": CURSOR},
        required=("room",),
        ask=at_once(_get_room_status),
        tells_of_peers=True,
        read_only=True,
        reaches_peers=False,
    ),
    Tool(
        name="notify_peers",
        title="Tell the room about your work",
        description=(
            "Tell the room in a sentence what you are doing now; get_room_status shows it. It is"
            " not kept: use store_memory for that."
        ),
        properties={
            "room": ROOM,
            "text": {
                "type": "string",
                "minLength": 1,
                "maxLength": STATUS_BYTES_MAX,
                "description": "Up to 1,024 bytes",
            },
        },
        required=("room", "text"),
        ask=at_once(_notify_peers),
        idempotent=True,
    ),
)

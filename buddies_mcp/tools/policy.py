"""The tools for identity policies: whom this machine hears in a room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from buddies_core.model.json_view import JsonObject, json_of
from buddies_core.model.policy import IDENTITIES_MAX
from buddies_mcp.tools.paging import CURSOR
from buddies_mcp.tools.room import ROOM
from buddies_mcp.tools.tool import Arguments, Tool, at_once

if TYPE_CHECKING:
    from buddies_core.client import DaemonClient

LABEL_CHARS_MAX = 8300
"""`ssh:` and the line of the largest RSA key with a comment."""

_IDENTITY: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": LABEL_CHARS_MAX,
    "description": "ssh: and a public key line, or gpg: and the full fingerprint; a member's"
    " is its signed_by",
}
_CONFIRM: dict[str, Any] = {
    "type": "boolean",
    "default": False,
    "description": "If a refusal asks for it and your user agrees",
}


async def _set_identity_policy(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    report = await daemon.set_policy(
        arguments.text("room"),
        arguments.texts("identities"),
        require_signed=arguments.flag("require_signed"),
        confirm=arguments.flag("confirm"),
    )
    return json_of(report)


async def _add_whitelisted_identity(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    change = daemon.remove_from_policy if arguments.flag("remove") else daemon.add_to_policy
    report = await change(
        arguments.text("room"), arguments.text("identity"), confirm=arguments.flag("confirm")
    )
    return json_of(report)


async def _get_identity_policy(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    return json_of(await daemon.get_policy(arguments.text("room"), arguments.text("cursor")))


POLICY_TOOLS: tuple[Tool, ...] = (
    Tool(
        name="set_identity_policy",
        title="Set a room's policy",
        description=(
            "Decide whose messages this machine accepts in a room: whitelisted identities, anyone"
            " with a signing key (require_signed), or, with neither, everyone. It replaces the"
            " policy; the answer lists who is shut out. Only if your user asks."
        ),
        properties={
            "room": ROOM,
            "identities": {
                "type": "array",
                "items": _IDENTITY,
                "maxItems": IDENTITIES_MAX,
                "description": "The whitelist, with this machine's own identity; empty for anyone",
            },
            "require_signed": {
                "type": "boolean",
                "default": False,
                "description": "Accept only members with a signing key",
            },
            "confirm": _CONFIRM,
        },
        required=("room", "identities"),
        ask=at_once(_set_identity_policy),
        tells_of_peers=True,
        destructive=True,
        idempotent=True,
        reaches_peers=False,
    ),
    Tool(
        name="add_whitelisted_identity",
        title="Whitelist an identity",
        description=(
            "Add an identity to a room's whitelist, or remove it. The first one closes the room to"
            " all others. Only if your user asks."
        ),
        properties={
            "room": ROOM,
            "identity": _IDENTITY,
            "remove": {"type": "boolean", "default": False, "description": "Take it off"},
            "confirm": _CONFIRM,
        },
        required=("room", "identity"),
        ask=at_once(_add_whitelisted_identity),
        tells_of_peers=True,
        destructive=True,
        idempotent=True,
        reaches_peers=False,
    ),
    Tool(
        name="get_identity_policy",
        title="Show a room's policy",
        description="Show whose messages this machine accepts in a room, and its own identity.",
        properties={"room": ROOM, "cursor": CURSOR},
        required=("room",),
        ask=at_once(_get_identity_policy),
        read_only=True,
        reaches_peers=False,
    ),
)

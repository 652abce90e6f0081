"""The tools for identity policies: whom this machine hears in a room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from buddies_core.model.json_view import JsonObject
from buddies_core.model.policy import IDENTITIES_MAX
from buddies_core.model.policy_json import policy_json, policy_report_json
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
    "description": "ssh: and a public key line, or gpg: and the key's full fingerprint; members"
    " are shown with theirs as signed_by",
}
_ROOM = {**ROOM, "description": "Name of a room that you have joined"}
_CONFIRM: dict[str, Any] = {
    "type": "boolean",
    "default": False,
    "description": "Only after a refusal that asks for it, and once your user has agreed",
}


async def _set_identity_policy(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    report = await daemon.set_policy(
        arguments.text("room"),
        arguments.texts("identities"),
        require_signed=arguments.flag("require_signed"),
        confirm=arguments.flag("confirm"),
    )
    return policy_report_json(report)


async def _add_whitelisted_identity(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    report = await daemon.add_to_policy(
        arguments.text("room"), arguments.text("identity"), confirm=arguments.flag("confirm")
    )
    return policy_report_json(report)


async def _remove_whitelisted_identity(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    report = await daemon.remove_from_policy(
        arguments.text("room"), arguments.text("identity"), confirm=arguments.flag("confirm")
    )
    return policy_report_json(report)


async def _get_identity_policy(daemon: DaemonClient, arguments: Arguments) -> JsonObject:
    return policy_json(await daemon.get_policy(arguments.text("room"), arguments.text("cursor")))


POLICY_TOOLS: tuple[Tool, ...] = (
    Tool(
        name="set_identity_policy",
        title="Set who is heard in a room",
        description=(
            "Decide whose messages, searches, tasks and votes this machine takes in a room: only"
            " those of the whitelisted identities, or of anybody with a signing key"
            " (require_signed), or, with neither, everybody's. It replaces the whole policy, is"
            " kept over restarts, and binds this machine alone. Do it only if your user asks for"
            " it. The result lists the members that it shuts out."
        ),
        properties={
            "room": _ROOM,
            "identities": {
                "type": "array",
                "items": _IDENTITY,
                "maxItems": IDENTITIES_MAX,
                "description": "The whitelist; empty for anybody. Put your own machine's on it too",
            },
            "require_signed": {
                "type": "boolean",
                "default": False,
                "description": "Whether a key must vouch for whoever is heard; a whitelist wants it"
                " anyway",
            },
            "confirm": _CONFIRM,
        },
        required=("room", "identities"),
        ask=at_once(_set_identity_policy),
        destructive=True,
        idempotent=True,
        reaches_peers=False,
    ),
    Tool(
        name="add_whitelisted_identity",
        title="Whitelist an identity",
        description=(
            "Put an identity on a room's whitelist. The first one closes the room to all others."
            " Do it only if your user asks for it. The result lists who is shut out and who is"
            " let in."
        ),
        properties={"room": _ROOM, "identity": _IDENTITY, "confirm": _CONFIRM},
        required=("room", "identity"),
        ask=at_once(_add_whitelisted_identity),
        destructive=True,
        idempotent=True,
        reaches_peers=False,
    ),
    Tool(
        name="remove_whitelisted_identity",
        title="Take an identity off the whitelist",
        description=(
            "Take an identity off a room's whitelist; what it signs is not heard any more. Do it"
            " only if your user asks for it."
        ),
        properties={"room": _ROOM, "identity": _IDENTITY, "confirm": _CONFIRM},
        required=("room", "identity"),
        ask=at_once(_remove_whitelisted_identity),
        destructive=True,
        reaches_peers=False,
    ),
    Tool(
        name="get_identity_policy",
        title="Who is heard in a room",
        description=(
            "Show whom this machine hears in a room: the whitelisted identities, whether a"
            " signature is wanted, and this machine's own identity (local_identity). `left_out` is"
            " how many identities are not in this answer; `next_cursor` gives the next ones."
        ),
        properties={"room": _ROOM, "cursor": CURSOR},
        required=("room",),
        ask=at_once(_get_identity_policy),
        read_only=True,
        reaches_peers=False,
    ),
)

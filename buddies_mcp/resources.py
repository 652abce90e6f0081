"""The resources that clients read by address: rooms, memories, skills and the inbox."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote, unquote

import mcp_types as mcp
from mcp.shared.exceptions import MCPError

from buddies_core.errors import BuddiesError, InvalidInput, NotFound
from buddies_core.model import json_view
from buddies_core.model.budget import json_text
from buddies_core.model.json_view import JsonObject
from buddies_core.model.task import TaskState
from buddies_mcp import render
from buddies_mcp.tools.tool import FROM_PEERS
from buddies_mcp.waking import INBOX_URI

if TYPE_CHECKING:  # brings gRPC, which `initialize` must not wait for
    from buddies_core.client import DaemonClient
    from buddies_mcp.link import DaemonLink

MIME_TYPE = "application/json"
ROOMS_URI = "buddies://rooms"
ROOM_URI = "buddies://room/{name}"
MEMORY_URI = "buddies://memory/{id}"
SKILL_URI = "buddies://skill/{hash}"

Read: TypeAlias = "Callable[[DaemonClient, str], Awaitable[JsonObject]]"
"""Asks the daemon for the content of an address; takes the part of it that varies."""


async def _rooms(daemon: DaemonClient, _: str) -> JsonObject:
    return {"rooms": list(await daemon.list_rooms())}


async def _inbox(daemon: DaemonClient, _: str) -> JsonObject:
    return json_view.json_of(await daemon.list_tasks(state=TaskState.SUBMITTED))


async def _room(daemon: DaemonClient, name: str) -> JsonObject:
    return json_view.json_of(await daemon.room_status(name))


async def _memory(daemon: DaemonClient, id: str) -> JsonObject:
    return json_view.json_of(await daemon.get_memory(id))


async def _skill(daemon: DaemonClient, hash: str) -> JsonObject:
    return json_view.json_of(await daemon.get_skill(hash))


ROOMS = mcp.Resource(
    uri=ROOMS_URI,
    name="rooms",
    title="Rooms",
    description="The rooms that this machine is in.",
    mime_type=MIME_TYPE,
)
INBOX = mcp.Resource(
    uri=INBOX_URI,
    name="inbox",
    title="Tasks that wait",
    description="The tasks of this machine's rooms that nobody works on yet, and how many of them"
    f" this agent could claim with poll_pending_tasks. Reading it claims none. {FROM_PEERS}",
    mime_type=MIME_TYPE,
)
TEMPLATES = (
    mcp.ResourceTemplate(
        uri_template=ROOM_URI,
        name="room",
        title="Show a room's members",
        description=f"The members of a room, their agents and their current work. {FROM_PEERS}",
        mime_type=MIME_TYPE,
    ),
    mcp.ResourceTemplate(
        uri_template=MEMORY_URI,
        name="memory",
        title="A memory",
        description="A memory with its author; of a long one the first page, and get_memory reads"
        f" the others. {FROM_PEERS}",
        mime_type=MIME_TYPE,
    ),
    mcp.ResourceTemplate(
        uri_template=SKILL_URI,
        name="skill",
        title="A skill",
        description="A skill with its author and its versions; of a long one the first page, and"
        f" get_skill reads the others. {FROM_PEERS}",
        mime_type=MIME_TYPE,
    ),
)
_FIXED: Mapping[str, Read] = {ROOMS_URI: _rooms, INBOX_URI: _inbox}
_VARYING: Mapping[str, Read] = {
    template.partition("{")[0]: read
    for template, read in ((ROOM_URI, _room), (MEMORY_URI, _memory), (SKILL_URI, _skill))
}


def check_tells(uri: str) -> None:
    """Return if clients can subscribe to this address.

    Raises:
        MCPError: nothing is told of what it stands for.
    """
    if uri != INBOX_URI:
        _reader(uri)
        text = f"changes of {uri!r} are not told, only those of {INBOX_URI}; read it again instead"
        raise MCPError(mcp.INVALID_PARAMS, text, {"uri": uri})


async def listed(link: DaemonLink, cursor: str) -> mcp.ListResourcesResult:
    """Return the resources that have a fixed address, and each room.

    Where the daemon can't be asked, the rooms are missing: the tools tell why.
    """
    resources = [] if cursor else [ROOMS, INBOX]
    try:
        rooms = await link.ask(lambda daemon: daemon.room_list(cursor))
    except InvalidInput as error:
        raise MCPError(mcp.INVALID_PARAMS, str(error)) from error
    except BuddiesError:
        return mcp.ListResourcesResult(resources=resources)
    resources += [
        mcp.Resource(
            uri=ROOM_URI.format(name=quote(room, safe="")),
            name=room,
            title=f"Who is in {room}",
            mime_type=MIME_TYPE,
        )
        for room in rooms.rooms
    ]
    return mcp.ListResourcesResult(resources=resources, next_cursor=rooms.next_cursor)


async def read(link: DaemonLink, uri: str) -> mcp.ReadResourceResult:
    """Return what an address stands for, as its tool answers it.

    Raises:
        MCPError: there is no such address, or the daemon refuses; the text says why.
    """
    reader, part = _reader(uri)
    try:
        answer = await link.ask(lambda daemon: reader(daemon, part))
    except (NotFound, InvalidInput) as error:
        raise MCPError(mcp.INVALID_PARAMS, str(error), {"uri": uri}) from error
    except BuddiesError as error:
        raise MCPError(mcp.INTERNAL_ERROR, str(error)) from error
    text = json_text(render.fitting(answer))
    return mcp.ReadResourceResult(
        contents=[mcp.TextResourceContents(uri=uri, mime_type=MIME_TYPE, text=text)]
    )


def _reader(uri: str) -> tuple[Read, str]:
    if uri in _FIXED:
        return _FIXED[uri], ""
    for beginning, reader in _VARYING.items():
        part = unquote(uri.removeprefix(beginning))
        if uri.startswith(beginning) and part:
            return reader, part
    known = ", ".join((*_FIXED, *(template.uri_template for template in TEMPLATES)))
    raise MCPError(
        mcp.INVALID_PARAMS, f"there is no resource {uri!r}; there are {known}", {"uri": uri}
    )

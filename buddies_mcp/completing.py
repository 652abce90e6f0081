"""Completes the names of rooms, and finds memories and skills by words of their titles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import mcp_types as mcp

from buddies_core.errors import BuddiesError
from buddies_mcp.prompts import ROOM, named
from buddies_mcp.resources import MEMORY_URI, ROOM_URI, SKILL_URI

if TYPE_CHECKING:  # brings gRPC, which `initialize` must not wait for
    from buddies_core.client import DaemonClient
    from buddies_mcp.link import DaemonLink

VALUES_MAX = 100
"""The limit that the protocol sets."""
LOOKED_AT = 100
"""The number of newest memories or skills to look at: completion runs at each key press."""


async def complete(
    link: DaemonLink,
    ref: mcp.PromptReference | mcp.ResourceTemplateReference,
    argument: mcp.CompletionArgument,
) -> mcp.CompleteResult:
    """Return the values that an argument may become; none where nothing is known of it.

    Raises:
        MCPError: there is no such prompt.
    """
    if isinstance(ref, mcp.PromptReference):
        named(ref.name)
        wanted = ROOM_URI if argument.name == ROOM.name else ""
    else:
        wanted = ref.uri
    try:
        values = await link.ask(lambda daemon: _values(daemon, wanted, argument.value.casefold()))
    except BuddiesError:  # a person is typing: the call itself will tell
        values = []
    return mcp.CompleteResult(
        completion=mcp.Completion(
            values=values[:VALUES_MAX], total=len(values), has_more=len(values) > VALUES_MAX
        )
    )


async def _values(daemon: DaemonClient, wanted: str, typed: str) -> list[str]:
    if wanted == ROOM_URI:
        return _fitting(typed, ((room, "") for room in await daemon.list_rooms()))
    if wanted == MEMORY_URI:
        memories = (await daemon.list_memories(limit=LOOKED_AT)).results
        return _fitting(typed, ((str(memory.id), memory.title) for memory in memories))
    if wanted == SKILL_URI:
        skills = (await daemon.list_skills(limit=LOOKED_AT)).results
        return _fitting(typed, ((skill.hash, skill.title) for skill in skills))
    return []


def _fitting(typed: str, known: Iterable[tuple[str, str]]) -> list[str]:
    """Return what begins with the typed text, then what has it anywhere or in its title."""
    fitting = [
        (not value.casefold().startswith(typed), value)
        for value, title in known
        if typed in f"{value} {title}".casefold()
    ]
    return [value for _, value in sorted(fitting, key=lambda pair: pair[0])]

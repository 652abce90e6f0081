"""Agents in one room, and what comes to them by itself."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from tests.support.worlds.machines import Agent

ROOM = "feature-a"
ARRIVES_WITHIN_S = 40.0


async def eventually(
    ask: Callable[[], Awaitable[Any]],
    holds: Callable[[Any], bool],
    timeout_s: float = ARRIVES_WITHIN_S,
) -> Any:
    """Ask until the answer holds; what travels by itself has no other sign.

    Raises:
        TimeoutError: it does not hold within the time; the text has the last answer.
    """
    answer: Any = None
    try:
        async with asyncio.timeout(timeout_s):
            while not holds(answer := await ask()):  # noqa: ASYNC110 - across processes
                await asyncio.sleep(0.02)
    except TimeoutError as error:
        text = f"{answer}"
        raise TimeoutError(f"after {timeout_s:g} s the answer is still {text[:4000]}") from error
    return answer


def names(status: dict[str, Any]) -> set[str]:
    return {peer["name"] for peer in status["peers"]}


async def meet(*agents: Agent) -> None:
    """Bring the agents into one room, by the ticket of the first, until each sees all."""
    first, *others = agents
    ticket = (await first.call("join_room", room=ROOM))["ticket"]
    for other in others:
        await other.call("join_room", room=ROOM, ticket=ticket)
    for agent in agents:
        await eventually(
            partial(agent.call, "get_room_status", room=ROOM),
            lambda status: len(names(status)) == len(agents),
        )


async def all_memories(agent: Agent) -> list[dict[str, Any]]:
    """Return all memories that an agent's machine has, newest first, from all of its answers."""
    memories: list[dict[str, Any]] = []
    cursor = ""
    while cursor is not None:
        listed = await agent.call("list_memories", limit=500, cursor=cursor)
        memories += listed["results"]
        cursor = listed["next_cursor"]
    return memories

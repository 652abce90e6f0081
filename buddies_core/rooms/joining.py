"""Getting into a room by way of peers that may be off, slow, or not in it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from buddies_core.errors import Unreachable
from buddies_core.model.address import PeerAddress
from buddies_core.model.ids import short
from buddies_core.model.room import DialAttempt
from buddies_core.rooms.room import Room

JOIN_DEADLINE_S = 10.0


async def find_neighbor(
    room: Room, peers: Sequence[PeerAddress], deadline_s: float = JOIN_DEADLINE_S
) -> tuple[DialAttempt, ...]:
    """Dial all these peers at once, and return as soon as one has let us in.

    Peers that have not answered by then are not waited for. With no peers it returns at once.

    Raises:
        Unreachable: none of them let us in before the deadline; the text says what each did.
    """
    if not peers:
        return ()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + deadline_s
    async with asyncio.TaskGroup() as group:
        dials = [group.create_task(room.dial(peer)) for peer in peers]
        inside = group.create_task(room.wait_neighbor())
        while not inside.done() and _hope(dials):
            pending = {inside, *(dial for dial in dials if not dial.done())}
            await asyncio.wait(
                pending,
                timeout=max(0.0, deadline - loop.time()),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if loop.time() >= deadline:
                break
        is_in = inside.done()
        tried = tuple(map(_attempt, peers, dials))
        for task in (inside, *dials):
            task.cancel()
    if is_in:
        return tried
    # A peer that was reached and then kept silent has no such topic: 0.1.4 never says so.
    silent = "was reached, but did not let us in: is it in this room?"
    tried = tuple(
        replace(attempt, reached=False, outcome=silent) if attempt.reached else attempt
        for attempt in tried
    )
    raise Unreachable(
        f"could not join room {room.record.name!r} by this ticket: {describe(tried)}. "
        "Check that one of them is running, or ask for a new ticket "
        f"(buddies-cli ticket {room.record.name}, on a machine that is in the room)"
    )


def describe(tried: Sequence[DialAttempt]) -> str:
    """Return what was tried in words, peer by peer."""
    return "; ".join(f"peer {short(attempt.endpoint)} {attempt.outcome}" for attempt in tried)


def _hope(dials: Sequence[asyncio.Task[DialAttempt]]) -> bool:
    return any(not dial.done() or dial.result().reached for dial in dials)


def _attempt(peer: PeerAddress, dial: asyncio.Task[DialAttempt]) -> DialAttempt:
    if dial.done():
        return dial.result()
    return DialAttempt(peer.endpoint, False, "had not answered yet")

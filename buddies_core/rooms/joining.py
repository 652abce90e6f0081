"""Joining a room through peers that may be off, slow, or not in it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from buddies_core.errors import Unreachable
from buddies_core.model.address import PeerAddress
from buddies_core.model.ids import EndpointId, short
from buddies_core.model.private import Invite
from buddies_core.model.room import DialAttempt, Ticket
from buddies_core.rooms.ports import NetworkPort
from buddies_core.rooms.room import Room

JOIN_DEADLINE_S = 10.0
MORE_PEERS_WITHIN_S = 3.0
"""For a node that already has neighbors; a dial over a relay may take two seconds."""

OTHERS_WITHIN_S = 0.5
"""How long the ticket's other peers have once one is reached, so that refusals can be reported. On
a busy machine they have as long again as the first one took."""

REACHABLE_WITHIN_S = 3.0
"""iroh knows its relay 2.75 to 2.95 s after it is bound (measured)."""


async def wait_reachable(room: str, network: NetworkPort, until_s: float) -> tuple[str, ...]:
    """Return once a ticket works from anywhere, or at `until_s` with a warning.

    `until_s` is the event loop's time. If our address is complete already, return at once.
    """
    left_s = max(0.0, until_s - asyncio.get_running_loop().time())
    if await network.wait_reachable(left_s):
        return ()
    return (
        "this machine does not know yet how machines in other networks can reach it (it has not "
        "reached a relay), so this ticket may work in its own network alone; for one that works "
        f"everywhere, ask again in a while: buddies-cli ticket {room}",
    )


async def find_neighbor(
    room: Room, peers: Sequence[PeerAddress], until_s: float
) -> tuple[DialAttempt, ...]:
    """Dial all these peers at once, and return as soon as one has let us in.

    Do not wait for peers that have not answered by then. With no peers, return at once.
    `until_s` is the event loop's time.

    Raises:
        Unreachable: none of them let us in by then; the text says what each did.
    """
    if not peers:
        return ()
    async with asyncio.TaskGroup() as group:
        dials = [group.create_task(room.dial(peer)) for peer in peers]
        inside = group.create_task(room.line.wait_neighbor())
        await _wait(lambda: inside.done() or not _hope(dials), (inside, *dials), until_s)
        is_in = inside.done()
        tried = tuple(map(_attempt, peers, dials))
        for task in (inside, *dials):
            task.cancel()
    if is_in:
        return tried
    # A reached peer that stays silent does not have the topic: 0.1.4 never says so.
    silent = "was reached, but did not let us in: is it in this room?"
    tried = tuple(
        replace(attempt, reached=False, outcome=silent) if attempt.reached else attempt
        for attempt in tried
    )
    raise Unreachable(
        f"could not join room {room.name!r} by this ticket: {describe(tried)}. "
        "Check that one of them is running, or ask for a new ticket "
        f"(buddies-cli ticket {room.name}, on a machine that is in the room)"
    )


async def dial_more(
    room: Room, peers: Sequence[PeerAddress], until_s: float
) -> tuple[DialAttempt, ...]:
    """Dial all these peers at once, for a room that we are in; no peer can make it raise.

    Return soon after one is reached, as that one leads to the others. A node that already has
    neighbors waits for only 3 s: an agent that begins each day with its old ticket need not wait
    for the author of the ticket.
    """
    began_s = asyncio.get_running_loop().time()
    if room.line.has_neighbor:
        until_s = min(until_s, began_s + MORE_PEERS_WITHIN_S)
    async with asyncio.TaskGroup() as group:
        dials = [group.create_task(room.dial(peer)) for peer in peers]
        await _wait(lambda: any(map(_was_reached, dials)), dials, until_s)
        now_s = asyncio.get_running_loop().time()
        until_s = min(until_s, now_s + max(OTHERS_WITHIN_S, now_s - began_s))
        await _wait(lambda: False, dials, until_s)
        tried = tuple(map(_attempt, peers, dials))
        for dial in dials:
            dial.cancel()
    return tried


def others_on(ticket: Ticket | Invite | None, me: EndpointId) -> tuple[PeerAddress, ...]:
    """Return the ticket's peers other than ourselves."""
    peers = ticket.endpoints if ticket else ()
    return tuple(peer for peer in peers if peer.endpoint != me)


def missed(tried: Sequence[DialAttempt]) -> tuple[str, ...]:
    """Return a warning if not all peers were reached."""
    unmet = [attempt for attempt in tried if not attempt.reached]
    return (f"not all of the ticket's peers answered: {describe(unmet)}",) if unmet else ()


def describe(tried: Sequence[DialAttempt]) -> str:
    """Return a description of the dial attempts, peer by peer."""
    return "; ".join(f"peer {short(attempt.endpoint)} {attempt.outcome}" for attempt in tried)


async def _wait(
    is_enough: Callable[[], bool], tasks: Sequence[asyncio.Task[Any]], until_s: float
) -> None:
    """Wait until enough tasks are done, all are done, or time is up."""
    loop = asyncio.get_running_loop()
    pending = set(tasks)
    while pending and not is_enough() and (left_s := until_s - loop.time()) > 0:
        _, pending = await asyncio.wait(
            pending, timeout=left_s, return_when=asyncio.FIRST_COMPLETED
        )


def _hope(dials: Sequence[asyncio.Task[DialAttempt]]) -> bool:
    return any(not dial.done() or dial.result().reached for dial in dials)


def _was_reached(dial: asyncio.Task[DialAttempt]) -> bool:
    return dial.done() and dial.result().reached


def _attempt(peer: PeerAddress, dial: asyncio.Task[DialAttempt]) -> DialAttempt:
    if dial.done():
        return dial.result()
    return DialAttempt(peer.endpoint, False, "had not answered yet")

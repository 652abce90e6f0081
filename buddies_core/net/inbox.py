"""What waits for the gossip node: our own events first, then what peers said.

A message of a peer takes a credit before it is queued, and whoever acts on the message gives the
credit back. A peer without credits is read no further, so a flood waits at its sender: QUIC's flow
control stops it there. Our own events need no credit and never wait behind those of peers.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakValueDictionary

from buddies_core.gossip.events import Event, MessageReceived, PeerDisconnected
from buddies_core.model.ids import EndpointId

CREDITS_PER_PEER = 128
"""Messages of one peer that are queued or being acted on: 0.5 MB at 4 KB each. Out of credits: that
peer is read no further."""
CREDITS = 1024
"""The same for all peers together. They are granted in the order in which they are asked for."""


class Credit:
    """Room for one message of a peer, from when it was read until it has been acted on."""

    def __init__(self, *pools: asyncio.Semaphore) -> None:
        self._pools = pools

    def give_back(self) -> None:
        """Let the next message in. Calling it again changes nothing."""
        pools, self._pools = self._pools, ()
        for pool in pools:
            pool.release()


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An event that waits for the node."""

    event: Event
    credit: Credit
    """Taken for a message of a peer; empty for everything else."""
    handled: Callable[[], object]
    """To be called when the node has handled the event."""


class Inbox:
    """The events that wait for the node. Only `receive` ever waits."""

    def __init__(self) -> None:
        # Bounded by what this node does: a timer, a broadcast or a change of topics each.
        self._ours: deque[Waiting] = deque()
        # Bounded by credits, and one PeerDisconnected for each peer.
        self._received: deque[Waiting] = deque()
        self._arrived = asyncio.Event()
        self._credits = asyncio.Semaphore(CREDITS)
        self._credits_of: WeakValueDictionary[EndpointId, asyncio.Semaphore] = WeakValueDictionary()

    def post(self, event: Event) -> None:
        """Add what happened here: requests, timers, ended connections."""
        # The end of a connection stays behind what was read from it.
        lane = self._received if isinstance(event, PeerDisconnected) else self._ours
        self._add(lane, event)

    async def post_and_wait(self, event: Event) -> None:
        """Add what happened here, and return when the node has handled it."""
        handled = asyncio.Event()
        self._add(self._ours, event, handled=handled.set)
        await handled.wait()

    async def receive(self, event: MessageReceived) -> None:
        """Add what a peer said, once there is a credit for it."""
        of_peer = self._credits_of.get(event.sender)
        if of_peer is None:
            of_peer = self._credits_of[event.sender] = asyncio.Semaphore(CREDITS_PER_PEER)
        await of_peer.acquire()
        try:
            await self._credits.acquire()
        except asyncio.CancelledError:
            of_peer.release()
            raise
        self._add(self._received, event, Credit(of_peer, self._credits))

    async def next(self) -> Waiting:
        """Take the oldest of our own events, or else the oldest of the peers', waiting for one."""
        while not self._ours and not self._received:
            self._arrived.clear()
            await self._arrived.wait()
        return (self._ours or self._received).popleft()

    def _add(
        self,
        lane: deque[Waiting],
        event: Event,
        credit: Credit | None = None,
        handled: Callable[[], object] = lambda: None,
    ) -> None:
        lane.append(Waiting(event=event, credit=credit or Credit(), handled=handled))
        self._arrived.set()

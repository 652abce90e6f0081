"""Ends connections of gossip that are of no use: to peers that are dead, and to those not needed.

A dead or stuck peer is noticed long before QUIC does, which takes 30 s: each is pinged by the
direct protocol unless it has just said something. One that speaks gossip only is left to QUIC.

A walk through the swarm, or a join that led to nothing, leaves connections that no topic uses.
"""

import asyncio
import logging
from random import Random

from buddies_core.errors import BuddiesError, TimedOut
from buddies_core.model.ids import EndpointId, short
from buddies_core.net.connections import Connections
from buddies_core.net.context import NetContext
from buddies_core.net.direct import Direct
from buddies_core.net.driver import Driver
from buddies_core.net.iroh_calls import Failure, IrohFailed
from buddies_core.net.links import CloseReason

MISSES_MAX = 2
"""So many pings in a row must fail; one may be lost to a moment's overload."""
_JITTER = 0.2

_log = logging.getLogger(__name__)


class Liveness:
    """The watch over the connected peers."""

    def __init__(
        self,
        connections: Connections,
        driver: Driver,
        direct: Direct,
        context: NetContext,
        rng: Random,
    ) -> None:
        self._connections = connections
        self._driver = driver
        self._direct = direct
        self._context = context
        self._rng = rng
        self._watched: set[EndpointId] = set()
        self._unneeded_since_s: dict[EndpointId, float] = {}

    async def run(self) -> None:
        """Watch each peer while it is connected, until cancelled."""
        async with asyncio.TaskGroup() as watches:
            while True:
                self._context.links.sample()
                for peer in self._connections.connected():
                    if peer not in self._watched:
                        self._watched.add(peer)
                        watches.create_task(self._watch(peer))
                self._release_unneeded()
                await asyncio.sleep(self._context.timing.poll_interval_s)

    def _release_unneeded(self) -> None:
        """Close the connections to peers that no topic has needed for a while."""
        now_s = self._context.clock.now_s()
        self._unneeded_since_s = {
            peer: self._unneeded_since_s.get(peer, now_s)
            for peer in self._connections.connected()
            if not self._driver.needs(peer)
        }
        for peer, since_s in self._unneeded_since_s.items():
            if now_s - since_s > self._context.timing.unneeded_after_s:
                self._connections.release(peer)

    async def _watch(self, peer: EndpointId) -> None:
        """Ping a peer in intervals until it is no longer connected; disconnect it if it is dead."""
        misses = 0
        try:
            while misses < MISSES_MAX:
                if not misses:
                    await asyncio.sleep(self._interval_s())
                if peer not in self._connections.connected():
                    return
                misses = 0 if await self._is_alive(peer) else misses + 1
            self._context.counters["dead_peers"] += 1
            _log.info("peer_dead peer=%s misses=%d", short(peer), misses)
            self._context.links.close_all(peer, CloseReason.DEAD)
        finally:
            self._watched.discard(peer)

    async def _is_alive(self, peer: EndpointId) -> bool:
        """Return whether the peer has said anything lately, or does so when pinged.

        Only silence is a sign of death. A ping that fails at once, say because the peer has too
        many connections already, proves nothing.
        """
        timing = self._context.timing
        heard_s = self._context.links.heard_s(peer)
        if heard_s is not None and self._context.clock.now_s() - heard_s < timing.ping_interval_s:
            return True
        try:
            await self._direct.ping(peer, timing.ping_timeout_s)
        except TimedOut:
            return False
        except IrohFailed as error:
            return error.failure is not Failure.TIMED_OUT
        except BuddiesError:
            pass  # a refusal is an answer, too; and one without the protocol is left to QUIC
        return True

    def _interval_s(self) -> float:
        """Return the interval, a little different each time, so that pings don't come in waves."""
        return self._context.timing.ping_interval_s * self._rng.uniform(1 - _JITTER, 1 + _JITTER)

"""Keeps a node quiet that wants n0's relays where nothing leads to them.

iroh looks for its relays as long as none is reached: some 3,800 DNS packets a minute where a
firewall drops them, 500 without relays (measured). So they are taken from it after a while, and
given back when the name of one can be looked up again, or this machine has come into another
network.
"""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

from buddies_core.clock import Clock
from buddies_core.net.timing import Timing

LONGEST_PAUSE_S = 300.0
"""Where names can be looked up, and the relays still can't be reached."""
LOOK_UP_WITHIN_S = 5.0


class RelaysPort(Protocol):
    """An endpoint, as far as its relays go; see `net.endpoint.Endpoint`."""

    def relays_connected(self) -> int:
        """Return how many relays this node has a connection to now."""

    def relay_hosts(self) -> Sequence[str]:
        """Return the hosts of n0's relays, if the node uses those; else nothing."""

    async def use_relays(self, *, on: bool) -> None:
        """Have iroh look for the relays, or not."""


class Quiet:
    """Takes the relays from an endpoint while there is no way out."""

    def __init__(
        self,
        endpoint: RelaysPort,
        can_look_up: Callable[[str], Awaitable[bool]],
        timing: Timing,
        clock: Clock,
    ) -> None:
        """`can_look_up` says whether a host has a name in the DNS, within a bounded time."""
        self._endpoint = endpoint
        self._can_look_up = can_look_up
        self._timing = timing
        self._clock = clock
        self._moved = asyncio.Event()

    def on_move(self) -> None:
        """Look for the relays again, as this machine's ways out have changed."""
        self._moved.set()

    async def run(self) -> None:
        """Watch the relays until cancelled; where n0's are not used this returns at once."""
        hosts = self._endpoint.relay_hosts()
        pause_s = self._timing.relay_probe_every_s
        while hosts:
            self._moved.clear()
            if await self._reached():
                pause_s = self._timing.relay_probe_every_s
                continue
            await self._endpoint.use_relays(on=False)
            if not await self._wait_move(pause_s):
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                while not await self._can_look_up(hosts[0]):
                    pause_s = self._timing.relay_probe_every_s
                    if await self._wait_move(pause_s):
                        break
            await self._endpoint.use_relays(on=True)

    async def _reached(self) -> bool:
        """Return True after a moment if a relay is there; False if none was for a while."""
        until_s = self._clock.now_s() + self._timing.relay_patience_s
        while self._clock.now_s() < until_s:
            await asyncio.sleep(self._timing.poll_interval_s)
            if self._endpoint.relays_connected() > 0:
                return True
        return False

    async def _wait_move(self, timeout_s: float) -> bool:
        """Return whether this machine has come into another network, waiting for so long."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._moved.wait()
        except TimeoutError:
            return False
        return True


async def can_look_up(host: str) -> bool:
    """Return whether the system finds an address of a host, within `LOOK_UP_WITHIN_S`.

    The resolver may take longer, and can't be told to give up: its thread is one that the end of
    the program does not wait for.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[bool] = loop.create_future()

    def tell(is_found: bool) -> None:
        if not found.done():
            found.set_result(is_found)

    def look_up() -> None:
        try:
            is_found = bool(socket.getaddrinfo(host, 443))
        except OSError:
            is_found = False
        with suppress(RuntimeError):  # The loop may have ended meanwhile.
            loop.call_soon_threadsafe(tell, is_found)

    threading.Thread(target=look_up, name="look_up", daemon=True).start()
    try:
        async with asyncio.timeout(LOOK_UP_WITHIN_S):
            return await found
    except TimeoutError:
        return False

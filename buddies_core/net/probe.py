"""Tries whether a host can be reached, at the cost of a few packets."""

import asyncio
import socket
import threading
from contextlib import suppress

from buddies_core.clock import Clock

CONNECT_WITHIN_S = 2.0
LOOK_UP_WITHIN_S = 5.0
FOUND_KEPT_S = 60.0
MISSED_KEPT_S = 15.0
"""A name that was not found is left alone for so long: each look-up may send a dozen packets."""
ADDRESSES_TRIED = 2


class Probe:
    """Connects by TCP, and remembers for a while where names have led."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, tuple[list[str], float]] = {}
        """The addresses of each host, and until when they count."""

    def forget(self) -> None:
        """Look all names up again, as this machine is in another network."""
        self._known.clear()

    async def reaches(self, host: str, port: int) -> bool:
        """Return whether the host takes a connection, within a bounded time."""
        for address in (await self._addresses(host))[:ADDRESSES_TRIED]:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_WITHIN_S):
                    _, writer = await asyncio.open_connection(address, port)
                writer.close()
                return True
        return False

    async def _addresses(self, host: str) -> list[str]:
        addresses, until_s = self._known.get(host, ([], 0.0))
        if self._clock.now_s() >= until_s:
            addresses = await look_up(host)
            kept_s = FOUND_KEPT_S if addresses else MISSED_KEPT_S
            self._known[host] = (addresses, self._clock.now_s() + kept_s)
        return addresses


async def look_up(host: str) -> list[str]:
    """Return the addresses that the system finds for a host within `LOOK_UP_WITHIN_S`, if any.

    The resolver may take longer, and can't be told to give up: its thread is one that the end of
    the program does not wait for.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()

    def tell(addresses: list[str]) -> None:
        if not found.done():
            found.set_result(addresses)

    def ask() -> None:
        addresses: list[str] = []
        with suppress(OSError):
            them = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            addresses = [str(it[4][0]) for it in them]
        with suppress(RuntimeError):  # The loop may have ended meanwhile.
            loop.call_soon_threadsafe(tell, addresses)

    threading.Thread(target=ask, name="look_up", daemon=True).start()
    try:
        async with asyncio.timeout(LOOK_UP_WITHIN_S):
            return await found
    except TimeoutError:
        return []

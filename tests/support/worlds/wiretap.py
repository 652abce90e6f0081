"""Everything that goes over loopback, as who sits on the wire sees it."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import pytest

_BUFFER_BYTES = 32 << 20
_PACKET_BYTES_MAX = 1 << 16
_ALL_PROTOCOLS = 3  # ETH_P_ALL of <linux/if_ether.h>


@dataclass(frozen=True, slots=True)
class Wiretap:
    """The packets that were seen; several tests may share the loopback."""

    packets: list[bytes] = field(default_factory=list)

    def saw(self, what: bytes) -> bool:
        """Return whether a packet held these bytes."""
        return any(what in packet for packet in self.packets)


@contextmanager
def a_wiretap() -> Iterator[Wiretap]:
    """Listen in on loopback until the block ends; skip the test where that is not allowed."""
    if not hasattr(socket, "AF_PACKET"):
        pytest.skip("this system has no packet sockets to listen in by")
    try:
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS))
    except PermissionError:
        pytest.skip("listening in takes CAP_NET_RAW; run it as root")
    wiretap, loop = Wiretap(), asyncio.get_running_loop()

    def read() -> None:
        while True:
            try:
                wiretap.packets.append(tap.recv(_PACKET_BYTES_MAX))
            except BlockingIOError:
                return

    with closing(tap):
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        tap.setblocking(False)
        tap.bind(("lo", 0))
        loop.add_reader(tap, read)
        try:
            yield wiretap
        finally:
            loop.remove_reader(tap)

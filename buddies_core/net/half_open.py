"""Which handshakes begin while others are still under way. Pure.

A handshake costs its maker one packet, and this node a connection for as long as it lasts. So only
a few sources may have one under way that have not yet shown that they receive what is sent to them,
and no source may have more than its share.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from ipaddress import IPv6Address, ip_address

HALF_OPEN_MAX = 128
"""Handshakes of all sources under way at once; beyond it newcomers are refused."""
HALF_OPEN_PER_SOURCE_MAX = 32
"""A handshake takes 0.1 s; after a power cut a whole office comes back at once from one address."""
UNPROVEN_MAX = 16
"""With so many under way, a source has to prove its address first: one round trip, for which this
node keeps nothing."""
_IPV6_NETWORK_BITS = 64
"""Whoever has one IPv6 address usually has all that begin alike."""


class Answer(Enum):
    """What becomes of a handshake that a peer begins."""

    ACCEPT = "accept"
    PROVE = "prove the address"
    REFUSE = "refuse"


class HalfOpen:
    """The handshakes that are under way, by source. One event loop owns this."""

    def __init__(self) -> None:
        self._of: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return bool(self._of)

    def answer(self, source: str, *, proven: bool) -> Answer:
        """Return what to do about a further handshake of this source."""
        under_way = self._of.total()
        if under_way >= UNPROVEN_MAX and not proven:
            return Answer.PROVE
        if under_way >= HALF_OPEN_MAX or self._of[source] >= HALF_OPEN_PER_SOURCE_MAX:
            return Answer.REFUSE
        return Answer.ACCEPT

    @contextmanager
    def one_more(self, source: str) -> Iterator[None]:
        """Count a handshake of this source for as long as the block runs."""
        self._of[source] += 1
        try:
            yield
        finally:
            self._of[source] -= 1
            if not self._of[source]:
                del self._of[source]


def source_of(address: str) -> str:
    """Return the source of packets from `1.2.3.4:5` or `[2001:db8::1]:5`: its host or network."""
    ip = ip_address(address.rpartition(":")[0].strip("[]").partition("%")[0])
    if isinstance(ip, IPv6Address) and not ip.ipv4_mapped:
        return str(int(ip) >> (128 - _IPV6_NETWORK_BITS))
    return str(ip)

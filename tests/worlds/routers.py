"""Home routers as a peer sees them: which port a flow leaves by, and what may come in. Pure.

Both styles let in only what answers (address and port, RFC 4787 section 5): nobody can reach a home
that has not called first. They differ in what the outside sees.
"""

from dataclasses import dataclass, field, replace
from enum import Enum, auto
from random import Random

from tests.worlds.packets import UDP, Flow, Place

FORGETS_UDP_AFTER_S = 60.0
"""Shorter than RFC 4787 wants (2 minutes), longer than many routers have (30 s)."""


class Style(Enum):
    """How a router picks the port that a flow leaves by."""

    PRESERVING = auto()
    """The machine's own port, the same for all peers, as Linux's masquerade does."""
    RANDOM = auto()
    """Another one for each peer (symmetric), so that no peer can use what another one sees."""


@dataclass(slots=True)
class _Mapping:
    inside: Place
    peers: set[Place]
    used_at_s: float


@dataclass(slots=True)
class Router:
    """A router with one public address, and the flows that it translates."""

    address: bytes
    style: Style
    random: Random
    _ports: dict[tuple[int, Place, Place | None], int] = field(default_factory=dict)
    _mappings: dict[tuple[int, int], _Mapping] = field(default_factory=dict)

    def leaving(self, flow: Flow, now_s: float) -> Flow:
        """Return the flow as the outside sees it."""
        peer = flow.destination if self.style is Style.RANDOM else None
        key = (flow.protocol, flow.source, peer)
        port = self._ports.get(key)
        if port is None or self._current(flow.protocol, port, now_s) is None:
            port = self._free_port(flow, now_s)
            self._ports[key] = port
            self._mappings[flow.protocol, port] = _Mapping(flow.source, set(), now_s)
        mapping = self._mappings[flow.protocol, port]
        mapping.peers.add(flow.destination)
        mapping.used_at_s = now_s
        return replace(flow, source=Place(self.address, port))

    def entering(self, flow: Flow, now_s: float) -> Flow | None:
        """Return the flow as the machine inside sees it; None if nobody there has asked for it."""
        mapping = self._current(flow.protocol, flow.destination.port, now_s)
        if mapping is None or flow.source not in mapping.peers:
            return None
        mapping.used_at_s = now_s
        return replace(flow, destination=mapping.inside)

    def renumber(self, address: bytes) -> None:
        """Take another public address, as providers give one; all flows are forgotten."""
        self.address = address
        self._ports.clear()
        self._mappings.clear()

    def _current(self, protocol: int, port: int, now_s: float) -> _Mapping | None:
        mapping = self._mappings.get((protocol, port))
        if mapping is None:
            return None
        if protocol == UDP and now_s - mapping.used_at_s > FORGETS_UDP_AFTER_S:
            del self._mappings[protocol, port]
            return None
        return mapping

    def _free_port(self, flow: Flow, now_s: float) -> int:
        port = flow.source.port
        while self.style is Style.RANDOM or self._current(flow.protocol, port, now_s) is not None:
            port = self.random.randrange(1024, 65536)
            if self._current(flow.protocol, port, now_s) is None:
                break
        return port

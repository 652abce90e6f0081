"""All connections of this node, whatever is spoken on them: who is connected, and how lively.

Several connections to one peer are normal: two nodes dial each other at once, or a peer comes back
before its old connection is known to be dead.
"""

from collections import Counter
from collections.abc import Iterable
from enum import Enum

import iroh

from buddies_core.clock import Clock
from buddies_core.model.contact import Contact, Path
from buddies_core.model.ids import EndpointId
from buddies_core.net.iroh_calls import IrohCalls, IrohFailed

LINKS_MAX = 512
"""For a further connection that a peer makes, another one is let go. Each costs 0.2 MB (measured).
"""
LINKS_PER_SOURCE_MAX = LINKS_MAX // 4
"""How many links peers from one host, or by way of one relay, may have: anyone can make keys."""


LOST_MAX = 4096
"""Peers that are remembered after their last connection was lost."""


class CloseReason(Enum):
    """Why this side closes a connection: QUIC application error code and text."""

    DONE = (0, b"done")
    BAD_FRAME = (1, b"bad frame")
    STALLED = (2, b"you don't read")
    DEAD = (3, b"dead")
    SILENT = (4, b"silent, and about to be dialled")
    TOO_MANY = (5, b"too many connections or streams")
    OWN_ID = (6, b"you have my key")


_LOSSES = (CloseReason.STALLED, CloseReason.DEAD, CloseReason.SILENT)
_TIMED_OUT = "timed out"
"""How iroh says that nothing has come for 30 s."""


class Link:
    """One QUIC connection to a peer."""

    def __init__(
        self,
        connection: iroh.Connection,
        calls: IrohCalls,
        clock: Clock,
        source: str | None = None,
    ) -> None:
        self.connection = connection
        self.source = source
        """Where the peer that made it came from; None for one that this node has dialled."""
        self.peer = EndpointId(connection.remote_id().to_bytes())
        self.alpn = connection.alpn()
        self.closed = False
        self.lost = False
        """Whether it is closed because the peer was not heard any more."""
        self.opened_s = clock.now_s()
        self.heard_s = self.opened_s
        """When the peer last said something: not its QUIC stack, which outlives a stuck program."""
        self._abandoned = 0
        self._calls = calls
        self._clock = clock
        self._received_s = self.opened_s
        self._received_datagrams = 0

    def hear(self) -> None:
        """Take note that the peer itself, not only its QUIC stack, is alive."""
        self.heard_s = self._clock.now_s()

    def silent_s(self) -> float:
        """Return how long no packet has come, as exactly as this is asked often."""
        now_s = self._clock.now_s()
        received = self.connection.stats().udp_rx_datagrams
        if received != self._received_datagrams:
            self._received_datagrams = received
            self._received_s = now_s
        return now_s - self._received_s

    async def next_uni_stream(self) -> iroh.RecvStream | None:
        """Return the next stream that the peer opens; None once the connection has ended."""
        try:
            return await self._calls.run(self.connection.accept_uni())
        except IrohFailed:
            self._ended()
            return None

    async def next_bi_stream(self) -> iroh.BiStream | None:
        """Return the next request that the peer begins; None once the connection has ended."""
        try:
            return await self._calls.run(self.connection.accept_bi())
        except IrohFailed:
            self._ended()
            return None

    def abandon(self) -> int:
        """Count a request whose answer nobody waits for; return how many there are now."""
        self._abandoned += 1
        return self._abandoned

    def let_go(self, _result: object = None) -> None:
        """Count one less: the call that kept its stream open has come back."""
        self._abandoned -= 1

    def contact(self) -> Contact:
        """Return how lively the peer is, and the way that packets take to it now."""
        heard_s = self._clock.now_s() - self.silent_s()
        way = next((it for it in self.connection.paths() if it.is_selected), None)
        if way is None:
            return Contact(heard_s=heard_s)
        path = Path.RELAY if way.is_relay else Path.DIRECT
        return Contact(heard_s=heard_s, path=path, round_trip_ms=way.rtt_ms)

    def given_up(self) -> Contact:
        """Return what is to be remembered of a connection that is lost now."""
        now_s = self._clock.now_s()
        return Contact(heard_s=now_s - self.silent_s(), lost_s=now_s)

    def _ended(self) -> None:
        if not self.closed:
            self.closed = True
            self.lost = self.connection.close_reason() == _TIMED_OUT

    def close(self, reason: CloseReason) -> None:
        """Close the connection now; what is not acknowledged is lost, and all that waits ends."""
        if not self.closed:
            self.closed = True
            self.lost = reason in _LOSSES
            code, text = reason.value
            self.connection.close(code, text)


class Links:
    """The connections that are open, by peer."""

    def __init__(self) -> None:
        self._of: dict[EndpointId, list[Link]] = {}
        self._ranks: dict[EndpointId, int] = {}
        self._lost: dict[EndpointId, Contact] = {}
        """Peers whose last connection was lost, until they have a new one."""

    def __len__(self) -> int:
        return sum(map(len, self._of.values()))

    def add(self, link: Link) -> None:
        """Take note of a new connection."""
        self._of.setdefault(link.peer, []).append(link)
        self._lost.pop(link.peer, None)

    def remove(self, link: Link) -> None:
        """Forget a connection that has ended."""
        links = self._of[link.peer]
        links.remove(link)
        if not links:
            del self._of[link.peer]
            self._ranks.pop(link.peer, None)
            if link.lost:
                self._lost[link.peer] = link.given_up()
                if len(self._lost) > LOST_MAX:
                    del self._lost[next(iter(self._lost))]

    def rank(self, peer: EndpointId, rank: int) -> None:
        """Take note how far a connected peer is trusted: the higher, the later it is let go."""
        if peer in self._of:
            self._ranks[peer] = rank

    def in_the_way(self, source: str) -> Link | None:
        """Return the connection to let go if one more comes from there; None if there is room.

        Those that this node has dialled stay. If its own source does not have too many, it is one
        of the source that has most. Of these the least trusted peer's goes, and of several the one
        that said nothing for longest.
        """
        made = [link for link in self._all() if link.source is not None and not link.closed]
        of_source = Counter(link.source for link in made)
        if of_source[source] >= LINKS_PER_SOURCE_MAX:
            crowded: str | None = source
        elif len(made) >= LINKS_MAX:
            crowded = of_source.most_common(1)[0][0]
        else:
            return None
        return min(
            (link for link in made if link.source == crowded),
            key=lambda link: (self._ranks.get(link.peer, 0), link.heard_s),
        )

    def heard_s(self, peer: EndpointId) -> float | None:
        """Return when the peer last said something; None if it is not connected."""
        return max((link.heard_s for link in self._of.get(peer, ())), default=None)

    def connected_since_s(self, peer: EndpointId) -> float | None:
        """Return since when the peer is connected without a break; None if it is not."""
        return min((link.opened_s for link in self._of.get(peer, ())), default=None)

    def contact(self, peer: EndpointId) -> Contact | None:
        """Return what the peer's liveliest connection tells, or what its last one did if lost.

        None if there is neither.
        """
        links = [link for link in self._of.get(peer, ()) if not link.closed]
        return min(links, key=Link.silent_s).contact() if links else self._lost.get(peer)

    def sample(self) -> None:
        """Look at each connection, so that `Link.silent_s` is exact to the interval between two."""
        for link in self._all():
            link.silent_s()

    def close_silent(self, peer: EndpointId, silent_after_s: float) -> None:
        """Close the peer's connections that are probably dead.

        iroh sends a new dial along the path of an open connection to the same peer, and nowhere
        else: one dead connection makes every dial fail (measured, iroh#3602).
        """
        for link in self._of.get(peer, ()):
            if link.silent_s() > silent_after_s:
                link.close(CloseReason.SILENT)

    def are_silent(self, silent_after_s: float) -> bool:
        """Return whether every connection is probably dead, or there is none."""
        return all(link.closed or link.silent_s() > silent_after_s for link in self._all())

    def close_all_silent(self) -> None:
        """Close every connection, as none of them is alive."""
        for link in self._all():
            link.close(CloseReason.SILENT)

    def close_all(self, peer: EndpointId, reason: CloseReason) -> None:
        """Close every connection to the peer."""
        for link in self._of.get(peer, ()):
            link.close(reason)

    def _all(self) -> Iterable[Link]:
        return (link for links in self._of.values() for link in links)

"""Where peers may be reached: what they say themselves, what we have dialled, what others say.

The word of others never replaces that of the peer, and gets into no ticket.
"""

from dataclasses import dataclass, field

from buddies_core.model.address import AddressInfo, PeerAddress, SocketAddress
from buddies_core.model.ids import EndpointId
from buddies_core.model.provenance import Provenance, Source

ADDRESSES_PER_PEER_MAX = 16
"""Every address of a peer is tried at once, at two packets each; machines with many interfaces and
a few moves fit in."""
HEARD_PER_PEER_MAX = 4
"""So many of those come from others: places that the peer's own addresses never take."""
PEERS_MAX = 4096
"""Some 2 MB when full."""
PEERS_PER_NEIGHBOR_MAX = 512
"""Peers that are known by the word of one neighbor alone."""


@dataclass(slots=True)
class _Known:
    """The addresses of one peer by their source, the newest of each first."""

    by_source: dict[Source, AddressInfo] = field(default_factory=dict)

    def add(self, info: AddressInfo, source: Source) -> None:
        old = self.by_source.get(source, AddressInfo())
        usable = (it for it in info.direct if it.port)
        newest_first = dict.fromkeys((*usable, *old.direct))
        most = HEARD_PER_PEER_MAX if source is Source.HEARD else ADDRESSES_PER_PEER_MAX
        self.by_source[source] = AddressInfo(
            relay_url=info.relay_url or old.relay_url, direct=tuple(newest_first)[:most]
        )

    def vouched(self) -> AddressInfo:
        """Return the peer's own addresses, then those that we have dialled."""
        return _joined(self._of(Source.SIGNED), self._of(Source.DIALLED))

    def all(self) -> AddressInfo:
        vouched, heard = self.vouched(), self._of(Source.HEARD)
        own = vouched.direct[: ADDRESSES_PER_PEER_MAX - len(heard.direct)]
        return _joined(AddressInfo(vouched.relay_url, own), heard)

    def _of(self, source: Source) -> AddressInfo:
        return self.by_source.get(source, AddressInfo())


class AddressBook:
    """The addresses of peers. A full book forgets peers that are known by hearsay first."""

    def __init__(self) -> None:
        self._known: dict[EndpointId, _Known] = {}
        self._provenance: Provenance[EndpointId] = Provenance(PEERS_MAX, PEERS_PER_NEIGHBOR_MAX)

    def learn(
        self, address: PeerAddress, source: Source, told_by: EndpointId | None = None
    ) -> None:
        """Add addresses of a peer to those known from this source; a new relay replaces the old.

        `told_by` is the neighbor that brought them, if one did.
        """
        peer = address.endpoint
        known = self._known.setdefault(peer, _Known())
        known.add(address.info, source)
        for gone in self._provenance.admit(peer, source, told_by):
            del self._known[gone]

    def known(self, endpoint: EndpointId) -> AddressInfo:
        """Return all that is known of a peer, the most trusted first."""
        known = self._known.get(endpoint)
        return known.all() if known else AddressInfo()

    def vouched(self, endpoint: EndpointId) -> AddressInfo:
        """Return what the peer itself says and what we have dialled: fit for a ticket."""
        known = self._known.get(endpoint)
        return known.vouched() if known else AddressInfo()


def _joined(first: AddressInfo, second: AddressInfo) -> AddressInfo:
    together: dict[SocketAddress, None] = dict.fromkeys((*first.direct, *second.direct))
    return AddressInfo(
        relay_url=first.relay_url or second.relay_url,
        direct=tuple(together)[:ADDRESSES_PER_PEER_MAX],
    )

"""Where peers may be reached, from all that ever said so: tickets, presences, the gossip layer."""

from buddies_core.model.address import AddressInfo, PeerAddress, SocketAddress
from buddies_core.model.ids import EndpointId

# Every address of a peer is tried at once, at two packets each; machines with many interfaces and
# a few moves fit in.
ADDRESSES_PER_PEER_MAX = 16
# Some 2 MB when full; a peer can name any number of others.
PEERS_MAX = 4096


class AddressBook:
    """The addresses of peers, the newest first. A full book forgets whom it has not heard of."""

    def __init__(self) -> None:
        self._known: dict[EndpointId, AddressInfo] = {}

    def learn(self, address: PeerAddress) -> None:
        """Add addresses of a peer to those that are known; a new relay replaces the old one."""
        old = self._known.pop(address.endpoint, AddressInfo())
        usable = (it for it in address.info.direct if it.port)
        newest_first: dict[SocketAddress, None] = dict.fromkeys((*usable, *old.direct))
        self._known[address.endpoint] = AddressInfo(
            relay_url=address.info.relay_url or old.relay_url,
            direct=tuple(newest_first)[:ADDRESSES_PER_PEER_MAX],
        )
        if len(self._known) > PEERS_MAX:
            del self._known[next(iter(self._known))]

    def known(self, endpoint: EndpointId) -> AddressInfo:
        """Return all that is known of a peer; nothing, if it was never heard of."""
        return self._known.get(endpoint, AddressInfo())

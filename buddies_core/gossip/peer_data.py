"""The bytes that peers tell of each other, such as their addresses. Gossip does not read them."""

from buddies_core.gossip.commands import Command, RememberPeerData
from buddies_core.gossip.config import GossipConfig
from buddies_core.gossip.messages import PeerInfo
from buddies_core.model.ids import EndpointId


class PeerData:
    """What is known of the peers of one topic. What is new is appended to `commands`."""

    def __init__(self, config: GossipConfig, commands: list[Command]) -> None:
        self._config = config
        self._commands = commands
        self._known: dict[EndpointId, bytes] = {}
        # Those of whom we have it first-hand.
        self._told_themselves: set[EndpointId] = set()

    def info(self, peer: EndpointId) -> PeerInfo:
        """Return a peer as it is named to others, with what is known of it."""
        return PeerInfo(peer, self._known.get(peer))

    def remember(self, peer: EndpointId, data: bytes | None, told_by: EndpointId) -> None:
        """Keep what is said of a peer, unless the peer itself has told it otherwise."""
        known = self._known
        if data is None:
            return
        if data and known.get(peer) != data:
            self._commands.append(RememberPeerData(peer, data, told_by))
        if told_by == peer:
            self._told_themselves.add(peer)
        elif peer in self._told_themselves and self._config.keep_first_hand_data:
            return
        if peer not in known and len(known) >= self._config.peer_data_kept_max:
            self.forget(next(iter(known)))
        known[peer] = data

    def forget(self, peer: EndpointId) -> None:
        """Know nothing of a peer any more; again is fine."""
        self._known.pop(peer, None)
        self._told_themselves.discard(peer)

"""All topics of a node: what the driver feeds. One event in, commands out, in order.

The driver carries out each command before it hands in the next event. Nothing here waits, reads a
clock or raises on account of a peer.
"""

import random

from buddies_core.gossip.commands import Command, DisconnectPeer
from buddies_core.gossip.config import GossipConfig
from buddies_core.gossip.events import (
    BroadcastRequested,
    Event,
    JoinRequested,
    MessageReceived,
    OwnDataChanged,
    PeerDisconnected,
    QuitRequested,
    TimerExpired,
)
from buddies_core.gossip.topic import Topic
from buddies_core.model.ids import EndpointId, TopicId


class Node:
    """The gossip protocol of one endpoint."""

    def __init__(
        self, me: EndpointId, data: bytes, config: GossipConfig, rng: random.Random
    ) -> None:
        self._me = me
        self._data = data
        self._config = config
        self._rng = rng
        self._topics: dict[TopicId, Topic] = {}
        # From whom a message came, in which topics: only what Rust's rule for disconnecting needs.
        self._heard_in: dict[EndpointId, set[TopicId]] = {}

    @property
    def topics(self) -> tuple[TopicId, ...]:
        """The topics that are joined, oldest first."""
        return tuple(self._topics)

    def neighbors(self, topic: TopicId) -> tuple[EndpointId, ...]:
        """Return the active view of a topic; nobody, if it is not joined."""
        joined = self._topics.get(topic)
        return tuple(joined.hyparview.active) if joined else ()

    def needs(self, peer: EndpointId) -> bool:
        """Whether any topic uses a connection to the peer, or waits for one."""
        return any(topic.hyparview.needs(peer) for topic in self._topics.values())

    def handle(self, event: Event, now_s: float) -> list[Command]:
        """Apply one event and return what to do about it, in order; `now_s` is monotonic.

        What concerns a topic that is not joined is ignored, as late timers and messages are normal.
        """
        match event:
            case MessageReceived(id, sender, message):
                topic = self._topics.get(id)
                if topic is None:
                    return []
                if not self._config.disconnect_only_unused_peers:
                    self._heard_in.setdefault(sender, set()).add(id)
                return self._allowed(id, topic.receive(sender, message, now_s))
            case TimerExpired(id, timer):
                topic = self._topics.get(id)
                return self._allowed(id, topic.expire(timer, now_s)) if topic else []
            case BroadcastRequested(id, content, neighbors_only):
                topic = self._topics.get(id)
                if topic is None:
                    return []
                return topic.broadcast(content, now_s, neighbors_only=neighbors_only)
            case PeerDisconnected(peer):
                return [
                    command
                    for id, topic in self._topics.items()
                    for command in self._allowed(id, topic.peer_disconnected(peer, now_s))
                ]
            case JoinRequested(id, contacts):
                return self._topic(id).join(contacts, now_s)
            case QuitRequested(id):
                topic = self._topics.pop(id, None)
                return self._allowed(id, topic.quit(now_s)) if topic else []
            case OwnDataChanged(data):
                self._data = data
                return [
                    command
                    for topic in self._topics.values()
                    for command in topic.change_data(data, now_s)
                ]

    def _topic(self, id: TopicId) -> Topic:
        """Return the topic, which is joined from now on."""
        topic = self._topics.get(id)
        if topic is None:
            # A generator of its own, so that what happens in one topic leaves the others' choices.
            rng = random.Random(self._rng.getrandbits(64))
            topic = self._topics[id] = Topic(id, self._me, self._data, self._config, rng)
        return topic

    def _allowed(self, topic: TopicId, commands: list[Command]) -> list[Command]:
        """Leave out each DisconnectPeer of a topic that would hurt another one."""
        return [
            command
            for command in commands
            if not isinstance(command, DisconnectPeer) or self._may_disconnect(topic, command.peer)
        ]

    def _may_disconnect(self, topic: TopicId, peer: EndpointId) -> bool:
        if self._config.disconnect_only_unused_peers:
            return not self.needs(peer)
        # In Rust the first topic to let go decides for all, whichever of them still need the peer.
        heard_in = self._heard_in.get(peer)
        if heard_in is None or (heard_in and topic not in heard_in):
            return False
        del self._heard_in[peer]
        return True

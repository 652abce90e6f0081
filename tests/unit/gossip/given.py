"""Peers, and a topic with the neighbors and addresses that a test starts from."""

import random
from collections.abc import Iterable

from buddies_core.gossip.commands import Command, ScheduleTimer
from buddies_core.gossip.config import EXACT, GossipConfig
from buddies_core.gossip.messages import ForwardJoin, Neighbor, PeerInfo, Priority, Shuffle
from buddies_core.gossip.topic import Topic
from buddies_core.model.ids import EndpointId, TopicId

ME, A, B, C, D, E, F, G, H, STRANGER = (EndpointId(bytes([n]) * 32) for n in range(1, 11))
TOPIC = TopicId(b"t" * 32)
MY_DATA = b"me"


def topic(
    *,
    active: Iterable[EndpointId] = (),
    passive: Iterable[EndpointId] = (),
    config: GossipConfig = EXACT,
    seed: int = 0,
) -> Topic:
    """Return a topic at time 0 with these views, nothing pending, and its shuffle timer running."""
    it = Topic(TOPIC, ME, MY_DATA, config, random.Random(seed))
    for peer in active:
        # We asked, it answers: the one order of things that leaves nobody pending.
        it.receive(STRANGER, ForwardJoin(PeerInfo(peer, None), 0), 0.0)
        it.receive(peer, Neighbor(Priority.HIGH, None), 0.0)
    it.receive(STRANGER, Shuffle(ME, tuple(PeerInfo(peer, None) for peer in passive), 0), 0.0)
    return it


def active(it: Topic) -> set[EndpointId]:
    """Return the active view."""
    return set(it.hyparview.active)


def passive(it: Topic) -> set[EndpointId]:
    """Return the passive view."""
    return set(it.hyparview.passive)


def without_timers(commands: Iterable[Command]) -> list[Command]:
    """Return the commands that are seen at once."""
    return [command for command in commands if not isinstance(command, ScheduleTimer)]

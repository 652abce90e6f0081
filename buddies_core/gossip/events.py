"""What happens to a node: past tense, because it can't be refused."""

from dataclasses import dataclass
from typing import TypeAlias

from buddies_core.gossip.messages import Message
from buddies_core.model.ids import EndpointId, MessageId, TopicId


@dataclass(frozen=True, slots=True)
class ShuffleTimer:
    """Time to exchange samples of the views."""


@dataclass(frozen=True, slots=True)
class NeighborRequestTimer:
    """A peer that was asked to become a neighbor had its time to answer."""

    peer: EndpointId


@dataclass(frozen=True, slots=True)
class GraftTimer:
    """A message that was announced had its time to arrive."""

    id: MessageId


@dataclass(frozen=True, slots=True)
class DispatchTimer:
    """Time to send the announcements that have gathered."""


@dataclass(frozen=True, slots=True)
class EvictTimer:
    """Time to forget contents and ids that are past their retention."""


HyParViewTimer: TypeAlias = ShuffleTimer | NeighborRequestTimer
PlumTreeTimer: TypeAlias = GraftTimer | DispatchTimer | EvictTimer
Timer: TypeAlias = HyParViewTimer | PlumTreeTimer


@dataclass(frozen=True, slots=True)
class JoinRequested:
    """The application wants to be in the topic, by way of these peers; again is fine."""

    topic: TopicId
    peers: tuple[EndpointId, ...]


@dataclass(frozen=True, slots=True)
class QuitRequested:
    """The application leaves the topic."""

    topic: TopicId


@dataclass(frozen=True, slots=True)
class BroadcastRequested:
    """The application has something to say."""

    topic: TopicId
    content: bytes
    neighbors_only: bool = False


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A peer said something in a topic."""

    topic: TopicId
    sender: EndpointId
    message: Message


@dataclass(frozen=True, slots=True)
class TimerExpired:
    """A timer that the topic scheduled ran out."""

    topic: TopicId
    timer: Timer


@dataclass(frozen=True, slots=True)
class PeerDisconnected:
    """The connection to a peer closed, or could not be made."""

    peer: EndpointId


@dataclass(frozen=True, slots=True)
class OwnDataChanged:
    """Our own addresses changed; told with the next message that carries them."""

    data: bytes


Event: TypeAlias = (
    JoinRequested
    | QuitRequested
    | BroadcastRequested
    | MessageReceived
    | TimerExpired
    | PeerDisconnected
    | OwnDataChanged
)

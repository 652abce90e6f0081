"""What a node wants done, in the order in which it wants it done."""

from dataclasses import dataclass
from typing import TypeAlias

from buddies_core.gossip.events import Timer
from buddies_core.gossip.messages import DeliveryScope, Message
from buddies_core.model.ids import EndpointId, TopicId


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Send it, dialling the peer if need be. After a Disconnect the topic's stream ends."""

    topic: TopicId
    peer: EndpointId
    message: Message


@dataclass(frozen=True, slots=True)
class ScheduleTimer:
    """Hand `TimerExpired(topic, timer)` back after the delay. Timers are never cancelled."""

    topic: TopicId
    delay_s: float
    timer: Timer


@dataclass(frozen=True, slots=True)
class DisconnectPeer:
    """No topic needs the connection to this peer any more."""

    peer: EndpointId


@dataclass(frozen=True, slots=True)
class RememberPeerData:
    """What is said of a peer is new or has changed; never empty."""

    peer: EndpointId
    data: bytes
    told_by: EndpointId
    """The peer itself, or a neighbor that has heard of it."""


@dataclass(frozen=True, slots=True)
class DeliverContent:
    """Give a broadcast to the application. `delivered_from` is the last hop, not the author."""

    topic: TopicId
    content: bytes
    delivered_from: EndpointId
    scope: DeliveryScope


@dataclass(frozen=True, slots=True)
class ReportNeighborUp:
    """A peer is in the topic's active view now."""

    topic: TopicId
    peer: EndpointId


@dataclass(frozen=True, slots=True)
class ReportNeighborDown:
    """A peer has left the topic's active view."""

    topic: TopicId
    peer: EndpointId


Command: TypeAlias = (
    SendMessage
    | ScheduleTimer
    | DisconnectPeer
    | RememberPeerData
    | DeliverContent
    | ReportNeighborUp
    | ReportNeighborDown
)

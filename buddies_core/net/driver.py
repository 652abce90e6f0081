"""Runs the gossip node: events in, commands out, deliveries for the application."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Protocol, TypeAlias

from buddies_core.errors import InvalidInput, WireError
from buddies_core.gossip.commands import (
    Command,
    DeliverContent,
    DisconnectPeer,
    RememberPeerData,
    ReportNeighborDown,
    ReportNeighborUp,
    ScheduleTimer,
    SendMessage,
)
from buddies_core.gossip.config import GossipConfig
from buddies_core.gossip.events import QuitRequested, TimerExpired
from buddies_core.gossip.messages import DeliveryScope, Disconnect, Message
from buddies_core.gossip.node import Node
from buddies_core.model.address import PeerAddress
from buddies_core.model.ids import EndpointId, TopicId
from buddies_core.model.provenance import Source
from buddies_core.net.context import NetContext
from buddies_core.net.inbox import Credit, Inbox
from buddies_core.net.timers import Timers
from buddies_core.wire.address_info import decode_address_info
from buddies_core.wire.frames import frame
from buddies_core.wire.gossip_messages import encode_message

# About a millisecond's worth.
_EVENTS_IN_A_ROW = 32


def _nothing() -> None:
    """Be called for a message that holds no credit."""


@dataclass(frozen=True, slots=True)
class ContentDelivered:
    """A broadcast came in; `delivered_from` is the last hop, not the author."""

    topic: TopicId
    content: bytes
    delivered_from: EndpointId
    scope: DeliveryScope
    done: Callable[[], None] = field(default=_nothing, compare=False, repr=False)
    """To be called once the message has been acted on: so many of one peer can be in work."""


@dataclass(frozen=True, slots=True)
class NeighborCameUp:
    """A peer is a direct neighbor in the topic now."""

    topic: TopicId
    peer: EndpointId


@dataclass(frozen=True, slots=True)
class NeighborWentDown:
    """A peer is no longer a direct neighbor in the topic."""

    topic: TopicId
    peer: EndpointId


Delivery: TypeAlias = ContentDelivered | NeighborCameUp | NeighborWentDown


class Outgoing(Protocol):
    """What the driver needs of the connections; neither call waits."""

    def send(self, peer: EndpointId, topic: TopicId, frame: bytes, *, ends_stream: bool) -> None:
        """Have a frame sent, and the topic's stream ended after it if so asked."""

    def release(self, peer: EndpointId) -> None:
        """Have the connections to a peer closed when all frames have arrived."""


class Driver:
    """The owner of the gossip node. Only `run` hands it events, one at a time."""

    def __init__(
        self,
        me: EndpointId,
        data: bytes,
        config: GossipConfig,
        rng: Random,
        inbox: Inbox,
        outgoing: Outgoing,
        context: NetContext,
    ) -> None:
        self._node = Node(me, data, config, rng)
        self._inbox = inbox
        self._outgoing = outgoing
        self._context = context
        self._timers = Timers(inbox.post)
        # Bounded by the credits of the messages that led to the deliveries. An ended connection
        # adds one, where a neighbor had come up before.
        self._deliveries: asyncio.Queue[tuple[Delivery, Credit]] = asyncio.Queue()
        # A broadcast goes to several neighbors, one after the other.
        self._last_framed: tuple[Message, bytes] | None = None

    async def run(self) -> None:
        """Do what the node wants about each event, until cancelled.

        It waits for events and for nothing else: whatever the application does or leaves undone,
        what this node says itself goes out.
        """
        for handled_before in itertools.count():
            waiting = await self._inbox.next()
            commands = self._node.handle(waiting.event, self._context.clock.now_s())
            self._deliver([it for it in map(self._execute, commands) if it], waiting.credit)
            waiting.handled()
            if handled_before % _EVENTS_IN_A_ROW == 0:
                # An inbox that is never empty makes nobody wait, but to write out what has gathered
                # takes the loop.
                await asyncio.sleep(0)

    async def next_delivery(self) -> Delivery:
        """Take the oldest delivery, waiting for one."""
        delivery, credit = await self._deliveries.get()
        if isinstance(delivery, ContentDelivered):
            return replace(delivery, done=credit.give_back)
        credit.give_back()
        return delivery

    def neighbors(self, topic: TopicId) -> tuple[EndpointId, ...]:
        """Return the topic's active view."""
        return self._node.neighbors(topic)

    def needs(self, peer: EndpointId) -> bool:
        """Return whether any topic uses a connection to the peer, or waits for one."""
        return self._node.needs(peer)

    def quit_all(self) -> None:
        """Take leave in all topics, and deliver nothing more; `run` must have ended."""
        for topic in self._node.topics:
            for command in self._node.handle(QuitRequested(topic), self._context.clock.now_s()):
                self._execute(command)
        self._timers.close()

    def _deliver(self, deliveries: list[Delivery], credit: Credit) -> None:
        """Queue what one event led to; the last of it gives the event's credit back."""
        if not deliveries:
            credit.give_back()
        for delivery in deliveries[:-1]:
            self._deliveries.put_nowait((delivery, Credit()))
        for delivery in deliveries[-1:]:
            self._deliveries.put_nowait((delivery, credit))

    def _execute(self, command: Command) -> Delivery | None:
        """Carry out a command; return what the application is to know."""
        match command:
            case SendMessage(topic, peer, message):
                self._send(topic, peer, message)
            case ScheduleTimer(topic, delay_s, timer):
                self._timers.schedule(delay_s, TimerExpired(topic, timer))
            case DisconnectPeer(peer):
                self._outgoing.release(peer)
            case RememberPeerData(peer, data, told_by):
                self._remember(peer, data, told_by)
            case DeliverContent(topic, content, delivered_from, scope):
                return ContentDelivered(topic, content, delivered_from, scope)
            case ReportNeighborUp(topic, peer):
                return NeighborCameUp(topic, peer)
            case ReportNeighborDown(topic, peer):
                return NeighborWentDown(topic, peer)
        return None

    def _send(self, topic: TopicId, peer: EndpointId, message: Message) -> None:
        if self._last_framed is None or self._last_framed[0] is not message:
            try:
                self._last_framed = (message, frame(encode_message(message)))
            except InvalidInput:
                # What peers say of themselves is passed on, and may be long.
                self._context.counters["messages_too_long"] += 1
                return
        framed = self._last_framed[1]
        self._outgoing.send(peer, topic, framed, ends_stream=isinstance(message, Disconnect))

    def _remember(self, peer: EndpointId, data: bytes, told_by: EndpointId) -> None:
        try:
            info = decode_address_info(data)
        except WireError:
            self._context.counters["addresses_undecodable"] += 1
            return
        source = Source.SIGNED if told_by == peer else Source.HEARD
        self._context.book.learn(PeerAddress(peer, info), source, told_by)

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import pytest
from blake3 import blake3

from buddies_core.gossip.config import OURS
from buddies_core.gossip.events import (
    BroadcastRequested,
    JoinRequested,
    MessageReceived,
    PeerDisconnected,
)
from buddies_core.gossip.messages import (
    Disconnect,
    Gossip,
    Join,
    Message,
    Neighbor,
    Priority,
    ShuffleReply,
    SwarmScope,
)
from buddies_core.model.ids import EndpointId, MessageId, TopicId
from buddies_core.net.context import NetContext
from buddies_core.net.driver import ContentDelivered, Driver, NeighborCameUp, NeighborWentDown
from buddies_core.net.inbox import CREDITS, CREDITS_PER_PEER, Inbox
from buddies_core.net.timing import TIMING
from buddies_core.wire.frames import FrameReader
from buddies_core.wire.gossip_messages import decode_message
from tests.support.eventually import until
from tests.support.fakes.clocks import ManualClock

ME = EndpointId(bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))
PEER = EndpointId(bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"))
TOPIC = TopicId(b"t" * 32)


@dataclass
class Outgoing:
    """What was sent, in order; None stands for a release."""

    sent: list[tuple[Message, bool] | None] = field(default_factory=list)

    def send(self, peer: EndpointId, topic: TopicId, frame: bytes, *, ends_stream: bool) -> None:
        assert (peer, topic) == (PEER, TOPIC)
        (body,) = FrameReader().feed(frame)
        self.sent.append((decode_message(body), ends_stream))

    def release(self, peer: EndpointId) -> None:
        assert peer == PEER
        self.sent.append(None)


@dataclass
class Driven:
    """A driver that runs, and all that it touches."""

    driver: Driver
    inbox: Inbox
    outgoing: Outgoing
    context: NetContext
    running: asyncio.Task[None]

    async def receive(self, message: Message) -> None:
        await self.inbox.receive(MessageReceived(TOPIC, PEER, message))


@asynccontextmanager
async def a_driver() -> AsyncIterator[Driven]:
    """Yield a driver whose node is in the topic and has the peer for a neighbor."""
    inbox, outgoing = Inbox(), Outgoing()
    context = NetContext(clock=ManualClock(), timing=TIMING)
    driver = Driver(ME, b"\0\0", OURS, Random(1), inbox, outgoing, context)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        driven = Driven(driver, inbox, outgoing, context, group.create_task(driver.run()))
        inbox.post(JoinRequested(TOPIC, ()))
        await driven.receive(Join(None))
        assert await driver.next_delivery() == NeighborCameUp(TOPIC, PEER)
        await driven.receive(Neighbor(Priority.HIGH, None))
        yield driven
        driven.running.cancel()


def a_gossip(number: int) -> Gossip:
    content = number.to_bytes(4, "big")
    return Gossip(MessageId(blake3(content).digest()), content, SwarmScope(0))


async def test_a_broadcast_has_been_sent_when_its_event_is_handled() -> None:
    async with a_driver() as driven:
        driven.outgoing.sent.clear()
        await driven.inbox.post_and_wait(BroadcastRequested(TOPIC, b"hello"))
        hello = Gossip(MessageId(blake3(b"hello").digest()), b"hello", SwarmScope(0))
        assert driven.outgoing.sent == [(hello, False)]


async def test_what_happens_is_delivered_in_its_order() -> None:
    async with a_driver() as driven:
        await driven.receive(a_gossip(1))
        driven.inbox.post(PeerDisconnected(PEER))
        assert [await driven.driver.next_delivery() for _ in range(2)] == [
            ContentDelivered(TOPIC, bytes([0, 0, 0, 1]), PEER, SwarmScope(0)),
            NeighborWentDown(TOPIC, PEER),
        ]
        assert driven.driver.neighbors(TOPIC) == ()


async def test_a_peer_is_read_no_further_than_its_credits_until_what_it_said_is_acted_on() -> None:
    async with a_driver() as driven:
        said = 0

        async def talk() -> None:
            nonlocal said
            while True:
                await driven.receive(a_gossip(said))
                said += 1

        async with asyncio.TaskGroup() as group:
            talking = group.create_task(talk())
            await until(lambda: said == CREDITS_PER_PEER)
            taken = [await driven.driver.next_delivery() for _ in range(10)]
            with pytest.raises(TimeoutError):  # Taken is not acted on.
                await until(lambda: said > CREDITS_PER_PEER, timeout_s=0.02)
            for delivery in taken:
                assert isinstance(delivery, ContentDelivered)
                delivery.done()
                delivery.done()
            await until(lambda: said == CREDITS_PER_PEER + 10)
            with pytest.raises(TimeoutError):
                await until(lambda: said > CREDITS_PER_PEER + 10, timeout_s=0.02)
            talking.cancel()


async def test_what_this_node_says_goes_out_while_nobody_acts_on_anything_received() -> None:
    async with a_driver() as driven:
        for number in range(CREDITS_PER_PEER):
            await driven.receive(a_gossip(number))
        async with asyncio.TaskGroup() as group:
            blocked = group.create_task(driven.receive(a_gossip(CREDITS_PER_PEER)))
            await asyncio.sleep(0)
            driven.outgoing.sent.clear()
            async with asyncio.timeout(20):
                await driven.inbox.post_and_wait(BroadcastRequested(TOPIC, b"hello"))
            assert [type(it[0]) for it in driven.outgoing.sent if it] == [Gossip]
            assert not blocked.done()
            blocked.cancel()


async def test_our_own_events_come_first_and_the_end_of_a_connection_after_what_was_read() -> None:
    inbox = Inbox()
    said = MessageReceived(TOPIC, PEER, Join(None))
    await inbox.receive(said)
    inbox.post(PeerDisconnected(PEER))
    inbox.post(JoinRequested(TOPIC, ()))
    events = [(await inbox.next()).event for _ in range(3)]
    assert events == [JoinRequested(TOPIC, ()), said, PeerDisconnected(PEER)]


async def test_a_peer_out_of_credits_leaves_the_others_theirs() -> None:
    inbox = Inbox()
    peers = [EndpointId(bytes([number]) * 32) for number in range(CREDITS // CREDITS_PER_PEER)]
    for peer in peers[:-1]:
        for _ in range(CREDITS_PER_PEER):
            await inbox.receive(MessageReceived(TOPIC, peer, Join(None)))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await inbox.receive(MessageReceived(TOPIC, peer, Join(None)))
    async with asyncio.timeout(20):
        for _ in range(CREDITS_PER_PEER):
            await inbox.receive(MessageReceived(TOPIC, peers[-1], Join(None)))
    with pytest.raises(TimeoutError):  # All peers together have taken all there are.
        async with asyncio.timeout(0.01):
            await inbox.receive(MessageReceived(TOPIC, ME, Join(None)))
    (await inbox.next()).credit.give_back()
    async with asyncio.timeout(20):
        await inbox.receive(MessageReceived(TOPIC, ME, Join(None)))


async def test_leaving_tells_the_neighbors_even_if_nobody_reads_the_deliveries() -> None:
    async with a_driver() as driven:
        for number in range(CREDITS_PER_PEER):
            await driven.receive(a_gossip(number))
        await asyncio.sleep(0)
        driven.running.cancel()
        await asyncio.wait({driven.running})
        driven.outgoing.sent.clear()
        driven.driver.quit_all()
        assert driven.outgoing.sent == [
            (ShuffleReply(()), False),
            (Disconnect(alive=False), True),
            None,
        ]


async def test_addresses_that_do_not_decode_are_counted_and_no_more() -> None:
    async with a_driver() as driven:
        await driven.receive(Neighbor(Priority.HIGH, b"\7"))
        await until(lambda: driven.context.counters == {"addresses_undecodable": 1})
        assert driven.driver.neighbors(TOPIC) == (PEER,)

"""What the judge says of itself: two Rust peers, so that the other tests need not doubt it."""

import hashlib
from pathlib import Path

import pytest

from buddies_core.gossip.messages import NeighborsScope, SwarmScope
from buddies_core.model.ids import TopicId
from buddies_core.net.driver import ContentDelivered, NeighborCameUp, NeighborWentDown
from tests.interop.peers import Complaint, Frame
from tests.interop.swarm import Swarm

TOPIC = TopicId(hashlib.sha256(b"two Rust peers").digest())


async def test_two_rust_peers_meet_and_talk_and_part(rust_binary: Path) -> None:
    async with Swarm.of(rust_binary) as swarm:
        one, two = await swarm.rust("one"), await swarm.rust("two")
        await one.join(TOPIC)
        await two.join(TOPIC, one)
        await one.has_neighbors(TOPIC, two)
        await two.has_neighbors(TOPIC, one)
        await one.says(Frame("in", TOPIC, two.id, "Neighbor"))

        await one.broadcast(TOPIC, b"to all")
        await two.hears(ContentDelivered(TOPIC, b"to all", one.id, SwarmScope(0)))
        await two.broadcast_neighbors(TOPIC, b"to neighbors")
        await one.hears(ContentDelivered(TOPIC, b"to neighbors", two.id, NeighborsScope()))
        await two.leave(TOPIC)
        await one.hears(NeighborWentDown(TOPIC, two.id))

        assert one.journal == [
            NeighborCameUp(TOPIC, two.id),
            ContentDelivered(TOPIC, b"to neighbors", two.id, NeighborsScope()),
            NeighborWentDown(TOPIC, two.id),
        ]
        assert one.said(TOPIC) == [
            ("in", "Join"),
            ("out", "Neighbor"),
            ("in", "Neighbor"),
            ("out", "Gossip"),
            ("in", "Gossip"),
            ("in", "ShuffleReply"),
            ("in", "Disconnect"),
        ]


async def test_a_rust_peer_connects_only_with_whom_it_is_allowed_to(rust_binary: Path) -> None:
    async with Swarm.of(rust_binary) as swarm:
        one, two, three = (
            await swarm.rust("one"),
            await swarm.rust("two"),
            await swarm.rust("three"),
        )
        await one.allow(two)
        await three.allow(two)
        for peer in (one, two, three):
            await peer.join(TOPIC)
        await one.join(TOPIC, two, three)
        await three.join(TOPIC, two, one)
        await one.has_neighbors(TOPIC, two)
        await two.has_neighbors(TOPIC, one, three)
        await three.has_neighbors(TOPIC, two)

        await one.broadcast(TOPIC, b"past two")

        await three.hears(ContentDelivered(TOPIC, b"past two", two.id, SwarmScope(1)))


@pytest.mark.parametrize(
    ("topic", "content", "complaint"),
    [("07", b"", "Invalid string length"), ("07" * 32, b"", "not joined")],
)
async def test_a_rust_peer_says_so_when_it_cannot_do_as_told(
    rust_binary: Path, topic: str, content: bytes, complaint: str
) -> None:
    async with Swarm.of(rust_binary) as swarm:
        rust = await swarm.rust()
        await rust.broadcast(TopicId(bytes.fromhex(topic)), content)
        await rust.until(lambda: bool(rust.journal), complaint, 5)
        [complained] = rust.journal
        assert isinstance(complained, Complaint)
        assert complaint in complained.text

"""How our peers and Rust ones become neighbors, and cease to be."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from buddies_core.gossip.config import OURS
from buddies_core.gossip.messages import SwarmScope
from buddies_core.model.ids import TopicId
from buddies_core.net.driver import ContentDelivered, NeighborCameUp, NeighborWentDown
from tests.interop.peers import Frame, Peer, RustConfig
from tests.interop.swarm import Swarm

TOPIC = TopicId(hashlib.sha256(b"meeting").digest())
OTHER_TOPIC = TopicId(hashlib.sha256(b"meeting elsewhere").digest())

SOON_TIMED_OUT = RustConfig(idle_timeout_ms=2_000)
"""QUIC then takes 2 s to give up a connection, at both ends, where a plain peer takes 30."""


async def test_a_rust_peer_that_dials_us_becomes_our_neighbor(rust_binary: Path) -> None:
    async with Swarm.of(rust_binary) as swarm:
        python, rust = await swarm.python(), await swarm.rust()
        await python.join(TOPIC)
        await rust.join(TOPIC, python)

        await python.hears(NeighborCameUp(TOPIC, rust.id))
        await rust.hears(NeighborCameUp(TOPIC, python.id))
        await rust.says(Frame("out", TOPIC, python.id, "Neighbor"))
        assert rust.said(TOPIC) == [("out", "Join"), ("in", "Neighbor"), ("out", "Neighbor")]


async def test_a_rust_peer_that_we_dial_becomes_our_neighbor(rust_binary: Path) -> None:
    async with Swarm.of(rust_binary) as swarm:
        python, rust = await swarm.python(), await swarm.rust()
        await rust.join(TOPIC)
        await python.join(TOPIC, rust)

        await python.hears(NeighborCameUp(TOPIC, rust.id))
        await rust.hears(NeighborCameUp(TOPIC, python.id))
        await rust.says(Frame("in", TOPIC, python.id, "Neighbor"))
        assert rust.said(TOPIC) == [("in", "Join"), ("out", "Neighbor"), ("in", "Neighbor")]


async def test_two_peers_that_dial_each_other_at_once_hear_each_other(rust_binary: Path) -> None:
    """Each may end up speaking on a connection of its own."""
    async with Swarm.of(rust_binary) as swarm:
        python, rust = await swarm.python(), await swarm.rust()
        python.network.learn(rust.address)

        await python.network.join(TOPIC, [rust.id])
        await rust.join(TOPIC, python)

        await python.has_neighbors(TOPIC, rust)
        await rust.has_neighbors(TOPIC, python)
        await _expect_talk(python, rust)


@pytest.mark.parametrize("contact_kind", ["python", "rust"])
async def test_peers_that_join_by_the_same_one_find_each_other(
    rust_binary: Path, contact_kind: str
) -> None:
    """The contact tells of each newcomer, with its addresses, by ForwardJoin."""
    async with Swarm.of(rust_binary) as swarm:
        contact: Peer = await (swarm.python() if contact_kind == "python" else swarm.rust())
        python, rust = await swarm.python("newcomer"), await swarm.rust("newcomer")
        await contact.join(TOPIC)
        await python.join(TOPIC, contact)
        await rust.join(TOPIC, contact)

        await python.has_neighbors(TOPIC, contact, rust)
        await rust.has_neighbors(TOPIC, contact, python)
        await contact.has_neighbors(TOPIC, python, rust)


async def test_a_rust_peer_answers_our_shuffle(rust_binary: Path) -> None:
    async with Swarm.of(rust_binary) as swarm:
        python = await swarm.python(gossip=replace(OURS, shuffle_interval_s=0.1))
        rust = await swarm.rust()
        await rust.join(TOPIC)
        await python.join(TOPIC, rust)

        await rust.says(
            Frame("in", TOPIC, python.id, "Shuffle"),
            Frame("out", TOPIC, python.id, "ShuffleReply"),
        )


async def test_we_answer_a_rust_peers_shuffle(rust_binary: Path) -> None:
    async with Swarm.of(rust_binary) as swarm:
        python = await swarm.python()
        rust = await swarm.rust(config=RustConfig(frames=True, shuffle_interval_ms=100))
        await python.join(TOPIC)
        await rust.join(TOPIC, python)

        await rust.says(
            Frame("out", TOPIC, python.id, "Shuffle"),
            Frame("in", TOPIC, python.id, "ShuffleReply"),
        )


async def test_a_rust_peer_that_leaves_is_gone_at_once_and_may_come_back(rust_binary: Path) -> None:
    async with Swarm.of(rust_binary) as swarm:
        python, rust = await swarm.python(), await swarm.rust()
        await python.join(TOPIC)
        await rust.join(TOPIC, python)
        await python.has_neighbors(TOPIC, rust)
        await rust.has_neighbors(TOPIC, python)

        await rust.leave(TOPIC)
        await python.hears(NeighborWentDown(TOPIC, rust.id), timeout_s=1)
        await rust.join(TOPIC, python)

        await python.has_neighbors(TOPIC, rust)
        await _expect_talk(python, rust)


async def test_we_are_gone_at_once_when_we_leave_and_may_come_back(rust_binary: Path) -> None:
    async with Swarm.of(rust_binary) as swarm:
        python, rust = await swarm.python(), await swarm.rust()
        await rust.join(TOPIC)
        await python.join(TOPIC, rust)
        await rust.has_neighbors(TOPIC, python)
        await python.has_neighbors(TOPIC, rust)

        await python.leave(TOPIC)
        await rust.hears(NeighborWentDown(TOPIC, python.id), timeout_s=1)
        await python.join(TOPIC, rust)

        await rust.has_neighbors(TOPIC, python)
        await _expect_talk(python, rust)


@pytest.mark.parametrize("leaver_kind", ["python", "rust"])
async def test_who_leaves_one_of_two_topics_is_heard_in_the_other(
    rust_binary: Path, leaver_kind: str
) -> None:
    """In Rust the first topic that lets go of a peer forgets the connection for all; it redials."""
    async with Swarm.of(rust_binary) as swarm:
        python, rust = await swarm.python(), await swarm.rust()
        leaver, other = (python, rust) if leaver_kind == "python" else (rust, python)
        for topic in (TOPIC, OTHER_TOPIC):
            await python.join(topic)
            await rust.join(topic, python)
            await python.has_neighbors(topic, rust)
            await rust.has_neighbors(topic, python)

        await leaver.leave(OTHER_TOPIC)
        await other.hears(NeighborWentDown(OTHER_TOPIC, leaver.id))

        await _expect_talk(python, rust)
        assert python.neighbors(TOPIC) == {rust.id}


async def test_a_rust_peer_that_shuts_down_is_gone_at_once(rust_binary: Path) -> None:
    async with Swarm.of(rust_binary) as swarm:
        python, rust = await swarm.python(), await swarm.rust()
        await python.join(TOPIC)
        await rust.join(TOPIC, python)
        await python.has_neighbors(TOPIC, rust)
        await rust.has_neighbors(TOPIC, python)

        await rust.shut_down()

        await python.hears(NeighborWentDown(TOPIC, rust.id), timeout_s=1)


async def test_we_are_gone_at_once_when_we_shut_down(rust_binary: Path) -> None:
    async with Swarm.of(rust_binary) as swarm:
        rust = await swarm.rust()
        await rust.join(TOPIC)
        async with Swarm.of(rust_binary) as ending:
            python = await ending.python()
            await python.join(TOPIC, rust)
            await rust.has_neighbors(TOPIC, python)
            await python.has_neighbors(TOPIC, rust)

        await rust.hears(NeighborWentDown(TOPIC, python.id), timeout_s=1)


async def test_a_rust_peer_that_was_killed_leaves_the_others_in_touch(rust_binary: Path) -> None:
    async with Swarm.of(rust_binary) as swarm:
        python = await swarm.python()
        doomed = await swarm.rust("doomed", SOON_TIMED_OUT)
        survivor = await swarm.rust("survivor", SOON_TIMED_OUT)
        await doomed.join(TOPIC)
        await python.join(TOPIC, doomed)
        await survivor.join(TOPIC, doomed)
        await python.has_neighbors(TOPIC, doomed, survivor)
        await survivor.has_neighbors(TOPIC, doomed, python)

        await doomed.kill()

        await python.has_neighbors(TOPIC, survivor)
        await survivor.has_neighbors(TOPIC, python)
        await _expect_talk(python, survivor)


async def test_a_rust_peer_goes_on_when_one_of_ours_was_killed(rust_binary: Path) -> None:
    async with Swarm.of(rust_binary) as swarm:
        python, rust = await swarm.python(), await swarm.rust(config=SOON_TIMED_OUT)
        await rust.join(TOPIC)
        await python.join(TOPIC, rust)
        doomed = await swarm.doomed_python(TOPIC, rust)
        await rust.hears(NeighborCameUp(TOPIC, doomed.id))

        await doomed.kill()

        await rust.has_neighbors(TOPIC, python)
        await _expect_talk(python, rust)


async def _expect_talk(one: Peer, other: Peer) -> None:
    await one.broadcast(TOPIC, f"from {one.name}".encode())
    await other.hears(ContentDelivered(TOPIC, f"from {one.name}".encode(), one.id, SwarmScope(0)))
    await other.broadcast(TOPIC, f"from {other.name}".encode())
    await one.hears(ContentDelivered(TOPIC, f"from {other.name}".encode(), other.id, SwarmScope(0)))

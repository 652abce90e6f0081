"""How contents get from our peers to Rust ones, and back."""

import hashlib
from pathlib import Path

import pytest

from buddies_core.errors import InvalidInput
from buddies_core.gossip.messages import CONTENT_BYTES_MAX, NeighborsScope, SwarmScope
from buddies_core.model.ids import TopicId
from buddies_core.net.driver import ContentDelivered
from tests.interop.peers import Frame, PythonPeer, RustPeer
from tests.interop.swarm import Swarm

TOPIC = TopicId(hashlib.sha256(b"spreading").digest())


async def test_what_one_says_is_pushed_to_the_other(rust_binary: Path) -> None:
    async with Swarm.of(rust_binary) as swarm:
        python, rust = await _neighbors(swarm)

        await python.broadcast(TOPIC, b"from us")
        await rust.hears(ContentDelivered(TOPIC, b"from us", python.id, SwarmScope(0)))
        await rust.broadcast(TOPIC, b"from Rust")
        await python.hears(ContentDelivered(TOPIC, b"from Rust", rust.id, SwarmScope(0)))

        assert rust.said(TOPIC)[-2:] == [("in", "Gossip"), ("out", "Gossip")]


async def test_what_a_rust_peer_tells_its_neighbors_stays_with_them(rust_binary: Path) -> None:
    async with Swarm.of(rust_binary) as swarm:
        python, rust = await _neighbors(swarm)
        beyond = await swarm.python("beyond")
        await rust.allow(python)
        await beyond.join(TOPIC, python)
        await python.has_neighbors(TOPIC, rust, beyond)

        await rust.broadcast_neighbors(TOPIC, b"to neighbors")
        await rust.broadcast(TOPIC, b"to all")

        await python.hears(ContentDelivered(TOPIC, b"to neighbors", rust.id, NeighborsScope()))
        await beyond.hears(ContentDelivered(TOPIC, b"to all", python.id, SwarmScope(1)))
        assert beyond.contents(TOPIC) == [b"to all"]


async def test_a_rust_peer_that_got_a_content_twice_prunes_us_and_grafts_us_later(
    rust_binary: Path,
) -> None:
    async with Swarm.of(rust_binary) as swarm:
        python, rust = await _neighbors(swarm)
        await rust.broadcast(TOPIC, b"known")
        await python.hears(ContentDelivered(TOPIC, b"known", rust.id, SwarmScope(0)))
        met = len(rust.said(TOPIC))

        await python.broadcast(TOPIC, b"known")
        await rust.says(Frame("out", TOPIC, python.id, "Prune"))
        await python.until(lambda: python.only_announces_to(rust, TOPIC), "a Prune", 5)
        await python.broadcast(TOPIC, b"announced")

        await rust.hears(ContentDelivered(TOPIC, b"announced", python.id, SwarmScope(0)))
        assert rust.said(TOPIC)[met:] == [
            ("in", "Gossip"),
            ("out", "Prune"),
            ("in", "IHave"),
            ("out", "Graft"),
            ("in", "Gossip"),
        ]


async def test_we_prune_a_rust_peer_that_sent_a_content_twice_and_graft_it_later(
    rust_binary: Path,
) -> None:
    async with Swarm.of(rust_binary) as swarm:
        python, rust = await _neighbors(swarm)
        await python.broadcast(TOPIC, b"known")
        await rust.hears(ContentDelivered(TOPIC, b"known", python.id, SwarmScope(0)))
        met = len(rust.said(TOPIC))

        await rust.broadcast(TOPIC, b"known")
        await rust.says(Frame("in", TOPIC, python.id, "Prune"))
        await rust.broadcast(TOPIC, b"announced")

        await python.hears(ContentDelivered(TOPIC, b"announced", rust.id, SwarmScope(0)))
        assert rust.said(TOPIC)[met:] == [
            ("out", "Gossip"),
            ("in", "Prune"),
            ("out", "IHave"),
            ("in", "Graft"),
            ("out", "Gossip"),
        ]


async def test_a_rust_peer_that_comes_late_gets_what_was_said_before(rust_binary: Path) -> None:
    """We announce what we have to a new neighbor, which a Rust peer does not, but understands."""
    async with Swarm.of(rust_binary) as swarm:
        python, rust = await swarm.python(), await swarm.rust()
        await python.join(TOPIC)
        await python.broadcast(TOPIC, b"said to nobody")

        await rust.join(TOPIC, python)

        await rust.hears(ContentDelivered(TOPIC, b"said to nobody", python.id, SwarmScope(0)))


async def test_rust_peers_hear_each_other_over_two_of_ours(rust_binary: Path) -> None:
    async with Swarm.of(rust_binary) as swarm:
        left, right = await swarm.python("left"), await swarm.python("right")
        far_left, far_right = await swarm.rust("far left"), await swarm.rust("far right")
        await far_left.allow(left)
        await far_right.allow(right)
        await left.join(TOPIC)
        await right.join(TOPIC, left)
        await far_left.join(TOPIC, left)
        await far_right.join(TOPIC, right)
        await left.has_neighbors(TOPIC, far_left, right)
        await right.has_neighbors(TOPIC, far_right, left)
        await far_left.has_neighbors(TOPIC, left)
        await far_right.has_neighbors(TOPIC, right)

        await far_left.broadcast(TOPIC, b"to the right")
        await far_right.hears(ContentDelivered(TOPIC, b"to the right", right.id, SwarmScope(2)))
        await far_right.broadcast(TOPIC, b"to the left")
        await far_left.hears(ContentDelivered(TOPIC, b"to the left", left.id, SwarmScope(2)))


async def test_we_hear_and_are_heard_over_two_rust_peers(rust_binary: Path) -> None:
    async with Swarm.of(rust_binary) as swarm:
        python, end = await swarm.python(), await swarm.rust("end")
        left, right = await swarm.rust("left"), await swarm.rust("right")
        await left.allow(python, right)
        await right.allow(left, end)
        await end.allow(right)
        await left.join(TOPIC)
        await right.join(TOPIC, left)
        await python.join(TOPIC, left)
        await end.join(TOPIC, right)
        await left.has_neighbors(TOPIC, python, right)
        await right.has_neighbors(TOPIC, left, end)
        await python.has_neighbors(TOPIC, left)
        await end.has_neighbors(TOPIC, right)

        await python.broadcast(TOPIC, b"to the end")
        await end.hears(ContentDelivered(TOPIC, b"to the end", right.id, SwarmScope(2)))
        await end.broadcast(TOPIC, b"from the end")
        await python.hears(ContentDelivered(TOPIC, b"from the end", left.id, SwarmScope(2)))


async def test_the_largest_content_passes_both_ways(rust_binary: Path) -> None:
    async with Swarm.of(rust_binary) as swarm:
        python, rust = await _neighbors(swarm)
        from_us, from_rust = b"p" * CONTENT_BYTES_MAX, b"r" * CONTENT_BYTES_MAX

        await python.broadcast(TOPIC, from_us)
        await rust.hears(ContentDelivered(TOPIC, from_us, python.id, SwarmScope(0)))
        await rust.broadcast(TOPIC, from_rust)
        await python.hears(ContentDelivered(TOPIC, from_rust, rust.id, SwarmScope(0)))


async def test_a_content_that_is_too_large_is_refused_and_does_no_harm(rust_binary: Path) -> None:
    """A Rust peer that sends one falls silent for good: iroh-gossip, issue 131."""
    async with Swarm.of(rust_binary) as swarm:
        python, rust = await _neighbors(swarm)

        with pytest.raises(InvalidInput, match="holds 4057 bytes, not 4058"):
            await python.broadcast(TOPIC, b"x" * 4058)
        await python.broadcast(TOPIC, b"still here")

        await rust.hears(ContentDelivered(TOPIC, b"still here", python.id, SwarmScope(0)))
        assert rust.contents(TOPIC) == [b"still here"]


async def _neighbors(swarm: Swarm) -> tuple[PythonPeer, RustPeer]:
    python, rust = await swarm.python(), await swarm.rust()
    await python.join(TOPIC)
    await rust.join(TOPIC, python)
    await python.has_neighbors(TOPIC, rust)
    await rust.has_neighbors(TOPIC, python)
    await rust.says(Frame("out", TOPIC, python.id, "Neighbor"))
    return python, rust

"""What HyParView and PlumTree promise, in swarms of many nodes."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import TypeAlias

import pytest

from buddies_core.gossip.messages import Message
from buddies_core.wire.frames import frame
from buddies_core.wire.gossip_messages import decode_message, encode_message
from tests.simulation.rust_cluster import RustCluster
from tests.simulation.simulator import Cluster

BOTH = pytest.mark.parametrize("kind", [Cluster, RustCluster], ids=["ours", "rust"])
Kind: TypeAlias = Callable[[int, int], Cluster]
SEEDS = pytest.mark.parametrize("seed", range(5))


def swarm(seed: int, peers: int = 100, kind: Kind = Cluster) -> Cluster:
    cluster = kind(seed, peers)
    cluster.join_all(contacts=min(10, peers))
    return cluster


@BOTH
@SEEDS
def test_every_one_of_100_nodes_gets_each_message(seed: int, kind: Kind) -> None:
    cluster = swarm(seed, kind=kind)
    for n in range(20):
        content = b"%d" % n
        cluster.broadcast(cluster.rng.choice(cluster.alive), content)
        cluster.run_for(1)
        assert cluster.delivered(content) == cluster.alive


@BOTH
@SEEDS
def test_every_survivor_gets_each_message_after_a_third_of_the_nodes_crash(
    seed: int, kind: Kind
) -> None:
    cluster = swarm(seed, kind=kind)
    cluster.run_for(120)  # two shuffles, so that passive views are full
    cluster.crash(33)
    cluster.run_for(5)
    for n in range(5):
        content = b"%d" % n
        cluster.broadcast(cluster.rng.choice(cluster.alive), content)
        cluster.run_for(1)
        assert cluster.delivered(content) == cluster.alive


# The bounds that iroh-gossip 0.101 asserts in tests/sim.rs, for 100 nodes that join a single one.


@BOTH
def test_one_sender_builds_a_short_and_lean_tree(kind: Kind) -> None:
    cluster = kind(0, 100)
    cluster.join_all()
    rounds = [cluster.round((7, b"%d" % n)) for n in range(30)]
    assert max(it.missed for it in rounds) == 0
    assert max(it.last_delivery_hop for it in rounds) < 15
    assert mean(it.redundancy for it in rounds) < 0.2


@BOTH
def test_many_senders_in_turn_share_the_tree(kind: Kind) -> None:
    cluster = kind(0, 100)
    cluster.join_all()
    rounds = [cluster.round((cluster.rng.choice(cluster.alive), b"%d" % n)) for n in range(30)]
    assert max(it.missed for it in rounds) == 0
    assert max(it.last_delivery_hop for it in rounds) < 18
    assert mean(it.redundancy for it in rounds) < 1


@BOTH
def test_all_can_send_at_once(kind: Kind) -> None:
    cluster = kind(0, 100)
    cluster.join_all()
    rounds = [
        cluster.round(*((index, b"%d %d" % (n, index)) for index in cluster.alive))
        for n in range(3)
    ]
    assert max(it.missed for it in rounds) == 0
    assert max(it.last_delivery_hop for it in rounds) < 30
    assert mean(it.redundancy for it in rounds) < 3


# The views


@SEEDS
def test_neighbors_are_mutual_once_a_swarm_is_at_rest(seed: int) -> None:
    cluster = swarm(seed)
    cluster.run_for(210)  # half-way between two shuffles
    one_sided = [
        (one, other)
        for one in cluster.alive
        for other in cluster.neighbors(one)
        if one not in cluster.neighbors(other)
    ]
    assert one_sided == []


@SEEDS
def test_active_views_are_filled_again_within_seconds_of_a_mass_crash(seed: int) -> None:
    cluster = swarm(seed, peers=200)
    cluster.run_for(180)
    cluster.crash(100)
    cluster.run_for(10)
    assert min(len(cluster.neighbors(index)) for index in cluster.alive) >= 3
    assert mean(len(cluster.neighbors(index)) for index in cluster.alive) > 4.5


@SEEDS
def test_nobody_keeps_a_node_that_has_left(seed: int) -> None:
    cluster = swarm(seed, peers=20)
    cluster.run_for(60)
    cluster.quit(3)
    cluster.run_for(1)
    assert [index for index in cluster.alive if 3 in cluster.neighbors(index)] == []


# What becomes of a message in trouble


@pytest.mark.parametrize(("kind", "is_repaired"), [(Cluster, True), (RustCluster, False)])
@SEEDS
def test_a_message_whose_first_receivers_all_die_is_repaired_but_not_in_rust(
    seed: int, kind: Kind, is_repaired: bool
) -> None:
    cluster = swarm(seed, kind=kind)
    cluster.run_for(180)
    author = cluster.alive[0]
    cluster.broadcast(author, b"last words")
    cluster.stop(cluster.neighbors(author))
    cluster.run_for(30)
    assert cluster.delivered(b"last words") == (cluster.alive if is_repaired else [author])


@SEEDS
def test_a_joiner_gets_what_was_said_in_the_minute_before(seed: int) -> None:
    cluster = swarm(seed, peers=20)
    cluster.broadcast(3, b"long ago")
    cluster.run_for(70)
    cluster.broadcast(4, b"just now")
    cluster.run_for(30)
    late = cluster.add()
    cluster.join(late, 5)
    cluster.run_for(2)
    assert (late in cluster.delivered(b"just now"), late in cluster.delivered(b"long ago")) == (
        True,
        False,
    )


@SEEDS
def test_one_join_reunites_two_halves_and_what_was_said_meanwhile_reaches_all(seed: int) -> None:
    cluster = swarm(seed, peers=30)
    cluster.run_for(60)
    west, east = cluster.alive[:15], cluster.alive[15:]
    cluster.split(east)
    cluster.run_for(20)
    cluster.broadcast(west[0], b"from the west")
    cluster.broadcast(east[0], b"from the east")
    cluster.run_for(20)
    assert cluster.delivered(b"from the west") == west
    assert cluster.delivered(b"from the east") == east

    cluster.heal()
    cluster.join(west[1], east[1])
    cluster.run_for(5)

    assert cluster.delivered(b"from the west") == cluster.alive
    assert cluster.delivered(b"from the east") == cluster.alive


@pytest.mark.parametrize("seed", range(10))
def test_under_churn_nobody_gets_a_message_twice_and_afterwards_all_get_each(seed: int) -> None:
    """That nothing is delivered twice is asserted by the simulator, at each delivery."""
    cluster = swarm(seed, peers=30)
    for n in range(60):
        cluster.run_for(cluster.rng.uniform(0, 20))
        cluster.broadcast(cluster.rng.choice(cluster.alive), b"during %d" % n)
        if cluster.rng.random() < 0.5:
            contact = cluster.rng.choice(cluster.alive)
            cluster.join(cluster.add(), contact)
        elif cluster.rng.random() < 0.5:
            cluster.quit(cluster.rng.choice(cluster.alive))
        else:
            cluster.crash(1)
    cluster.run_for(60)
    for n in range(5):
        cluster.broadcast(cluster.rng.choice(cluster.alive), b"after %d" % n)
        cluster.run_for(2)
        assert cluster.delivered(b"after %d" % n) == cluster.alive


# On the wire


def test_all_that_is_said_fits_into_frames_and_survives_the_wire() -> None:
    cluster = Cluster(0, 40, data=bytes(400))
    kinds = set()

    def check(message: Message) -> None:
        body = encode_message(message)
        assert len(frame(body)) == 4 + len(body)
        assert decode_message(body) == message
        kinds.add(type(message).__name__)

    cluster.on_message = check
    cluster.join_all()
    for n in range(20):
        cluster.broadcast(cluster.rng.choice(cluster.alive), b"%d" % n)
        cluster.run_for(10)
    cluster.crash(10)
    cluster.run_for(60)
    assert kinds == {
        "Join",
        "ForwardJoin",
        "Shuffle",
        "ShuffleReply",
        "Neighbor",
        "Disconnect",
        "Gossip",
        "Prune",
        "Graft",
        "IHave",
    }


# Determinism


def fingerprint(seed: int) -> str:
    """Return the SHA-256 of all that happens in a short and eventful life."""
    cluster = Cluster(seed, 30)
    cluster.log = []
    cluster.join_all()
    for n in range(10):
        cluster.round((cluster.rng.choice(cluster.alive), b"%d" % n))
    cluster.run_for(120)
    cluster.crash(8)
    cluster.split(cluster.alive[:5])
    cluster.run_for(30)
    cluster.heal()
    cluster.quit(cluster.alive[-1])
    cluster.round(*((index, b"all %d" % index) for index in cluster.alive))
    assert len(cluster.log) > 5000
    return hashlib.sha256(cluster.transcript.encode()).hexdigest()


def test_one_seed_gives_one_transcript_and_another_seed_another() -> None:
    assert fingerprint(1) == fingerprint(1) != fingerprint(2)


def test_a_transcript_is_the_same_however_python_hashes() -> None:
    program = f"from {__name__} import fingerprint; print(fingerprint(1))"
    transcripts = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            text=True,
            timeout=15,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert transcripts == {fingerprint(1) + "\n"}

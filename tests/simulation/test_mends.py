"""What we mend of iroh-gossip's behavior, at the size and in the time that is promised."""

from statistics import mean

import pytest

from tests.simulation.room_members import Members
from tests.simulation.rust_cluster import RustCluster
from tests.simulation.scenarios import LATENCY_S
from tests.simulation.simulator import Cluster

DETECTION_S = 20.0
"""Until a ping has found a silent connection dead: two misses, ten seconds apart."""


def swarm(seed: int, peers: int) -> Cluster:
    cluster = Cluster(seed, peers, latency_s=LATENCY_S)
    cluster.join_all(contacts=10)
    return cluster


@pytest.mark.parametrize("seed", range(3))
def test_after_80_percent_of_1000_die_unnoticed_all_survivors_have_all_messages_in_45_s(
    seed: int,
) -> None:
    cluster = swarm(seed, 1000)
    cluster.run_for(180)
    cluster.stop(cluster.rng.sample(cluster.alive, 800), noticed_within_s=DETECTION_S)
    contents = [b"second %d" % n for n in range(45)]
    for content in contents:
        cluster.broadcast(cluster.rng.choice(cluster.alive), content)
        cluster.run_for(1)
    assert {content: len(cluster.delivered(content)) for content in contents} == dict.fromkeys(
        contents, 200
    )


def test_two_halves_of_50_split_for_10_minutes_are_one_swarm_60_s_after_healing() -> None:
    cluster = swarm(0, 100)
    members = Members(cluster)
    members.run_for(60)
    east = sorted(cluster.rng.sample(cluster.alive, 50))
    cluster.split(east, noticed_within_s=DETECTION_S)
    members.run_for(600)
    cluster.broadcast(east[0], b"split")
    members.run_for(5)
    assert (cluster.delivered(b"split"), members.present(east[0])) == (east, east[1:])

    cluster.heal()
    members.run_for(60)

    cluster.broadcast(east[0], b"healed")
    members.run_for(5)
    assert cluster.delivered(b"healed") == cluster.alive
    for index in cluster.alive:
        assert members.present(index) == [it for it in cluster.alive if it != index]


@pytest.mark.parametrize("seed", range(5))
def test_a_dead_bootstrap_is_replaced_by_a_member_known_from_before(seed: int) -> None:
    cluster = swarm(seed, 20)
    members = Members(cluster)
    members.run_for(60)
    cluster.stop([0])
    back = cluster.add()
    cluster.join(back, 0)
    members.enter(back)
    members.run_for(30)

    cluster.broadcast(3, b"welcome back")
    members.run_for(2)
    assert cluster.delivered(b"welcome back") == cluster.alive


@pytest.mark.parametrize("seed", range(2))
def test_survivors_whose_every_address_died_are_found_by_the_members_they_know(seed: int) -> None:
    """Of 100 nodes 95 die: few of the rest have a living peer in either view."""
    cluster = swarm(seed, 100)
    members = Members(cluster)
    members.run_for(60)
    cluster.stop(cluster.rng.sample(cluster.alive, 95), noticed_within_s=DETECTION_S)
    members.run_for(180)
    cluster.broadcast(cluster.alive[0], b"who is left?")
    members.run_for(5)
    assert cluster.delivered(b"who is left?") == cluster.alive


def test_30_minutes_of_shuffles_keep_views_full_mutual_and_free_of_the_dead() -> None:
    cluster = swarm(0, 100)
    cluster.run_for(600)
    dead = cluster.crash(20)
    cluster.run_for(1230)  # half-way between two shuffles
    for index in cluster.alive:
        neighbors, addresses = cluster.neighbors(index), cluster.addresses(index)
        assert 4 <= len(neighbors) <= 5
        assert 25 <= len(addresses) <= 30
        assert len({index, *neighbors, *addresses}) == 1 + len(neighbors) + len(addresses)
        assert all(index in cluster.neighbors(it) for it in neighbors)
    named = [it for index in cluster.alive for it in cluster.addresses(index)]
    assert sum(it in dead for it in named) / len(named) < 0.2
    # A passive view is a sample of all others: nobody is named much more often than the mean.
    times = [named.count(it) for it in cluster.alive]
    assert max(times) < 3 * mean(times)


def test_our_active_views_are_nearly_full_where_rusts_are_not() -> None:
    """A neighbor with a request under way counts once, and requests are given up."""

    def mean_size(cluster: Cluster) -> float:
        cluster.join_all(contacts=10)
        cluster.run_for(210)
        return mean(len(cluster.neighbors(index)) for index in cluster.alive)

    assert mean_size(Cluster(0, 300)) > 4.8
    assert mean_size(RustCluster(0, 300)) < 4.6

"""How long rooms take to reunite, and after how many dials: see docs/decisions/0004."""

import pytest

from tests.simulation.room_members import Members
from tests.simulation.scenarios import LATENCY_S
from tests.simulation.simulator import Cluster

DETECTION_S = 20.0
SEEDS = range(5)


def swarm(seed: int, peers: int) -> tuple[Cluster, Members]:
    cluster = Cluster(seed, peers, latency_s=LATENCY_S)
    cluster.join_all(contacts=10)
    members = Members(cluster)
    members.run_for(60)
    return cluster, members


def until_one_swarm(cluster: Cluster, members: Members, speaker: int, at_most_s: int) -> int:
    """Let time pass until what one node says reaches all; return how many seconds that took."""
    for second in range(1, at_most_s):
        probe = b"probe %d" % second
        cluster.broadcast(speaker, probe)
        members.run_for(1)
        if cluster.delivered(probe) == cluster.alive:
            return second
    raise AssertionError(f"not one swarm within {at_most_s} s")


def show(what: str, figures: list[tuple[int, int]]) -> None:
    print(f"{what}: (seconds, dials) {figures}")  # noqa: T201 - figures


@pytest.mark.timeout(300)
def test_two_halves_of_50_that_were_split_for_ten_minutes() -> None:
    figures = []
    for seed in SEEDS:
        cluster, members = swarm(seed, 100)
        east = sorted(cluster.rng.sample(cluster.alive, 50))
        cluster.split(east, noticed_within_s=DETECTION_S)
        members.run_for(600)
        before = members.dials
        members.run_for(5)
        during = members.dials - before
        cluster.heal()
        before = members.dials
        took_s = until_one_swarm(cluster, members, east[0], 60)
        figures.append((took_s, members.dials - before))
        print(f"while split, {during} dials of 100 nodes in 5 s")  # noqa: T201 - figures
    show("two halves of 50", figures)


@pytest.mark.timeout(120)
def test_a_node_that_comes_back_while_its_bootstrap_is_dead() -> None:
    figures = []
    for seed in SEEDS:
        cluster, members = swarm(seed, 20)
        cluster.stop([0])
        back = cluster.add()
        cluster.join(back, 0)
        members.enter(back)
        before = members.dials
        took_s = until_one_swarm(cluster, members, back, 60)
        figures.append((took_s, members.dials - before))
    show("a node that comes back", figures)


@pytest.mark.timeout(300)
def test_190_of_200_that_die() -> None:
    figures = []
    for seed in SEEDS:
        cluster, members = swarm(seed, 200)
        cluster.stop(cluster.rng.sample(cluster.alive, 190), noticed_within_s=DETECTION_S)
        before = members.dials
        took_s = until_one_swarm(cluster, members, cluster.alive[0], 300)
        figures.append((took_s, members.dials - before))
    show("190 of 200 die", figures)

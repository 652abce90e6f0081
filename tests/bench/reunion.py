"""How long rooms take to reunite, on a virtual clock: see docs/decisions/0004."""

from tests.bench.rows import Goal, Row, row
from tests.simulation.room_members import Members
from tests.simulation.scenarios import LATENCY_S
from tests.simulation.simulator import Cluster

DETECTION_S = 20.0
SEEDS = range(5)
UNIT = "virtual s"


async def reunion(*, quick: bool) -> list[Row]:
    """Measure how long it takes until what one node says reaches all again."""
    seeds = SEEDS[:1] if quick else SEEDS
    return [
        row(
            "two halves of 50 that were split for 10 minutes",
            "From the healing of the network until all nodes are one swarm.",
            [halves(seed) for seed in seeds],
            unit=UNIT,
            goal=Goal(median=5),
        ),
        row(
            "a node that comes back, its bootstrap dead",
            "From its start until it is in the swarm.",
            [comes_back(seed) for seed in seeds],
            unit=UNIT,
            goal=Goal(median=5),
        ),
        row(
            "190 of 200 die",
            "Until the survivors are one swarm; 20 s of it pass before the dead are noticed.",
            [most_die(seed) for seed in seeds],
            unit=UNIT,
            goal=Goal(median=60),
        ),
    ]


def halves(seed: int) -> float:
    cluster, members = swarm(seed, 100)
    east = sorted(cluster.rng.sample(cluster.alive, 50))
    cluster.split(east, noticed_within_s=DETECTION_S)
    members.run_for(600)
    cluster.heal()
    return until_one_swarm(cluster, members, east[0], 60)


def comes_back(seed: int) -> float:
    cluster, members = swarm(seed, 20)
    cluster.stop([0])
    back = cluster.add()
    cluster.join(back, 0)
    members.enter(back)
    return until_one_swarm(cluster, members, back, 60)


def most_die(seed: int) -> float:
    cluster, members = swarm(seed, 200)
    cluster.stop(cluster.rng.sample(cluster.alive, 190), noticed_within_s=DETECTION_S)
    return until_one_swarm(cluster, members, cluster.alive[0], 300)


def swarm(seed: int, peers: int) -> tuple[Cluster, Members]:
    cluster = Cluster(seed, peers, latency_s=LATENCY_S)
    cluster.join_all(contacts=10)
    members = Members(cluster)
    members.run_for(60)
    return cluster, members


def until_one_swarm(cluster: Cluster, members: Members, speaker: int, at_most_s: int) -> float:
    """Let time pass until what one node says reaches all; return how many seconds that took."""
    for second in range(1, at_most_s):
        probe = b"probe %d" % second
        cluster.broadcast(speaker, probe)
        members.run_for(1)
        if cluster.delivered(probe) == cluster.alive:
            return second
    raise AssertionError(f"not one swarm within {at_most_s} s")

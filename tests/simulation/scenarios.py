"""What is simulated and measured: iroh-gossip's own scenarios, and mass failure.

Gossip scenarios are those of iroh-gossip 0.101's simulator: all nodes join a single one at once,
and then speak in rounds. Mass failure is the HyParView paper's: part of a settled swarm dies at
one instant. A scenario, a machine and a seed decide every figure.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from tests.simulation.rust_cluster import RustCluster
from tests.simulation.simulator import Cluster, Round

LATENCY_S = (0.010, 0.050)
REFERENCE_SEEDS = (0, 1, 212312388123, 123)
"""Those of iroh-gossip; its generator is another, so they stand for other runs."""

WARM_UP_S = 180.0
LATER_S = 120.0


class Behavior(StrEnum):
    """Whose behavior is simulated."""

    EXACT = "exact"
    """That of iroh-gossip 0.101, every quirk of it, in a network like its simulator's."""
    OURS = "ours"
    """What the product runs."""

    def swarm(
        self, seed: int, peers: int, *, latency_s: tuple[float, float] = LATENCY_S
    ) -> Cluster:
        """Return nodes of this behavior, none of which has joined yet."""
        match self:
            case Behavior.EXACT:
                return RustCluster(seed, peers, latency_s=latency_s)
            case Behavior.OURS:
                return Cluster(seed, peers, latency_s=latency_s)


class Senders(StrEnum):
    """Who speaks in a round."""

    SINGLE = "single"
    """One and the same node in every round."""
    MULTI = "multi"
    """Any one node, another in each round."""
    ALL = "all"
    """Every node, all at one instant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gossiping:
    """Everybody joins node 0; then so many rounds of messages."""

    senders: Senders
    peers: int
    rounds: int = 30
    runs: int = 4

    @property
    def name(self) -> str:
        """What `SCENARIO=` takes."""
        return f"{self.senders}-{self.peers}"

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds whose mean is reported: iroh-gossip's four, and others where it is cheap."""
        return (*REFERENCE_SEEDS, *range(2, 2 + self.runs - len(REFERENCE_SEEDS)))

    def play(self, cluster: Cluster) -> list[Round]:
        """Return the figures of each round."""
        cluster.join_all()
        fixed = cluster.rng.choice(cluster.alive)
        return [self._round(cluster, fixed, number) for number in range(self.rounds)]

    def _round(self, cluster: Cluster, fixed: int, number: int) -> Round:
        senders = self._senders_in(cluster, fixed)
        return cluster.round(*((sender, b"%d by %d" % (number, sender)) for sender in senders))

    def _senders_in(self, cluster: Cluster, fixed: int) -> list[int]:
        match self.senders:
            case Senders.SINGLE:
                return [fixed]
            case Senders.MULTI:
                return [cluster.rng.choice(cluster.alive)]
            case Senders.ALL:
                return cluster.alive


@dataclass(frozen=True, slots=True, kw_only=True)
class MassFailure:
    """A settled swarm loses so many nodes at once, and goes on talking.

    Round 1 is sent at that very instant, when no survivor has noticed; rounds 2 and 3 follow at
    once, round 4 after two minutes.
    """

    peers: int
    failed_percent: int
    runs: int

    @property
    def name(self) -> str:
        """What `SCENARIO=` takes."""
        return f"failure-{self.peers}-{self.failed_percent}"

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds whose mean is reported."""
        return tuple(range(self.runs))

    def play(self, cluster: Cluster) -> list[Round]:
        """Return the figures of each round."""
        cluster.join_all(contacts=10)
        cluster.run_for(WARM_UP_S)
        cluster.crash(self.peers * self.failed_percent // 100)
        rounds = [self._round(cluster, number) for number in range(3)]
        cluster.run_for(LATER_S)
        return [*rounds, self._round(cluster, 3)]

    def _round(self, cluster: Cluster, number: int) -> Round:
        return cluster.round((cluster.rng.choice(cluster.alive), b"%d" % number))


Scenario: TypeAlias = Gossiping | MassFailure

# The smaller a swarm, the more its figures scatter: four runs of ten nodes say little.
SCENARIOS: tuple[Scenario, ...] = (
    Gossiping(senders=Senders.SINGLE, peers=20, runs=40),
    Gossiping(senders=Senders.SINGLE, peers=100, runs=40),
    Gossiping(senders=Senders.SINGLE, peers=1000),
    Gossiping(senders=Senders.MULTI, peers=5, runs=40),
    Gossiping(senders=Senders.MULTI, peers=10, runs=40),
    Gossiping(senders=Senders.MULTI, peers=20, runs=40),
    Gossiping(senders=Senders.MULTI, peers=100, runs=40),
    Gossiping(senders=Senders.MULTI, peers=1000),
    Gossiping(senders=Senders.ALL, peers=20, runs=20),
    Gossiping(senders=Senders.ALL, peers=100, rounds=5),
    *(MassFailure(peers=1000, failed_percent=percent, runs=10) for percent in (50, 80, 95)),
    MassFailure(peers=10_000, failed_percent=50, runs=5),
    MassFailure(peers=10_000, failed_percent=80, runs=5),
    # One author in a hundred is left without a living neighbor, and its message reaches nobody.
    MassFailure(peers=10_000, failed_percent=90, runs=10),
    MassFailure(peers=10_000, failed_percent=95, runs=10),
)


def scenario(name: str) -> Scenario:
    """Return the scenario of that name.

    Raises:
        KeyError: there is none.
    """
    return {it.name: it for it in SCENARIOS}[name]

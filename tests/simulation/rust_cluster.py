"""The network of iroh-gossip's own simulator, with its behavior, for figures that compare.

It knows one connection for each pair of nodes, which there is as soon as one has heard the other.
Who disconnects ends it, whoever opened it and whatever was sent meanwhile, and the other end is
told a latency and a microsecond later. What is sent to a node that is gone is lost, and nobody ever
learns. That hides what the behavior does to itself, when many join at once, in a network of dials.
"""

from buddies_core.gossip.config import EXACT
from tests.simulation.simulator import Cluster


class RustCluster(Cluster):
    """Nodes that behave like iroh-gossip's, in its simulator's network."""

    def __init__(
        self, seed: int, peers: int, *, latency_s: tuple[float, float] = (0.010, 0.100)
    ) -> None:
        super().__init__(seed, peers, config=EXACT, latency_s=latency_s)

    def _disconnect(self, index: int, other: int) -> None:
        if self._connections[index].pop(other, 0):
            self._connections[other].pop(index)
            self._notice_end(other, index)

    def _connection(self, index: int, target: int) -> int:
        return 0

    def _on_heard(self, index: int, other: int, connection: int) -> None:
        self._connections[index][other] = self._connections[other][index] = 1

    def _on_lost(self, index: int, stopped: int, connection: int) -> None:
        pass

    def _minds_end(self, index: int, other: int, connection: int) -> bool:
        return True

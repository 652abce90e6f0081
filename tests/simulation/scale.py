"""What a room costs each node, by its size: the table and the chart of docs/scale.md.

    python -m tests.simulation.scale [SIZE …]

Only gossip is simulated. Nobody speaks for a minute; then members say something, one after another.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import matplotlib as mpl
from matplotlib.figure import Figure

from buddies_core.gossip.messages import Gossip, Message
from buddies_core.wire.frames import frame
from buddies_core.wire.gossip_messages import encode_message
from tests.simulation.scenarios import LATENCY_S
from tests.simulation.simulator import Cluster

SIZES = (10, 100, 1000)
ROUNDS = 20
WARM_UP_ROUNDS = 10
CONTENT_BYTES = 400
"""About what a presence takes, with its signature and addresses."""
ADDRESS_BYTES = 80
"""What a node says of where it can be reached: a relay and two or three addresses."""
PRESENCES_PER_MINUTE = 60 / 28.5
CHART = Path(__file__).parents[2] / "docs" / "images" / "scale.svg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a node sends in a room of this size, on average; it receives as much."""

    members: int
    neighbors: float
    views_bytes_per_minute: float
    """For views that stay fresh, while nobody speaks."""
    payloads: float
    """For each message that any member says."""
    bytes: float
    """The same, with announcements, grafts and prunes."""
    relays: float
    """Until the last node has it."""
    ms: float

    @property
    def presence_kb_per_minute(self) -> float:
        """What it sends so that everybody knows who is there."""
        return self.members * PRESENCES_PER_MINUTE * self.bytes / 1024


def cost(members: int) -> Cost:
    """Return what a room of this size costs each of its nodes."""
    cluster = Cluster(0, members, latency_s=LATENCY_S, data=bytes(ADDRESS_BYTES))
    sent: Counter[str] = Counter()

    def note(message: Message) -> None:
        sent["bytes"] += len(frame(encode_message(message)))
        sent["payloads"] += isinstance(message, Gossip)

    cluster.join_all(contacts=min(10, members // 2))
    cluster.run_for(60)
    cluster.on_message = note
    cluster.run_for(60)
    views = sent["bytes"]
    for number in range(WARM_UP_ROUNDS):
        _say(cluster, number)
    sent.clear()
    rounds = [_say(cluster, WARM_UP_ROUNDS + number) for number in range(ROUNDS)]
    return Cost(
        members=members,
        neighbors=mean(len(cluster.neighbors(index)) for index in cluster.alive),
        views_bytes_per_minute=views / members,
        payloads=sent["payloads"] / members / ROUNDS,
        bytes=sent["bytes"] / members / ROUNDS,
        relays=mean(it[0] for it in rounds),
        ms=mean(it[1] for it in rounds),
    )


def _say(cluster: Cluster, number: int) -> tuple[int, float]:
    said = b"%d" % number
    done = cluster.round((cluster.rng.choice(cluster.alive), said.ljust(CONTENT_BYTES)))
    assert not done.missed, "everybody has heard it"
    return done.last_delivery_hop, done.duration_s * 1000


def draw(costs: Sequence[Cost]) -> None:
    """Draw what presence costs, and how long a message takes, against the size of the room."""
    mpl.rcParams["svg.hashsalt"] = "buddies"  # so that the same figures give the same file
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    sizes = [it.members for it in costs]
    left.plot(sizes, [it.presence_kb_per_minute for it in costs], "o-", color="#2166ac")
    left.set(title="sent by each node so that all know who is there", ylabel="KB a minute")
    left.set_yscale("log")
    right.plot(sizes, [it.ms for it in costs], "o-", color="#2166ac")
    right.set(title="until the last node has a message", ylabel="ms", ylim=(0, None))
    for axes in (left, right):
        axes.set(xlabel="members", xscale="log")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(CHART, metadata={"Date": None})


def main(sizes: Sequence[int]) -> None:
    """Print a table of these sizes, and draw the chart."""
    costs = []
    for size in sizes:
        costs.append(it := cost(size))
        cells = (
            f"{it.members:,}",
            f"{it.neighbors:.1f}",
            f"{it.views_bytes_per_minute / 1024:.1f} KB",
            f"{it.payloads:.2f}",
            f"{it.bytes:,.0f}",
            f"{it.relays:.1f}",
            f"{it.ms:.0f}",
            f"{it.presence_kb_per_minute:,.0f} KB",
        )
        print("| " + " | ".join(cells) + " |", flush=True)  # noqa: T201 - a program
    draw(costs)


if __name__ == "__main__":
    main([int(it) for it in sys.argv[1:]] or SIZES)

"""Draw what docs/gossip.md shows: `make sim-plots`. Minutes of simulation, images into docs/images.

Two machines in every chart: `exact`, which is iroh-gossip's behavior, and ours.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import mean

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.simulation.figures import Run
from tests.simulation.run import play_all
from tests.simulation.scenarios import Behavior, Gossiping, MassFailure, Scenario, Senders

IMAGES = Path(__file__).parents[1] / "docs" / "images"

PEERS = (20, 50, 100, 200, 500, 1000, 2000)
FAILED_PERCENTS = (10, 30, 50, 60, 70, 80, 85, 90, 95)
FAILING_PEERS = 2000
RUNS = 10

LABELS = {Behavior.EXACT: "iroh-gossip", Behavior.OURS: "ours"}
STYLES = {Behavior.EXACT: "s--", Behavior.OURS: "o-"}
COLORS = {Behavior.EXACT: "#b35806", Behavior.OURS: "#2166ac"}

Runs = Mapping[str, Mapping[Behavior, Sequence[Run]]]
Value = Callable[[Sequence[Run]], float]


def curves(axes: Axes, scenarios: Mapping[int, Scenario], runs: Runs, value: Value) -> None:
    """Draw one figure of each scenario against its key, a line for each machine."""
    for machine in Behavior:
        axes.plot(
            list(scenarios),
            [value(runs[it.name][machine]) for it in scenarios.values()],
            STYLES[machine],
            color=COLORS[machine],
            label=LABELS[machine],
            markersize=4,
            linewidth=1.5,
        )
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def mean_reached(rounds: slice, played: Sequence[Run]) -> float:
    """Return the share of survivors that the messages of these rounds reached."""
    return mean(it.reached for run in played for it in run.rounds[rounds])


def draw_failure(runs: Runs, scenarios: Mapping[int, MassFailure]) -> Figure:
    """Return how many of the survivors a message reaches, at once, soon and later."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    panels = {
        "sent at that very instant": slice(0, 1),
        "next two messages": slice(1, 3),
        "two minutes later": slice(3, 4),
    }
    all_axes = figure.subplots(1, 3, sharey=True)
    for axes, (title, rounds) in zip(all_axes, panels.items(), strict=True):
        curves(axes, scenarios, runs, partial(mean_reached, rounds))
        axes.set(title=title, xlabel="nodes that fail at once, %", ylim=(-0.03, 1.03))
    all_axes[0].set_ylabel("survivors reached (mean)")
    all_axes[0].legend(frameon=False, loc="lower left")
    return figure


def draw_against_size(
    runs: Runs, scenarios: Mapping[Senders, Mapping[int, Gossiping]], label: str, value: Value
) -> Figure:
    """Return one figure of rounds of messages against the size of the swarm."""
    titles = {Senders.SINGLE: "one sender", Senders.MULTI: "another sender each time"}
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    all_axes = figure.subplots(1, 2, sharey=True)
    for axes, (senders, by_size) in zip(all_axes, scenarios.items(), strict=True):
        curves(axes, by_size, runs, value)
        axes.set(title=titles[senders], xlabel="nodes", xscale="log")
        axes.set_xticks([20, 100, 500, 2000], labels=["20", "100", "500", "2000"])
        axes.minorticks_off()
    all_axes[0].set_ylim(bottom=0)
    all_axes[0].set_ylabel(label)
    all_axes[0].legend(frameon=False, loc="upper left")
    return figure


def main() -> int:
    """Simulate and draw everything."""
    os.nice(10)
    mpl.rcParams["svg.hashsalt"] = "buddies"  # so that the same figures give the same file
    failures = {
        percent: MassFailure(peers=FAILING_PEERS, failed_percent=percent, runs=RUNS)
        for percent in FAILED_PERCENTS
    }
    sizes = {
        senders: {
            peers: Gossiping(senders=senders, peers=peers, runs=RUNS if peers < 1000 else 4)
            for peers in PEERS
        }
        for senders in (Senders.SINGLE, Senders.MULTI)
    }
    runs = play_all([*failures.values(), *chain(*(by_size.values() for by_size in sizes.values()))])

    charts = {
        "delivery-under-failure": draw_failure(runs, failures),
        "redundancy": draw_against_size(
            runs,
            sizes,
            "redundant payloads for each needed one",
            lambda played: mean(it.redundancy_in_paper for run in played for it in run.rounds),
        ),
        "hops": draw_against_size(
            runs,
            sizes,
            "relays until the last one has it",
            lambda played: mean(it.last_delivery_hop for run in played for it in run.rounds),
        ),
    }
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, figure in charts.items():
        figure.savefig(IMAGES / f"{name}.svg", metadata={"Date": None})
        print(IMAGES / f"{name}.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())

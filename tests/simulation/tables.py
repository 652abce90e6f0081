"""The figures for people: reference, exact and ours, one below the other."""

from collections.abc import Callable, Mapping, Sequence
from statistics import mean
from typing import TypeAlias

from rich.console import Console
from rich.table import Table

from tests.simulation.figures import (
    REFERENCE,
    FailureFigures,
    FailureReference,
    GossipFigures,
    GossipReference,
    Run,
    behind_exact,
    figures,
    shortfalls,
)
from tests.simulation.scenarios import Behavior, Gossiping, MassFailure, Scenario

LOST = 0.25
"""Between a message that met nobody alive and one that reached the swarm there is a wide gap."""

Runs: TypeAlias = Mapping[str, Mapping[Behavior, Sequence[Run]]]

_GOSSIP_COLUMNS = ("RMR", "RMR (paper)", "LDH mean", "worst", "missed", "ms mean", "worst")
_FAILURE_COLUMNS = ("round 1", "rounds 2-3", "later")


def print_tables(scenarios: Sequence[Scenario], runs: Runs) -> list[str]:
    """Print what was measured; return the judged figures that are worse than they may be."""
    console = Console(width=126)
    gossiping = [it for it in scenarios if isinstance(it, Gossiping)]
    failing = [it for it in scenarios if isinstance(it, MassFailure)]
    if gossiping:
        console.print(_table("rounds of messages", _GOSSIP_COLUMNS, gossiping, runs))
    if failing:
        console.print(
            _table(
                "survivors reached after a failure (without what was lost)",
                _FAILURE_COLUMNS,
                failing,
                runs,
            )
        )
    found = [
        f"{it.name}, {machine}: {shortfall}"
        for it in scenarios
        for machine in Behavior
        for shortfall in shortfalls(it, figures(it, runs[it.name][machine]))
        if machine is Behavior.EXACT or isinstance(it, MassFailure)
    ]
    for it in scenarios:
        ours, exact = (
            figures(it, runs[it.name][which]) for which in (Behavior.OURS, Behavior.EXACT)
        )
        found += [f"{it.name}, ours: {shortfall}" for shortfall in behind_exact(it, ours, exact)]
    for line in found:
        console.print(f"[red]worse than the reference:[/] {line}")
    return found


def _table(
    title: str, columns: tuple[str, ...], scenarios: Sequence[Scenario], runs: Runs
) -> Table:
    table = Table("scenario", "machine", *columns, "CPU s", title=title, title_justify="left")
    for column in table.columns[2:]:
        column.justify = "right"
    for it in scenarios:
        table.add_section()
        table.add_row(it.name, "reference", *_reference_cells(REFERENCE[it.name]), "")
        for machine in Behavior:
            played = runs[it.name][machine]
            took_s = max(run.took_s for run in played)
            table.add_row("", machine, *_cells(figures(it, played)), f"{took_s:.1f}")
    return table


def _reference_cells(it: GossipReference | FailureReference) -> tuple[str, ...]:
    match it:
        case GossipReference():
            return (
                _or_dash(it.redundancy, "{:.3f}".format),
                _or_dash(it.redundancy_in_paper, "{:.3f}".format),
                f"{it.hops_mean:.1f}",
                _or_dash(it.hops_worst, str),
                "0",
                f"{it.duration_mean_ms:.0f}",
                _or_dash(it.duration_worst_ms, "{:.0f}".format),
            )
        case FailureReference(at_once, next_two, later):
            return tuple(_share(one) for one in (at_once, next_two, later))


def _share(reached: Sequence[float]) -> str:
    """Show the mean; in brackets without the messages that died with all who had them."""
    rest = [share for share in reached if share >= LOST]
    lost = len(reached) - len(rest)
    if not lost:
        return f"{mean(reached):.3f}"
    others = f"{mean(rest):.3f}, " if rest else ""
    return f"{mean(reached):.3f} ({others}{lost}/{len(reached)} lost)"


def _or_dash(value: float | None, form: Callable[[float], str]) -> str:
    return "–" if value is None else form(value)


def _cells(it: GossipFigures | FailureFigures) -> tuple[str, ...]:
    match it:
        case GossipFigures():
            return (
                f"{it.redundancy.value:.3f}",
                f"{it.redundancy_in_paper.value:.3f}",
                f"{it.hops.value:.1f}",
                str(it.hops_worst),
                str(it.missed),
                f"{it.duration_ms.value:.0f}",
                f"{it.duration_worst_ms:.0f}",
            )
        case FailureFigures():
            return tuple(_share(one) for one in (it.at_once, it.next_two, it.later))

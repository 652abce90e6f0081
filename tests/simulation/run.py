"""Play the scenarios and print their figures beside the reference: `make sim`.

    python -m tests.simulation.run [--n10000] [--scenario NAME] [--seed N] [JSON]

With both a scenario and a seed the run's transcript is printed instead: one line for each event.
"""

import argparse
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track

from tests.simulation.figures import REFERENCE, Run, figures, shortfalls
from tests.simulation.scenarios import SCENARIOS, Behavior, Scenario, scenario
from tests.simulation.tables import print_tables

LARGE = 10_000


@dataclass(frozen=True, slots=True)
class Job:
    """One run of those that a table needs."""

    scenario: Scenario
    machine: Behavior
    seed: int


def play(job: Job) -> Run:
    """Return what came of one run; the same each time."""
    started_at_s = time.process_time()
    rounds = job.scenario.play(job.machine.swarm(job.seed, job.scenario.peers))
    return Run(seed=job.seed, rounds=tuple(rounds), took_s=time.process_time() - started_at_s)


def play_all(
    scenarios: Sequence[Scenario], seed: int | None = None
) -> dict[str, dict[Behavior, list[Run]]]:
    """Return the runs of each scenario and machine, in the order of their seeds."""
    jobs = [
        Job(it, machine, one)
        # The longest first, so that no processor is left with one at the end.
        for it in sorted(scenarios, key=lambda it: -it.peers)
        for machine in Behavior
        for one in ((seed,) if seed is not None else it.seeds)
    ]
    runs: dict[str, dict[Behavior, list[Run]]] = defaultdict(lambda: defaultdict(list))
    with ProcessPoolExecutor() as pool:
        pending = {pool.submit(play, job): job for job in jobs}
        done = track(
            as_completed(pending), "simulating", total=len(jobs), console=Console(stderr=True)
        )
        for future in done:
            job = pending[future]
            runs[job.scenario.name][job.machine].append(future.result())
    for by_machine in runs.values():
        for one in by_machine.values():
            one.sort(key=lambda run: run.seed)
    return runs


def to_json(runs: dict[str, dict[Behavior, list[Run]]]) -> dict[str, object]:
    """Return everything that was measured, round by round, and what was made of it."""
    return {
        it.name: {
            "reference": asdict(REFERENCE[it.name]),
            **{
                machine.value: {
                    "figures": asdict(figures(it, runs[it.name][machine])),
                    "shortfalls": shortfalls(it, figures(it, runs[it.name][machine])),
                    "runs": [asdict(run) for run in runs[it.name][machine]],
                }
                for machine in Behavior
            },
        }
        for it in SCENARIOS
        if it.name in runs
    }


def transcript(what: Scenario, machine: Behavior, seed: int) -> Iterator[str]:
    """Yield what happens in one run, and its figures."""
    cluster = machine.swarm(seed, what.peers)
    cluster.log = []
    rounds = what.play(cluster)
    yield from cluster.log
    yield from (f"round {number}: {it}" for number, it in enumerate(rounds, 1))


def main() -> int:
    """Play what the arguments say; return 1 if a judged figure is worse than it may be."""
    parser = argparse.ArgumentParser(prog="make sim", description=__doc__)
    parser.add_argument("json", nargs="?", type=Path, default=Path("build/sim.json"))
    parser.add_argument("--scenario", choices=[it.name for it in SCENARIOS])
    parser.add_argument("--seed", type=int)
    parser.add_argument("--machine", type=Behavior, choices=list(Behavior), default=Behavior.OURS)
    parser.add_argument("--n10000", action="store_true", help="also swarms of 10,000: minutes")
    arguments = parser.parse_args()
    if arguments.scenario and arguments.seed is not None:
        lines = transcript(scenario(arguments.scenario), arguments.machine, arguments.seed)
        sys.stdout.writelines(line + "\n" for line in lines)
        return 0

    os.nice(10)
    chosen = [
        it
        for it in SCENARIOS
        if (it.name == arguments.scenario if arguments.scenario else True)
        and (it.peers < LARGE or arguments.n10000 or arguments.scenario)
    ]
    runs = play_all(chosen, arguments.seed)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(to_json(runs), indent=1) + "\n")
    fell_short = print_tables(chosen, runs)
    print(f"all figures: {arguments.json}")  # noqa: T201 - a program, not a test
    return 1 if fell_short else 0


if __name__ == "__main__":
    sys.exit(main())

"""Small runs of the chaos that `make chaos-tasks` makes; see `chaos_tasks`."""

import pytest

from tests.simulation.chaos_tasks import Outcome, run_chaos


def run(seed: int) -> Outcome:
    return run_chaos(seed, tasks=60, workers=3, harm_s=300.0)


@pytest.mark.parametrize("seed", range(6))
def test_every_task_ends_once_whatever_dies_on_the_way(seed: int) -> None:
    outcome = run(seed)

    assert outcome.violations == (), f"again: run_chaos({seed}, tasks=60, workers=3, harm_s=300)"
    assert sum(outcome.states.values()) == 60
    assert outcome.harm["worker kills"] > 0
    assert outcome.states["completed"] > 30


def test_one_seed_twice_gives_one_outcome() -> None:
    assert run(7) == run(7)

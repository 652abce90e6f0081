"""Small runs of what `make chaos` plays; see `chaos`."""

import pytest

from tests.simulation.chaos import play

HARM_S = 75.0


@pytest.mark.parametrize("seed", range(20))
def test_after_all_harm_everybody_has_and_shows_the_same_and_every_task_is_over(seed: int) -> None:
    outcome = play(seed, HARM_S)

    assert outcome.faults == (), f"again: play({seed}, {HARM_S})\n" + "\n".join(outcome.steps)
    assert outcome.counts["memories"] > 10
    assert outcome.counts["tasks"] > 3


def test_a_seed_is_replayed_with_the_same_steps() -> None:
    assert play(21, HARM_S) == play(21, HARM_S)

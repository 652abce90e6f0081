"""Small runs of what `make sim-history` plays; see `history`."""

import pytest

from tests.simulation.history import World, play
from tests.support.virtual_time import run_virtually


@pytest.mark.parametrize("seed", range(20))
def test_all_nodes_have_the_same_after_crashes_splits_and_sleeps(seed: int) -> None:
    play(seed)


def test_one_seed_twice_gives_one_outcome() -> None:
    one, two = World(3), World(3)

    assert run_virtually(one.run()) == run_virtually(two.run())
    assert one.stored == two.stored > 30

"""Removed means removed: a private room's rules among hostile members; see `private_rooms`."""

import pytest

from tests.simulation.private_rooms import World, play

SEEDS = 200
"""`make sim-private SEEDS=1000` plays more."""


@pytest.mark.parametrize("first", range(0, SEEDS, 20))
def test_whatever_hostile_ones_do_the_removed_stay_out_and_honest_members_agree(first: int) -> None:
    """Each invariant of `rooms.private.membership`, after each event of each seed."""
    for seed in range(first, first + 20):
        play(seed)


def test_one_seed_gives_one_transcript() -> None:
    worlds = [World(32), World(32)]
    for world in worlds:
        world.run(60)
        world.heal()
    assert worlds[0].log == worlds[1].log
    assert len(worlds[0].log) > 60

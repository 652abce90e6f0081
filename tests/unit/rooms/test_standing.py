import pytest

from buddies_core.rooms.standing import CHOSEN, standing

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        (
            standing(0, chosen=False, stands_out=True),
            standing(MINUTE_MS, chosen=False, stands_out=False),
        ),
        (standing(0, chosen=False, stands_out=False), standing(0, chosen=False, stands_out=True)),
        (
            standing(60 * MINUTE_MS, chosen=False, stands_out=True),
            standing(DAY_MS, chosen=False, stands_out=False),
        ),
        (
            standing(3000 * DAY_MS, chosen=False, stands_out=True),
            standing(0, chosen=True, stands_out=False),
        ),
    ],
    ids=[
        "a minute over a signature",
        "a signature over none",
        "a day over an hour",
        "named over all",
    ],
)
def test_time_counts_for_more_than_keys_and_the_users_word_for_more_than_both(
    lower: int, higher: int
) -> None:
    assert lower < higher <= CHOSEN


def test_a_clock_that_was_set_back_costs_nobody_its_place() -> None:
    assert standing(-DAY_MS, chosen=False, stands_out=False) == 0

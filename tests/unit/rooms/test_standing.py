import pytest

from buddies_core.rooms.standing import CHOSEN, standing

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS


def of(known_ms: int, *, chosen: bool = False, met: bool = False, vouched: bool = False) -> int:
    return standing(known_ms, chosen=chosen, met=met, vouched=vouched)


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        (of(0, met=True, vouched=True), of(MINUTE_MS)),
        (of(0), of(0, vouched=True)),
        (of(0, vouched=True), of(0, met=True)),
        (of(60 * MINUTE_MS, met=True), of(DAY_MS)),
        (of(3000 * DAY_MS, met=True, vouched=True), of(0, chosen=True)),
    ],
    ids=[
        "a minute over a meeting",
        "a signature over none",
        "a meeting over a signature",
        "a day over an hour",
        "named over all",
    ],
)
def test_time_counts_for_more_than_keys_and_the_users_word_for_more_than_both(
    lower: int, higher: int
) -> None:
    assert lower < higher <= CHOSEN


def test_a_clock_that_was_set_back_costs_nobody_its_place() -> None:
    assert of(-DAY_MS) == 0

"""What a bench writes down is what it has measured, and says whether a goal is met."""

import pytest

from tests.bench.rows import Goal, Row, differences, from_json, row, table, to_json


def test_of_samples_the_median_and_both_ends_are_shown() -> None:
    found = row("store", "A store.", [*range(100, 0, -1), 1000])

    assert (found.median, found.low, found.high, found.samples) == (51, 11, 100, 101)


@pytest.mark.parametrize(
    ("goal", "is_met"),
    [
        (None, None),
        (Goal(median=2), True),
        (Goal(median=1.9), False),
        (Goal(median=2, high=3), True),
        (Goal(median=2, high=2.9), False),
        (Goal(median=2, at_least=True), True),
        (Goal(median=2.1, at_least=True), False),
    ],
)
def test_a_goal_is_met_by_the_median_and_by_the_high_end(
    goal: Goal | None, is_met: bool | None
) -> None:
    assert row("store", "A store.", [1, 2, 3], goal=goal).is_met is is_met


def test_a_result_is_read_as_it_was_written() -> None:
    rows = [
        row("store", "A store.", [1.5, 2.25], goal=Goal(median=5, high=15)),
        row("list", "A list.", [4], beside=("an echo", [2])),
    ]

    assert from_json(to_json(rows)) == rows


def test_a_table_has_a_line_for_each_row() -> None:
    rows = [
        row("store", "A store.", [6], goal=Goal(median=5, high=15)),
        row("list", "A list.", [4], beside=("an echo", [2]), goal=Goal(median=4)),
    ]

    assert table(rows).splitlines()[2:] == [
        "| store | 6 ms | 6 – 6 | ≤ 5 / 15 | **no** |  |  |",
        "| list | 4 ms | 4 – 4 | ≤ 4 | yes | an echo: 2 | 2 |",
    ]


def one(median: float, *, beside: float | None = None, at_least: bool = False) -> Row:
    return row(
        "store",
        "A store.",
        [median],
        goal=Goal(median=1, at_least=at_least),
        beside=None if beside is None else ("an echo", [beside]),
    )


@pytest.mark.parametrize(
    ("now", "last", "line"),
    [
        (one(11), one(10), "same     store: 10 → 11 ms (+10%)"),
        (one(13), one(10), "worse    store: 10 → 13 ms (+30%)"),
        (one(7), one(10), "better   store: 10 → 7 ms (-30%)"),
        (one(13, at_least=True), one(10, at_least=True), "better   store: 10 → 13 ms (+30%)"),
        # On a machine that is three times as slow.
        (one(30, beside=6), one(10, beside=2), "same     store: 5 → 5 times an echo (+0%)"),
    ],
)
def test_a_difference_is_that_of_ratios_where_there_are_any(now: Row, last: Row, line: str) -> None:
    assert differences([now], [last]).strip() == line


def test_a_row_that_the_last_result_lacks_is_new() -> None:
    assert differences([one(3)], []).strip() == "new      store: 3 ms"

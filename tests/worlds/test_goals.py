"""Goals are about stories that exist, and none that is due can be missed in silence."""

import pytest

from tests.worlds.goals import GOALS, Figure, Goal, Verdict
from tests.worlds.stories import STORIES


def figure(value: float | None) -> Figure:
    return Figure(story="a story", what="shares", value=value)


def test_every_goal_belongs_to_a_story() -> None:
    assert {story for story, _ in GOALS} - {story.name for story in STORIES} == set()


@pytest.mark.parametrize(
    ("goal", "value", "verdict"),
    [
        (Goal(at_most=5), 5.0, Verdict.MET),
        (Goal(at_most=5), 5.1, Verdict.FAILED),
        (Goal(at_most=5), None, Verdict.FAILED),
        (Goal(at_most=5, due=False), 5.1, Verdict.NOT_YET),
        (Goal(at_most=5, due=False), None, Verdict.NOT_YET),
        (Goal(at_least=100), 100.0, Verdict.MET),
        (Goal(at_least=100), 90.0, Verdict.FAILED),
    ],
)
def test_a_goal_that_is_missed_fails_only_if_it_is_due(
    goal: Goal, value: float | None, verdict: Verdict
) -> None:
    assert goal.verdict(figure(value)) is verdict


def test_what_never_happened_is_printed_as_never() -> None:
    assert [str(figure(value)) for value in (None, 0.04, 12.34, 300.2)] == [
        *("never", "0.0 s", "12.3 s", "300 s")
    ]

"""What was found once is never found again, and a little of what `make fuzz` does each time."""

from typing import Any

import pytest
from hypothesis import given, settings

from tests.fuzz.mutations import mutated
from tests.fuzz.targets import CORPUS, TARGETS, Target

each_target = pytest.mark.parametrize(
    "target", [pytest.param(target, id=target.name) for target in TARGETS]
)


@each_target
def test_all_that_is_kept_is_decoded_or_refused(target: Target[Any]) -> None:
    for data in target.corpus():
        target.try_out(data)


@each_target
def test_something_that_is_kept_is_decoded(target: Target[Any]) -> None:
    """Otherwise nothing behind the first check would be fuzzed."""

    def decodes(data: bytes) -> bool:
        try:
            target.decode(data)
        except target.refusals:
            return False
        return True

    assert any(map(decodes, target.corpus()))


@each_target
def test_a_few_changes_to_it_crash_nothing(target: Target[Any]) -> None:
    @settings(max_examples=60, database=None)
    @given(mutated(target.corpus()))
    def holds(data: bytes) -> None:
        target.try_out(data)

    holds()


def test_nothing_is_kept_for_a_target_that_is_gone() -> None:
    assert {path.stem for path in CORPUS.glob("*.hex")} == {target.name for target in TARGETS}

"""What callers send, parsed."""

import math
from collections.abc import Callable
from uuid import UUID

import pytest

from buddies_core.convert import arguments
from buddies_core.errors import InvalidInput
from buddies_core.model.memory import MemoryFilter, MemoryKind
from buddies_core.pb import memory_pb2


@pytest.mark.parametrize("kind", MemoryKind)
def test_every_kind_has_its_name(kind: MemoryKind) -> None:
    assert arguments.memory_kind(kind.value) is kind


def test_what_is_left_out_has_a_default() -> None:
    assert (
        arguments.memory_kind(""),
        arguments.limit(0),
        arguments.page_chars(0),
        arguments.memory_filter(memory_pb2.Filter()),
        arguments.memory_filter(memory_pb2.Filter(room="", kind="", author="")),
    ) == (MemoryKind.CONTEXT, 20, 20_000, MemoryFilter(), MemoryFilter())


def test_a_limit_of_the_time_may_be_the_beginning_of_time() -> None:
    assert arguments.memory_filter(memory_pb2.Filter(since_ms=0)) == MemoryFilter(since_ms=0)


@pytest.mark.parametrize("text", ["Decision", "decisions", " "])
def test_a_kind_that_is_only_like_one_is_unknown(text: str) -> None:
    with pytest.raises(InvalidInput, match="is unknown; use one of decision, implementation"):
        arguments.memory_kind(text)


@pytest.mark.parametrize("text", ["", "7", "8d3e5c1a-7f0b-4c52-9a54-1f0c2b7d9e6", "g" * 32])
def test_what_is_no_id_is_said_to_be_none(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no id; one looks like 8d3e5c1a"):
        arguments.memory_id(text, "reference")


def test_the_id_shown_as_an_example_is_one() -> None:
    text = "8d3e5c1a-7f0b-4c52-9a54-1f0c2b7d9e61"

    assert arguments.memory_id(text) == UUID(text)


@pytest.mark.parametrize("around", ["{}", " {}\n", "`{}`", '"{}",', "<{}>.", "\ufeff{}\u200b"])
def test_an_id_and_a_hash_are_read_as_they_were_copied(around: str) -> None:
    id, hash = "8d3e5c1a-7f0b-4c52-9a54-1f0c2b7d9e61", "0a" * 32
    assert arguments.memory_id(around.format(id.upper())) == UUID(id)
    assert arguments.task_id(around.format(id)) == UUID(id)
    assert arguments.skill_hash(around.format(hash.upper())) == hash


@pytest.mark.parametrize("value", [0.0, 0.09, -1.0, 45.1, math.nan, math.inf, -math.inf])
def test_a_search_takes_a_tenth_of_a_second_at_least_and_less_than_a_call_may(value: float) -> None:
    with pytest.raises(InvalidInput, match=r"give 0\.1 to 45 seconds"):
        arguments.search_timeout_s(value)


NO_TIMES = [-1.0, -1e300, 1e300, float("nan"), float("inf"), float("-inf")]


@pytest.mark.parametrize("value", [*NO_TIMES, 50.1])
def test_a_wait_is_finite_and_within_a_long_poll(value: float) -> None:
    with pytest.raises(InvalidInput, match="; give 0 to 50 seconds"):
        arguments.wait_s(value)
    assert arguments.wait_s(-0.0) == 0


@pytest.mark.parametrize("value", [*NO_TIMES, 0.9, 604_800.1])
def test_a_tasks_timeout_is_a_second_at_least_and_at_most_a_week(value: float) -> None:
    with pytest.raises(InvalidInput, match="give 1 to 604800 seconds"):
        arguments.task_timeout_s(value)
    assert arguments.task_timeout_s(-0.0) is None


@pytest.mark.parametrize(
    ("value", "parse"),
    [(1001, arguments.limit), (2**32 - 1, arguments.limit), (2**20 + 1, arguments.page_chars)],
)
def test_a_count_is_within_its_range(value: int, parse: Callable[[int], int]) -> None:
    with pytest.raises(InvalidInput, match=f"limit is {value}, "):
        parse(value)

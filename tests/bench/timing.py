"""Takes samples: how long something takes, by itself or in turn with something else."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

Work: TypeAlias = Callable[[], Awaitable[object]]


async def took_ms(work: Work) -> float:
    """Return how long it takes to do something, in milliseconds."""
    began_s = time.perf_counter()
    await work()
    return (time.perf_counter() - began_s) * 1000


async def each_ms(count: int, work: Work) -> list[float]:
    """Return how long it takes each time."""
    return [await took_ms(work) for _ in range(count)]


async def in_turn_ms(count: int, work: Work, other: Work) -> tuple[list[float], list[float]]:
    """Return how long each of both takes; in turn, so that whatever else runs slows both."""
    samples = [(await took_ms(work), await took_ms(other)) for _ in range(count)]
    return [ours for ours, _ in samples], [theirs for _, theirs in samples]

"""An event loop on which waiting takes no time: it jumps to the next timer.

Each reading of its clock moves it by a microsecond, as on a real machine no two readings are the
same: whoever asks whether a deadline of 0 s has passed is told that it has. TaskGroup, timeout and
sleep work unchanged. When everybody waits and no timer is left, that is a deadlock, and shows at
once.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.support.fakes.clocks import TICK_S

T = TypeVar("T")

_EPOCH_MS = 1_700_000_000_000


class Deadlock(AssertionError):
    """Everybody waits for somebody else."""


class _JumpingSelector(selectors.SelectSelector):
    """Reports no event of a file, ever; knows the time."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("no timer is left that could wake anybody")
        self.now_s += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is that of its timers."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        self._jumping.now_s += TICK_S
        return self._jumping.now_s


@dataclass(slots=True)
class LoopClock:
    """The running loop's time as both clocks; the wall's may be wrong, and may be set."""

    skew_ms: int = 0

    def now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def wall_ms(self) -> int:
        return _EPOCH_MS + self.skew_ms + int(self.now_s() * 1000)


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Return what `main` returns, in no time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)

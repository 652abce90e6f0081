"""An event loop on which waiting takes no time: it jumps to the next timer.

Each reading of its clock moves it by a microsecond, as on a real machine no two readings are the
same: whoever asks whether a deadline of 0 s has passed is told that it has. TaskGroup, timeout and
sleep work unchanged. When everybody waits and no timer is left, that is a deadlock, and shows at
once. What is given to a thread is done at once.

Many programs can share the loop, each in a context with a `Freezer`: while that is closed, nothing
of the program runs, as if it were stopped by a signal; and never again if it stays closed.
"""

import asyncio
import selectors
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
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


@dataclass(eq=False)
class Freezer:
    """Holds what one program would do while it is closed."""

    closed: bool = False
    held: list[asyncio.Handle] = field(default_factory=list)

    def context(self) -> Context:
        """Return a context for a task of the program; all that comes of that is in it, too."""
        context = copy_context()
        context.run(_FREEZER.set, self)
        return context

    def open(self) -> None:
        """Let the program go on with what has come meanwhile."""
        self.closed = False
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.go_on(self.held)
        self.held = []


_FREEZER: ContextVar[Freezer | None] = ContextVar("freezer", default=None)


class _Ready(deque[asyncio.Handle]):
    """What the loop runs next; takes out what is frozen."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._nothing = asyncio.Handle(print, (), loop)
        self._nothing.cancel()

    def popleft(self) -> asyncio.Handle:
        handle = super().popleft()
        freezer = handle._context.get(_FREEZER)  # type: ignore[attr-defined]
        if freezer is None or not freezer.closed:
            return handle
        freezer.held.append(handle)
        return self._nothing


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is that of its timers."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self._ready = _Ready(self)

    def go_on(self, handles: list[asyncio.Handle]) -> None:
        """Run these next."""
        self._ready.extend(handles)

    def run_in_executor(
        self, executor: object, func: Callable[..., T], *args: object
    ) -> "asyncio.Future[T]":
        """Do it now."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            done.set_exception(error)
        return done

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

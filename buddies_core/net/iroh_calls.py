"""The one place that awaits iroh, and that turns its errors into ours.

Cancelling a pending iroh call loses data: when its result is ready but the task has not resumed,
the result is dropped, be it a stream, a connection or bytes that nobody will send again (measured:
695 of 5,000 reads under random cancellation). So each call is a task of its own, which nobody
cancels: whoever gives up only stops waiting. All are given up together with their endpoint.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from enum import Enum
from functools import partial
from typing import Any, TypeVar

import iroh

from buddies_core.errors import Unreachable

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Failure(Enum):
    """What a failed call comes down to, and what to tell people."""

    TIMED_OUT = "nothing answered in time"
    REFUSED_PROTOCOL = "it does not speak this protocol"
    WRONG_IDENTITY = "another node answers at its address"
    NO_ADDRESS = "no address of it is known"
    CLOSED_BY_PEER = "it closed the connection"
    CLOSED_HERE = "the connection was closed on this side"
    STREAM_ENDED = "it does not want this stream any more"
    CANNOT_BIND = "the address cannot be bound"
    UNBOUND = "this machine has no UDP port now; it looks for one every second, so try again"
    OTHER = "the connection failed"


class IrohFailed(Unreachable):
    """A call of iroh that failed, or that was not waited for any longer."""

    def __init__(self, failure: Failure, text: str | None = None) -> None:
        super().__init__(failure.value if text is None else text)
        self.failure = failure


# iroh's messages are not stable, these parts of them have been; the first that fits counts.
_SIGNS = (
    ("error 120", Failure.REFUSED_PROTOCOL),
    ("UnknownIssuer", Failure.WRONG_IDENTITY),
    ("No addressing information", Failure.NO_ADDRESS),
    ("address lookup", Failure.NO_ADDRESS),
    ("ApplicationClosed", Failure.CLOSED_BY_PEER),
    ("closed by peer", Failure.CLOSED_BY_PEER),
    ("LocallyClosed", Failure.CLOSED_HERE),
    ("endpoint driver", Failure.CLOSED_HERE),
    ("Stopped(", Failure.STREAM_ENDED),
    ("Reset(", Failure.STREAM_ENDED),
    ("timed out", Failure.TIMED_OUT),
    ("TimedOut", Failure.TIMED_OUT),
)


def translate(error: iroh.IrohError) -> IrohFailed:
    """Return our error for one of iroh's, whose own text is empty."""
    if error.kind() is iroh.IrohErrorKind.BIND:
        return IrohFailed(Failure.CANNOT_BIND)
    message = error.message()
    for sign, failure in _SIGNS:
        if sign in message:
            return IrohFailed(failure)
    reason = message.strip().partition("\n")[0][:200]
    return IrohFailed(Failure.OTHER, f"{Failure.OTHER.value} ({error.kind().name}: {reason})")


class IrohCalls:
    """The calls of iroh that are under way."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def run(
        self,
        call: Coroutine[Any, Any, T],
        timeout_s: float | None = None,
        *,
        late: Callable[[T], object] | None = None,
    ) -> T:
        """Return the call's result.

        After the time-out, or when the caller is cancelled, the call goes on by itself; `late` is
        then given its result, and closes what would stay open otherwise.

        Raises:
            IrohFailed: the call failed, or took longer than the time-out.
        """
        task = asyncio.create_task(call)  # noqa: TID251 - a group would cancel it
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        ended = False
        try:
            done, _ = await asyncio.wait({task}, timeout=timeout_s)
            ended = bool(done)
        finally:
            if not ended:
                task.add_done_callback(partial(_take_late, late))
        if not ended:
            raise IrohFailed(Failure.TIMED_OUT)
        if task.cancelled():
            raise IrohFailed(Failure.CLOSED_HERE)
        # Raised from the task it would form a cycle with this frame, and connections that live
        # until the garbage collector comes keep the port in use.
        error = task.exception()
        if isinstance(error, iroh.IrohError):
            raise translate(error)
        return task.result()

    def abandon(self) -> None:
        """Give up all calls, whose results are lost; who waits for one is told CLOSED_HERE.

        To be used when all that they could bring goes with the endpoint.
        """
        for task in self._running:
            task.cancel()

    async def drain(self, timeout_s: float) -> None:
        """Wait for the calls that nobody waits for; closing the endpoint ends them all."""
        if self._running:
            _, pending = await asyncio.wait(self._running, timeout=timeout_s)
            if pending:
                _log.debug("iroh_calls_left count=%d", len(pending))


def _take_late(late: Callable[[T], object] | None, task: asyncio.Task[T]) -> None:
    if not task.cancelled() and task.exception() is None and late is not None:
        late(task.result())

"""Events that are due later, in the order in which they fall due."""

import asyncio
import heapq
from collections.abc import Callable

from buddies_core.gossip.events import Event


class Timers:
    """A heap of events on the running loop. Those due at one time come in the order of scheduling.

    The loop's own heap promises no such order, and keeps a handle for each.
    """

    def __init__(self, expire: Callable[[Event], None]) -> None:
        self._expire = expire
        self._loop = asyncio.get_running_loop()
        self._heap: list[tuple[float, int, Event]] = []
        self._scheduled = 0
        self._alarm: asyncio.TimerHandle | None = None

    def schedule(self, delay_s: float, event: Event) -> None:
        """Hand the event back after the delay."""
        self._scheduled += 1
        heapq.heappush(self._heap, (self._loop.time() + delay_s, self._scheduled, event))
        self._set_alarm()

    def close(self) -> None:
        """Forget all events."""
        self._heap.clear()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _set_alarm(self) -> None:
        """Wake up when the first event is due, and not before."""
        due = self._heap[0][0]
        if self._alarm is not None:
            if self._alarm.when() <= due:
                return
            self._alarm.cancel()
        self._alarm = self._loop.call_at(due, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        while self._heap and self._heap[0][0] <= self._loop.time():
            self._expire(heapq.heappop(self._heap)[2])
        if self._heap:
            self._set_alarm()

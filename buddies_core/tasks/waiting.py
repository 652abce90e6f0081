"""Waits for news without missing any: a caller that listens before looking hears all of it."""

import asyncio
from contextlib import suppress
from weakref import WeakValueDictionary

from buddies_core.model.ids import TaskId


class Signal:
    """Wakes everybody who has been listening since before it was given."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def listen(self) -> asyncio.Event:
        """Return what will be set at the next `give`. Take it first, then look, then wait."""
        return self._next

    def give(self) -> None:
        """Wake all who listen."""
        self._next.set()
        self._next = asyncio.Event()


class Signals:
    """A signal for each task that somebody watches."""

    def __init__(self) -> None:
        self._signals: WeakValueDictionary[TaskId, Signal] = WeakValueDictionary()

    def of(self, id: TaskId) -> Signal:
        """Return the signal of this task; it lasts as long as somebody holds it."""
        return self._signals.setdefault(id, Signal())

    def give(self, id: TaskId) -> None:
        """Wake all who watch this task."""
        if (signal := self._signals.get(id)) is not None:
            signal.give()


async def wait_set(event: asyncio.Event, timeout_s: float) -> bool:
    """Return whether the event was set in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
    return event.is_set()

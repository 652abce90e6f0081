"""The tasks of connections: they end by themselves when their connections do."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Tasks:
    """Tasks in a group, which can be waited for before the group cancels them.

    A cancelled task leaves cycles of frames that keep its connection, and with it the UDP port, in
    use until the garbage collector comes by.
    """

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run this until it ends or the group does; its failure ends the group."""
        task = self._group.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def wait_ended(self, timeout_s: float) -> None:
        """Wait until all have ended, at most for that time."""
        if self._running:
            await asyncio.wait(self._running, timeout=timeout_s)

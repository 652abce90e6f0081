"""Keeps the daemon's news of tasks for the attached agent until somebody reads it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from buddies_core.model.task import InboxChange

UNREAD_MAX = 100


class Inbox:
    """A queue of changes. A full one drops the oldest: the inbox itself is at the daemon."""

    def __init__(self) -> None:
        self._unread: deque[InboxChange] = deque(maxlen=UNREAD_MAX)
        self._arrived = asyncio.Event()

    def put(self, change: InboxChange) -> None:
        """Keep a change for the reader."""
        self._unread.append(change)
        self._arrived.set()

    async def changes(self) -> AsyncIterator[InboxChange]:
        """Return each change once, for ever."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._unread:
                yield self._unread.popleft()

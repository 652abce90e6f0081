"""The end of the server, for calls that wait: they are cut short instead of being waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

ItemT = TypeVar("ItemT")


class Closing:
    """Whether the server is closing, and what waits in it. One event loop owns it."""

    def __init__(self) -> None:
        self._begun = False
        self._waits: set[asyncio.Timeout] = set()

    def begin(self) -> None:
        """End all waits, those that are to come too."""
        self._begun = True
        for wait in self._waits:
            wait.reschedule(0)

    @asynccontextmanager
    async def cuts(self) -> AsyncIterator[None]:
        """Leave the block when the server closes, as if all in it had been done."""
        wait = asyncio.timeout(0 if self._begun else None)
        try:
            async with wait:
                self._waits.add(wait)
                yield
        except TimeoutError:
            if not wait.expired():
                raise
        finally:
            self._waits.discard(wait)

    async def until(self, items: AsyncGenerator[ItemT]) -> AsyncIterator[ItemT]:
        """Return the items until they or the server end."""
        async with aclosing(items):
            while True:
                item: ItemT | None = None
                async with self.cuts():
                    item = await anext(items, None)
                if item is None:
                    return
                yield item

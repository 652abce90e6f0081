"""Waiting for what other tasks of the same loop will have done."""

import asyncio
from collections.abc import Callable


async def until(holds: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Let other tasks run until this holds; TimeoutError if it does not in time."""
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110 - what is awaited has no event of its own
            await asyncio.sleep(0.001)

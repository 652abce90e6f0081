"""Patience with a daemon that is being restarted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from buddies_core.errors import DaemonUnavailable, TimedOut

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

RESTART_S = 60.0
"""Seconds that a daemon may be away, because somebody restarts it or the machine is busy."""
PAUSE_S = 0.5

AnswerT = TypeVar("AnswerT")


async def through_restarts(ask: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
    """Return the daemon's answer to a question that does no harm if it is put twice.

    Raises:
        DaemonUnavailable: it has gone and did not come back.
    """
    loop = asyncio.get_running_loop()
    give_up_s = loop.time() + RESTART_S
    while True:
        try:
            return await ask()
        except (DaemonUnavailable, TimedOut):
            if loop.time() >= give_up_s:
                raise
        await asyncio.sleep(PAUSE_S)

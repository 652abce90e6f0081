"""The time that one call may keep its client waiting, and the progress it reports meanwhile."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from buddies_core.errors import InvalidInput
from buddies_core.model.task import WAIT_S_MAX

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

REPORT_EVERY_S = 10.0
"""Clients that reset their time-out by progress have one of 30 s at least."""
TOOL_TIMEOUT = "BUDDIES_TOOL_TIMEOUT_SECS"
TOOL_TIMEOUT_S_MAX = 86_400.0


class Patience:
    """The patience of one call. It begins to run out when this is made."""

    def __init__(self, wait_s: float, tell: Callable[[float, str], Awaitable[None]]) -> None:
        """Last for `wait_s`; `tell` takes the seconds that have passed, and how things are."""
        self._began_s = asyncio.get_running_loop().time()
        self._wait_s = wait_s
        self._tell = tell

    def limit(self, wait_s: float | None) -> None:
        """Last no longer than the caller itself wants to wait, if it says so."""
        if wait_s is not None:
            self._wait_s = min(self._wait_s, wait_s)

    def until_report_s(self) -> float:
        """Return how long to wait before the next report; 0 when patience has run out."""
        return min(max(0.0, self._wait_s - self._passed_s()), REPORT_EVERY_S)

    async def report(self, text: str) -> None:
        """Tell the client how things are, if it wants to know."""
        await self._tell(self._passed_s(), text)

    def _passed_s(self) -> float:
        return asyncio.get_running_loop().time() - self._began_s


def tool_timeout_s(environ: Mapping[str, str]) -> float:
    """Return how long a call may block: what the environment knows of the client, or 50 s.

    Raises:
        InvalidInput: what it says is no such time.
    """
    text = environ.get(TOOL_TIMEOUT, "")
    if not text:
        return WAIT_S_MAX
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds <= TOOL_TIMEOUT_S_MAX:
        raise InvalidInput(
            f"{TOOL_TIMEOUT} is {text!r}; it must be 1 to {TOOL_TIMEOUT_S_MAX:g} seconds, and less"
            " than your MCP client waits for a tool call"
        )
    return seconds

"""Signals for a command that runs for long: the first asks it to end, the second insists."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, what a service manager sends, and a terminal that is closed."""


class Ending:
    """Whether a command was asked to end."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.exit_code = 0
        """The exit code that a shell reports for the first signal; 0 if there was none."""

    @contextmanager
    def by_signals(self) -> Iterator[None]:
        """Take signals during the block: the first sets `asked`, the next cancels this task."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None, "a coroutine calls this"

        def end(number: signal.Signals) -> None:
            if self.asked.is_set():
                task.cancel()
            self.exit_code = self.exit_code or 128 + number
            self.asked.set()

        # What the parent has us ignore stays ignored: nohup does so, and shells with `&`.
        taken = [each for each in SIGNALS if signal.getsignal(each) is not signal.SIG_IGN]
        for number in taken:
            loop.add_signal_handler(number, end, number)
        try:
            yield
        finally:
            for number in taken:
                loop.remove_signal_handler(number)

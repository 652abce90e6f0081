"""Progress of anything that takes longer than a second: a bar, or a spinner without a total."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from buddies_cli import terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress

AFTER_S = 1.0
"""Anything faster than this needs no progress."""


class Bar:
    """The progress of one operation. Any thread may advance it."""

    def __init__(self, text: str, total: int | None) -> None:
        self.total = total
        """The total that `advance` counts towards; None while it is unknown."""
        self.done = 0
        self._text = text
        self._lock = threading.Lock()
        self._shown: Progress | None = None
        self._timer = threading.Timer(AFTER_S, self._show)
        self._timer.daemon = True
        self._has_ended = False

    def advance(self, amount: int = 1) -> None:
        """Count so much more as done."""
        with self._lock:
            self.done += amount
            self._refresh()

    def say(self, text: str) -> bool:
        """Write a line above the bar; return False, having written nothing, if none is shown."""
        with self._lock:
            if self._shown is None:
                return False
            self._shown.console.print(text, markup=False, highlight=False, soft_wrap=True)
            return True

    def begin(self) -> None:
        """Show it from a second on."""
        self._timer.start()

    def end(self) -> None:
        """Remove it from the screen."""
        self._timer.cancel()
        with self._lock:
            self._has_ended = True
            if self._shown is not None:
                self._shown.stop()
                self._shown = None

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        with self._lock:
            if self._has_ended:
                return
            # rich draws for stderr as it is; redirecting would catch what others write there.
            console = Console(file=sys.stderr, no_color=terminal.color(os.environ) is False)
            bar = (
                [] if self.total is None else [BarColumn(), TextColumn("{task.percentage:>3.0f}%")]
            )
            self._shown = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                *bar,
                TimeElapsedColumn(),
                console=console,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._shown.add_task(self._text, total=self.total, completed=self.done)
            self._shown.start()

    def _refresh(self) -> None:
        if self._shown is not None:
            self._shown.update(self._shown.task_ids[0], completed=self.done, total=self.total)


@contextmanager
def progress(text: str, total: int | None = None) -> Iterator[Bar]:
    """Show on stderr how far the block is, if it takes over a second and a person is watching.

    Without a total there is a spinner and the time. Nothing is shown where stderr is not a
    terminal that can move its cursor; the Bar counts all the same.

    Example:
        with progress("Exporting feature-a", total=count) as bar:
            for entry in entries:
                write(entry)
                bar.advance()
    """
    bar = Bar(terminal.line(text), total)
    is_watched = sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb")
    if is_watched:
        bar.begin()
    try:
        yield bar
    finally:
        bar.end()

"""Reads the logs of this machine's programs, the last lines and what comes after them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from buddies_core.logs import FILE_BYTES_MAX, OLDER_FILES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from io import BufferedReader
    from pathlib import Path

READ_BYTES_MAX = 2 * FILE_BYTES_MAX
_HEAD = re.compile(r"(\d{4}-\d\d-\d\dT[\d:.]+Z) (\w+) ")


@dataclass(frozen=True, slots=True)
class Line:
    """An event in a log; a traceback belongs to the event that it explains."""

    log: str
    """The log that contains the line."""
    time: str
    """The time in ISO 8601; empty if the line has none."""
    level: str
    text: str
    """The whole line, with time and level."""


def lines_of(log: str, text: str) -> list[Line]:
    """Return the events in a text from a log."""
    lines: list[Line] = []
    for raw in text.splitlines():
        head = _HEAD.match(raw)
        if head is None and lines and lines[-1].time:
            last = lines.pop()
            lines.append(Line(log, last.time, last.level, f"{last.text}\n{raw}"))
        else:
            lines.append(Line(log, head[1] if head else "", head[2] if head else "", raw))
    return lines


def merged(lines: Iterable[Line]) -> list[Line]:
    """Return events of several logs by their time; those without one stay in front."""
    return sorted(lines, key=lambda line: line.time)


class LogFile:
    """One log, which its program renames when it is full."""

    def __init__(self, log: str, path: Path) -> None:
        self.log = log
        self.path = path
        self._file: BufferedReader | None = None
        self._rest = b""
        """The bytes so far of a line that is not finished."""

    def last(self, count: int) -> Sequence[Line]:
        """Return the last events, from older files too if need be; go on behind them."""
        text = self._come_in()
        older = 1
        while text.count("\n") <= count and older <= OLDER_FILES:
            try:
                text = (
                    self.path.with_name(f"{self.path.name}.{older}").read_text(
                        encoding="utf-8", errors="replace"
                    )
                    + text
                )
            except OSError:
                break
            older += 1
        lines = lines_of(self.log, text)
        return lines[-count:] if count else []

    def new(self) -> list[Line]:
        """Return the events that have come since then, over a change of files too."""
        text = self._come_in()
        if self._file is not None and self._has_been_renamed():
            self.close()
            text += self._come_in()
        return lines_of(self.log, text)

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _come_in(self) -> str:
        if self._file is None:
            try:
                self._file = self.path.open("rb")
            except OSError:
                return ""
        data = self._rest + self._file.read(READ_BYTES_MAX)
        whole, end, self._rest = data.rpartition(b"\n")
        return (whole + end).decode(errors="replace")

    def _has_been_renamed(self) -> bool:
        assert self._file is not None, "it is open"
        try:
            now = self.path.stat()
        except OSError:
            return False
        mine = os.fstat(self._file.fileno())
        return (now.st_ino, now.st_dev) != (mine.st_ino, mine.st_dev)

"""Bytes as they come, split into lines. Pure, and needs nothing: the relay loads it at once."""

from __future__ import annotations

from collections.abc import Iterator

LINE_BYTES_MAX = 16 << 20
"""A content of 1 MiB with every character escaped as \\uXXXX takes 6 MiB."""


class Lines:
    """Collects bytes until they make lines.

    A line beyond the limit is handed over as soon as it is too long, with one byte beyond, for its
    reader to refuse; the rest of it is dropped.
    """

    def __init__(self, bytes_max: int = LINE_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._held = bytearray()
        self._searched = 0
        self._dropping = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take these bytes in and return the lines that are complete now, each with its end."""
        self._held += chunk
        while True:
            end = self._held.find(b"\n", self._searched) + 1
            if not end:
                break
            line = bytes(self._held[: min(end, self._bytes_max + 1)])
            del self._held[:end]
            self._searched = 0
            if not self._dropping:
                yield line
            self._dropping = False
        self._searched = len(self._held)
        if self._searched > self._bytes_max or self._dropping:
            line = bytes(self._held[: self._bytes_max + 1])
            self._held.clear()
            self._searched = 0
            if not self._dropping:
                self._dropping = True
                yield line

    def rest(self) -> bytes:
        """Return what has no end, when nothing more comes."""
        rest = bytes(self._held)
        self._held.clear()
        self._searched = 0
        return rest


def whole_number(digits: str) -> int | float:
    """Return what these digits say, or infinity where they say more than anybody can mean."""
    return int(digits) if len(digits) <= _DIGITS_MAX else float(digits)


_DIGITS_MAX = 400
"""Longer than any number that fits a float, and shorter than the longest that Python parses."""

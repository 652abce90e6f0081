"""Text for people, in which nothing that a peer wrote can move the cursor or change the colours."""

import shutil
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from textwrap import indent
from typing import TYPE_CHECKING, TextIO

import click

from buddies_core.sizes import size_text

if TYPE_CHECKING:
    from buddies_core.model.room import CatchingUp
    from buddies_core.model.views import DiskUse

# Controls and format characters are what a terminal obeys or reorders text by; lone surrogates
# can't be written at all.
_UNSAFE = {"Cc", "Cf", "Cs"}
_SAFE = "\n\t\u200d"  # the last one joins emoji
WIDTH_MIN = 20
"""Cells: on a terminal that is narrower, or that says so, lines may be wider than it is."""


@dataclass(frozen=True, slots=True)
class Screen:
    """The place where an answer is shown: a terminal or a pipe."""

    width: int | None
    """Cells in a line; None where it is read by a program."""
    is_styled: bool = False
    """Whether text may be bold or coloured."""

    @classmethod
    def of(cls, environ: Mapping[str, str], stream: TextIO) -> "Screen":
        """Return the screen that a stream writes to; COLUMNS overrules the terminal's width."""
        if not stream.isatty():
            return cls(None)
        width = max(WIDTH_MIN, shutil.get_terminal_size().columns)
        return cls(width, is_styled=color(environ) is None)


def color(environ: Mapping[str, str]) -> bool | None:
    """Return whether to style text: False never, None where the output is a terminal."""
    is_plain = environ.get("NO_COLOR") or environ.get("TERM", "dumb") in ("", "dumb")
    return False if is_plain else None


def plain(text: str) -> str:
    """Return text from elsewhere with all that a terminal would obey made visible."""
    return "".join(
        "�" if unicodedata.category(char) in _UNSAFE and char not in _SAFE else char
        for char in text
    )


def line(text: str) -> str:
    """Return text from elsewhere as one line."""
    return " ".join(plain(text).split())


def signer(label: str) -> str:
    """Return the label of a signer so short that a person can tell keys apart by it.

    The beginning of all keys of a kind is the same; the end is not.
    """
    scheme, _, key = line(label).partition(":")
    if scheme == "ssh" and " " in key:
        kind, _, blob = key.partition(" ")
        return f"{kind} …{blob.split(' ')[0][-12:]}"
    return f"{scheme} …{key[-16:]}" if len(key) > 16 else line(label)


def block(text: str) -> str:
    """Return text from elsewhere, set in by two columns."""
    return indented(plain(text))


def indented(text: str) -> str:
    """Return text set in by two columns."""
    return indent(text, "  ")


def bold(text: str) -> str:
    """Return text that stands out on a terminal."""
    return click.style(text, bold=True)


def dim(text: str) -> str:
    """Return text that stands back on a terminal."""
    return click.style(text, dim=True)


def when(at_ms: int) -> str:
    """Return a moment as the machine's local time, to the minute."""
    return f"{datetime.fromtimestamp(at_ms / 1000, tz=UTC).astimezone():%Y-%m-%d %H:%M}"


def span(seconds: float) -> str:
    """Return a duration in its two largest units: 42s, 3m 5s, 2h 0m, 4d 7h."""
    days, rest = divmod(int(seconds), 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    if days:
        return f"{days}d {hours}h"
    if hours:
        return f"{hours}h {minutes}m"
    return f"{minutes}m {rest}s" if minutes else f"{rest}s"


def count(number: int, noun: str) -> str:
    """Return `1 peer`, `2 peers`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def catching_up(exchange: "CatchingUp") -> str:
    """Return `feature-a: catching up with carol, 1,204 of 3,000`."""
    done = f"{exchange.received:,} of {exchange.expected:,}"
    return f"{line(exchange.room)}: catching up with {line(exchange.name)}, {done}"


def disk_use(disk: "DiskUse") -> str:
    """Return how much of the disk the rooms use, and the one that uses most; empty for none."""
    if not disk.rooms:
        return ""
    most = disk.rooms[0]
    return (
        f"{size_text(sum(room.bytes for room in disk.rooms))} in rooms, most of it in "
        f"{line(most.name)}: {size_text(most.bytes)} of {size_text(disk.room_quota)}"
    )


def width(text: str) -> int:
    """Return how many cells of a terminal a line takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)

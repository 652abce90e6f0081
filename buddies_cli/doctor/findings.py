"""The finding of a check, with its level, text and remedy. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from buddies_cli.doctor.facts import Facts

RESTART = "buddies-cli daemon restart"


class Level(StrEnum):
    """The level of a finding."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    check: str
    level: Level
    text: str
    remedy: str = ""
    """Advice for the reader; empty if nothing is wrong."""


Said: TypeAlias = "tuple[Level, str, str]"
Check: TypeAlias = "Callable[[Facts], Iterator[Said]]"


def ok(text: str) -> Said:
    """Return that something is as it should be."""
    return Level.OK, text, ""


def warn(text: str, remedy: str) -> Said:
    """Return what could be better, and what to do."""
    return Level.WARN, text, remedy


def fail(text: str, remedy: str) -> Said:
    """Return what does not work, and what to do."""
    return Level.FAIL, text, remedy


def numbers(version: str) -> tuple[int, ...]:
    """Return a version in a form that sorts."""
    return tuple(map(int, re.findall(r"\d+", version)))


def count(number: int, one: str, many: str = "") -> str:
    """Return `1 room`, `2 rooms`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def size(number: int) -> str:
    """Return a number of bytes for people."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} B"


def span(milliseconds: int) -> str:
    """Return a duration for people, in one unit."""
    minutes = round(milliseconds / 60_000)
    for unit, size in (("days", 1440), ("hours", 60)):
        if minutes >= 2 * size:
            return f"{minutes // size} {unit}"
    return count(minutes, "minute")

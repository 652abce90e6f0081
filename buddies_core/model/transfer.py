"""The reports of exports, imports, backups and checks of the store."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exported:
    """A few lines of an export."""

    lines: tuple[bytes, ...]
    damaged: tuple[str, ...]
    """The names of records that could not be read."""
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that was not taken in."""

    line: int
    """The line's index among the lines of the call, from 0."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The outcome of an import."""

    imported: int
    known: int
    """How many lines were here already, or are outranked by what is here."""
    refused: tuple[Refused, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUp:
    """A backup that was made."""

    directory: str
    bytes: int
    memories: int


@dataclass(frozen=True, slots=True)
class Verified:
    """The progress of a check of the store, and its findings since the last report."""

    done: int
    damaged: tuple[str, ...]
    """The damaged records by name, each with its fault."""

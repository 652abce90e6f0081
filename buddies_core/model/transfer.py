"""What exports, imports, backups and checks of the store say of themselves."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exported:
    """A few lines of an export."""

    lines: tuple[bytes, ...]
    damaged: tuple[str, ...]
    """What could not be read, by name."""
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that was not taken in."""

    line: int
    """By its place among those of the call, from 0."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of the lines of an import."""

    imported: int
    known: int
    """Those that were here already, or are worth less than what is here."""
    refused: tuple[Refused, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUp:
    """A backup that was made."""

    directory: str
    bytes: int
    memories: int


@dataclass(frozen=True, slots=True)
class Verified:
    """How far a check of the store is, and what it has found since it last said so."""

    done: int
    damaged: tuple[str, ...]
    """By name, each with what is wrong with it."""

"""A part of a list, and where the list continues."""

from dataclasses import dataclass
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class Listed(Generic[ItemT]):
    """Items of a list in its order, each with the cursor that continues after it.

    A cursor names a place, not a number of items, so additions to the list do not shift it.
    """

    results: tuple[ItemT, ...]
    damaged: int
    """Records that could not be read and were skipped."""
    cursors: tuple[str, ...]
    """For each result, the cursor that continues after it."""

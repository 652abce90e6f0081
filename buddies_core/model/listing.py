"""A stretch of a list, and where the list goes on."""

from dataclasses import dataclass
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class Listed(Generic[ItemT]):
    """Items of a list in its order, each with the cursor that leads on from it.

    A cursor names a place, not a number of items: what is added to the list moves nothing.
    """

    results: tuple[ItemT, ...]
    damaged: int
    """Records that could not be read and were skipped."""
    cursors: tuple[str, ...]
    """For each result, the cursor that gives what comes after it."""

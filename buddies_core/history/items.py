"""The view of a set of items that the reconciliation needs."""

from collections.abc import Sequence
from typing import Protocol

from buddies_core.model.item import Bound, Item


class ItemSet(Protocol):
    """The items of one room, in order; see `store.items`.

    Items may be added and removed while the set is being read.
    """

    def __len__(self) -> int:
        """Return how many items there are."""

    def __contains__(self, id: bytes) -> bool:
        """Return whether the item with this id is there."""

    def fingerprint(self, lower: Bound, upper: Bound) -> tuple[int, int]:
        """Return the sum and the count of the ids from `lower` up to but not including `upper`.

        An id is a number of 256 bits in little endian; the sum is taken modulo 2^256.
        """

    def list(self, lower: Bound, upper: Bound, limit: int) -> Sequence[Item]:
        """Return the first items from `lower` up to `upper`, at most `limit`."""

    def nth(self, lower: Bound, number: int) -> Item | None:
        """Return the item that has `number` items between `lower` and itself, if there is one.

        It takes about as long as a fingerprint, however large the number is.
        """

    def read(self, id: bytes) -> bytes | None:
        """Return the proof of the item with this id."""

"""The contract of `store.items` over proofs in memory, for tests."""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from buddies_core.model.item import Item
from buddies_core.store.items import Fingerprint, Place
from buddies_core.wire.items import item_of

_known_item_of = lru_cache(100_000)(item_of)


class SortedItems:
    """The items of proofs that lie in memory; it keeps to `ItemSet`, for tests."""

    def __init__(self, proofs: Callable[[], Iterable[bytes]]) -> None:
        self._proofs = proofs

    def __len__(self) -> int:
        """Return how many items there are."""
        return len(self._items())

    def fingerprint(self, lower: Place, upper: Place) -> Fingerprint:
        """Return the fingerprint of the items from `lower` on that lie before `upper`."""
        there = self.list(lower, upper, len(self))
        ids = sum(int.from_bytes(item.id, "little") for item in there)
        return ids % (1 << 256), len(there)

    def list(self, lower: Place, upper: Place, limit: int) -> list[Item]:
        """Return the first `limit` items from `lower` on that lie before `upper`."""
        return [it for it in sorted(self._items()) if lower <= it < upper][:limit]

    def nth(self, lower: Place, number: int) -> Item | None:
        """Return the item with `number` others between `lower` and itself, if there is one."""
        return next(iter([it for it in sorted(self._items()) if lower <= it][number:]), None)

    def read(self, id: bytes) -> bytes | None:
        """Return the proof with this hash; None if it is not here."""
        return next((proof for item, proof in self._items().items() if item.id == id), None)

    def __contains__(self, id: bytes) -> bool:
        """Return whether there is an item with this id."""
        return self.read(id) is not None

    def _items(self) -> Mapping[Item, bytes]:
        return {_known_item_of(proof): proof for proof in self._proofs()}

"""Items to test with, and the simplest set of them."""

import bisect
import hashlib
from collections.abc import Iterable, Sequence

from buddies_core.model.item import ID_BYTES, Bound, Item


def an_item(number: int, at_ms: int | None = None) -> Item:
    """Return the item of this number, as the vectors have them."""
    id = hashlib.sha256(f"i{number}".encode()).digest()
    return Item(1000 + number if at_ms is None else at_ms, id)


class InMemoryItems:
    """A sorted list of items, and the proofs of some."""

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self.items = sorted(items)
        self.proofs: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self.items)

    def __contains__(self, id: bytes) -> bool:
        return any(item.id == id for item in self.items)

    def fingerprint(self, lower: Bound, upper: Bound) -> tuple[int, int]:
        ids = [item.id for item in self._between(lower, upper)]
        return sum(int.from_bytes(id, "little") for id in ids) % (1 << 8 * ID_BYTES), len(ids)

    def list(self, lower: Bound, upper: Bound, limit: int) -> Sequence[Item]:
        return self._between(lower, upper)[:limit]

    def nth(self, lower: Bound, number: int) -> Item | None:
        place = bisect.bisect_left(self.items, lower) + number
        return self.items[place] if place < len(self.items) else None

    def read(self, id: bytes) -> bytes | None:
        return self.proofs.get(id)

    def _between(self, lower: Bound, upper: Bound) -> Sequence[Item]:
        return self.items[
            bisect.bisect_left(self.items, lower) : bisect.bisect_left(self.items, upper)
        ]

"""Items: the units that members of a room compare, to find out which ones each lacks."""

from typing import NamedTuple

ID_BYTES = 32
AT_MS_MAX = (1 << 64) - 2
"""The latest time of an item; this plus one stands for infinity."""


class Item(NamedTuple):
    """A proof's time and hash. Items are ordered by time, then by hash.

    The time is the author's claim. It is used for sorting, and for nothing else.
    """

    at_ms: int
    id: bytes
    """SHA-256 of the proof."""


class Bound(NamedTuple):
    """A place between items: an item lies after it unless the item is smaller.

    A prefix of an id means that prefix followed by zero bytes. Comparing an item with a shorter
    prefix gives the same result as comparing it with the zero bytes.
    """

    at_ms: int
    id_prefix: bytes = b""


BEGIN = Bound(0)
"""No item lies before it."""
END = Bound(AT_MS_MAX + 1)
"""No item lies after it."""

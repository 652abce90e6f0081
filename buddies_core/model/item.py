"""Items: what members of a room compare, to find out what the others have and they lack."""

from typing import NamedTuple

ID_BYTES = 32
AT_MS_MAX = (1 << 64) - 2
"""The latest time of an item; one more stands for infinity."""


class Item(NamedTuple):
    """A proof by its time and its hash. Items are ordered by these, the time first.

    The time is the author's word. It sorts, and decides nothing else.
    """

    at_ms: int
    id: bytes
    """SHA-256 of the proof."""


class Bound(NamedTuple):
    """A place between items: an item lies behind it unless it is smaller.

    A prefix of an id means that prefix with zero bytes behind it. To compare an item with a shorter
    prefix gives what a comparison with the zero bytes would give.
    """

    at_ms: int
    id_prefix: bytes = b""


BEGIN = Bound(0)
"""No item lies before it."""
END = Bound(AT_MS_MAX + 1)
"""No item lies behind it."""

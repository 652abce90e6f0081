"""How much of the disk each room and each author may use on this machine.

    used by an author := "A" · author:33 → bytes:u64be; see `wire.items.Described`

What a room uses stands in its set; see `items`. Counted are the records and their contents, not
what the disk needs to find them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from buddies_core.errors import QuotaExceeded
from buddies_core.model.ids import EndpointId, RoomName, short
from buddies_core.sizes import size_text

AUTHORS = b"A"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """Limits of disk use, in bytes."""

    room: int = 1 << 30
    author: int = 256 << 20

    def check(self, room: RoomName, author: bytes, *, in_room: int, of_author: int) -> None:
        """Let pass what a room and an author would use.

        Raises:
            QuotaExceeded: it is too much; the text says what to do.
        """
        if in_room > self.room:
            raise QuotaExceeded(
                f"room {room!r} may use {size_text(self.room)} of this machine's disk, and that is "
                "full; nothing was stored. Allow more with: buddies-cli config set room_quota "
                f"{size_text(2 * self.room)}, then: buddies-cli daemon restart"
            )
        if of_author > self.author:
            raise QuotaExceeded(
                f"{_named(author)} may use {size_text(self.author)} of this machine's disk, and "
                "that is full; nothing was stored. Allow more with: buddies-cli config set "
                f"author_quota {size_text(2 * self.author)}, then: buddies-cli daemon restart"
            )


DEFAULT_QUOTAS = Quotas()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How many bytes of the disk are used, and may be."""

    quotas: Quotas
    rooms: Mapping[RoomName, int]
    """The largest first."""
    authors: Mapping[bytes, int]
    """By `wire.items.Described.author`, the largest first."""


def _named(author: bytes) -> str:
    if author[:1] == b"v":
        return f"what {short(EndpointId(author[1:]))} has written"
    return "what an author without a proven name has written"

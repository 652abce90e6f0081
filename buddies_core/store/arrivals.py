"""What arrived after a sequence, in order: a stretch of the log of memories, or of skills."""

import logging
import struct
from collections.abc import Callable
from typing import TypeVar

from buddies_core.errors import StoreError
from buddies_core.store import keys
from buddies_core.store.database import Database

_log = logging.getLogger(__name__)

T = TypeVar("T")

_BYTES_MAX = 16 << 20
"""The most content that one call returns, so that a reader's memory stays bounded."""


async def arrivals(
    database: Database,
    log: bytes,
    sequence: int,
    limit: int,
    read: Callable[[bytes], tuple[int, T] | None],
    size: Callable[[T], int],
) -> tuple[tuple[int, T], ...]:
    """Return what arrived after `sequence`, in order, each with its own sequence.

    At most `limit`, fewer if they are large, and none only at the end. What was replaced is left
    out, for its replacement comes later; so are damaged ones.

    Args:
        database: Where all is.
        log: What the places in the order of arrival begin with.
        sequence: What came up to it is left out.
        limit: How many to return at most.
        read: Returns what lies under a key of the log, and the sequence in it.
        size: Returns how many bytes it takes in memory.
    """

    def run() -> tuple[tuple[int, T], ...]:
        found: list[tuple[int, T]] = []
        taken = 0
        for place, key in database.scan(log, start=log + struct.pack(">Q", sequence + 1)):
            if len(found) == limit or taken > _BYTES_MAX:
                break
            try:
                kept = read(key)
            except StoreError as error:
                _log.warning("record_damaged reason=%s", error)
                continue
            if kept is not None and kept[0] == keys.log_sequence(place):
                found.append(kept)
                taken += size(kept[1])
        return tuple(found)

    return await database.read(run)

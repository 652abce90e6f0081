"""Memories in the database: where each is named, reading one, and a stretch of their timeline."""

import logging
from collections.abc import Callable
from functools import partial

from buddies_core.errors import StoreError
from buddies_core.model.ids import RoomName
from buddies_core.model.memory import Memory, MemoryFilter, MemoryHead, MemoryKey, MemoryPlace
from buddies_core.store import contents, keys
from buddies_core.store.database import Database, Read
from buddies_core.store.records import decode_memory, decode_memory_head

_log = logging.getLogger(__name__)


def places(sequence: int, memory: Memory) -> tuple[bytes, ...]:
    """Return the entries that name a memory in order: the log's and those of its timelines."""
    return (
        keys.log(sequence),
        keys.timeline_entry(memory.entry.room, memory.at_s, sequence),
        keys.timeline_entry(None, memory.at_s, sequence),
    )


def read_memory(read: Read, key: MemoryKey) -> tuple[int, Memory] | None:
    """Return the sequence and the memory under this key.

    Raises:
        StoreError: its record is damaged.
    """
    place = keys.memory(key)
    try:
        data = read(place)
        if data is None:
            return None
        return decode_memory(key, data, partial(contents.joined, read, place))
    except (StoreError, ValueError) as error:
        raise _damaged(key, error) from error


def read_head(read: Read, key: MemoryKey) -> tuple[int, MemoryHead] | None:
    """Return the sequence and the head of the memory under this key.

    Raises:
        StoreError: its record is damaged.
    """
    try:
        data = read(keys.memory(key))
        return None if data is None else decode_memory_head(key, data)
    except (StoreError, ValueError) as error:
        raise _damaged(key, error) from error


def list_memories(
    database: Database,
    filter: MemoryFilter,
    limit: int,
    hides: Callable[[MemoryHead], bool],
    after: MemoryPlace | None,
) -> tuple[tuple[MemoryHead, ...], int]:
    """Return the newest memories that pass the filter; see `rocks.RocksStore.list_memories`."""
    found: dict[bytes, MemoryHead] = {}  # A key has two places if it moved under our eyes.
    damaged = 0
    oldest_ms = filter.since_ms or 0
    before = None if after is None else _timeline_entry(database, filter.room, after)
    for place, key in database.scan(keys.timeline(filter.room), backwards=True, before=before):
        if len(found) == limit or keys.timeline_at_s(place) * 1000 < oldest_ms:
            break
        try:
            kept = read_head(database.get, MemoryKey(key))
        except StoreError as error:
            _log.warning("record_damaged reason=%s", error)
            damaged += 1
            continue
        if kept is not None and filter.admits(kept[1]) and not hides(kept[1]):
            found.setdefault(key, kept[1])
    return tuple(found.values()), damaged


def _timeline_entry(database: Database, room: RoomName | None, place: MemoryPlace) -> bytes:
    try:
        kept = read_head(database.get, place.key)
    except StoreError:
        kept = None
    sequence = keys.SEQUENCE_MAX if kept is None else kept[0]
    return keys.timeline_entry(room, place.at_s, sequence)


def _damaged(key: MemoryKey, error: Exception) -> StoreError:
    return StoreError(
        f"the record of memory {keys.name_of(key)} is damaged ({error}); nothing else is "
        "affected, and other members of its room may still have it: search_memory asks them"
    )

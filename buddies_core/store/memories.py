"""Memories in the database: where each is named, reading one, and a stretch of their timeline."""

import logging
from collections.abc import Callable

from buddies_core.errors import StoreError
from buddies_core.model.ids import RoomName
from buddies_core.model.memory import Memory, MemoryFilter, MemoryKey, MemoryPlace
from buddies_core.store import keys
from buddies_core.store.database import Database, Read
from buddies_core.store.records import decode_memory

_log = logging.getLogger(__name__)


def places(sequence: int, memory: Memory) -> tuple[bytes, ...]:
    """Return the entries that name a memory in order: the log's and those of its timelines."""
    entry = memory.entry
    return (
        keys.log(sequence),
        keys.timeline_entry(entry.room, entry.created_at_s, sequence),
        keys.timeline_entry(None, entry.created_at_s, sequence),
    )


def read_memory(read: Read, key: MemoryKey) -> tuple[int, Memory] | None:
    """Return the sequence and the memory under this key.

    Raises:
        StoreError: its record is damaged.
    """
    try:
        data = read(keys.memory(key))
        return None if data is None else decode_memory(key, data)
    except (StoreError, ValueError) as error:
        raise StoreError(
            f"the record of memory {keys.name_of(key)} is damaged ({error}); nothing else is "
            "affected, and other members of its room may still have it: search_memory asks them"
        ) from error


def list_memories(
    database: Database,
    filter: MemoryFilter,
    limit: int,
    hides: Callable[[Memory], bool],
    after: MemoryPlace | None,
) -> tuple[tuple[Memory, ...], int]:
    """Return the newest memories that pass the filter; see `rocks.RocksStore.list_memories`."""
    found: dict[bytes, Memory] = {}  # A key has two places if it moved under our eyes.
    damaged = 0
    oldest_ms = filter.since_ms or 0
    before = None if after is None else _timeline_entry(database, filter.room, after)
    for place, key in database.scan(keys.timeline(filter.room), backwards=True, before=before):
        if len(found) == limit or keys.timeline_created_at_s(place) * 1000 < oldest_ms:
            break
        try:
            kept = read_memory(database.get, MemoryKey(key))
        except StoreError as error:
            _log.warning("record_damaged reason=%s", error)
            damaged += 1
            continue
        if kept is not None and filter.admits(kept[1]) and not hides(kept[1]):
            found.setdefault(key, kept[1])
    return tuple(found.values()), damaged


def _timeline_entry(database: Database, room: RoomName | None, place: MemoryPlace) -> bytes:
    try:
        kept = read_memory(database.get, place.key)
    except StoreError:
        kept = None
    sequence = keys.SEQUENCE_MAX if kept is None else kept[0]
    return keys.timeline_entry(room, place.created_at_s, sequence)

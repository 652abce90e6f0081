"""Memories in the database: where each is named, reading one, and a stretch of their timeline."""

import logging
import struct
from collections.abc import Callable, Iterator
from functools import partial

from buddies_core.errors import StoreError
from buddies_core.model.amendment import Erased
from buddies_core.model.ids import MemoryId
from buddies_core.model.memory import (
    Memory,
    MemoryFilter,
    MemoryHead,
    MemoryKey,
    MemoryPlace,
    prevails,
    succeeding,
)
from buddies_core.store import amendment_keys, contents, keys
from buddies_core.store.amendment_keys import decode_deletion, is_deleted, references
from buddies_core.store.database import Changes, Database, Read
from buddies_core.store.items import Kept, disk_bytes, item_changes
from buddies_core.store.listing import Listed, Listing
from buddies_core.store.memory_records import decode_memory, decode_memory_head, encode_memory
from buddies_core.store.quotas import Quotas
from buddies_core.store.view import View

_log = logging.getLogger(__name__)

_LAST = keys.SEQUENCE_MAX


def places(sequence: int, memory: Memory | MemoryHead) -> tuple[bytes, ...]:
    """Return the entries that name a memory in order: the log's and those of its timelines."""
    return (
        keys.log(sequence),
        keys.timeline_entry(memory.entry.room, memory.at_s, sequence),
        keys.timeline_entry(None, memory.at_s, sequence),
    )


def places_before(sequence: int, memory: Memory | MemoryHead) -> tuple[bytes, ...]:
    """Return where layout 1 had a memory in the timelines: by its author's time alone."""
    at_s = memory.entry.created_at_s
    return tuple(keys.timeline_entry(it, at_s, sequence) for it in (memory.entry.room, None))


def ids_beginning(database: Database, digits: str) -> tuple[MemoryId, ...]:
    """Return the ids that begin with these hex digits, in order, two at most."""
    ids: dict[MemoryId, None] = {}
    for place, _ in database.scan(
        keys.memory_ids_beginning(bytes.fromhex(digits[: len(digits) & ~1]))
    ):
        id = keys.id_in(place)
        if id.hex.startswith(digits):
            ids[id] = None
        if len(ids) == 2:
            break
    return tuple(ids)


def put_memory(
    database: Database, listing: Listing, quotas: Quotas, memory: Memory, read: Read
) -> tuple[bool, Changes]:
    """Return whether a memory is kept now, and the changes that keep it.

    Raises:
        QuotaExceeded: its room or its author would use more of the disk than it may.
    """
    if is_deleted(read, memory):
        return False, {}
    try:
        kept = read_memory(read, memory.key)
        is_new = kept is None
    except StoreError:  # An unreadable record is replaced.
        kept, is_new = None, False
    if kept is not None and not prevails(memory, kept[1]):
        return False, {}
    last_sequence, count = totals(database, read)
    sequence = last_sequence + 1
    changes: dict[bytes, bytes | None] = {}
    place = keys.memory(memory.key)
    if kept is not None:
        changes |= dict.fromkeys((*places(*kept), *places_before(*kept), keys.content(place)))
        changes |= dict.fromkeys(references(kept[1]))
    arrived = memory if kept is None else succeeding(memory, kept[1])
    changes |= dict.fromkeys(places(sequence, arrived), memory.key)
    changes |= dict.fromkeys(references(arrived), b"")
    gone = None if kept is None else listed(*kept)
    changes |= listing.changes(read, listed(sequence, arrived), gone)
    changes[keys.memory_by_id(memory.entry.id, memory.key)] = b""
    if memory.truncated:
        changes[keys.truncated(memory.key)] = b""
    elif not is_new:
        changes[keys.truncated(memory.key)] = None
    changes[place] = encode_memory(arrived, sequence)
    changes |= contents.beside(place, arrived.entry.content)
    changes |= item_changes(
        read,
        gone=[] if kept is None else [kept_memory(read, kept[1])],
        new=[kept_memory(changes.get, arrived)],
        quotas=quotas,
    )
    changes[keys.TOTALS] = struct.pack(">QQ", sequence, count + is_new)
    return True, changes


def kept_memory(read: Read, memory: Memory | MemoryHead) -> Kept:
    """Return the record of a memory, as it is among the items."""
    place = keys.memory(memory.key)
    return Kept(memory.entry.room, memory.proof, place, disk_bytes(read, place))


def removed(
    listing: Listing, key: MemoryKey, kept: tuple[int, Memory] | None, read: Read
) -> Changes:
    """Return the changes that leave nothing of a memory but its id.

    Without `kept`, its sequence and itself, as its record is damaged, places of it are left that
    name nothing any more.
    """
    place = keys.memory(key)
    changes: dict[bytes, bytes | None] = dict.fromkeys(
        (place, keys.content(place), keys.truncated(key))
    )
    if kept is not None:
        changes |= dict.fromkeys((*places(*kept), *places_before(*kept), *references(kept[1])))
        changes |= listing.changes(read, None, listed(*kept))
        changes |= item_changes(read, gone=[kept_memory(read, kept[1])])
    return changes


def totals(database: Database, read: Read) -> tuple[int, int]:
    """Return the sequence of the latest arrival, and how many memories are kept."""
    data = read(keys.TOTALS)
    if data is None or len(data) != 16:
        log = [place for place, _ in database.scan(keys.LOG)]
        return (keys.log_sequence(log[-1]) if log else 0), len(log)
    sequence, count = struct.unpack(">QQ", data)
    return sequence, count


def listed(sequence: int, memory: Memory | MemoryHead) -> Listed:
    """Return the properties by which lists find a memory."""
    return Listed(sequence, memory.labels, memory.at_s)


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


def read_arrival(read: Read, key: MemoryKey) -> tuple[int, Memory | Erased] | None:
    """Return the memory under this key, or that it was deleted, with its sequence.

    Raises:
        StoreError: its record is damaged.
    """
    kept = read_memory(read, key)
    if kept is not None:
        return kept
    deletion = read(amendment_keys.deletion(key))
    return None if deletion is None else (decode_deletion(deletion)[1], Erased(key))


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
    view: View,
    listing: Listing,
    filter: MemoryFilter,
    limit: int,
    hides: Callable[[MemoryHead], bool],
    after: MemoryPlace | None,
) -> tuple[tuple[MemoryHead, ...], int]:
    """Return the first memories that pass the filter; see `rocks.RocksStore.list_memories`.

    While the listing is not complete, all memories of the room are looked at.
    """
    found: list[MemoryHead] = []
    damaged = 0
    behind = None if after is None else _place(view, after, 0 if filter.oldest_first else _LAST)
    if listing.complete and filter.groups != MemoryFilter(room=filter.room).groups:
        candidates = _by_label(view, listing, filter, behind)
    else:
        candidates = _by_time(view, filter, behind)
    for sequence, key in candidates:
        if len(found) == limit:
            break
        try:
            kept = read_head(view.get, key)
        except StoreError as error:
            _log.warning("record_damaged reason=%s", error)
            damaged += 1
            continue
        if kept is None or kept[0] != sequence:
            continue  # It was damaged when it was replaced, and this place of it is left.
        if filter.admits(kept[1]) and not hides(kept[1]):
            found.append(kept[1])
    return tuple(found), damaged


def _by_time(
    view: View, filter: MemoryFilter, behind: tuple[int, int] | None
) -> Iterator[tuple[int, MemoryKey]]:
    """Yield the sequences and keys of a room's memories, or of all, in the order of the filter."""
    since_s = max(0, -(-(filter.since_ms or 0) // 1000))
    timeline = keys.timeline(filter.room)
    end = None if behind is None else keys.timeline_entry(filter.room, *behind)
    if filter.oldest_first:
        start = keys.timeline_entry(filter.room, min(since_s, _LAST), 0)
        for place, key in view.scan(timeline, start=start if end is None else max(start, end)):
            if place != end:
                yield keys.timeline_place(place)[1], MemoryKey(key)
        return
    for place, key in view.scan(timeline, backwards=True, before=end):
        at_s, sequence = keys.timeline_place(place)
        if at_s < since_s:
            return
        yield sequence, MemoryKey(key)


def _by_label(
    view: View, listing: Listing, filter: MemoryFilter, behind: tuple[int, int] | None
) -> Iterator[tuple[int, MemoryKey]]:
    """Yield the sequences and keys of the memories that may have the labels, in order."""
    since_s = max(0, -(-(filter.since_ms or 0) // 1000))
    found = listing.oldest if filter.oldest_first else listing.newest
    for sequence in found(view, filter.groups, since_s, behind):
        key = view.get(keys.log(sequence))
        if key is not None:
            yield sequence, MemoryKey(key)


def _place(view: View, place: MemoryPlace, lost: int) -> tuple[int, int]:
    """Return where a memory stands in time; one that can't be read, at this sequence."""
    try:
        kept = read_head(view.get, place.key)
    except StoreError:
        kept = None
    return place.at_s, lost if kept is None else kept[0]


def _damaged(key: MemoryKey, error: Exception) -> StoreError:
    return StoreError(
        f"the record of memory {keys.name_of(key)} is damaged ({error}); nothing else is "
        "affected, and other members of its room may still have it: search_memory asks them"
    )

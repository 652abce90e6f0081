"""Brings a database that an older buddies wrote into today's layout, while it is in use.

Layout 2: a memory's place in a timeline is its `at_s`, which was its author's time alone; and long
contents lie apart from their records. Layout 3: lists have an index of their own; see `listing`.

It goes by pages of the two logs, the oldest first, and notes with each page how far it is. What has
yet to be brought over is read and replaced as it is; what comes meanwhile has today's layout.
"""

import logging
import struct
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from buddies_core.errors import StoreError
from buddies_core.model.memory import MemoryKey
from buddies_core.model.skill import SkillKey
from buddies_core.store import contents, keys, skill_keys
from buddies_core.store.database import Changes, Database, Read
from buddies_core.store.listing import PAGE, Listed, Listing
from buddies_core.store.memories import listed, places, places_before, read_head, read_memory
from buddies_core.store.records import encode_memory
from buddies_core.store.skill_reading import listed_skill, read_skill, read_skill_head
from buddies_core.store.skill_records import encode_skill

LAYOUT = 3

_log = logging.getLogger(__name__)

_MARK = keys.watermark(b"layout")

Brought: TypeAlias = tuple[Listed, Changes]
"""What is to be found of an entry, and what else changes in its records."""


def takes_time(database: Database) -> bool:
    """Return whether there is anything that an upgrade has to bring over."""
    try:
        is_old = _number(database.get, _MARK) < LAYOUT
        return is_old and any(next(database.scan(it), None) for it in (keys.LOG, skill_keys.LOG))
    except StoreError:
        return True


async def upgrade(database: Database, memories: Listing, skills: Listing) -> None:
    """Return when all is in today's layout; from then on the listings are complete.

    Cut short, or where the disk refuses, it goes on from there the next time.
    """
    try:
        layout = _number(database.get, _MARK)
        if layout < LAYOUT:
            bring = partial(_memory, is_apart=layout >= 2)
            await _bring_over(database, keys.LOG, memories, bring)
            bring = partial(_skill, is_apart=layout >= 2)
            await _bring_over(database, skill_keys.LOG, skills, bring)
            await database.commit(lambda _: (None, {_MARK: struct.pack(">Q", LAYOUT)}))
        memories.complete = skills.complete = True
    except StoreError as error:
        _log.warning("store_not_upgraded reason=%s", error)


async def _bring_over(
    database: Database,
    log: bytes,
    listing: Listing,
    bring: Callable[[bytes, Read], Brought | None],
) -> None:
    """Bring over what stands in a log, one page with each commit."""
    mark = keys.watermark(b"layout of " + log)
    last = next((it for it, _ in database.scan(log, backwards=True)), None)
    pages = 0 if last is None else keys.log_sequence(last) // PAGE + 1

    def one_page(page: int, read: Read) -> tuple[None, Changes]:
        changes: dict[bytes, bytes | None] = {mark: struct.pack(">Q", page + 1)}
        entries: list[Listed] = []
        for place, key in database.scan(log, start=log + struct.pack(">Q", page * PAGE)):
            if keys.log_sequence(place) // PAGE > page:
                break
            try:
                brought = bring(key, read)
            except StoreError:
                continue  # It stays as it is, and what reads it says so.
            if brought is not None and brought[0].sequence == keys.log_sequence(place):
                entries.append(brought[0])
                changes |= brought[1]
        changes |= listing.page_changes(read, entries)
        return None, changes

    for page in range(_number(database.get, mark), pages):
        await database.commit(partial(one_page, page), synced=False)


def _memory(key: bytes, read: Read, *, is_apart: bool) -> Brought | None:
    kept = read_head(read, MemoryKey(key))
    if kept is None:
        return None
    changes: dict[bytes, bytes | None] = {}
    if not is_apart:
        changes |= dict.fromkeys(places_before(*kept))
        changes |= dict.fromkeys(places(*kept), key)
        if kept[1].size > contents.INLINE_BYTES_MAX:
            whole = read_memory(read, MemoryKey(key))
            assert whole is not None, "its head was there"
            changes[keys.memory(MemoryKey(key))] = encode_memory(whole[1], whole[0])
            changes |= contents.beside(keys.memory(MemoryKey(key)), whole[1].entry.content)
    return listed(*kept), changes


def _skill(key: bytes, read: Read, *, is_apart: bool) -> Brought | None:
    kept = read_skill_head(read, SkillKey(key))
    if kept is None:
        return None
    changes: dict[bytes, bytes | None] = {}
    if not is_apart and kept[1].size > contents.INLINE_BYTES_MAX:
        whole = read_skill(read, SkillKey(key))
        assert whole is not None, "its head was there"
        changes[skill_keys.SKILLS + key] = encode_skill(whole[1], whole[0])
        changes |= contents.beside(skill_keys.SKILLS + key, whole[1].entry.content)
    return listed_skill(*kept), changes


def _number(read: Read, place: bytes) -> int:
    return int.from_bytes(read(place) or b"", "big")

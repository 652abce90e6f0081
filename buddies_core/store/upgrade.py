"""Brings a database that an older buddies wrote into today's layout, while it is in use.

Layout 2: a memory's place in a timeline is its `at_s`, which was its author's time alone; and long
contents lie apart from their records. Layout 3: lists have an index of their own; see `listing`.
Layout 4: rooms have sets of items, see `items`; what refers to a memory is found by its id, see
`amendment_keys`; and records lack what their proofs and keys hold.

It goes by pages of the two logs, the oldest first, and notes with each page how far it is. What has
yet to be brought over is read and replaced as it is; what comes meanwhile has today's layout.
"""

import itertools
import logging
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from buddies_core.errors import StoreError
from buddies_core.model.memory import MemoryKey
from buddies_core.model.skill import SkillKey
from buddies_core.store import contents, keys, skill_keys
from buddies_core.store.amendment_keys import references
from buddies_core.store.database import Changes, Database, Read
from buddies_core.store.items import BY_ID, ITEMS, SETS, Kept, RocksItems, item_changes
from buddies_core.store.listing import PAGE, Listed, Listing
from buddies_core.store.memories import (
    kept_memory,
    listed,
    places,
    places_before,
    read_head,
    read_memory,
)
from buddies_core.store.memory_records import encode_memory
from buddies_core.store.quotas import AUTHORS
from buddies_core.store.skill_reading import kept_skill, listed_skill, read_skill, read_skill_head
from buddies_core.store.skill_records import decode_vote, encode_skill
from buddies_core.store.skills import kept_vote

LAYOUT = 4

_log = logging.getLogger(__name__)

_MARK = keys.watermark(b"layout")


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """An entry of a log, as it is to be found from now on."""

    listed: Listed
    kept: Kept
    changes: Changes
    """What else changes in its records."""


def takes_time(database: Database) -> bool:
    """Return whether there is anything that an upgrade has to bring over."""
    try:
        is_old = _number(database.get, _MARK) < LAYOUT
        return is_old and any(next(database.scan(it), None) for it in (keys.LOG, skill_keys.LOG))
    except StoreError:
        return True


def note_complete(database: Database, *listings: Listing) -> None:
    """Have lists use their index, if the buddies that wrote this database kept one."""
    with suppress(StoreError):
        for listing in listings:
            listing.complete = _number(database.get, _MARK) >= 3


async def forget_derived(database: Database) -> None:
    """Have all that counts or sums up records made anew by the next upgrade.

    Where commits were lost, later ones have counted on them.
    """
    await database.delete_all((_MARK, keys.TOTALS, ITEMS, BY_ID, SETS, AUTHORS))
    await database.commit(lambda _: (None, {_MARK: struct.pack(">Q", LAYOUT - 1)}))


async def upgrade(
    database: Database, memories: Listing, skills: Listing, items: RocksItems
) -> None:
    """Return when all is in today's layout; from then on the listings and the items are complete.

    Cut short, or where the disk refuses, it goes on from there the next time.
    """
    try:
        layout = _number(database.get, _MARK)
        if layout < LAYOUT:
            bring = partial(_memory, is_apart=layout >= 2)
            await _bring_over(database, keys.LOG, memories, bring)
            bring = partial(_skill, is_apart=layout >= 2)
            await _bring_over(database, skill_keys.LOG, skills, bring)
            await _bring_votes(database)
            await database.commit(lambda _: (None, {_MARK: struct.pack(">Q", LAYOUT)}))
        memories.complete = skills.complete = items.complete = True
    except StoreError as error:
        _log.warning("store_not_upgraded reason=%s", error)


async def _bring_over(
    database: Database,
    log: bytes,
    listing: Listing,
    bring: Callable[[bytes, Read], Brought | None],
) -> None:
    """Bring over what stands in a log, one page with each commit."""
    mark = keys.watermark(b"layout %d of " % LAYOUT + log)
    last = next((it for it, _ in database.scan(log, backwards=True)), None)
    pages = 0 if last is None else keys.log_sequence(last) // PAGE + 1

    def one_page(page: int, read: Read) -> tuple[None, Changes]:
        changes: dict[bytes, bytes | None] = {mark: struct.pack(">Q", page + 1)}
        entries: list[Brought] = []
        for place, key in database.scan(log, start=log + struct.pack(">Q", page * PAGE)):
            if keys.log_sequence(place) // PAGE > page:
                break
            try:
                brought = bring(key, read)
            except StoreError:
                continue  # It stays as it is, and what reads it says so.
            if brought is not None and brought.listed.sequence == keys.log_sequence(place):
                entries.append(brought)
                changes |= brought.changes
        if not listing.complete:
            changes |= listing.page_changes(read, [it.listed for it in entries])
        changes |= item_changes(read, new=[it.kept for it in entries])
        return None, changes

    for page in range(_number(database.get, mark), pages):
        await database.commit(partial(one_page, page), synced=False)


async def _bring_votes(database: Database) -> None:
    """Make items of the votes; cut short, it begins anew, as it takes little time."""

    def some(start: bytes, read: Read) -> tuple[bytes | None, Changes]:
        places = [
            place
            for place, _ in itertools.islice(database.scan(skill_keys.VOTES, start=start), PAGE)
        ]
        new = []
        for place in places:
            with suppress(ValueError):
                record = read(place) or b""
                new.append(kept_vote(decode_vote(record)[0], place, len(record)))
        after = places[-1] + b"\0" if len(places) == PAGE else None
        return after, item_changes(read, new=new)

    after: bytes | None = skill_keys.VOTES
    while after is not None:
        after = await database.commit(partial(some, after), synced=False)


def _memory(key: bytes, read: Read, *, is_apart: bool) -> Brought | None:
    kept = read_head(read, MemoryKey(key))
    if kept is None:
        return None
    changes: dict[bytes, bytes | None] = dict.fromkeys(references(kept[1]), b"")
    if not is_apart:
        changes |= dict.fromkeys(places_before(*kept))
        changes |= dict.fromkeys(places(*kept), key)
    place = keys.memory(MemoryKey(key))
    whole = read_memory(read, MemoryKey(key))
    assert whole is not None, "its head was there"
    changes[place] = encode_memory(whole[1], whole[0])
    if not is_apart:
        changes |= contents.beside(place, whole[1].entry.content)
    return Brought(
        listed=listed(*kept),
        kept=kept_memory(lambda it: changes.get(it) or read(it), kept[1]),
        changes=changes,
    )


def _skill(key: bytes, read: Read, *, is_apart: bool) -> Brought | None:
    kept = read_skill_head(read, SkillKey(key))
    if kept is None:
        return None
    place = skill_keys.SKILLS + key
    whole = read_skill(read, SkillKey(key))
    assert whole is not None, "its head was there"
    changes: dict[bytes, bytes | None] = {place: encode_skill(whole[1], whole[0])}
    if not is_apart:
        changes |= contents.beside(place, whole[1].entry.content)
    return Brought(
        listed=listed_skill(*kept),
        kept=kept_skill(lambda it: changes.get(it) or read(it), kept[1]),
        changes=changes,
    )


def _number(read: Read, place: bytes) -> int:
    return int.from_bytes(read(place) or b"", "big")

"""Brings a database that an older buddies wrote into today's layout, once.

Layout 2: a memory's place in a timeline is its `at_s`, which was its author's time alone; and long
contents lie apart from their records.
"""

import logging
import struct
from collections.abc import Iterable
from functools import partial

from buddies_core.errors import StoreError
from buddies_core.model.memory import MemoryKey
from buddies_core.model.skill import SkillKey
from buddies_core.store import contents, keys
from buddies_core.store.database import Changes, Database, Read
from buddies_core.store.memories import places, read_memory
from buddies_core.store.records import encode_memory
from buddies_core.store.skill_keys import SKILLS
from buddies_core.store.skill_records import encode_skill
from buddies_core.store.skills import read_skill

LAYOUT = 2

_log = logging.getLogger(__name__)

_MARK = keys.watermark(b"layout")
_AT_ONCE = 64


async def upgrade(database: Database) -> None:
    """Return when all is in today's layout.

    Cut short, or where the disk refuses, it begins anew the next time; what is in the old layout
    can be read, too.
    """
    try:
        await _upgrade(database)
    except StoreError as error:
        _log.warning("store_not_upgraded reason=%s", error)


async def _upgrade(database: Database) -> None:
    if int.from_bytes(database.get(_MARK) or b"", "big") >= LAYOUT:
        return
    records = await database.read(
        lambda: [it for kind in (keys.MEMORIES, SKILLS) for it, _ in database.scan(kind)]
    )
    for start in range(0, len(records), _AT_ONCE):
        some = records[start : start + _AT_ONCE]
        await database.commit(partial(_rewritten, some))
    await database.commit(lambda _: (None, {_MARK: struct.pack(">Q", LAYOUT)}))


def _rewritten(records: Iterable[bytes], read: Read) -> tuple[None, Changes]:
    changes: dict[bytes, bytes | None] = {}
    for place in records:
        try:
            if place.startswith(SKILLS):
                changes |= _skill(place, read)
            else:
                changes |= _memory(place, read)
        except StoreError:
            continue  # It stays as it is, and what reads it says so.
    return None, changes


def _memory(place: bytes, read: Read) -> Changes:
    kept = read_memory(read, MemoryKey(place[1:]))
    assert kept is not None, "nothing is deleted before the daemon has started"
    sequence, memory = kept
    changes: dict[bytes, bytes | None] = {}
    if memory.at_s != memory.entry.created_at_s:
        for room in (memory.entry.room, None):
            changes[keys.timeline_entry(room, memory.entry.created_at_s, sequence)] = None
        changes |= dict.fromkeys(places(sequence, memory), memory.key)
    if memory.size > contents.INLINE_BYTES_MAX:
        changes[place] = encode_memory(memory, sequence)
        changes |= contents.beside(place, memory.entry.content)
    return changes


def _skill(place: bytes, read: Read) -> Changes:
    kept = read_skill(read, SkillKey(place[1:]))
    assert kept is not None, "nothing is deleted before the daemon has started"
    sequence, skill = kept
    if skill.size <= contents.INLINE_BYTES_MAX:
        return {}
    changes = contents.beside(place, skill.entry.content)
    return {place: encode_skill(skill, sequence), **changes}

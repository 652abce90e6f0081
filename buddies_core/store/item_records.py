"""The records of a room's items, for exports."""

from typing import TypeAlias

from buddies_core.errors import StoreError
from buddies_core.model.item import END, Bound, Item
from buddies_core.model.memory import Memory, MemoryKey
from buddies_core.model.skill import Skill, SkillKey, Vote
from buddies_core.store import keys, skill_keys
from buddies_core.store.database import Database
from buddies_core.store.items import RocksItemSet
from buddies_core.store.memories import read_memory
from buddies_core.store.skill_reading import read_skill
from buddies_core.store.skills import read_vote

Record: TypeAlias = Memory | Skill | Vote | bytes | str
"""A record of another kind is its proof; a damaged one is a text that says what is wrong."""


def records(
    database: Database, items: RocksItemSet, lower: Item | Bound, limit: int
) -> list[tuple[Item, Record]]:
    """Return the records of the first items from `lower` on, each with its item."""
    return [(it, _record(database, items, it)) for it in items.list(lower, END, limit)]


def _record(database: Database, items: RocksItemSet, item: Item) -> Record:
    place = items.place(item.id) or b""
    try:
        match place[:1]:
            case keys.MEMORIES:
                memory = read_memory(database.get, MemoryKey(place[1:]))
                found: Record | None = memory[1] if memory else None
            case skill_keys.SKILLS:
                skill = read_skill(database.get, SkillKey(place[1:]))
                found = skill[1] if skill else None
            case skill_keys.VOTES:
                vote = read_vote(place, database.get(place))
                found = vote[0] if vote else None
            case _:
                found = items.read(item.id)
    except StoreError as error:
        return str(error)
    return found or f"the record with the key {place.hex()} is damaged or gone"

"""Reads every record of a database, and names those that are damaged."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from hashlib import sha256

from buddies_core.errors import StoreError
from buddies_core.model.ids import RoomName
from buddies_core.model.memory import MemoryKey
from buddies_core.model.skill import SkillKey, hash_of_key, room_of_key
from buddies_core.model.transfer import Verified
from buddies_core.store import amendment_keys, contents, invites, keys, skill_keys
from buddies_core.store.database import Database
from buddies_core.store.invites import decode_invite
from buddies_core.store.items import RocksItems
from buddies_core.store.memory_records import decode_memory
from buddies_core.store.records import (
    decode_amendment,
    decode_binding,
    decode_presence,
    decode_revocation,
    decode_room,
)
from buddies_core.store.skill_records import decode_skill, decode_vote
from buddies_core.store.task_records import decode_offer, decode_task

RECORDS_AT_ONCE = 500
"""How many records are read before other tasks get a turn."""


class _Checks:
    """What is to be right about a record of each kind; each raises ValueError or StoreError."""

    def __init__(self, database: Database, items: RocksItems) -> None:
        self._database = database
        self._items = items
        self.by_letter: dict[bytes, Callable[[bytes, bytes], object]] = {
            keys.MEMORIES: self._memory,
            skill_keys.SKILLS: self._skill,
            skill_keys.VOTES: self._vote,
            amendment_keys.AMENDMENTS: self._amendment,
            skill_keys.ANNOUNCEMENTS: self._announcement,
            invites.INVITES: lambda _, data: decode_invite(data),
            keys.ROOMS: lambda _, data: decode_room(data),
            keys.PRESENCES: lambda _, data: decode_presence(data),
            keys.BINDINGS: lambda _, data: decode_binding(data),
            keys.REVOCATIONS: lambda _, data: decode_revocation(data),
            keys.TASKS: lambda _, data: decode_task(data),
            keys.OFFERS: lambda _, data: decode_offer(data),
        }

    def _memory(self, place: bytes, data: bytes) -> None:
        key = MemoryKey(place[1:])
        sequence, memory = decode_memory(
            key, data, partial(contents.joined, self._database.get, place)
        )
        if self._database.get(keys.log(sequence)) != key:
            raise ValueError("it is not in the order of arrival, so no search finds it")
        self._item(memory.entry.room, memory.proof, place)

    def _skill(self, place: bytes, data: bytes) -> None:
        sequence, skill = decode_skill(data, partial(contents.joined, self._database.get, place))
        if self._database.get(skill_keys.log(sequence)) != place[1:]:
            raise ValueError("it is not in the order of arrival, so no search finds it")
        self._item(skill.entry.room, skill.proof, place)

    def _vote(self, place: bytes, data: bytes) -> None:
        vote, _ = decode_vote(data)
        self._item(room_of_key(vote.skill), vote.proof, place)

    def _announcement(self, place: bytes, data: bytes) -> None:
        decode_skill(data, partial(contents.joined, self._database.get, place))

    def _amendment(self, place: bytes, data: bytes) -> None:
        amendment = decode_amendment(data)
        self._item(amendment.room, amendment.proof, place)

    def _item(self, room: RoomName, proof: bytes, place: bytes) -> None:
        if not self._items.complete:
            return
        if self._items.of(room).place(sha256(proof).digest()) != place:
            raise ValueError("it is not among the items of its room, so no member learns of it")


async def verify(database: Database, items: RocksItems) -> AsyncIterator[Verified]:
    """Yield how far it is and what it has found, until every record has been read."""
    checks = _Checks(database, items)
    done = 0
    for letter, check in checks.by_letter.items():
        after: bytes | None = letter
        while after is not None:
            read, damaged, after = await database.read(
                partial(_some, database, letter, after, check)
            )
            done += read
            yield Verified(done, damaged)


def _some(
    database: Database, letter: bytes, start: bytes, check: Callable[[bytes, bytes], object]
) -> tuple[int, tuple[str, ...], bytes | None]:
    """Check some records from `start` on; return how many, what is wrong, and where to go on."""
    read = 0
    damaged: list[str] = []
    try:
        for place, data in database.scan(letter, start=start):
            if read == RECORDS_AT_ONCE:
                return read, tuple(damaged), place
            read += 1
            try:
                check(place, data)
            except (StoreError, ValueError) as error:
                damaged.append(f"{name_of(place)}: {error}")
    except StoreError as error:
        damaged.append(f"records that begin with {letter.decode()!r} can't be read: {error}")
    return read, tuple(damaged), None


def name_of(place: bytes) -> str:
    """Return what a person can use to find a record."""
    match place[:1]:
        case keys.MEMORIES:
            return f"memory {keys.name_of(MemoryKey(place[1:]))}"
        case skill_keys.SKILLS:
            return f"skill {hash_of_key(SkillKey(place[1:]))}"
        case skill_keys.VOTES:
            return f"a vote on skill {place[1:33].hex()}"
        case invites.INVITES:
            return f"an invite to room {place[1:33].hex()[:10]}"
        case skill_keys.ANNOUNCEMENTS:
            return f"an announcement of skill {place[1:33].hex()}"
        case _:
            return f"the record with the key {place.hex()}"

"""The skills and votes in the store, and what a store promises about them.

Where each record lies, in the key space that `keys` describes:

    skill        := "s" · hash:32 · room                             → SkillRecord
    log          := "j" · sequence:u64be                             → hash:32 · room
    successor    := "c" · parent:32 · length:u16be · room · hash:32  → nothing
    announcement := "e" · hash:32 · length:u16be · room · digest:32  → SkillRecord
    vote         := "v" · hash:32 · length:u16be · room · voter:33   → VoteRecord
    last         := "n"                                              → last sequence:u64be

A skill is kept only once its hash was checked against all of its content. Until then what is known
of it is an announcement, of which there can be several, for anybody may claim any hash. A log entry
counts only if the skill it names still carries that sequence.
"""

import hashlib
import itertools
import logging
import struct
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from buddies_core.errors import StoreError
from buddies_core.model.identity import Verified
from buddies_core.model.ids import RoomName
from buddies_core.model.skill import (
    Skill,
    SkillHead,
    SkillKey,
    Vote,
    hash_of_key,
    prevails,
    room_of_key,
    succeeding,
)
from buddies_core.store import contents, keys
from buddies_core.store.database import Changes, Database, Read
from buddies_core.store.skill_records import (
    decode_skill,
    decode_skill_head,
    decode_vote,
    encode_skill,
    encode_vote,
)

ANNOUNCEMENTS_MAX = 1000
UNVERIFIED_VOTES_MAX = 100
"""On one skill: anybody can make up as many voters as they like."""

SKILLS, _LOG, _SUCCESSORS, _ANNOUNCEMENTS, _VOTES, _LAST = b"s", b"j", b"c", b"e", b"v", b"n"
_SINCE_BYTES_MAX = 16 << 20

_log = logging.getLogger(__name__)


def _nothing(_: SkillHead) -> bool:
    return False


class SkillStore(Protocol):
    """What both stores promise about skills."""

    async def put_skill(self, skill: Skill) -> bool:
        """Keep a skill unless one that prevails has its key; return whether it is kept now.

        Its announcements are forgotten in any case. On return it is on disk.
        """

    def get_skill(self, key: SkillKey) -> Skill | None:
        """Return the skill under this key; raises StoreError if its record is damaged."""

    def get_head(self, key: SkillKey) -> SkillHead | None:
        """Return the head of the skill under this key; raises StoreError if that is damaged."""

    def find_skills(self, hash: str) -> tuple[Skill, ...]:
        """Return the skills with this hash, one a room, by room."""

    async def list_skills(
        self,
        room: RoomName | None,
        tags: tuple[str, ...],
        limit: int,
        hides: Callable[[SkillHead], bool] = _nothing,
        after: SkillKey | None = None,
    ) -> tuple[tuple[SkillHead, ...], int]:
        """Return the latest arrivals with any of the tags, and how many damaged were skipped.

        What `hides` says is to be left out takes no place; it is asked on another thread. With
        `after` the list goes on behind that skill; if it can't be read, it begins anew.
        """

    def successors(self, key: SkillKey, limit: int) -> tuple[SkillKey, ...]:
        """Return the skills of the same room that name this one as their parent."""

    async def skills_since(self, sequence: int, limit: int) -> tuple[tuple[int, Skill], ...]:
        """Return what arrived after `sequence`, in order; none only at the end."""

    def last_skill_sequence(self) -> int:
        """Return the sequence of the latest arrival; 0 if there was none."""

    async def put_announcement(self, skill: Skill) -> bool:
        """Keep what is known of a skill whose content has yet to be fetched; False if too many."""

    def announcements(self) -> tuple[Skill, ...]:
        """Return what is announced and not here, each once."""

    async def drop_announcement(self, skill: Skill) -> None:
        """Forget an announcement."""

    async def put_vote(self, vote: Vote) -> bool:
        """Keep a vote unless a newer one of its voter is kept; return whether it is kept now."""

    def votes(self, key: SkillKey) -> tuple[Vote, ...]:
        """Return the votes on a skill, one a voter; damaged ones are left out."""


def has_any(skill: Skill | SkillHead, tags: tuple[str, ...]) -> bool:
    """Whether a skill has one of the tags; none asked for are had by all."""
    return not tags or not set(tags).isdisjoint(skill.entry.tags)


class RocksSkills:
    """Skills on disk; see `SkillStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put_skill(self, skill: Skill) -> bool:
        """Keep a skill unless one that prevails has its key; return whether it is kept now."""
        assert not skill.truncated, "only what has all of its content has a checked hash"

        def decide(read: Read) -> tuple[bool, Changes]:
            announced = _announcements_of(skill.key)
            forgotten: dict[bytes, bytes | None] = dict.fromkeys(
                place for place, _ in self._database.scan(announced)
            )
            try:
                kept = read_skill(read, skill.key)
            except StoreError:  # What can't be read is replaced.
                kept = None
            if kept is not None and not prevails(skill, kept[1]):
                return False, forgotten
            sequence = int.from_bytes(read(_LAST) or b"", "big") + 1
            changes, place = forgotten, SKILLS + skill.key
            if kept is not None:
                changes[_log_entry(kept[0])] = None
                changes |= dict.fromkeys((*_successor_of(kept[1]), keys.content(place)))
            changes |= dict.fromkeys(_successor_of(skill), b"")
            changes[_log_entry(sequence)] = skill.key
            arrived = skill if kept is None else succeeding(skill, kept[1])
            changes[place] = encode_skill(arrived, sequence)
            changes |= contents.beside(place, arrived.entry.content)
            changes[_LAST] = struct.pack(">Q", sequence)
            return True, changes

        return await self._database.commit(decide)

    def get_skill(self, key: SkillKey) -> Skill | None:
        """Return the skill under this key."""
        kept = read_skill(self._database.get, key)
        return kept[1] if kept else None

    def get_head(self, key: SkillKey) -> SkillHead | None:
        """Return the head of the skill under this key."""
        try:
            data = self._database.get(SKILLS + key)
            return None if data is None else decode_skill_head(data)[1]
        except (StoreError, ValueError) as error:
            raise _damaged(key, error) from error

    def find_skills(self, hash: str) -> tuple[Skill, ...]:
        """Return the skills with this hash, one a room, by room."""
        prefix = SKILLS + bytes.fromhex(hash)
        found = [self.get_skill(SkillKey(place[1:])) for place, _ in self._database.scan(prefix)]
        return tuple(skill for skill in found if skill is not None)

    async def list_skills(
        self,
        room: RoomName | None,
        tags: tuple[str, ...],
        limit: int,
        hides: Callable[[SkillHead], bool] = _nothing,
        after: SkillKey | None = None,
    ) -> tuple[tuple[SkillHead, ...], int]:
        """Return the latest arrivals with any of the tags, and how many damaged were skipped."""
        return await self._database.read(lambda: self._list(room, tags, limit, hides, after))

    def _list(
        self,
        room: RoomName | None,
        tags: tuple[str, ...],
        limit: int,
        hides: Callable[[SkillHead], bool],
        after: SkillKey | None,
    ) -> tuple[tuple[SkillHead, ...], int]:
        found: dict[bytes, SkillHead] = {}  # A key has two places if it moved under our eyes.
        damaged = 0
        before = None if after is None else self._place(after)
        for _, key in self._database.scan(_LOG, backwards=True, before=before):
            if len(found) == limit:
                break
            if room is not None and room_of_key(SkillKey(key)) != room:
                continue
            try:
                skill = self.get_head(SkillKey(key))
            except StoreError as error:
                _log.warning("record_damaged reason=%s", error)
                damaged += 1
                continue
            if skill is not None and has_any(skill, tags) and not hides(skill):
                found.setdefault(key, skill)
        return tuple(found.values()), damaged

    def _place(self, key: SkillKey) -> bytes | None:
        try:
            kept = read_skill(self._database.get, key)
        except StoreError:
            return None
        return None if kept is None else _log_entry(kept[0])

    def successors(self, key: SkillKey, limit: int) -> tuple[SkillKey, ...]:
        """Return the skills of the same room that name this one as their parent."""
        prefix, room = _SUCCESSORS + _in_room(key), key[32:]
        places = itertools.islice(self._database.scan(prefix), limit)
        return tuple(SkillKey(place[-32:] + room) for place, _ in places)

    async def skills_since(self, sequence: int, limit: int) -> tuple[tuple[int, Skill], ...]:
        """Return what arrived after `sequence`, in order; none only at the end."""
        return await self._database.read(lambda: self._since(sequence, limit))

    def _since(self, sequence: int, limit: int) -> tuple[tuple[int, Skill], ...]:
        found: list[tuple[int, Skill]] = []
        size = 0
        for place, key in self._database.scan(_LOG, start=_log_entry(sequence + 1)):
            if len(found) == limit or size > _SINCE_BYTES_MAX:
                break
            try:
                kept = read_skill(self._database.get, SkillKey(key))
            except StoreError as error:
                _log.warning("record_damaged reason=%s", error)
                continue
            if kept is not None and _log_entry(kept[0]) == place:
                found.append(kept)
                size += len(kept[1].entry.content)
        return tuple(found)

    def last_skill_sequence(self) -> int:
        """Return the sequence of the latest arrival; 0 if there was none."""
        return int.from_bytes(self._database.get(_LAST) or b"", "big")

    async def put_announcement(self, skill: Skill) -> bool:
        """Keep what is known of a skill whose content has yet to be fetched; False if too many."""
        assert skill.truncated, "what is all there is no announcement"
        place = _announcement(skill)

        def decide(read: Read) -> tuple[bool, Changes]:
            waiting = itertools.islice(self._database.scan(_ANNOUNCEMENTS), ANNOUNCEMENTS_MAX)
            if read(place) is None and sum(1 for _ in waiting) == ANNOUNCEMENTS_MAX:
                return False, {}
            return True, {place: encode_skill(skill, 0)}

        return await self._database.commit(decide)

    def announcements(self) -> tuple[Skill, ...]:
        """Return what is announced and not here, each once; damaged ones are left out."""
        found = []
        for place, data in self._database.scan(_ANNOUNCEMENTS):
            try:
                found.append(decode_skill(data, _inline)[1])
            except ValueError as error:
                _log.warning("record_damaged key=%s reason=%s", place.hex(), error)
        return tuple(found)

    async def drop_announcement(self, skill: Skill) -> None:
        """Forget an announcement."""
        await self._database.commit(lambda _: (None, {_announcement(skill): None}))

    async def put_vote(self, vote: Vote) -> bool:
        """Keep a vote unless a newer one of its voter is kept; return whether it is kept now."""
        place = _vote(vote)

        def decide(read: Read) -> tuple[bool, Changes]:
            kept = _read_vote(place, read(place))
            if kept is not None and kept.sent_at_ms >= vote.sent_at_ms:
                return False, {}
            if kept is None and vote.verified is Verified.UNVERIFIED:
                of_skill = self._database.scan(_VOTES + _in_room(vote.skill) + _UNVERIFIED)
                if sum(1 for _ in itertools.islice(of_skill, UNVERIFIED_VOTES_MAX)) == (
                    UNVERIFIED_VOTES_MAX
                ):
                    return False, {}
            return True, {place: encode_vote(vote)}

        return await self._database.commit(decide)

    def votes(self, key: SkillKey) -> tuple[Vote, ...]:
        """Return the votes on a skill, one a voter; damaged ones are left out."""
        records = self._database.scan(_VOTES + _in_room(key))
        return _present(_read_vote(place, data) for place, data in records)


_UNVERIFIED = b"u"


def _inline(content: str, _size: int) -> str:
    """Return the content of an announcement, which is never long."""
    return content


def _in_room(key: SkillKey) -> bytes:
    """Return `hash:32 · length:u16be · room`, which no other key's begins with."""
    return key[:32] + struct.pack(">H", len(key) - 32) + key[32:]


def _log_entry(sequence: int) -> bytes:
    return _LOG + struct.pack(">Q", sequence)


def _successor_of(skill: Skill) -> tuple[bytes, ...]:
    """Return where it stands among the successors of its parent, if it has one."""
    parent = skill.entry.parent_hash
    if parent is None:
        return ()
    place = _in_room(SkillKey(bytes.fromhex(parent) + skill.key[32:]))
    return (_SUCCESSORS + place + skill.key[:32],)


def _announcements_of(key: SkillKey) -> bytes:
    return _ANNOUNCEMENTS + _in_room(key)


def _announcement(skill: Skill) -> bytes:
    return _announcements_of(skill.key) + hashlib.sha256(skill.proof).digest()


def _vote(vote: Vote) -> bytes:
    if vote.verified is Verified.UNVERIFIED:
        voter = _UNVERIFIED + hashlib.sha256(vote.voter.encode()).digest()
    else:
        voter = b"v" + bytes.fromhex(vote.voter)
    return _VOTES + _in_room(vote.skill) + voter


def read_skill(read: Read, key: SkillKey) -> tuple[int, Skill] | None:
    """Return the sequence and the skill under this key.

    Raises:
        StoreError: its record is damaged.
    """
    place = SKILLS + key
    try:
        data = read(place)
        if data is None:
            return None
        return decode_skill(data, partial(contents.joined, read, place))
    except (StoreError, ValueError) as error:
        raise _damaged(key, error) from error


def _damaged(key: SkillKey, error: Exception) -> StoreError:
    return StoreError(
        f"the record of skill {hash_of_key(key)} is damaged ({error}); nothing else is affected, "
        "and other members of its room may still have it: search_skills asks them"
    )


def _read_vote(place: bytes, data: bytes | None) -> Vote | None:
    try:
        return None if data is None else decode_vote(data)
    except ValueError as error:
        _log.warning("record_damaged key=%s reason=%s", place.hex(), error)
        return None


def _present(votes: Iterable[Vote | None]) -> tuple[Vote, ...]:
    return tuple(vote for vote in votes if vote is not None)

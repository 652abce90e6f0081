"""The skills and votes in the store, and what a store promises about them.

A skill is kept only once its hash was checked against all of its content. Until then what is known
of it is an announcement, of which there can be several, for anybody may claim any hash. A log entry
counts only if the skill it names still carries that sequence. Anybody may publish successors of
anything, so a skill is linked to so many only; those whose publishers are known best stay.
"""

import logging
import struct
from collections.abc import Callable, Collection
from typing import Protocol

from buddies_core.errors import StoreError
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.provenance import Origin
from buddies_core.model.skill import (
    Skill,
    SkillHead,
    SkillKey,
    Vote,
    prevails,
    room_of_key,
    succeeding,
)
from buddies_core.store import contents, keys, skill_keys, succession
from buddies_core.store.arrivals import arrivals
from buddies_core.store.database import Changes, Database, Read
from buddies_core.store.items import Kept, item_changes
from buddies_core.store.listing import Listing
from buddies_core.store.quotas import DEFAULT_QUOTAS, Quotas
from buddies_core.store.skill_keys import AnnouncementId
from buddies_core.store.skill_reading import (
    kept_skill,
    list_skills,
    listed_skill,
    read_skill,
    read_skill_head,
)
from buddies_core.store.skill_records import (
    decode_skill,
    decode_vote,
    encode_skill,
    encode_vote,
)

UNKNOWN_ORIGIN = Origin()

_log = logging.getLogger(__name__)


def _nothing(_: SkillHead) -> bool:
    return False


class SkillStore(Protocol):
    """The skills of a store, on disk or, in tests, in memory."""

    @property
    def id(self) -> bytes:
        """The store's id, made at random with the store."""

    async def put_skill(self, skill: Skill, origin: Origin = UNKNOWN_ORIGIN) -> bool:
        """Keep a skill unless one that prevails has its key; return whether it is kept now.

        Its announcements are forgotten in any case. On return it is on disk. Its origin decides
        which successors of its parent make way for it.

        Raises:
            QuotaExceeded: its room or its author would use more of the disk than it may.
            StoreError: the disk refused.
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

    def successors(self, key: SkillKey) -> tuple[SkillKey, ...]:
        """Return the skills of the same room that name this one as their parent.

        Those whose publishers are known best come first, then the latest.
        """

    async def rank_successor(self, skill: SkillHead, origin: Origin) -> None:
        """Note that the publisher of a successor is better known than before."""

    async def skills_since(self, sequence: int, limit: int) -> tuple[tuple[int, Skill], ...]:
        """Return what arrived after `sequence`, in order; empty only at the end."""

    async def heads_since(self, sequence: int, limit: int) -> tuple[tuple[int, SkillHead], ...]:
        """Return the heads of what arrived after `sequence`, in order; none only at the end."""

    def skill_key_at(self, sequence: int) -> SkillKey | None:
        """Return the key of the `sequence`-th arrival, unless something has replaced it."""

    def last_skill_sequence(self) -> int:
        """Return the sequence of the latest arrival; 0 if there was none."""

    async def put_announcement(self, skill: Skill) -> None:
        """Keep what is known of a skill whose content has yet to be fetched."""

    def get_announcement(self, id: AnnouncementId) -> Skill | None:
        """Return what is announced, unless it is here by now."""

    def announcements(self) -> tuple[Skill, ...]:
        """Return what is announced and not here, each once."""

    async def drop_announcement(self, id: AnnouncementId) -> None:
        """Forget an announcement."""

    async def put_vote(
        self, vote: Vote, neighbor: EndpointId | None = None, gone: Collection[Vote] = ()
    ) -> bool:
        """Keep a vote unless a newer one of its voter is kept; return whether it is kept now.

        Those which are gone, maybe this one itself, are forgotten. `neighbor` is who brought it in.
        """

    def ballots(self, key: SkillKey) -> tuple[tuple[Vote, EndpointId | None], ...]:
        """Return the votes on a skill as `votes` does, each with who brought it in."""

    def votes(self, key: SkillKey) -> tuple[Vote, ...]:
        """Return the votes on a skill, one a voter; damaged ones are left out."""


def has_any(skill: Skill | SkillHead, tags: tuple[str, ...]) -> bool:
    """Whether a skill has one of the tags; none asked for are had by all."""
    return not tags or not set(tags).isdisjoint(skill.entry.tags)


class RocksSkills:
    """Skills on disk; see `SkillStore`."""

    def __init__(self, database: Database, quotas: Quotas = DEFAULT_QUOTAS) -> None:
        self._database = database
        self._quotas = quotas
        self.listing = Listing(skill_keys.BITS)

    async def put_skill(self, skill: Skill, origin: Origin = UNKNOWN_ORIGIN) -> bool:
        """Keep a skill unless one that prevails has its key; return whether it is kept now."""
        assert not skill.truncated, "only what has all of its content has a checked hash"

        def decide(read: Read) -> tuple[bool, Changes]:
            announced = skill_keys.announcements_of(skill.key)
            forgotten: dict[bytes, bytes | None] = dict.fromkeys(
                place for place, _ in self._database.scan(announced)
            )
            try:
                kept = read_skill(read, skill.key)
            except StoreError:  # An unreadable record is replaced.
                kept = None
            if kept is not None and not prevails(skill, kept[1]):
                return False, forgotten
            sequence = int.from_bytes(read(skill_keys.LAST) or b"", "big") + 1
            changes, place = forgotten, skill_keys.SKILLS + skill.key
            if kept is not None:
                changes[skill_keys.log(kept[0])] = None
                changes |= dict.fromkeys((*skill_keys.links_of(kept[1]), keys.content(place)))
            for link in skill_keys.links_of(skill):
                changes |= self._linked(link, succession.link(origin, sequence))
            changes[skill_keys.log(sequence)] = skill.key
            gone = None if kept is None else listed_skill(*kept)
            changes |= self.listing.changes(read, listed_skill(sequence, skill), gone)
            arrived = skill if kept is None else succeeding(skill, kept[1])
            changes[place] = encode_skill(arrived, sequence)
            changes |= contents.beside(place, arrived.entry.content)
            changes |= item_changes(
                read,
                gone=[] if kept is None else [kept_skill(read, kept[1])],
                new=[kept_skill(changes.get, arrived)],
                quotas=self._quotas,
            )
            changes[skill_keys.LAST] = struct.pack(">Q", sequence)
            return True, changes

        return await self._database.commit(decide)

    def get_skill(self, key: SkillKey) -> Skill | None:
        """Return the skill under this key."""
        kept = read_skill(self._database.get, key)
        return kept[1] if kept else None

    def get_head(self, key: SkillKey) -> SkillHead | None:
        """Return the head of the skill under this key."""
        kept = read_skill_head(self._database.get, key)
        return kept[1] if kept else None

    def find_skills(self, hash: str) -> tuple[Skill, ...]:
        """Return the skills with this hash, one a room, by room."""
        prefix = skill_keys.SKILLS + bytes.fromhex(hash)
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
        return await self._database.view(
            lambda view: list_skills(view, self.listing, room, tags, limit, hides, after)
        )

    def _linked(self, place: bytes, link: bytes) -> Changes:
        """Return the changes that link a successor to its parent, in place of others if need be."""
        links = {**dict(self._database.scan(place[:-32])), place: link}
        return {place: link, **dict.fromkeys(succession.superfluous(links))}

    def successors(self, key: SkillKey) -> tuple[SkillKey, ...]:
        """Return the skills of the same room that name this one as their parent."""
        links = dict(self._database.scan(skill_keys.SUCCESSORS + skill_keys.in_room(key)))
        return tuple(SkillKey(it[-32:] + key[32:]) for it in succession.best_first(links))

    async def rank_successor(self, skill: SkillHead, origin: Origin) -> None:
        """Note that the publisher of a successor is better known than before."""

        def decide(read: Read) -> tuple[None, Changes]:
            links = {place: read(place) for place in skill_keys.links_of(skill)}
            return None, {
                place: succession.link(origin, succession.sequence_of(link))
                for place, link in links.items()
                if link is not None
            }

        await self._database.commit(decide, synced=False)

    async def skills_since(self, sequence: int, limit: int) -> tuple[tuple[int, Skill], ...]:
        """Return what arrived after `sequence`, in order; empty only at the end."""
        return await arrivals(
            self._database,
            skill_keys.LOG,
            sequence,
            limit,
            lambda key: read_skill(self._database.get, SkillKey(key)),
            lambda skill: len(skill.entry.content),
        )

    async def heads_since(self, sequence: int, limit: int) -> tuple[tuple[int, SkillHead], ...]:
        """Return the heads of what arrived after `sequence`, in order; none only at the end."""
        return await arrivals(
            self._database,
            skill_keys.LOG,
            sequence,
            limit,
            lambda key: read_skill_head(self._database.get, SkillKey(key)),
            lambda head: len(head.entry.content),
        )

    @property
    def id(self) -> bytes:
        """The store's id, made at random with the store."""
        return self._database.id

    def skill_key_at(self, sequence: int) -> SkillKey | None:
        """Return the key of the `sequence`-th arrival, unless something has replaced it."""
        key = self._database.get(skill_keys.log(sequence))
        return None if key is None else SkillKey(key)

    def last_skill_sequence(self) -> int:
        """Return the sequence of the latest arrival; 0 if there was none."""
        return int.from_bytes(self._database.get(skill_keys.LAST) or b"", "big")

    async def put_announcement(self, skill: Skill) -> None:
        """Keep what is known of a skill whose content has yet to be fetched."""
        assert skill.truncated, "what is all there is no announcement"
        place = skill_keys.ANNOUNCEMENTS + skill_keys.announcement_id(skill)
        await self._database.commit(lambda _: (None, {place: encode_skill(skill, 0)}))

    def get_announcement(self, id: AnnouncementId) -> Skill | None:
        """Return what is announced, unless it is here by now; damaged ones are left out."""
        data = self._database.get(skill_keys.ANNOUNCEMENTS + id)
        try:
            return None if data is None else decode_skill(data, _inline)[1]
        except ValueError:
            return None

    def announcements(self) -> tuple[Skill, ...]:
        """Return what is announced and not here, each once; damaged ones are left out."""
        found = []
        for place, data in self._database.scan(skill_keys.ANNOUNCEMENTS):
            try:
                found.append(decode_skill(data, _inline)[1])
            except ValueError as error:
                _log.warning("record_damaged key=%s reason=%s", place.hex(), error)
        return tuple(found)

    async def drop_announcement(self, id: AnnouncementId) -> None:
        """Forget an announcement."""
        await self._database.commit(lambda _: (None, {skill_keys.ANNOUNCEMENTS + id: None}))

    async def put_vote(
        self, vote: Vote, neighbor: EndpointId | None = None, gone: Collection[Vote] = ()
    ) -> bool:
        """Keep a vote unless a newer one of its voter is kept; return whether it is kept now."""
        place = skill_keys.vote_of(vote)
        forgotten = dict.fromkeys(skill_keys.vote_of(it) for it in gone)
        if forgotten.keys() == {place}:
            return False

        def decide(read: Read) -> tuple[bool, Changes]:
            former = {it: read_vote(it, read(it)) for it in (*forgotten, place)}
            kept = former[place]
            is_news = kept is None or kept[0].sent_at_ms < vote.sent_at_ms
            is_kept = place not in forgotten and is_news
            changes: dict[bytes, bytes | None] = {**forgotten}
            if is_kept:
                changes[place] = encode_vote(vote, neighbor)
            changes |= item_changes(
                read,
                gone=[
                    kept_vote(it[0], at, len(read(at) or b""))
                    for at, it in former.items()
                    if it and at in changes
                ],
                new=[kept_vote(vote, place, len(changes[place] or b""))] if is_kept else [],
            )
            return is_kept, changes

        return await self._database.commit(decide)

    def ballots(self, key: SkillKey) -> tuple[tuple[Vote, EndpointId | None], ...]:
        """Return the votes on a skill, each with its neighbor; damaged ones are left out."""
        records = self._database.scan(skill_keys.VOTES + skill_keys.in_room(key))
        ballots = (read_vote(place, data) for place, data in records)
        return tuple(ballot for ballot in ballots if ballot is not None)

    def votes(self, key: SkillKey) -> tuple[Vote, ...]:
        """Return the votes on a skill, one a voter; damaged ones are left out."""
        return tuple(vote for vote, _ in self.ballots(key))


def kept_vote(vote: Vote, place: bytes, size: int) -> Kept:
    """Return the record of a vote, as it is among the items. A skill has only so many of them."""
    return Kept(room_of_key(vote.skill), vote.proof, place, size)


def _inline(content: str, _size: int) -> str:
    """Return the content of an announcement, which is never long."""
    return content


def read_vote(place: bytes, data: bytes | None) -> tuple[Vote, EndpointId | None] | None:
    """Return the vote in a record, if it is a good one, and who brought it in."""
    try:
        return None if data is None else decode_vote(data)
    except ValueError as error:
        _log.warning("record_damaged key=%s reason=%s", place.hex(), error)
        return None

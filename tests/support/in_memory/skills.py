"""The contract of `store.skills` in plain dicts, for tests. Nothing outlives it."""

import os
from collections.abc import Callable, Collection

from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.provenance import Origin, Provenance
from buddies_core.model.skill import (
    Skill,
    SkillHead,
    SkillKey,
    Vote,
    hash_of_key,
    prevails,
    room_of_key,
    skill_key,
    succeeding,
)
from buddies_core.store.skill_keys import AnnouncementId, announcement_id
from buddies_core.store.skills import UNKNOWN_ORIGIN, has_any
from buddies_core.store.succession import SUCCESSORS_MAX, SUCCESSORS_PER_NEIGHBOR_MAX


class InMemorySkills:
    """Skills without a disk; it passes the tests that RocksSkills passes. See `SkillStore`."""

    def __init__(self) -> None:
        self.id = os.urandom(16)
        self._skills: dict[SkillKey, tuple[int, Skill]] = {}
        self._last_sequence = 0
        self._announcements: dict[AnnouncementId, Skill] = {}
        self._votes: dict[tuple[SkillKey, bool, str], tuple[Vote, EndpointId | None]] = {}
        self._links: dict[tuple[SkillKey, SkillKey], tuple[Origin, int]] = {}

    async def put_skill(self, skill: Skill, origin: Origin = UNKNOWN_ORIGIN) -> bool:
        """Keep a skill unless one that prevails has its key; return whether it is kept now."""
        assert not skill.truncated, "only what has all of its content has a checked hash"
        announced = self._announcements
        self._announcements = {id: a for id, a in announced.items() if a.key != skill.key}
        if skill.key in self._skills:
            kept = self._skills[skill.key][1]
            if not prevails(skill, kept):
                return False
            skill = succeeding(skill, kept)
            self._links = {key: it for key, it in self._links.items() if key[1] != skill.key}
        self._last_sequence += 1
        self._skills[skill.key] = self._last_sequence, skill
        if skill.entry.parent_hash is not None:
            parent = skill_key(skill.entry.parent_hash, skill.entry.room)
            self._links[parent, skill.key] = origin, self._last_sequence
            self._cut(parent)
        return True

    def _cut(self, parent: SkillKey) -> None:
        links = [(child, link) for (of, child), link in self._links.items() if of == parent]
        provenance: Provenance[SkillKey] = Provenance(SUCCESSORS_MAX, SUCCESSORS_PER_NEIGHBOR_MAX)
        for child, (origin, _) in sorted(links, key=lambda it: it[1][1]):
            for gone in provenance.admit(child, origin.rank, origin.neighbor):
                del self._links[parent, gone]

    def get_skill(self, key: SkillKey) -> Skill | None:
        """Return the skill under this key."""
        return self._skills[key][1] if key in self._skills else None

    def get_head(self, key: SkillKey) -> SkillHead | None:
        """Return the head of the skill under this key."""
        skill = self.get_skill(key)
        return None if skill is None else skill.head()

    def find_skills(self, hash: str) -> tuple[Skill, ...]:
        """Return the skills with this hash, one a room, by room."""
        return tuple(s for key, (_, s) in sorted(self._skills.items()) if hash_of_key(key) == hash)

    async def list_skills(
        self,
        room: RoomName | None,
        tags: tuple[str, ...],
        limit: int,
        hides: Callable[[SkillHead], bool] = lambda _: False,
        after: SkillKey | None = None,
    ) -> tuple[tuple[SkillHead, ...], int]:
        """Return the latest arrivals with any of the tags, and 0 damaged ones."""
        latest = sorted(self._skills.values(), key=lambda kept: -kept[0])
        if after in self._skills:
            end = self._skills[after][0]
            latest = [kept for kept in latest if kept[0] < end]
        heads = (skill.head() for _, skill in latest)
        found = [s for s in heads if room in (None, s.entry.room) and has_any(s, tags)]
        return tuple([skill for skill in found if not hides(skill)][:limit]), 0

    def successors(self, key: SkillKey) -> tuple[SkillKey, ...]:
        """Return the skills of the same room that name this one as their parent."""
        links = [(child, link) for (of, child), link in self._links.items() if of == key]
        links.sort(key=lambda it: (-it[1][0].rank, -it[1][1]))
        return tuple(child for child, _ in links)

    async def rank_successor(self, skill: SkillHead, origin: Origin) -> None:
        """Take note that the publisher of a successor is better known than it was."""
        for (parent, child), (_, sequence) in tuple(self._links.items()):
            if child == skill.key:
                self._links[parent, child] = origin, sequence

    async def skills_since(self, sequence: int, limit: int) -> tuple[tuple[int, Skill], ...]:
        """Return what arrived after `sequence`, in order."""
        log = sorted(self._skills.values(), key=lambda kept: kept[0])
        return tuple(kept for kept in log if kept[0] > sequence)[:limit]

    async def heads_since(self, sequence: int, limit: int) -> tuple[tuple[int, SkillHead], ...]:
        """Return the heads of what arrived after `sequence`, in order."""
        found = await self.skills_since(sequence, limit)
        return tuple((number, skill.head()) for number, skill in found)

    def skill_key_at(self, sequence: int) -> SkillKey | None:
        """Return what arrived as the `sequence`-th, unless something has replaced it."""
        return next((key for key, (at, _) in self._skills.items() if at == sequence), None)

    def last_skill_sequence(self) -> int:
        """Return the sequence of the latest arrival; 0 if there was none."""
        return self._last_sequence

    async def put_announcement(self, skill: Skill) -> None:
        """Keep what is known of a skill whose content has yet to be fetched."""
        assert skill.truncated, "what is all there is no announcement"
        self._announcements[announcement_id(skill)] = skill

    def get_announcement(self, id: AnnouncementId) -> Skill | None:
        """Return what is announced, unless it is here by now."""
        return self._announcements.get(id)

    def announcements(self) -> tuple[Skill, ...]:
        """Return what is announced and not here, each once."""
        return tuple(self._announcements.values())

    async def drop_announcement(self, id: AnnouncementId) -> None:
        """Forget an announcement."""
        self._announcements.pop(id, None)

    async def put_vote(
        self, vote: Vote, neighbor: EndpointId | None = None, gone: Collection[Vote] = ()
    ) -> bool:
        """Keep a vote unless a newer one of its voter is kept; return whether it is kept now."""
        for it in gone:
            self._votes.pop(_place(it), None)
        kept = self._votes.get(_place(vote))
        if vote in gone or (kept is not None and kept[0].sent_at_ms >= vote.sent_at_ms):
            return False
        self._votes[_place(vote)] = vote, neighbor
        return True

    def all(self, room: RoomName) -> list[Skill | Vote]:
        """Return the skills and votes of a room."""
        skills = (skill for _, skill in self._skills.values() if skill.entry.room == room)
        votes = (vote for vote, _ in self._votes.values() if room_of_key(vote.skill) == room)
        return [*skills, *votes]

    def ballots(self, key: SkillKey) -> tuple[tuple[Vote, EndpointId | None], ...]:
        """Return the votes on a skill, each with who brought it in."""
        return tuple(ballot for ballot in self._votes.values() if ballot[0].skill == key)

    def votes(self, key: SkillKey) -> tuple[Vote, ...]:
        """Return the votes on a skill, one a voter."""
        return tuple(vote for vote, _ in self.ballots(key))


def _place(vote: Vote) -> tuple[SkillKey, bool, str]:
    return vote.skill, vote.verified is Verified.UNVERIFIED, vote.voter

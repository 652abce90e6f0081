"""The contract of `store.skills` in plain dicts, for tests. Nothing outlives it."""

from collections.abc import Callable

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
from buddies_core.store.skills import ANNOUNCEMENTS_MAX, UNVERIFIED_VOTES_MAX, has_any


class InMemorySkills:
    """Skills without a disk; it passes the tests that RocksSkills passes. See `SkillStore`."""

    def __init__(self) -> None:
        self._skills: dict[SkillKey, tuple[int, Skill]] = {}
        self._last_sequence = 0
        self._announcements: dict[tuple[SkillKey, bytes], Skill] = {}
        self._votes: dict[tuple[SkillKey, bool, str], Vote] = {}

    async def put_skill(self, skill: Skill) -> bool:
        """Keep a skill unless one that prevails has its key; return whether it is kept now."""
        assert not skill.truncated, "only what has all of its content has a checked hash"
        announced = self._announcements
        self._announcements = {key: a for key, a in announced.items() if a.key != skill.key}
        if skill.key in self._skills:
            kept = self._skills[skill.key][1]
            if not prevails(skill, kept):
                return False
            skill = succeeding(skill, kept)
        self._last_sequence += 1
        self._skills[skill.key] = self._last_sequence, skill
        return True

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

    def successors(self, key: SkillKey, limit: int) -> tuple[SkillKey, ...]:
        """Return the skills of the same room that name this one as their parent."""
        parent, room = hash_of_key(key), room_of_key(key)
        found = [
            other
            for other, (_, skill) in sorted(self._skills.items())
            if skill.entry.parent_hash == parent and skill.entry.room == room
        ]
        return tuple(found[:limit])

    async def skills_since(self, sequence: int, limit: int) -> tuple[tuple[int, Skill], ...]:
        """Return what arrived after `sequence`, in order."""
        log = sorted(self._skills.values(), key=lambda kept: kept[0])
        return tuple(kept for kept in log if kept[0] > sequence)[:limit]

    def last_skill_sequence(self) -> int:
        """Return the sequence of the latest arrival; 0 if there was none."""
        return self._last_sequence

    async def put_announcement(self, skill: Skill) -> bool:
        """Keep what is known of a skill whose content has yet to be fetched; False if too many."""
        assert skill.truncated, "what is all there is no announcement"
        place = (skill.key, skill.proof)
        if place not in self._announcements and len(self._announcements) == ANNOUNCEMENTS_MAX:
            return False
        self._announcements[place] = skill
        return True

    def announcements(self) -> tuple[Skill, ...]:
        """Return what is announced and not here, each once."""
        return tuple(self._announcements.values())

    async def drop_announcement(self, skill: Skill) -> None:
        """Forget an announcement."""
        self._announcements.pop((skill.key, skill.proof), None)

    async def put_vote(self, vote: Vote) -> bool:
        """Keep a vote unless a newer one of its voter is kept; return whether it is kept now."""
        unverified = vote.verified is Verified.UNVERIFIED
        place = (vote.skill, unverified, vote.voter)
        kept = self._votes.get(place)
        if kept is not None and kept.sent_at_ms >= vote.sent_at_ms:
            return False
        if kept is None and unverified:
            others = [key for key in self._votes if key[:2] == (vote.skill, True)]
            if len(others) == UNVERIFIED_VOTES_MAX:
                return False
        self._votes[place] = vote
        return True

    def votes(self, key: SkillKey) -> tuple[Vote, ...]:
        """Return the votes on a skill, one a voter."""
        return tuple(vote for vote in self._votes.values() if vote.skill == key)

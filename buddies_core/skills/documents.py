"""The store's skills as the search engine reads them: as memories of the kind skill."""

from uuid import UUID

from buddies_core.model.ids import MemoryId
from buddies_core.model.memory import Memory, MemoryEntry, MemoryHead, MemoryKey, MemoryKind
from buddies_core.model.skill import Skill, SkillHead, SkillKey
from buddies_core.store.skills import SkillStore


class SkillDocuments:
    """What `finding.index` and `finding.local_search` need of a store, for skills."""

    def __init__(self, store: SkillStore) -> None:
        self._store = store

    async def memories_since(self, sequence: int, limit: int) -> tuple[tuple[int, Memory], ...]:
        """Return what arrived after `sequence`, in order; none only at the end."""
        arrived = await self._store.skills_since(sequence, limit)
        return tuple((number, as_memory(skill)) for number, skill in arrived)

    def last_sequence(self) -> int:
        """Return the sequence of the latest arrival; 0 if there was none."""
        return self._store.last_skill_sequence()

    def get_head(self, key: MemoryKey) -> MemoryHead | None:
        """Return the head of the skill under this key."""
        skill = self._store.get_head(SkillKey(bytes(key)))
        return None if skill is None else as_memory_head(skill)


def as_memory(skill: Skill) -> Memory:
    """Return the skill as a memory; its key is the skill's."""
    return Memory(
        key=MemoryKey(bytes(skill.key)),
        entry=_entry(skill),
        author_name=skill.author_name,
        agent=skill.agent,
        verified=skill.verified,
        whole=None,
        proof=skill.proof,
        received_at_ms=skill.received_at_ms,
        signed_by=_signed_by(skill),
    )


def as_memory_head(skill: SkillHead) -> MemoryHead:
    """Return the head of a skill as that of a memory."""
    return MemoryHead(
        key=MemoryKey(bytes(skill.key)),
        entry=_entry(skill),
        author_name=skill.author_name,
        agent=skill.agent,
        verified=skill.verified,
        whole=None,
        proof=skill.proof,
        received_at_ms=skill.received_at_ms,
        signed_by=_signed_by(skill),
        size=skill.size,
    )


def _entry(skill: Skill | SkillHead) -> MemoryEntry:
    entry = skill.entry
    return MemoryEntry(
        id=MemoryId(UUID(bytes=skill.key[:16])),
        author=entry.author,
        created_at_s=entry.created_at_s,
        room=entry.room,
        kind=MemoryKind.SKILL,
        title=entry.title,
        content=entry.content,
        tags=entry.tags,
    )


def _signed_by(skill: Skill | SkillHead) -> str:
    return skill.entry.signed_by.label if skill.entry.signed_by else ""

"""The store's skills as the search engine reads them."""

from buddies_core.finding.document import Document, Scope
from buddies_core.model.skill import Skill, SkillHead, SkillKey
from buddies_core.store.skills import SkillStore


class SkillDocuments:
    """The store that `finding.index` and `finding.local_search` need, for skills."""

    def __init__(self, store: SkillStore) -> None:
        self._store = store

    async def documents_since(self, sequence: int, limit: int) -> tuple[tuple[int, Document], ...]:
        """Return the arrivals after `sequence`, in order; empty only at the end."""
        arrived = await self._store.skills_since(sequence, limit)
        return tuple((number, _document_of(skill)) for number, skill in arrived)

    @property
    def store_id(self) -> bytes:
        """The store's own, made at random with it."""
        return self._store.id

    def key_at(self, sequence: int) -> bytes | None:
        """Return what arrived as the `sequence`-th, unless something has replaced it."""
        return self._store.skill_key_at(sequence)

    def last_sequence(self) -> int:
        """Return the sequence of the latest arrival; 0 if there was none."""
        return self._store.last_skill_sequence()

    def get_head(self, key: bytes) -> SkillHead | None:
        """Return the head of the skill under this key."""
        return self._store.get_head(SkillKey(key))

    def admits(self, scope: Scope, head: SkillHead) -> bool:
        """Return whether the skill passes, as it is now."""
        return scope.admits(head.labels, head.at_s)


def _document_of(skill: Skill) -> Document:
    return Document(
        key=skill.key,
        title=skill.entry.title,
        text=skill.entry.content,
        tags=skill.entry.tags,
        labels=skill.labels,
        created_at_s=skill.at_s,
    )

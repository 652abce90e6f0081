"""The line of versions that a skill belongs to. Pure, except for the lookups it is given."""

from collections import deque
from collections.abc import Callable
from typing import TypeVar

from buddies_core.model.skill import Skill, SkillHead, SkillKey, skill_key
from buddies_core.model.skill_views import Publisher
from buddies_core.model.text_diff import text_diff

KeptT = TypeVar("KeptT", Skill, SkillHead)

CHAIN_MAX = 16
"""The most ancestors, successors by its own publisher, and successors by other publishers."""


def line_of(
    skill: SkillHead,
    get: Callable[[SkillKey], SkillHead | None],
    successors: Callable[[SkillKey], tuple[SkillKey, ...]],
    publisher: Callable[[SkillHead], Publisher],
) -> tuple[SkillHead, ...]:
    """Return its known ancestors, itself and its known successors, parents first.

    A hash does not cover the parent's, so a chain may form a cycle; each skill is returned once.
    Successors by other publishers never displace those by the skill's own publisher.
    """
    seen = {skill.key}
    ancestors: list[SkillHead] = []
    youngest = skill
    while len(ancestors) < CHAIN_MAX and (parent := parent_of(youngest, get)) is not None:
        if parent.key in seen:
            break
        seen.add(parent.key)
        ancestors.append(parent)
        youngest = parent
    own = publisher(skill)
    updates: list[SkillHead] = []
    by_others: list[SkillHead] = []
    waiting, others = deque([skill.key]), deque[SkillHead]()
    while waiting or (others and len(by_others) < CHAIN_MAX):
        if not waiting:  # All that its own publisher has made of it was looked at.
            by_others.append(others.popleft())
            waiting.append(by_others[-1].key)
        for key in successors(waiting.popleft()):
            found = None if key in seen else get(key)
            if found is None:
                continue
            seen.add(key)
            if by_others or not publisher(found).is_same_as(own):
                others.append(found)
            elif len(updates) < CHAIN_MAX:
                updates.append(found)
                waiting.append(key)
    return (*reversed(ancestors), skill, *updates, *by_others)


def parent_of(skill: Skill | SkillHead, get: Callable[[SkillKey], KeptT | None]) -> KeptT | None:
    """Return the skill that this one names as its parent, if it is known in the same room."""
    parent = skill.entry.parent_hash
    return None if parent is None else get(skill_key(parent, skill.entry.room))


def changes(parent: Skill, child: Skill) -> str:
    """Return a diff of title, tags and content between a version and its parent."""
    return text_diff(
        _described(parent),
        _described(child),
        f"{parent.entry.hash[:12]} version {parent.entry.version}",
        f"{child.entry.hash[:12]} version {child.entry.version}",
    )


def _described(skill: Skill) -> str:
    entry = skill.entry
    tags = f"Tags: {', '.join(entry.tags)}\n" if entry.tags else ""
    return f"{entry.title}\n{tags}\n{entry.content}"

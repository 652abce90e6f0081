"""Skills as they are shown: a snippet, a page, a version among others."""

from buddies_core.model.identity import Verified
from buddies_core.model.memory import SNIPPET_CHARS_MAX
from buddies_core.model.skill import Skill
from buddies_core.model.skill_views import SkillVersion, SkillView
from buddies_core.skills.ballots import Ballots
from buddies_core.skills.votes import Standing


def snippet(
    skill: Skill, ballots: Ballots, standing: Standing | None = None, score: float | None = None
) -> SkillView:
    """Return the skill with the beginning of its content."""
    return view(skill, skill.entry.content[:SNIPPET_CHARS_MAX], ballots, standing, score)


def view(
    skill: Skill,
    shown: str,
    ballots: Ballots,
    standing: Standing | None = None,
    score: float | None = None,
) -> SkillView:
    """Return the skill with this part of its content; votes are those on disk unless given."""
    entry = skill.entry
    standing = standing or ballots.standing(skill.key)
    return SkillView(
        hash=entry.hash,
        author=entry.author,
        author_name=skill.author_name,
        agent=skill.agent,
        verified=skill.verified,
        signed_by=_signed_by(skill),
        room=entry.room,
        title=entry.title,
        content=shown,
        tags=entry.tags,
        version=entry.version,
        parent_hash=entry.parent_hash,
        created_at_s=entry.created_at_s,
        truncated=skill.truncated or len(shown) < len(entry.content),
        size=skill.whole.size if skill.whole else len(entry.content.encode()),
        votes=standing.votes,
        uncounted=standing.uncounted,
        your_score=ballots.own(skill.key),
        score=score,
    )


def version(skill: Skill, ballots: Ballots) -> SkillVersion:
    """Return the skill as one of several versions."""
    entry = skill.entry
    return SkillVersion(
        hash=entry.hash,
        parent_hash=entry.parent_hash,
        version=entry.version,
        title=entry.title,
        author=entry.author,
        author_name=skill.author_name,
        verified=skill.verified,
        signed_by=_signed_by(skill),
        created_at_s=entry.created_at_s,
        rank=ballots.standing(skill.key).votes.rank,
    )


def _signed_by(skill: Skill) -> str:
    """Return the label of who has signed it; empty where nobody has, or it can't be told."""
    signer = skill.entry.signed_by
    return signer.label if signer and skill.verified is Verified.SIGNER else ""

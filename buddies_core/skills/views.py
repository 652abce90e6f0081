"""Skills as they are shown: a snippet, a page, a version among others."""

from buddies_core.model.excerpt import Match
from buddies_core.model.identity import Verified
from buddies_core.model.memory import SNIPPET_CHARS_MAX
from buddies_core.model.skill import Skill, SkillHead
from buddies_core.model.skill_views import Publisher, SkillVersion, SkillView
from buddies_core.skills.ballots import Ballots
from buddies_core.skills.publishers import publisher_of
from buddies_core.skills.votes import Signers, Standing


def snippet(
    skill: Skill | SkillHead,
    ballots: Ballots,
    signers: Signers,
) -> SkillView:
    """Return the skill with the beginning of its content."""
    return view(skill, skill.entry.content[:SNIPPET_CHARS_MAX], ballots, signers)


def view(
    skill: Skill | SkillHead,
    shown: str,
    ballots: Ballots,
    signers: Signers,
    standing: Standing | None = None,
    match: Match | None = None,
) -> SkillView:
    """Return the skill with this part of its content; votes are those on disk unless given."""
    entry, size = skill.entry, skill.size
    standing = standing or ballots.standing(skill.key)
    publisher = publisher_of(skill, signers)
    return SkillView(
        hash=entry.hash,
        author=entry.author,
        author_name=skill.author_name,
        agent=skill.agent,
        verified=_verified(skill, publisher),
        signed_by=publisher.signer,
        room=entry.room,
        title=entry.title,
        content=shown,
        tags=entry.tags,
        version=entry.version,
        parent_hash=entry.parent_hash,
        created_at_s=skill.at_s,
        truncated=skill.truncated or len(shown.encode()) < size,
        size=skill.whole.size if skill.whole else size,
        votes=standing.votes,
        uncounted=standing.uncounted,
        your_score=ballots.own(skill.key),
        match=match,
    )


def version(skill: Skill | SkillHead, ballots: Ballots, signers: Signers) -> SkillVersion:
    """Return the skill as one of several versions."""
    entry = skill.entry
    publisher = publisher_of(skill, signers)
    return SkillVersion(
        hash=entry.hash,
        parent_hash=entry.parent_hash,
        version=entry.version,
        title=entry.title,
        author=entry.author,
        author_name=skill.author_name,
        verified=_verified(skill, publisher),
        signed_by=publisher.signer,
        by_endpoint=bool(publisher.endpoint),
        created_at_s=skill.at_s,
        rank=ballots.standing(skill.key).votes.rank,
    )


def _verified(skill: Skill | SkillHead, publisher: Publisher) -> Verified:
    return Verified.SIGNER if publisher.signer else skill.verified

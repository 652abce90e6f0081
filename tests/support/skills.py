"""Skills and votes to test with: whole and valid unless told otherwise."""

from dataclasses import replace

from buddies_core.model.identity import SignerIdentity, Verified
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.memory import Whole
from buddies_core.model.skill import Skill, SkillEntry, SkillHead, Vote, skill_key
from buddies_core.skills.content import skill_hash
from tests.support.memories import ALICE, BOB, DEMO


def a_skill_entry(
    content: str = "1. run make release\n2. tag it",
    *,
    author: EndpointId = ALICE,
    room: RoomName = DEMO,
    title: str = "Release",
    tags: tuple[str, ...] = (),
    version: int = 1,
    parent_hash: str | None = None,
    signed_by: SignerIdentity | None = None,
    signature: bytes | None = None,
) -> SkillEntry:
    """Return an entry with the right hash."""
    return SkillEntry(
        hash=skill_hash(title, content, tags),
        author=author.hex(),
        created_at_s=1_700_000_000,
        room=room,
        title=title,
        content=content,
        tags=tags,
        version=version,
        parent_hash=parent_hash,
        signed_by=signed_by,
        signature=signature,
    )


def a_skill(
    entry: SkillEntry | None = None,
    *,
    verified: Verified = Verified.PEER,
    whole: Whole | None = None,
    proof: bytes | None = None,
) -> Skill:
    """Return the skill of an entry; its proof is made up, and differs where the entry does."""
    entry = entry or a_skill_entry()
    return Skill(
        key=skill_key(entry.hash, entry.room),
        entry=entry,
        author_name="alice",
        agent="claude",
        verified=verified,
        whole=whole,
        proof=b"proof of " + repr(entry).encode() if proof is None else proof,
        received_at_ms=1_700_000_000_123,
    )


def heads(*skills: Skill) -> tuple[SkillHead, ...]:
    """Return what lists show of them."""
    return tuple(skill.head() for skill in skills)


def announced(skill: Skill, chars: int = 5) -> Skill:
    """Return what is known of a long skill before its content was fetched."""
    whole = Whole(b"h" * 32, len(skill.entry.content.encode()))
    entry = replace(skill.entry, content=skill.entry.content[:chars])
    return replace(skill, entry=entry, whole=whole)


def a_vote(
    skill: Skill,
    voter: EndpointId | str = BOB,
    *,
    score: int = 1,
    sent_at_ms: int = 1_700_000_000_200,
) -> Vote:
    """Return an endpoint's vote; or, where `voter` is a text, one that somebody claims it cast."""
    unverified = isinstance(voter, str)
    return Vote(
        skill=skill.key,
        voter=voter if isinstance(voter, str) else voter.hex(),
        verified=Verified.UNVERIFIED if unverified else Verified.PEER,
        score=score,
        sent_at_ms=sent_at_ms,
        proof=f"vote of {voter!r}: {score} at {sent_at_ms}".encode(),
        received_at_ms=sent_at_ms + 5,
    )

"""Where each record about skills lies, in the key space that `keys` describes.

skill        := "s" · hash:32 · room                             → SkillRecord
log          := "j" · sequence:u64be                             → hash:32 · room
successor    := "c" · parent:32 · length:u16be · room · hash:32  → rank:u8 · sequence:u64be ·
neighbor:32, or nothing
announcement := "e" · hash:32 · length:u16be · room · digest:32  → SkillRecord
vote         := "v" · hash:32 · length:u16be · room · voter:33   → VoteRecord
bits         := "u" · hash of a label:8 · page:u32be              → bit[256]; see `listing`
last         := "n"                                              → last sequence:u64be
"""

import hashlib
import struct
from typing import NewType

from buddies_core.model.identity import Verified
from buddies_core.model.skill import Skill, SkillHead, SkillKey, Vote

AnnouncementId = NewType("AnnouncementId", bytes)

SKILLS, LOG, SUCCESSORS, ANNOUNCEMENTS, VOTES, LAST = b"s", b"j", b"c", b"e", b"v", b"n"
BITS = b"u"


def in_room(key: SkillKey) -> bytes:
    """Return `hash:32 · length:u16be · room`, which no other key's begins with."""
    return key[:32] + struct.pack(">H", len(key) - 32) + key[32:]


def log(sequence: int) -> bytes:
    """Return the place in the order of arrival."""
    return LOG + struct.pack(">Q", sequence)


def links_of(skill: Skill | SkillHead) -> tuple[bytes, ...]:
    """Return where it stands among the successors of its parent, if it has one."""
    parent = skill.entry.parent_hash
    if parent is None:
        return ()
    place = in_room(SkillKey(bytes.fromhex(parent) + skill.key[32:]))
    return (SUCCESSORS + place + skill.key[:32],)


def announcements_of(key: SkillKey) -> bytes:
    """Return what all announcements of a skill begin with."""
    return ANNOUNCEMENTS + in_room(key)


def announcement_id(skill: Skill) -> AnnouncementId:
    """Return what an announcement is kept under: several may claim one hash."""
    return AnnouncementId(in_room(skill.key) + hashlib.sha256(skill.proof).digest())


def vote_of(vote: Vote) -> bytes:
    """Return where a vote lies: one a voter, and claims apart from what is proven."""
    if vote.verified is Verified.UNVERIFIED:
        voter = b"u" + hashlib.sha256(vote.voter.encode()).digest()
    else:
        voter = b"v" + bytes.fromhex(vote.voter)
    return VOTES + in_room(vote.skill) + voter

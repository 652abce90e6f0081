"""Skills as they travel: what 0.1.4 peers say about them."""

from dataclasses import dataclass

from buddies_core.model.identity import SignerIdentity
from buddies_core.model.ids import RoomName


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillEntry:
    """One version of a skill, addressed by the hash of its content."""

    hash: str
    author: str
    created_at_s: int
    room: RoomName
    title: str
    content: str
    tags: tuple[str, ...]
    version: int
    parent_hash: str | None
    signed_by: SignerIdentity | None
    signature: bytes | None


@dataclass(frozen=True, slots=True)
class RankedSkill:
    """A skill and what the answering peer thinks its rank is."""

    entry: SkillEntry
    rank: int

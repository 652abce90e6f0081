"""The daemon's answers about skills: their display form, votes and lines of versions."""

from dataclasses import dataclass
from typing import TypeAlias

from buddies_core.model.excerpt import Match
from buddies_core.model.identity import Verified
from buddies_core.model.ids import RoomName
from buddies_core.model.views import Searched


@dataclass(frozen=True, slots=True)
class Tally:
    """The numbers of votes for and against."""

    up: int = 0
    down: int = 0

    @property
    def rank(self) -> int:
        """The net result of the votes."""
        return self.up - self.down


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillView:
    """A skill as it is shown; `content` may be a part of it."""

    hash: str
    author: str
    author_name: str
    agent: str
    verified: Verified
    signed_by: str
    """The label of the key whose signature it carries, `ssh:…` or `gpg:…`; empty for none."""
    room: RoomName
    title: str
    content: str
    tags: tuple[str, ...]
    version: int
    parent_hash: str | None
    created_at_s: int
    truncated: bool
    """Whether `content` is less than all of it; get_skill reads the rest."""
    size: int
    """The size of the whole content, in bytes of UTF-8."""
    votes: Tally
    """The votes that count: the newest of each voter."""
    uncounted: Tally
    """Votes by voters that are unverified, unknown here, or not admitted by the room's policy."""
    your_score: int | None = None
    """The vote of this machine."""
    match: Match | None = None
    """Why a search found it; None if none has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """The publisher of a skill, as far as it is known; unknown if both fields are empty."""

    signer: str = ""
    """The label of the key that vouches for it, by a signature in it or for its endpoint."""
    endpoint: str = ""
    """The endpoint that sent it itself, by its trailer; not one merely named as the author."""

    def is_same_as(self, other: "Publisher") -> bool:
        """Return whether both are known to have the same signer, or else the same endpoint."""
        same_signer = bool(self.signer) and self.signer == other.signer
        return same_signer or (bool(self.endpoint) and self.endpoint == other.endpoint)


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillVersion:
    """One skill in a line of versions."""

    hash: str
    parent_hash: str | None
    version: int
    title: str
    author: str
    author_name: str
    verified: Verified
    signed_by: str
    by_endpoint: bool
    """Whether the author itself sent it, by its trailer; else the author is only named."""
    created_at_s: int
    rank: int

    @property
    def publisher(self) -> Publisher:
        """The publisher of this version."""
        return Publisher(signer=self.signed_by, endpoint=self.author if self.by_endpoint else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillPage:
    """A skill with a page of its content, and its line of versions."""

    skill: SkillView
    offset: int
    """Where the page begins, in characters of the content."""
    next_offset: int | None
    """Where the next page begins; None at the end."""
    total: int
    """Characters in the whole content."""
    chain: tuple[SkillVersion, ...]
    """From its oldest known ancestor through itself to all known successors, parents first.

    Empty in a page that is not the first.
    """
    chain_left_out: int = 0
    """How many versions, the furthest from this one, did not fit into the answer."""
    diff: str | None
    """Its changes to its parent, as a unified diff.

    None where the parent is not known here, and in a page that is not the first.
    """


@dataclass(frozen=True, slots=True)
class SkillList:
    """Skills of this machine, the latest arrival first."""

    results: tuple[SkillView, ...]
    damaged: int
    """Records that could not be read and were skipped."""
    next_cursor: str | None = None
    """Gives the rest of the list; None at its end."""


SkillSearchResult: TypeAlias = Searched[SkillView]
"""The result of a search for skills."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteReport:
    """The outcome of a vote."""

    hash: str
    score: int
    rank: int
    counted: bool
    """False where the room's policy does not admit this machine's voter."""


def newest_of_publisher(
    chain: tuple[SkillVersion, ...], hash: str, known: Publisher
) -> SkillVersion | None:
    """Return the newest version of a skill by the same publisher; the skill itself if none.

    Anybody may publish a successor of anything, so other publishers' successors are not followed.
    None if the chain does not hold the skill.

    Args:
        chain: The known versions, parents first.
        hash: The hash of the version to update.
        known: Whose it was when it came. Anybody may sign a copy of it, which is kept in its place
            if it had no signature, and whoever does is not followed either.
    """
    start = next((version for version in chain if version.hash == hash), None)
    if start is None:
        return None
    publisher = start.publisher
    if known != Publisher() and not known.is_same_as(publisher):
        publisher = known
    line = {start.hash}
    newest = start
    for version in chain:  # Parents come first.
        if version.parent_hash in line and version.publisher.is_same_as(publisher):
            line.add(version.hash)
            newest = max(newest, version, key=lambda v: (v.version, v.created_at_s))
    return newest

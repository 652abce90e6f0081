"""Skills behind the socket, in memory: they record what they are asked, and fail when told to."""

from dataclasses import dataclass, field, replace

from buddies_core.errors import NotFound
from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.listing import Listed
from buddies_core.model.skill import SkillKey
from buddies_core.model.skill_views import (
    SkillPage,
    SkillSearchResult,
    SkillVersion,
    SkillView,
    Tally,
    VoteReport,
)
from buddies_core.model.views import PeerAnswer, PeerSilence, Searched
from tests.support.matches import a_match

PEER = EndpointId(bytes(range(1, 33)))
HASH, PARENT, CHILD = "ab" * 32, "cd" * 32, "ef" * 32

SKILL = SkillView(
    hash=HASH,
    author=PEER.hex(),
    author_name="bob",
    agent="codex",
    verified=Verified.SIGNER,
    signed_by="ssh:ssh-ed25519 AAAA bob",
    room=RoomName("feature-a"),
    title="Release",
    content="1. run make release\n2. tag it ☺",
    tags=("ci", "release"),
    version=2,
    parent_hash=PARENT,
    created_at_s=1_700_000_000,
    truncated=False,
    size=33,
    votes=Tally(3, 1),
    uncounted=Tally(0, 7),
    your_score=-1,
)
FOUND = replace(
    SKILL,
    hash=CHILD,
    verified=Verified.UNVERIFIED,
    signed_by="",
    parent_hash=None,
    your_score=None,
    truncated=True,
    match=a_match(),
)


def a_version(skill: SkillView) -> SkillVersion:
    """Return the skill as one of several versions."""
    return SkillVersion(
        hash=skill.hash,
        parent_hash=skill.parent_hash,
        version=skill.version,
        title=skill.title,
        author=skill.author,
        author_name=skill.author_name,
        verified=skill.verified,
        signed_by=skill.signed_by,
        by_endpoint=skill.verified is Verified.PEER,
        created_at_s=skill.created_at_s,
        rank=skill.votes.rank,
    )


PAGE = SkillPage(
    skill=SKILL,
    offset=0,
    next_offset=None,
    total=len(SKILL.content),
    chain=(
        a_version(replace(SKILL, hash=PARENT, parent_hash=None, version=1, votes=Tally(0, 2))),
        a_version(SKILL),
    ),
    diff="--- old\n+++ new\n-2. go\n+2. tag it",
)
SEARCH_RESULT = Searched(
    results=(FOUND, SKILL),
    answered=(PeerAnswer(endpoint=PEER, name="bob", results=1, elapsed_ms=12),),
    unanswered=(PeerSilence(endpoint=PEER, name="carol", reason="timed out"),),
    method="hybrid",
    notes=("a note",),
)
VOTED = VoteReport(hash=HASH, score=-1, rank=2, counted=False)


@dataclass
class FakeSkills:
    """Skills and their search; they always answer the same."""

    calls: list[tuple[object, ...]] = field(default_factory=list)
    listed: Listed[SkillView] = field(
        default_factory=lambda: Listed((SKILL, FOUND), 2, ("after the first", "after both"))
    )
    page: SkillPage = PAGE
    content: str = ""
    """A long content, which is read page by page in place of that of `page`."""
    found: SkillSearchResult = SEARCH_RESULT

    async def publish(
        self,
        room: RoomName,
        title: str,
        content: str,
        tags: tuple[str, ...],
        version: int,
        parent_hash: str | None,
        *,
        agent: str,
        user: str,
    ) -> SkillView:
        self.calls.append(
            ("publish", room, title, content, tags, version, parent_hash, agent, user)
        )
        return SKILL

    async def vote(
        self, room: RoomName, hash: str, score: int, *, agent: str, user: str
    ) -> VoteReport:
        self.calls.append(("vote", room, hash, score, agent, user))
        return VOTED

    async def get(self, hash: str, offset: int, limit: int) -> SkillPage:
        self.calls.append(("get", hash, offset, limit))
        if hash != HASH:
            raise NotFound(f"skill {hash} is not on this machine")
        if not self.content:
            return self.page
        end = min(offset + limit, len(self.content))
        return replace(
            self.page,
            skill=replace(self.page.skill, content=self.content[offset:end]),
            offset=offset,
            next_offset=end if end < len(self.content) else None,
            total=len(self.content),
        )

    async def list(
        self, room: RoomName | None, tags: tuple[str, ...], limit: int, after: SkillKey | None
    ) -> Listed[SkillView]:
        self.calls.append(("list", room, tags, limit, after))
        return self.listed

    async def search(
        self,
        query: str,
        room: RoomName | None,
        tags: tuple[str, ...],
        timeout_s: float,
        limit: int,
    ) -> SkillSearchResult:
        self.calls.append(("search", query, room, tags, timeout_s, limit))
        return self.found

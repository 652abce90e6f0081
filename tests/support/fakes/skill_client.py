"""A client without a daemon behind it, for skills: it answers as set up."""

from collections.abc import Sequence
from dataclasses import replace

from buddies_core.errors import NotFound
from buddies_core.model.ids import RoomName
from buddies_core.model.skill_views import (
    SkillList,
    SkillPage,
    SkillSearchResult,
    SkillView,
    VoteReport,
)
from tests.support.fakes.client import FakeClient
from tests.support.fakes.skills import FOUND, HASH, PAGE, SEARCH_RESULT, SKILL, VOTED


class SkillClient(FakeClient):
    """Has the skills in `pages`, by their hash."""

    def __init__(self) -> None:
        super().__init__()
        self.pages: dict[str, SkillPage] = {HASH: PAGE}
        self.skills_found = SEARCH_RESULT

    async def publish_skill(
        self,
        *,
        room: str,
        title: str,
        content: str,
        tags: Sequence[str] = (),
        version: int = 0,
        parent_hash: str = "",
    ) -> SkillView:
        await self._answer("publish_skill", room, title, content, tags, version, parent_hash)
        return replace(SKILL, room=RoomName(room), title=title, content=content)

    async def list_skills(
        self,
        *,
        room: str | None = None,
        tags: Sequence[str] = (),
        limit: int = 20,
        cursor: str = "",
    ) -> SkillList:
        await self._answer("list_skills", room, tags, limit, *filter(None, (cursor,)))
        return SkillList((SKILL, FOUND), 1)

    async def get_skill(self, hash: str, offset: int = 0, limit: int = 20_000) -> SkillPage:
        await self._answer("get_skill", hash, offset, limit)
        if hash not in self.pages:
            raise NotFound(f"skill {hash} is not on this machine")
        return self.pages[hash]

    async def search_skills(
        self,
        query: str,
        *,
        room: str | None = None,
        tags: Sequence[str] = (),
        timeout_s: float = 3.0,
        limit: int = 20,
    ) -> SkillSearchResult:
        await self._answer("search_skills", query, room, tags, timeout_s, limit)
        return self.skills_found

    async def vote_skill(self, *, room: str, hash: str, score: int) -> VoteReport:
        await self._answer("vote_skill", room, hash, score)
        return VOTED

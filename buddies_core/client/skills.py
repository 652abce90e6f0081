"""The calls about skills: publishing, finding, reading and voting on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from buddies_core.client.connection import Connection, sendable
from buddies_core.convert import arguments
from buddies_core.convert.skills import (
    skill_from_pb,
    skill_list_from_pb,
    skill_page_from_pb,
    skill_search_from_pb,
    vote_from_pb,
)
from buddies_core.model.memory import CONTENT_BYTES_MAX
from buddies_core.pb import skill_pb2
from buddies_core.pb.skill_pb2_grpc import SkillsStub

if TYPE_CHECKING:
    from buddies_core.model.skill_views import (
        SkillList,
        SkillPage,
        SkillSearchResult,
        SkillView,
        VoteReport,
    )

SEARCH_MARGIN_S = 2.0
"""On top of what the search itself may take."""
SIGN_TIMEOUT_S = 60.0
"""A person may be asked for a passphrase."""


class SkillCalls:
    """The part of DaemonClient that is about skills."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._skills = SkillsStub(connection.channel)

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
        """Return the skill once it is on disk; peers may still be receiving it.

        Version 0 is one more than the parent's, or 1 without one.

        Raises:
            InvalidInput: a field is empty or too long.
            NotFound: this machine is not in the room, or the parent is not known there.
        """
        with sendable():
            request = skill_pb2.PublishRequest(
                room=room,
                title=title,
                content=content,
                tags=tags,
                version=version,
                parent_hash=parent_hash,
            )
        return skill_from_pb(
            await self._connection.ask(self._skills.Publish, request, SIGN_TIMEOUT_S)
        )

    async def list_skills(
        self,
        *,
        room: str | None = None,
        tags: Sequence[str] = (),
        limit: int = arguments.LIMIT_DEFAULT,
    ) -> SkillList:
        """Return this machine's skills, the latest arrival first, with their beginnings."""
        with sendable():
            request = skill_pb2.ListRequest(room=room, tags=tags, limit=limit)
        return skill_list_from_pb(await self._connection.ask(self._skills.List, request))

    async def get_skill(
        self, hash: str, offset: int = 0, limit: int = arguments.PAGE_CHARS_DEFAULT
    ) -> SkillPage:
        """Return up to `limit` characters of a skill's content, from `offset` on.

        Raises:
            NotFound: neither this machine nor a present member has it.
        """
        with sendable():
            request = skill_pb2.GetRequest(hash=hash, offset=offset, limit=limit)
        return skill_page_from_pb(await self._connection.ask(self._skills.Get, request))

    async def whole_skill(self, hash: str) -> SkillPage:
        """Return a skill with all of its content.

        Raises:
            NotFound: neither this machine nor a present member has it.
        """
        page = await self.get_skill(hash, limit=CONTENT_BYTES_MAX)
        assert page.next_offset is None, "no content has more characters than bytes"
        return replace(page, skill=replace(page.skill, truncated=False))

    async def search_skills(
        self,
        query: str,
        *,
        room: str | None = None,
        tags: Sequence[str] = (),
        timeout_s: float = arguments.SEARCH_TIMEOUT_S_DEFAULT,
        limit: int = arguments.LIMIT_DEFAULT,
    ) -> SkillSearchResult:
        """Return what was found here and at every present member, best first."""
        with sendable():
            request = skill_pb2.SearchRequest(
                query=query,
                room=room,
                tags=tags,
                timeout_s=arguments.search_timeout_s(timeout_s),
                limit=limit,
            )
        deadline_s = timeout_s + SEARCH_MARGIN_S
        return skill_search_from_pb(
            await self._connection.ask(self._skills.Search, request, deadline_s)
        )

    async def vote_skill(self, *, room: str, hash: str, score: int) -> VoteReport:
        """Vote 1 for a skill or −1 against it, in place of this machine's last vote on it.

        Raises:
            InvalidInput: the score is another.
            NotFound: this machine is not in the room, or nobody there has the skill.
        """
        with sendable():
            request = skill_pb2.VoteRequest(room=room, hash=hash, score=score)
        return vote_from_pb(await self._connection.ask(self._skills.Vote, request))

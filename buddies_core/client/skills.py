"""The calls about skills: publishing, finding, reading and voting on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Unpack

from buddies_core.client.connection import Connection, sendable
from buddies_core.convert import arguments
from buddies_core.convert.codec import from_proto
from buddies_core.model.fields import SkillFields
from buddies_core.model.limits import (
    LIST_ITEMS_DEFAULT,
    PAGE_CHARS_DEFAULT,
    PAGE_CHARS_MAX,
    SEARCH_TIMEOUT_S_DEFAULT,
)
from buddies_core.model.skill_views import (
    SkillList,
    SkillPage,
    SkillSearchResult,
    SkillView,
    VoteReport,
)
from buddies_core.pb import skill_pb2
from buddies_core.pb.skill_pb2_grpc import SkillsStub

SEARCH_MARGIN_S = 2.0
"""Added to the time that the search itself may take."""
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
        **fields: Unpack[SkillFields],
    ) -> SkillView:
        """Return the skill once it is on disk; peers may still be receiving it.

        Raises:
            InvalidInput: a field is empty or too long.
            NotFound: this machine is not in the room, or the parent is not known there.
        """
        with sendable():
            request = skill_pb2.PublishRequest(room=room, title=title, content=content, **fields)
        return from_proto(
            await self._connection.ask(self._skills.Publish, request, SIGN_TIMEOUT_S), SkillView
        )

    async def list_skills(
        self,
        *,
        room: str | None = None,
        tags: Sequence[str] = (),
        limit: int = LIST_ITEMS_DEFAULT,
        cursor: str = "",
    ) -> SkillList:
        """Return this machine's skills, the latest arrival first, with their beginnings.

        Raises:
            InvalidInput: this list has not given the cursor.
        """
        with sendable():
            request = skill_pb2.ListRequest(room=room, tags=tags, limit=limit, cursor=cursor)
        return from_proto(await self._connection.ask(self._skills.List, request), SkillList)

    async def get_skill(
        self, hash: str, offset: int = 0, limit: int = PAGE_CHARS_DEFAULT
    ) -> SkillPage:
        """Return up to `limit` characters of a skill's content, from `offset` on.

        Its versions come with the first page alone.

        Raises:
            NotFound: neither this machine nor a present member has it.
        """
        with sendable():
            request = skill_pb2.GetRequest(hash=hash, offset=offset, limit=limit)
        return from_proto(await self._connection.ask(self._skills.Get, request), SkillPage)

    async def whole_skill(self, hash: str) -> SkillPage:
        """Return a skill with all of its content, read page by page, and with its versions.

        Raises:
            NotFound: neither this machine nor a present member has it.
        """
        page = await self.get_skill(hash, limit=PAGE_CHARS_MAX)
        parts = [page.skill.content]
        offset = page.next_offset
        while offset is not None:
            more = await self.get_skill(hash, offset, PAGE_CHARS_MAX)
            parts.append(more.skill.content)
            offset = more.next_offset
        skill = replace(page.skill, content="".join(parts), truncated=False)
        return replace(page, skill=skill, next_offset=None)

    async def search_skills(
        self,
        query: str,
        *,
        room: str | None = None,
        tags: Sequence[str] = (),
        timeout_s: float = SEARCH_TIMEOUT_S_DEFAULT,
        limit: int = LIST_ITEMS_DEFAULT,
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
        return from_proto(
            await self._connection.ask(self._skills.Search, request, deadline_s), SkillSearchResult
        )

    async def vote_skill(self, *, room: str, hash: str, score: int) -> VoteReport:
        """Vote 1 for a skill or −1 against it, in place of this machine's last vote on it.

        Raises:
            InvalidInput: the score is another.
            NotFound: this machine is not in the room, or nobody there has the skill.
        """
        with sendable():
            request = skill_pb2.VoteRequest(room=room, hash=hash, score=score)
        return from_proto(await self._connection.ask(self._skills.Vote, request), VoteReport)

"""The Skills service: publish, list, get, search, vote."""

from __future__ import annotations

from typing import Any, Protocol

from grpc.aio import ServicerContext

from buddies_core.convert import arguments
from buddies_core.convert.codec import to_proto
from buddies_core.convert.cursors import skill_place
from buddies_core.model.ids import RoomName
from buddies_core.model.listing import Listed
from buddies_core.model.skill import SkillKey
from buddies_core.model.skill_views import (
    SkillPage,
    SkillSearchResult,
    SkillView,
    VoteReport,
)
from buddies_core.pb import skill_pb2 as pb
from buddies_core.pb.skill_pb2_grpc import SkillsServicer
from buddies_core.rpc import fitting
from buddies_core.rpc.agents import Agents
from buddies_core.rpc.names import RoomNames


class SkillsService(Protocol):
    """What this service asks of the skills; see `skills.service.Skills`."""

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
        """Keep a skill and tell the room."""

    async def vote(
        self, room: RoomName, hash: str, score: int, *, agent: str, user: str
    ) -> VoteReport:
        """Vote on a skill and tell the room."""

    async def get(self, hash: str, offset: int, limit: int) -> SkillPage:
        """Return a page of a skill's content, in characters."""

    async def list(
        self, room: RoomName | None, tags: tuple[str, ...], limit: int, after: SkillKey | None
    ) -> Listed[SkillView]:
        """Return this machine's skills, the latest arrival first, behind one of them."""


class SkillSearchService(Protocol):
    """What this service asks of the search; see `skills.search.SkillSearch`."""

    async def search(
        self,
        query: str,
        room: RoomName | None,
        tags: tuple[str, ...],
        timeout_s: float,
        limit: int,
    ) -> SkillSearchResult:
        """Search here and at every present member."""


class SkillsRpc(SkillsServicer):
    """The methods of the Skills service."""

    def __init__(
        self,
        skills: SkillsService,
        search: SkillSearchService,
        agents: Agents,
        names: RoomNames,
    ) -> None:
        self._skills = skills
        self._search = search
        self._agents = agents
        self._named = names.named

    async def Publish(
        self, request: pb.PublishRequest, context: ServicerContext[Any, Any]
    ) -> pb.SkillView:
        """Return the skill once it is on disk; peers may still be receiving it."""
        caller = self._agents.caller(context)
        parent = request.parent_hash
        skill = await self._skills.publish(
            self._named(request.room),
            request.title,
            request.content,
            tuple(request.tags),
            request.version,
            arguments.skill_hash(parent, "parent_hash") if parent else None,
            agent=caller.name if caller else "",
            user=caller.user if caller else "",
        )
        return to_proto(skill, pb.SkillView)

    async def List(
        self, request: pb.ListRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListReply:
        """Return this machine's skills, the latest arrival first."""
        room = self._named(request.room) if request.HasField("room") else None
        limit = arguments.limit(request.limit)
        listed = await self._skills.list(
            room, arguments.filter_tags(request.tags), limit + 1, skill_place(request.cursor)
        )
        return to_proto(fitting.skill_list(listed, limit), pb.ListReply)

    async def Get(self, request: pb.GetRequest, context: ServicerContext[Any, Any]) -> pb.GetReply:
        """Return a page of one skill, and its versions."""
        page = await self._skills.get(
            arguments.skill_hash(request.hash), request.offset, arguments.page_chars(request.limit)
        )
        return to_proto(fitting.skill_page(page), pb.GetReply)

    async def Search(
        self, request: pb.SearchRequest, context: ServicerContext[Any, Any]
    ) -> pb.SearchReply:
        """Return what was found as soon as everybody has answered, or the time is up."""
        result = await self._search.search(
            arguments.query(request.query),
            self._named(request.room) if request.HasField("room") else None,
            arguments.filter_tags(request.tags),
            arguments.search_timeout_s(request.timeout_s),
            arguments.limit(request.limit),
        )
        return to_proto(fitting.skill_search(result), pb.SearchReply)

    async def Vote(
        self, request: pb.VoteRequest, context: ServicerContext[Any, Any]
    ) -> pb.VoteReply:
        """Return what the vote has made of the skill's rank."""
        caller = self._agents.caller(context)
        report = await self._skills.vote(
            self._named(request.room),
            arguments.skill_hash(request.hash),
            request.score,
            agent=caller.name if caller else "",
            user=caller.user if caller else "",
        )
        return to_proto(report, pb.VoteReply)

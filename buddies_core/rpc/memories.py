"""The Memories service: store, list, get, search, delete, forget."""

from __future__ import annotations

from typing import Any, Protocol

from grpc.aio import ServicerContext

from buddies_core.convert import arguments
from buddies_core.convert.codec import to_proto
from buddies_core.convert.cursors import memory_place
from buddies_core.model.ids import MemoryId, RoomName
from buddies_core.model.listing import Listed
from buddies_core.model.memory import MemoryFilter, MemoryKind, MemoryPlace, MemoryRef
from buddies_core.model.views import DeletedMemory, MemoryPage, MemoryView, SearchResult
from buddies_core.pb import memory_pb2 as pb
from buddies_core.pb.memory_pb2_grpc import MemoriesServicer
from buddies_core.rpc import fitting
from buddies_core.rpc.agents import Agents
from buddies_core.rpc.names import RoomNames


class AmendingService(Protocol):
    """What changes memories that are stored; see `memory.amending.Amending`."""

    async def delete(self, ref: MemoryRef, reason: str, *, agent: str, user: str) -> DeletedMemory:
        """Erase a memory here, and have the room erase it."""

    async def forget(self, ref: MemoryRef) -> tuple[str, ...]:
        """Hide memories on this machine alone, and return their titles."""

    async def remember(self, id: MemoryId) -> tuple[str, ...]:
        """Show forgotten memories again, and return their titles."""


class MemoriesService(Protocol):
    """What this service asks of the memories; see `memory.service.Memories`."""

    async def store(
        self,
        room: RoomName,
        title: str,
        content: str,
        kind: MemoryKind,
        tags: tuple[str, ...],
        references: tuple[MemoryId, ...],
        supersedes: MemoryRef | None = None,
        *,
        agent: str,
        user: str,
    ) -> MemoryView:
        """Keep a memory and tell the room."""

    async def list(
        self, filter: MemoryFilter, limit: int, after: MemoryPlace | None
    ) -> Listed[MemoryView]:
        """Return this machine's memories, newest first, behind a place in the list."""

    def id_of(self, text: str, field: str) -> MemoryId:
        """Return the id that a caller means, by all of its digits or the first of them."""

    def ref_of(self, text: str, field: str) -> MemoryRef:
        """Return the memory that a caller means, which may name its author too."""

    async def get(self, ref: MemoryRef, offset: int, limit: int) -> MemoryPage:
        """Return a page of a memory's content, in characters."""

    @property
    def amending(self) -> AmendingService:
        """What changes memories that are stored."""


class SearchService(Protocol):
    """What this service asks of the search; see `memory.search.Search`."""

    async def search(
        self, query: str, filter: MemoryFilter, timeout_s: float, limit: int
    ) -> SearchResult:
        """Search here and at every present member."""


class MemoriesRpc(MemoriesServicer):
    """The methods of the Memories service."""

    def __init__(
        self,
        memories: MemoriesService,
        search: SearchService,
        agents: Agents,
        names: RoomNames,
    ) -> None:
        self._memories = memories
        self._search = search
        self._agents = agents
        self._named = names.named

    async def Store(
        self, request: pb.StoreRequest, context: ServicerContext[Any, Any]
    ) -> pb.MemoryView:
        """Return the memory once it is on disk; peers may still be receiving it."""
        caller = self._agents.caller(context)
        memory = await self._memories.store(
            self._named(request.room),
            request.title,
            request.content,
            arguments.memory_kind(request.kind),
            tuple(request.tags),
            tuple(self._memories.id_of(text, "reference") for text in request.references),
            self._memories.ref_of(request.supersedes, "supersedes") if request.supersedes else None,
            agent=caller.name if caller else "",
            user=caller.user if caller else "",
        )
        return to_proto(memory, pb.MemoryView)

    async def List(
        self, request: pb.ListRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListReply:
        """Return this machine's memories, newest first."""
        filter = arguments.memory_filter(request.filter, self._named)
        limit = arguments.limit(request.limit)
        listed = await self._memories.list(filter, limit + 1, memory_place(request.cursor))
        return to_proto(fitting.memory_list(listed, limit), pb.ListReply)

    async def Get(self, request: pb.GetRequest, context: ServicerContext[Any, Any]) -> pb.GetReply:
        """Return a page of one memory."""
        page = await self._memories.get(
            self._memories.ref_of(request.id, "id"),
            request.offset,
            arguments.page_chars(request.limit),
        )
        return to_proto(fitting.memory_page(page), pb.GetReply)

    async def Search(
        self, request: pb.SearchRequest, context: ServicerContext[Any, Any]
    ) -> pb.SearchReply:
        """Return what was found as soon as everybody has answered, or the time is up."""
        result = await self._search.search(
            arguments.query(request.query),
            arguments.memory_filter(request.filter, self._named),
            arguments.search_timeout_s(request.timeout_s),
            arguments.limit(request.limit),
        )
        return to_proto(fitting.search_result(result), pb.SearchReply)

    async def Delete(
        self, request: pb.DeleteRequest, context: ServicerContext[Any, Any]
    ) -> pb.DeleteReply:
        """Return once nothing of the memory is on this machine; members may still be hearing it."""
        caller = self._agents.caller(context)
        deleted = await self._memories.amending.delete(
            self._memories.ref_of(request.id, "id"),
            request.reason,
            agent=caller.name if caller else "",
            user=caller.user if caller else "",
        )
        return to_proto(deleted, pb.DeleteReply)

    async def Forget(
        self, request: pb.ForgetRequest, context: ServicerContext[Any, Any]
    ) -> pb.ForgetReply:
        """Return the titles of what is hidden now, or shown again."""
        ref, amending = self._memories.ref_of(request.id, "id"), self._memories.amending
        titles = await (amending.remember(ref.id) if request.undo else amending.forget(ref))
        return pb.ForgetReply(titles=titles)

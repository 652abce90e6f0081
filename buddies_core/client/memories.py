"""Calls that concern memories."""

from __future__ import annotations

from dataclasses import replace
from typing import Unpack

from buddies_core.client.connection import Connection, sendable
from buddies_core.convert import arguments
from buddies_core.convert.codec import from_proto
from buddies_core.model.fields import FilterFields, MemoryFields
from buddies_core.model.limits import (
    LIST_ITEMS_DEFAULT,
    PAGE_CHARS_DEFAULT,
    PAGE_CHARS_MAX,
    SEARCH_TIMEOUT_S_DEFAULT,
)
from buddies_core.model.views import (
    DeletedMemory,
    MemoryList,
    MemoryPage,
    MemoryView,
    SearchResult,
)
from buddies_core.pb import memory_pb2
from buddies_core.pb.memory_pb2_grpc import MemoriesStub

SEARCH_MARGIN_S = 2.0
"""Added to the time that the search itself may take."""


class MemoryCalls:
    """The part of the client that is about memories; see `DaemonClient`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._memories = MemoriesStub(connection.channel)

    async def store_memory(
        self,
        *,
        room: str,
        content: str,
        **fields: Unpack[MemoryFields],
    ) -> MemoryView:
        """Return the memory once it is on disk; peers may still be receiving it.

        Raises:
            InvalidInput: a field is empty, too long or unknown, or the id is that of several.
            NotFound: this machine is not in the room, or there is no memory to be superseded.
        """
        with sendable():
            request = memory_pb2.StoreRequest(room=room, content=content, **fields)
        return from_proto(await self._connection.ask(self._memories.Store, request), MemoryView)

    async def list_memories(
        self,
        *,
        oldest_first: bool = False,
        limit: int = LIST_ITEMS_DEFAULT,
        cursor: str = "",
        **filter: Unpack[FilterFields],
    ) -> MemoryList:
        """Return this machine's memories with the beginning of each content, newest first.

        A cursor goes on in the order of the list that gave it, which has to be asked for again.

        Raises:
            InvalidInput: a filter can't be taken, or this list has not given the cursor.
        """
        with sendable():
            request = memory_pb2.ListRequest(
                filter=memory_pb2.Filter(**filter, oldest_first=oldest_first),
                limit=limit,
                cursor=cursor,
            )
        return from_proto(await self._connection.ask(self._memories.List, request), MemoryList)

    async def get_memory(
        self, id: str, offset: int = 0, limit: int = PAGE_CHARS_DEFAULT
    ) -> MemoryPage:
        """Return up to `limit` characters of a memory's content, from `offset` on.

        Raises:
            NotFound: this machine has no such memory.
        """
        with sendable():
            request = memory_pb2.GetRequest(id=id, offset=offset, limit=limit)
        return from_proto(await self._connection.ask(self._memories.Get, request), MemoryPage)

    async def whole_memory(self, id: str, offset: int = 0) -> MemoryPage:
        """Return all of a memory's content from `offset` on, read page by page; raises as `get`."""
        page = await self.get_memory(id, offset, PAGE_CHARS_MAX)
        parts = [page.memory.content]
        while page.next_offset is not None:
            page = await self.get_memory(id, page.next_offset, PAGE_CHARS_MAX)
            parts.append(page.memory.content)
        return replace(page, offset=offset, memory=replace(page.memory, content="".join(parts)))

    async def search_memory(
        self,
        query: str,
        *,
        timeout_s: float = SEARCH_TIMEOUT_S_DEFAULT,
        limit: int = LIST_ITEMS_DEFAULT,
        **filter: Unpack[FilterFields],
    ) -> SearchResult:
        """Return what was found here and at every present member, best first."""
        with sendable():
            request = memory_pb2.SearchRequest(
                query=query,
                filter=memory_pb2.Filter(**filter),
                timeout_s=arguments.search_timeout_s(timeout_s),
                limit=limit,
            )
        deadline_s = timeout_s + SEARCH_MARGIN_S
        return from_proto(
            await self._connection.ask(self._memories.Search, request, deadline_s), SearchResult
        )

    async def delete_memory(self, id: str, reason: str = "") -> DeletedMemory:
        """Return what was erased here; the members of its room erase it as soon as they hear of it.

        Raises:
            NotFound: there is no such memory.
            NotAllowed: it belongs to somebody else.
            InvalidInput: several memories have this id.
        """
        with sendable():
            request = memory_pb2.DeleteRequest(id=id, reason=reason)
        return from_proto(await self._connection.ask(self._memories.Delete, request), DeletedMemory)

    async def forget_memory(self, id: str, *, undo: bool = False) -> tuple[str, ...]:
        """Return the titles of the memories that are hidden on this machine, or shown again.

        Raises:
            NotFound: there is no such memory.
            InvalidInput: with `undo`, none was forgotten.
        """
        with sendable():
            request = memory_pb2.ForgetRequest(id=id, undo=undo)
        return tuple((await self._connection.ask(self._memories.Forget, request)).titles)

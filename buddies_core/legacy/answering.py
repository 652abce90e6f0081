"""Answers searches of 0.1.4 members with broadcasts of as many hits as fit into one message."""

from dataclasses import replace
from typing import Protocol

from buddies_core.legacy.asking import QUERY_CHARS_MIN
from buddies_core.model.bodies import (
    SearchRequest,
    SearchResponse,
    SkillSearchRequest,
    SkillSearchResponse,
)
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.memory import (
    Memory,
    MemoryEntry,
    MemoryFilter,
    MemoryHead,
    MemoryKind,
)
from buddies_core.model.skill import RankedSkill, Skill
from buddies_core.wire.bodies import encode_body

QUERY_BYTES_MAX = 16 << 10
FOUND_MAX = 20
_ENVELOPE_BYTES = 160
"""The part of an answer's 4057 bytes that isn't its body, without the name in the trailer: 133
measured, the rest is in reserve."""


class MemoriesPort(Protocol):
    """This machine's memories; see `memory.search.Search`."""

    async def find_for_peer(
        self, query: str, filter: MemoryFilter, limit: int
    ) -> list[Memory | MemoryHead]:
        """Return the memories that a peer may see, best first."""


class SkillsPort(Protocol):
    """This machine's skills; see `skills.search.SkillSearch`."""

    async def find_for_peer(
        self, query: str, room: RoomName, tags: tuple[str, ...], limit: int
    ) -> list[tuple[Skill, int]]:
        """Return the skills that a peer may see, best first, each with its rank."""


class RoomsPort(Protocol):
    """The rooms this node is in; see `rooms.rooms.Rooms`."""

    @property
    def endpoint(self) -> EndpointId:
        """This node's endpoint."""

    def name_of(self, endpoint: EndpointId) -> str:
        """Return a peer's display name, or the start of its id."""

    def message_bytes_max(self, room: RoomName) -> int:
        """Return the largest size of our messages in this room now, with the trailer."""


class MemoryAnswers:
    """Answers questions about memories."""

    def __init__(self, rooms: RoomsPort, memories: MemoriesPort) -> None:
        self._rooms = rooms
        self._memories = memories

    async def to(self, request: SearchRequest, room: RoomName) -> SearchResponse | None:
        """Return the answer to a 0.1.4 member of the room, the best hits that fit; None if empty.

        Raises:
            TimedOut: the index did not answer in time.
        """
        filter = _filter_of(request, room)
        if filter is None or not _is_question(request.query):
            return None
        found = await self._memories.find_for_peer(request.query.strip(), filter, FOUND_MAX)
        response = SearchResponse(request.request_id, (), _own_name(self._rooms))
        size_max = _size_max(self._rooms, room)
        for memory in found:
            longer = replace(response, results=(*response.results, _shortened(memory)))
            if len(encode_body(longer)) <= size_max:
                response = longer
        return response if response.results else None


class SkillAnswers:
    """Answers questions about skills."""

    def __init__(self, rooms: RoomsPort, skills: SkillsPort) -> None:
        self._rooms = rooms
        self._skills = skills

    async def to(self, request: SkillSearchRequest, room: RoomName) -> SkillSearchResponse | None:
        """Return the answer to a 0.1.4 member of the room, the best hits that fit; None if empty.

        A skill that does not fit is left out: if shortened, its content would not match its hash.

        Raises:
            TimedOut: the index did not answer in time.
        """
        query, filters = request.query.strip(), request.filters
        if filters.room not in (None, room) or not _is_question(query):
            return None
        found = await self._skills.find_for_peer(query, room, filters.tags or (), FOUND_MAX)
        response = SkillSearchResponse(request.request_id, (), _own_name(self._rooms))
        size_max = _size_max(self._rooms, room)
        for skill, rank in found:
            longer = replace(response, results=(*response.results, RankedSkill(skill.entry, rank)))
            if len(encode_body(longer)) <= size_max:
                response = longer
        return response if response.results else None


def _own_name(rooms: RoomsPort) -> str:
    return rooms.name_of(rooms.endpoint)


def _size_max(rooms: RoomsPort, room: RoomName) -> int:
    """Return the largest size of an answer's body."""
    return rooms.message_bytes_max(room) - _ENVELOPE_BYTES - len(_own_name(rooms).encode())


def _is_question(query: str) -> bool:
    return len(query.strip()) >= QUERY_CHARS_MIN and len(query) <= QUERY_BYTES_MAX


def _filter_of(request: SearchRequest, room: RoomName) -> MemoryFilter | None:
    """Return the filter that a 0.1.4 member of the room asks for; None if we can't answer it."""
    asked = request.filters
    kind = None if asked.kind is None else asked.kind.lower()
    if asked.room not in (None, room) or kind not in (None, *MemoryKind):
        return None
    return MemoryFilter(
        room=room, kind=None if kind is None else MemoryKind(kind), tags=asked.tags or ()
    )


def _shortened(memory: Memory | MemoryHead) -> MemoryEntry:
    entry = memory.entry
    if len(entry.content.encode()) == memory.size:
        return entry
    return replace(entry, content=entry.content + "…")

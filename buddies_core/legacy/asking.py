"""Questions to 0.1.4 members: question and answers are broadcasts, without proofs or ranks.

Such a member looks for the query as a part of title, content or tags. It is silent when it finds
nothing, so this can only wait for so long. The rank of a skill that it names is its own count of
votes, which nobody can check: it is not used.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Generic, Protocol, TypeVar
from uuid import uuid4

from buddies_core.clock import Clock
from buddies_core.errors import BuddiesError
from buddies_core.memory.copies import unsigned_copy as memory_copy
from buddies_core.model.bodies import (
    Body,
    SearchFilters,
    SearchRequest,
    SearchResponse,
    SkillSearchFilters,
    SkillSearchRequest,
    SkillSearchResponse,
)
from buddies_core.model.ids import EndpointId, RequestId, RoomName
from buddies_core.model.memory import MemoryFilter
from buddies_core.model.room import BroadcastAnswer, Member
from buddies_core.skills.copies import unsigned_copy as skill_copy

QUERY_CHARS_MIN = 3
"""0.1.4 answers a shorter one with nearly everything, and chokes on that."""
PATIENCE_S = 0.5
"""How long 0.1.4 members are waited for when all others have answered."""
ANSWERS_MAX = 32
"""Waiting for one question; further ones are dropped, for anybody can send them."""
ANSWERS_PER_NEIGHBOR_MAX = 16

ResponseT = TypeVar("ResponseT", SearchResponse, SkillSearchResponse)


class RoomsPort(Protocol):
    """The rooms this node is in; see `rooms.rooms.Rooms`."""

    def joined(self) -> tuple[RoomName, ...]:
        """Return the rooms this node is in."""

    def members(self, room: RoomName) -> tuple[Member, ...]:
        """Return who is present, this node included."""

    async def publish(self, room: RoomName, body: Body) -> bytes:
        """Say something to the room."""


class Replies(Generic[ResponseT]):
    """The questions of one kind that are open, by request id. One event loop owns this."""

    def __init__(self) -> None:
        self._open: dict[RequestId, asyncio.Queue[ResponseT]] = {}
        self._delivered: dict[RequestId, Counter[EndpointId]] = {}

    @contextmanager
    def expect(self, request_id: RequestId) -> Iterator[asyncio.Queue[ResponseT]]:
        """Collect the answers to this question in the queue for as long as the block runs."""
        answers: asyncio.Queue[ResponseT] = asyncio.Queue(ANSWERS_MAX)
        self._open[request_id], self._delivered[request_id] = answers, Counter()
        try:
            yield answers
        finally:
            del self._open[request_id], self._delivered[request_id]

    def offer(self, answer: ResponseT, neighbor: EndpointId) -> bool:
        """Hand an answer to the question it is for; False if that is not open or has enough."""
        answers = self._open.get(answer.request_id)
        if answers is None or answers.full():
            return False
        delivered = self._delivered[answer.request_id]
        if delivered[neighbor] >= ANSWERS_PER_NEIGHBOR_MAX:
            return False
        delivered[neighbor] += 1
        answers.put_nowait(answer)
        return True


class _Questions(ABC, Generic[ResponseT]):
    """Asks the 0.1.4 members of rooms, and takes in what they answer."""

    def __init__(self, rooms: RoomsPort, clock: Clock) -> None:
        self._rooms = rooms
        self._clock = clock
        self._replies: Replies[ResponseT] = Replies()

    def answered(self, response: ResponseT, neighbor: EndpointId) -> None:
        """Take in an answer that a neighbor delivered; one that nobody waits for is dropped."""
        self._replies.offer(response, neighbor)

    @abstractmethod
    def _copies(self, response: ResponseT) -> tuple[bytes, ...]:
        """Return what an answer holds, as 0.1.4 would have broadcast it."""

    async def _ask_all(
        self,
        query: str,
        rooms: Sequence[RoomName],
        request: Callable[[RequestId, RoomName], Body],
        direct_done: asyncio.Event,
        until_s: float,
    ) -> list[BroadcastAnswer]:
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(self._ask(query, room, members, request, direct_done, until_s))
                for room in rooms
                if (members := self._old_members(room))
            ]
        return [answer for task in asked for answer in task.result()]

    def _old_members(self, room: RoomName) -> tuple[Member, ...]:
        members = self._rooms.members(room) if room in self._rooms.joined() else ()
        return tuple(member for member in members if not member.speaks_direct)

    async def _ask(
        self,
        query: str,
        room: RoomName,
        members: tuple[Member, ...],
        request: Callable[[RequestId, RoomName], Body],
        direct_done: asyncio.Event,
        until_s: float,
    ) -> list[BroadcastAnswer]:
        """Return what the members of one room answer until all have answered, or time is up."""
        if len(query) < QUERY_CHARS_MIN:
            reason = "not_asked: it speaks buddies 0.1.4, which takes queries from 3 characters on"
            return [BroadcastAnswer(room=room, member=it, silence=reason) for it in members]
        id = RequestId(uuid4())
        waiting = {member.name: member for member in members}
        answers: list[BroadcastAnswer] = []

        def take(response: ResponseT) -> None:
            # A name is all there is; it may be one that is not known here.
            name = response.peer_name
            unknown = Member(endpoint=EndpointId(b""), name=name, speaks_direct=False)
            answers.append(
                BroadcastAnswer(
                    room=room,
                    member=waiting.pop(name, unknown),
                    copies=self._copies(response),
                    came_at_s=self._clock.now_s(),
                )
            )

        async def ask(responses: "asyncio.Queue[ResponseT]") -> None:
            await self._rooms.publish(room, request(id, room))
            while waiting:
                take(await responses.get())

        reason = "it speaks buddies 0.1.4 and did not answer, as when it finds nothing"
        with self._replies.expect(id) as responses:
            try:
                await self._until_time_is_up(ask(responses), direct_done, until_s)
            except* BuddiesError as failed:
                reason = str(failed.exceptions[0])
            while not responses.empty():  # However little time was left.
                take(responses.get_nowait())
        silent = waiting.values()
        return answers + [BroadcastAnswer(room=room, member=it, silence=reason) for it in silent]

    async def _until_time_is_up(
        self,
        work: Coroutine[Any, Any, None],
        direct_done: asyncio.Event,
        until_s: float,
    ) -> None:
        """Work until that is done, or nobody waits for it any more."""

        async def wait() -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, until_s - self._clock.now_s())):
                    await direct_done.wait()
                    await asyncio.sleep(PATIENCE_S)

        async with asyncio.TaskGroup() as group:
            either = {group.create_task(work), group.create_task(wait())}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            for task in either:
                task.cancel()


class MemoryQuestions(_Questions[SearchResponse]):
    """Questions about memories; what a search for them knows of 0.1.4."""

    async def search(
        self,
        query: str,
        filter: MemoryFilter,
        rooms: Sequence[RoomName],
        direct_done: asyncio.Event,
        until_s: float,
    ) -> list[BroadcastAnswer]:
        """Return what 0.1.4 members of these rooms answer, or why they did not.

        Returns when all have answered, half a second after `direct_done` was set, or at `until_s`.
        """

        def request(id: RequestId, room: RoomName) -> SearchRequest:
            filters = SearchFilters(room=room, kind=filter.kind, tags=filter.tags or None)
            return SearchRequest(id, query, filters)

        return await self._ask_all(query, rooms, request, direct_done, until_s)

    def _copies(self, response: SearchResponse) -> tuple[bytes, ...]:
        return tuple(map(memory_copy, response.results))


class SkillQuestions(_Questions[SkillSearchResponse]):
    """Questions about skills; what a search for them knows of 0.1.4."""

    async def search(
        self,
        query: str,
        filter: MemoryFilter,
        rooms: Sequence[RoomName],
        direct_done: asyncio.Event,
        until_s: float,
    ) -> list[BroadcastAnswer]:
        """Return what 0.1.4 members answer; see `MemoryQuestions.search`."""

        def request(id: RequestId, room: RoomName) -> SkillSearchRequest:
            filters = SkillSearchFilters(room=room, tags=filter.tags or None)
            return SkillSearchRequest(id, query, filters)

        return await self._ask_all(query, rooms, request, direct_done, until_s)

    def _copies(self, response: SkillSearchResponse) -> tuple[bytes, ...]:
        return tuple(skill_copy(ranked.entry) for ranked in response.results)

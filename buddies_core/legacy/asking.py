"""Questions to 0.1.4 members: question and answers are broadcasts, without proofs or ranks.

Such a member searches titles, contents and tags for the query as a substring. It does not answer if
it finds nothing, so this waits only for a limited time. A skill's rank in an answer is the member's
own count of votes; nobody can check it, so it is not used.
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
"""0.1.4 answers a shorter query with nearly everything, and chokes on that."""
PATIENCE_S = 0.5
"""How long to wait for 0.1.4 members once all other members have answered."""
ANSWERS_MAX = 32
"""The most answers in a question's queue; further ones are dropped, as anybody can send them."""
ANSWERS_PER_NEIGHBOR_MAX = 16

ResponseT = TypeVar("ResponseT", SearchResponse, SkillSearchResponse)


class RoomsPort(Protocol):
    """The rooms this node is in; see `rooms.rooms.Rooms`."""

    def joined(self) -> tuple[RoomName, ...]:
        """Return the rooms this node is in."""

    def members(self, room: RoomName) -> tuple[Member, ...]:
        """Return the members that are present, including this node."""

    async def publish(self, room: RoomName, body: Body) -> bytes:
        """Broadcast a body to the room."""


class Replies(Generic[ResponseT]):
    """The open questions of one kind, by request id. One event loop owns this."""

    def __init__(self) -> None:
        self._open: dict[RequestId, asyncio.Queue[ResponseT]] = {}
        self._delivered: dict[RequestId, Counter[EndpointId]] = {}

    @contextmanager
    def expect(self, request_id: RequestId) -> Iterator[asyncio.Queue[ResponseT]]:
        """Yield a queue that collects the answers to this question until the block ends."""
        answers: asyncio.Queue[ResponseT] = asyncio.Queue(ANSWERS_MAX)
        self._open[request_id], self._delivered[request_id] = answers, Counter()
        try:
            yield answers
        finally:
            del self._open[request_id], self._delivered[request_id]

    def offer(self, answer: ResponseT, neighbor: EndpointId) -> bool:
        """Add an answer to its question's queue; False if none is open or it has enough answers."""
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
    """Asks the 0.1.4 members of rooms, and collects their answers."""

    def __init__(self, rooms: RoomsPort, clock: Clock) -> None:
        self._rooms = rooms
        self._clock = clock
        self._replies: Replies[ResponseT] = Replies()

    def answered(self, response: ResponseT, neighbor: EndpointId) -> None:
        """Accept an answer that a neighbor delivered; drop it if nobody waits for it."""
        self._replies.offer(response, neighbor)

    @abstractmethod
    def _copies(self, response: ResponseT) -> tuple[bytes, ...]:
        """Return the items in an answer, as 0.1.4 would have broadcast them."""

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
        """Return the answers from one room, once all its members have answered or time is up."""
        if len(query) < QUERY_CHARS_MIN:
            reason = "not_asked: it speaks buddies 0.1.4, which takes queries from 3 characters on"
            return [BroadcastAnswer(room=room, member=it, silence=reason) for it in members]
        id = RequestId(uuid4())
        waiting = {member.name: member for member in members}
        answers: list[BroadcastAnswer] = []

        def take(response: ResponseT) -> None:
            # An answer has only a name, which may be unknown here.
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
            while not responses.empty():  # Even if time was up.
                take(responses.get_nowait())
        silent = waiting.values()
        return answers + [BroadcastAnswer(room=room, member=it, silence=reason) for it in silent]

    async def _until_time_is_up(
        self,
        work: Coroutine[Any, Any, None],
        direct_done: asyncio.Event,
        until_s: float,
    ) -> None:
        """Run `work` until it is done or time is up."""

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
    """Questions about memories, as a search for memories uses them."""

    async def search(
        self,
        query: str,
        filter: MemoryFilter,
        rooms: Sequence[RoomName],
        direct_done: asyncio.Event,
        until_s: float,
    ) -> list[BroadcastAnswer]:
        """Return the answers of these rooms' 0.1.4 members, or the reasons why they are missing.

        Returns when all have answered, half a second after `direct_done` was set, or at `until_s`.
        """

        def request(id: RequestId, room: RoomName) -> SearchRequest:
            filters = SearchFilters(room=room, kind=filter.kind, tags=filter.tags or None)
            return SearchRequest(id, query, filters)

        return await self._ask_all(query, rooms, request, direct_done, until_s)

    def _copies(self, response: SearchResponse) -> tuple[bytes, ...]:
        return tuple(map(memory_copy, response.results))


class SkillQuestions(_Questions[SkillSearchResponse]):
    """Questions about skills, as a search for skills uses them."""

    async def search(
        self,
        query: str,
        filter: MemoryFilter,
        rooms: Sequence[RoomName],
        direct_done: asyncio.Event,
        until_s: float,
    ) -> list[BroadcastAnswer]:
        """Return the answers of 0.1.4 members; see `MemoryQuestions.search`."""

        def request(id: RequestId, room: RoomName) -> SkillSearchRequest:
            filters = SkillSearchFilters(room=room, tags=filter.tags or None)
            return SkillSearchRequest(id, query, filters)

        return await self._ask_all(query, rooms, request, direct_done, until_s)

    def _copies(self, response: SkillSearchResponse) -> tuple[bytes, ...]:
        return tuple(skill_copy(ranked.entry) for ranked in response.results)

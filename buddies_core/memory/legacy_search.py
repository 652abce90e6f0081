"""Search with 0.1.4 members: questions and answers are broadcasts, without proofs or ranks.

Such a member looks for the query as a part of title, content or tags. It is silent when it finds
nothing, so who waits for it can only wait for so long.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import uuid4

from buddies_core.clock import Clock
from buddies_core.errors import BuddiesError
from buddies_core.gossip.messages import CONTENT_BYTES_MAX
from buddies_core.memory.copies import unsigned_copy
from buddies_core.memory.findings import Findings
from buddies_core.memory.ports import RoomsPort
from buddies_core.memory.question import Answer, Question
from buddies_core.model.bodies import SearchFilters, SearchRequest, SearchResponse
from buddies_core.model.ids import EndpointId, RequestId, RoomName
from buddies_core.model.memory import (
    SNIPPET_CHARS_MAX,
    Memory,
    MemoryEntry,
    MemoryFilter,
    MemoryKind,
)
from buddies_core.model.room import Member
from buddies_core.wire.bodies import encode_body

QUERY_CHARS_MIN = 3
"""0.1.4 answers a shorter one with nearly everything, and chokes on that."""
PATIENCE_S = 0.5
FOUND_MAX = 20
_ENVELOPE_BYTES = 160
"""Of an answer's 4057, without the name in the trailer: measured 133, the rest is in reserve."""


class RepliesPort(Protocol):
    """Answers that 0.1.4 members broadcast; see `rooms.replies.Replies`."""

    def expect(
        self, request_id: RequestId
    ) -> AbstractContextManager["asyncio.Queue[SearchResponse]"]:
        """Collect the answers to a question for as long as the block runs."""


@dataclass(frozen=True, slots=True)
class LegacyQuestion:
    """A question to the 0.1.4 members of one room; open until its search ends."""

    id: RequestId
    room: RoomName
    members: tuple[Member, ...]
    responses: "asyncio.Queue[SearchResponse]"


RELEVANCE = 0.5
"""Of what 0.1.4 finds: it holds the whole query, so its words cover all of it; see `ranking`."""


class LegacySearch:
    """Asks 0.1.4 members."""

    def __init__(self, rooms: RoomsPort, replies: RepliesPort, clock: Clock) -> None:
        self._rooms = rooms
        self._replies = replies
        self._clock = clock

    def questions(
        self, rooms: Sequence[RoomName], open_until_end_of: ExitStack
    ) -> list[LegacyQuestion]:
        """Return one for each of the rooms where such members are present."""
        questions = []
        for room in rooms:
            members = tuple(m for m in self._rooms.members(room) if not m.speaks_direct)
            if members:
                id = RequestId(uuid4())
                responses = open_until_end_of.enter_context(self._replies.expect(id))
                questions.append(LegacyQuestion(id, room, members, responses))
        return questions

    async def ask(self, question: Question, asked: LegacyQuestion) -> list[Answer]:
        """Broadcast it; return why nobody will answer, if it could not be."""
        if len(question.query) < QUERY_CHARS_MIN:
            reason = "not_asked: it speaks buddies 0.1.4, which takes queries from 3 characters on"
            return [Answer(member=member, silence=reason) for member in asked.members]
        filter = question.filter
        filters = SearchFilters(room=asked.room, kind=filter.kind, tags=filter.tags or None)
        try:
            await self._rooms.publish(asked.room, SearchRequest(asked.id, question.query, filters))
        except BuddiesError as error:
            return [Answer(member=member, silence=str(error)) for member in asked.members]
        return []

    async def answers(
        self, question: Question, asked: LegacyQuestion, until_s: float, findings: Findings
    ) -> list[Answer]:
        """Return what has been answered and will be until then, or until all have answered.

        What has come is never dropped, however little time is left: an earlier room may have used
        all of it.
        """
        waiting = {member.name: member for member in asked.members}
        came: list[tuple[SearchResponse, Member, int]] = []
        now_s = self._clock.now_s()
        patience_s = min(question.left_s(now_s), max(0.0, until_s - now_s))
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while waiting:
                    response = await asked.responses.get()
                    # A name is all there is; it may be one that is not known here.
                    name = response.peer_name
                    unknown = Member(endpoint=EndpointId(b""), name=name, speaks_direct=False)
                    elapsed_ms = question.elapsed_ms(self._clock.now_s())
                    came.append((response, waiting.pop(name, unknown), elapsed_ms))
        answers = []
        for response, member, elapsed_ms in came:
            copies = [(unsigned_copy(entry), RELEVANCE) for entry in response.results]
            ranked = await findings.believed(asked.room, None, copies, self._clock.wall_ms())
            answers.append(Answer(member=member, ranked=ranked, elapsed_ms=elapsed_ms))
        reason = "it speaks buddies 0.1.4 and did not answer, as when it finds nothing"
        return answers + [Answer(member=member, silence=reason) for member in waiting.values()]


def filter_of_request(request: SearchRequest, room: RoomName) -> MemoryFilter | None:
    """Return what a 0.1.4 member of the room asks for; None if we have nothing to say to that."""
    asked = request.filters
    kind = None if asked.kind is None else asked.kind.lower()
    if (
        len(request.query.strip()) < QUERY_CHARS_MIN
        or asked.room not in (None, room)
        or kind not in (None, *MemoryKind)
    ):
        return None
    return MemoryFilter(
        room=room, kind=None if kind is None else MemoryKind(kind), tags=asked.tags or ()
    )


def fitting_response(
    request: SearchRequest,
    found: Iterable[Memory],
    name: str,
    bytes_max: int = CONTENT_BYTES_MAX,
) -> SearchResponse | None:
    """Return as many of the memories as one broadcast carries; None if that is none of them."""
    response = SearchResponse(request.request_id, (), name)
    size_max = bytes_max - _ENVELOPE_BYTES - len(name.encode())
    for memory in found:
        longer = replace(response, results=(*response.results, _shortened(memory.entry)))
        if len(encode_body(longer)) <= size_max:
            response = longer
    return response if response.results else None


def _shortened(entry: MemoryEntry) -> MemoryEntry:
    if len(entry.content) <= SNIPPET_CHARS_MAX:
        return entry
    return replace(entry, content=entry.content[:SNIPPET_CHARS_MAX] + "…")

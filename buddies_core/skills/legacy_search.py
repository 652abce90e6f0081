"""Search for skills with 0.1.4 members: questions and answers are broadcasts, without proofs.

Such a member looks for the query as a part of title, content or tags. It is silent when it finds
nothing, so who waits for it can only wait for so long. The rank that it names is its own count of
votes, which nobody can check: it is not used.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import uuid4

from buddies_core.errors import BuddiesError
from buddies_core.gossip.messages import CONTENT_BYTES_MAX
from buddies_core.model.bodies import SkillSearchFilters, SkillSearchRequest, SkillSearchResponse
from buddies_core.model.ids import RequestId, RoomName
from buddies_core.model.room import Member
from buddies_core.model.skill import RankedSkill, Skill
from buddies_core.skills.ports import RoomsPort
from buddies_core.wire.bodies import encode_body

QUERY_CHARS_MIN = 3
"""0.1.4 answers a shorter one with nearly everything, and chokes on that."""
PATIENCE_S = 0.5
FOUND_MAX = 20
RELEVANCE = 0.5
"""Of what 0.1.4 finds: it holds the whole query, so its words cover all of it."""
_ENVELOPE_BYTES = 160
"""Of an answer's 4057, without the name in the trailer: measured 133, the rest is in reserve."""


class RepliesPort(Protocol):
    """Answers that 0.1.4 members broadcast; see `rooms.replies.Replies`."""

    def expect(
        self, request_id: RequestId
    ) -> AbstractContextManager["asyncio.Queue[SkillSearchResponse]"]:
        """Collect the answers to a question for as long as the block runs."""


@dataclass(frozen=True, slots=True)
class LegacyQuestion:
    """A question to the 0.1.4 members of one room; open until its search ends."""

    id: RequestId
    room: RoomName
    members: tuple[Member, ...]
    responses: "asyncio.Queue[SkillSearchResponse]"


def legacy_questions(
    rooms: RoomsPort,
    replies: RepliesPort,
    asked: Sequence[RoomName],
    open_until_end_of: ExitStack,
) -> list[LegacyQuestion]:
    """Return one for each of the rooms where 0.1.4 members are present."""
    questions = []
    for room in asked:
        members = tuple(m for m in rooms.members(room) if not m.speaks_direct)
        if members:
            id = RequestId(uuid4())
            responses = open_until_end_of.enter_context(replies.expect(id))
            questions.append(LegacyQuestion(id, room, members, responses))
    return questions


async def tell(
    rooms: RoomsPort, question: LegacyQuestion, query: str, tags: tuple[str, ...]
) -> str:
    """Broadcast a question; return why nobody will answer, if it could not be."""
    if len(query) < QUERY_CHARS_MIN:
        return "not_asked: it speaks buddies 0.1.4, which takes queries from 3 characters on"
    filters = SkillSearchFilters(room=question.room, tags=tags or None)
    try:
        await rooms.publish(question.room, SkillSearchRequest(question.id, query, filters))
    except BuddiesError as error:
        return str(error)
    return ""


async def responses(question: LegacyQuestion, patience_s: float) -> list[SkillSearchResponse]:
    """Return what is answered until all have answered, or the patience ends."""
    waiting = [member.name for member in question.members]
    answers: list[SkillSearchResponse] = []
    try:
        async with asyncio.timeout(patience_s):
            while waiting:
                response = await question.responses.get()
                answers.append(response)
                if response.peer_name in waiting:
                    waiting.remove(response.peer_name)
    except TimeoutError:
        pass
    return answers


def fitting_response(
    request: SkillSearchRequest,
    found: Iterable[tuple[Skill, int]],
    name: str,
    bytes_max: int = CONTENT_BYTES_MAX,
) -> SkillSearchResponse | None:
    """Return as many of the skills as one broadcast carries; None if that is none of them.

    A skill that does not fit is left out: shortened, its hash would not be that of its content.
    """
    response = SkillSearchResponse(request.request_id, (), name)
    size_max = bytes_max - _ENVELOPE_BYTES - len(name.encode())
    for skill, rank in found:
        longer = replace(response, results=(*response.results, RankedSkill(skill.entry, rank)))
        if len(encode_body(longer)) <= size_max:
            response = longer
    return response if response.results else None

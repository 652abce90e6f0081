"""One search: here and at every present member at once, and the answers to peers that search.

Members are asked directly and answer also when they find nothing, so a search ends when the last
has answered.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from buddies_core.asking.choosing import Asked, Choosing, ComparedAt
from buddies_core.asking.everyone import Everyone
from buddies_core.asking.findings import Findings
from buddies_core.asking.members import check_joined, members_to_ask
from buddies_core.asking.ports import LegacyPort, LocalPort, RoomsPort, SearchPort
from buddies_core.asking.question import (
    Answer,
    Hit,
    ItemT,
    Question,
    by_member,
    scope_of,
)
from buddies_core.clock import Clock
from buddies_core.errors import BuddiesError, InvalidInput, NotFound, TimedOut
from buddies_core.finding.embedder import Vectors
from buddies_core.model.ids import EndpointId, RoomName, short
from buddies_core.model.memory import MemoryFilter
from buddies_core.model.room import Member
from buddies_core.model.views import PeerAnswer, PeerSilence, Searched
from buddies_core.pb import peer_pb2

QUERY_BYTES_MAX = 16 << 10
MODEL_PATIENCE = 2 / 3
"""The fraction of a search's time spent waiting for the model at most; the rest is for querying
members."""
ANSWER_WITHIN_S = 2.0
"""A peer gets an answer by words if the model is not ready by then: it waits 3 s."""
LEGACY_RELEVANCE = 0.5
"""The relevance of what 0.1.4 finds: it holds the whole query, so its words cover all of it."""

NO_MORE: Mapping[RoomName, int] = {}
"""A peer's question that concerns one room alone."""

ViewT = TypeVar("ViewT")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard(Generic[ItemT]):
    """The results of a search, here and at members, and who answered."""

    hits: list[Hit[ItemT]]
    """Not merged yet. Those that are here come first, then each member's, in the order of asking:
    not as they came in, so that what is equally good comes in the same order each time."""
    answered: tuple[PeerAnswer, ...]
    unanswered: tuple[PeerSilence, ...]
    method: str
    notes: tuple[str, ...]

    def result(self, views: Iterable[ViewT]) -> Searched[ViewT]:
        """Return what is shown of it, with what was found as it is shown."""
        return Searched(
            results=tuple(views),
            answered=self.answered,
            unanswered=self.unanswered,
            method=self.method,
            notes=self.notes,
        )


class Searching(Generic[ItemT]):
    """Asks for this node's agents and people, and answers its peers. One event loop owns this."""

    def __init__(
        self,
        what: str,
        *,
        found_max: int,
        request: Callable[[Question], peer_pb2.PeerRequest],
        said: Callable[[peer_pb2.PeerReply], peer_pb2.SearchReply],
        local: LocalPort[ItemT],
        rooms: RoomsPort,
        network: SearchPort,
        clock: Clock,
        legacy: LegacyPort | None,
        compared_at_ms: ComparedAt,
    ) -> None:
        """Search for `what` (memories, skills), of which one answer has `found_max` at most.

        `request` returns a question as a member is asked, and `said` what a reply says. Without
        `legacy`, no 0.1.4 member is asked. `compared_at_ms` says whose history is here, too.
        """
        self._what = what
        self._found_max = found_max
        self._request = request
        self._local = local
        self._rooms = rooms
        self._clock = clock
        self._legacy = legacy
        self._choosing = Choosing(compared_at_ms)
        self._everyone: Everyone[ItemT] = Everyone(network, said, clock)

    def close(self) -> None:
        """End the requests to members that nobody waits for any more."""
        self._everyone.close()

    async def search(
        self,
        query: str,
        filter: MemoryFilter,
        timeout_s: float,
        limit: int,
        findings: Findings[ItemT],
    ) -> Heard[ItemT]:
        """Return what this machine and the present members know, and who answered.

        Returns as soon as all have answered, at the latest after `timeout_s`. A member that lets
        the others wait is given up (see `patience`) and named with the reason; what it answers
        late is kept for when the same is asked again. `findings` reads their answers.

        Raises:
            InvalidInput: the query is empty or too long.
            NotFound: this node is not in that room, or in none.
        """
        self._check_rooms(filter.room)
        query = self._checked(query)
        asked_at_s = self._clock.now_s()
        vector, why_none = await self._local.vector(query, timeout_s * MODEL_PATIENCE)
        question = Question(
            query=query,
            vector=vector,
            model=self._local.model_id,
            filter=filter,
            limit=limit,
            asked_at_s=asked_at_s,
            timeout_s=timeout_s,
        )
        # A room may have been left while the model was loaded.
        rooms = (filter.room,) if filter.room is not None else self._rooms.joined()
        here, answers = await self._ask_everywhere(question, rooms, findings)
        found, said_here = here
        notes = [why_none, *said_here]
        for answer in answers:
            if answer.lexical_only:
                notes.append(f"{answer.member.name} searched by words alone")
            if answer.missing:
                notes.append(f"{answer.member.name}: {answer.missing}")
        answered, unanswered = by_member(answers)
        hits = [*found, *(hit for answer in answers for hit in answer.hits)]
        return Heard(
            hits=hits,
            answered=answered,
            unanswered=unanswered,
            method="lexical" if vector is None else "hybrid",
            notes=tuple(note for note in dict.fromkeys(notes) if note),
        )

    async def answer(
        self,
        caller: EndpointId | None,
        query: str,
        filter: MemoryFilter,
        rooms: Sequence[RoomName],
        limit: int,
        vector: bytes = b"",
        model: bytes = b"",
    ) -> tuple[list[Hit[ItemT]], peer_pb2.SearchReply]:
        """Return a peer's results from rooms, best first, and a reply that says how it searched.

        The peer's vector is used if it is of our model.

        Raises:
            InvalidInput: the query is empty or too long.
            TimedOut: the index did not answer in time.
        """
        query = self._checked(query)
        known = self._local.vector_of_peer(vector, model)
        if known is None:
            known, _ = await self._local.vector(query, ANSWER_WITHIN_S)
        limit = min(limit or self._found_max, self._found_max)
        found, _ = await self._find(query, known, filter, rooms, limit, ANSWER_WITHIN_S)
        asker = short(caller) if caller else "0.1.4"
        _log.debug("search_answered what=%s peer=%s found=%d", self._what, asker, len(found))
        reply = peer_pb2.SearchReply(lexical_only=known is None)
        progress = self._local.progress()
        if progress.note():
            reply.progress.stored = progress.stored
            reply.progress.by_words = progress.by_words
            reply.progress.by_meaning = progress.by_meaning
        return found, reply

    # Asking

    async def _ask_everywhere(
        self, question: Question, rooms: Sequence[RoomName], findings: Findings[ItemT]
    ) -> tuple[tuple[list[Hit[ItemT]], list[str]], list[Answer[ItemT]]]:
        """Return the results from here, with notes about them, and each member's answer."""
        asked_of, not_asked = self._to_ask(rooms)
        limit = min(question.limit, self._found_max)
        request = self._request(replace(question, limit=limit))
        direct_done = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            old = group.create_task(self._ask_legacy(question, rooms, direct_done, findings))
            here = group.create_task(self._find_here(question, rooms))
            asked = replace(question, limit=limit)
            answers = await self._everyone.ask(asked, asked_of, request, findings, here)
            await here
            direct_done.set()
        answers += [Answer(member=member, silence=reason) for member, reason in not_asked]
        return here.result(), answers + old.result()

    def _to_ask(self, rooms: Sequence[RoomName]) -> tuple[list[Asked], list[tuple[Member, str]]]:
        """Return the members to ask, with their rooms; and the surplus members, with reasons."""
        members: dict[EndpointId, tuple[list[RoomName], Member]] = {}
        for room in rooms:
            for member in members_to_ask(self._rooms, room):
                members.setdefault(member.endpoint, ([], member))[0].append(room)
        return self._choosing.choose(list(members.values()), self._clock.wall_ms())

    async def _find_here(
        self, question: Question, rooms: Sequence[RoomName]
    ) -> tuple[list[Hit[ItemT]], list[str]]:
        of = f" of {rooms[0]}" if len(rooms) == 1 else ""
        left_s = question.left_s(self._clock.now_s())
        try:
            found, damaged = await self._find(
                question.query, question.vector, question.filter, rooms, question.limit, left_s
            )
        except BuddiesError as error:
            return [], [f"this machine's own {self._what}{of} could not be searched: {error}"]
        notes = [f"{damaged} damaged records{of} were skipped"] if damaged else []
        if missing := self._local.progress().note():
            notes.append(f"this machine: {missing}")
        return found, notes

    async def _ask_legacy(
        self,
        question: Question,
        rooms: Sequence[RoomName],
        direct_done: asyncio.Event,
        findings: Findings[ItemT],
    ) -> list[Answer[ItemT]]:
        """Ask the members that can't be asked directly, if there are any."""
        if self._legacy is None:
            return []
        until_s = question.asked_at_s + question.timeout_s
        said = await self._legacy.search(
            question.query, question.filter, rooms, direct_done, until_s
        )
        return [
            Answer(
                member=it.member,
                hits=await findings.take(
                    it.room,
                    None,
                    [peer_pb2.Found(proof=copy, score=LEGACY_RELEVANCE) for copy in it.copies],
                ),
                elapsed_ms=question.elapsed_ms(it.came_at_s),
                silence=it.silence,
            )
            for it in said
        ]

    # Both

    async def _find(
        self,
        query: str,
        vector: Vectors | None,
        filter: MemoryFilter,
        rooms: Sequence[RoomName],
        limit: int,
        timeout_s: float,
    ) -> tuple[list[Hit[ItemT]], int]:
        try:
            found, damaged = await self._local.find(
                query, vector, scope_of(filter, rooms), limit, timeout_s
            )
        except TimeoutError:
            raise TimedOut(f"the index of {self._what} did not answer in time") from None
        return [Hit(head, hit.score, hit.passage) for head, hit in found], damaged

    def _check_rooms(self, room: RoomName | None) -> None:
        if room is not None:
            check_joined(self._rooms, room)
        elif not self._rooms.joined():
            raise NotFound("no room is joined; join one: join_room, or buddies-cli join ROOM")

    def _checked(self, query: str) -> str:
        query = query.strip()
        if not query:
            raise InvalidInput(
                f"query is empty; ask in your own words; list_{self._what} shows the newest"
            )
        if len(query.encode()) > QUERY_BYTES_MAX:
            raise InvalidInput(
                f"query is longer than {QUERY_BYTES_MAX} bytes; ask for less at once"
            )
        return query

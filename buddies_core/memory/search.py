"""Search: here and at every present member at once, and the answers to those who ask us.

Members are asked directly and answer also when they find nothing, so a search ends when the last
has answered.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from buddies_core.clock import Clock
from buddies_core.errors import BuddiesError, InvalidInput, NotFound, StoreError, TimedOut
from buddies_core.finding.embedder import Vectors
from buddies_core.finding.local_search import LocalSearch
from buddies_core.memory.documents import scope_of
from buddies_core.memory.fetching import MEMBERS_ASKED_MAX
from buddies_core.memory.findings import Findings, RecentFinds
from buddies_core.memory.ports import AskPort, HiddenPort, RoomsPort, StorePort
from buddies_core.memory.question import Answer, Question, by_member, reason_of
from buddies_core.memory.views import snippet
from buddies_core.model.ids import EndpointId, RoomName, short
from buddies_core.model.memory import Memory, MemoryFilter, MemoryHead, MemoryKind
from buddies_core.model.room import BroadcastAnswer, Member
from buddies_core.model.views import SearchResult
from buddies_core.pb import peer_pb2

QUERY_BYTES_MAX = 16 << 10
FOUND_MAX = 50
"""In one answer: with 4 KB each they stay below a frame's 256 KiB."""
MODEL_PATIENCE = 2 / 3
"""Of the time a search has: the rest is for the members, who could not be asked otherwise."""
ANSWER_WITHIN_S = 2.0
"""Until then we give a peer an answer by words if the model is not ready; it waits 3 s."""
LEGACY_RELEVANCE = 0.5
"""The relevance of what 0.1.4 finds: it holds the whole query, so its words cover all of it; see
`ranking`."""

_log = logging.getLogger(__name__)


class LegacyPort(Protocol):
    """Members that can't be asked directly; see `legacy.asking.MemoryQuestions`."""

    async def search(
        self,
        query: str,
        filter: MemoryFilter,
        rooms: Sequence[RoomName],
        direct_done: asyncio.Event,
        until_s: float,
    ) -> list[BroadcastAnswer]:
        """Return what they answer until all have, a while after the direct answers, or the end."""


class Search:
    """Searches for this node's agents and people, and for its peers. One event loop owns this."""

    def __init__(
        self,
        *,
        local: LocalSearch[MemoryHead],
        store: StorePort,
        rooms: RoomsPort,
        network: AskPort,
        clock: Clock,
        counters: Counter[str],
        finds: RecentFinds,
        hidden: HiddenPort,
        legacy: LegacyPort | None = None,
    ) -> None:
        """Search without 0.1.4 members if there is no `legacy`."""
        self._local = local
        self._store = store
        self._rooms = rooms
        self._network = network
        self._legacy = legacy
        self._clock = clock
        self._counters = counters
        self._finds = finds
        self._hidden = hidden

    async def search(
        self, query: str, filter: MemoryFilter, timeout_s: float, limit: int
    ) -> SearchResult:
        """Return what this machine and the present members know, best first, and who answered.

        Returns as soon as all have answered, at the latest after `timeout_s`; who has not answered
        by then is named with the reason. What was found is not stored, but can be read by its id.

        Raises:
            InvalidInput: the query is empty or too long.
            NotFound: this node is not in that room, or in none.
        """
        rooms = self._rooms_to_search(filter.room)
        query = _checked(query)
        asked_at_s = self._clock.now_s()
        vector, why_none = await self._local.vector(query, timeout_s * MODEL_PATIENCE)
        question = Question(
            query=query,
            vector=vector,
            filter=filter,
            limit=limit,
            asked_at_s=asked_at_s,
            timeout_s=timeout_s,
        )
        findings = Findings(filter, self._store, self._rooms, self._hidden, self._counters)
        answers, notes = await self._ask_everywhere(question, rooms, findings)
        ranked = findings.ranked(limit)
        for memory, _ in ranked:
            if isinstance(memory, Memory):  # What is here already is found as a head.
                self._remember(memory)
        answered, unanswered = by_member(answers)
        return SearchResult(
            results=tuple(snippet(memory, self._rooms, score) for memory, score in ranked),
            answered=answered,
            unanswered=unanswered,
            method="lexical" if vector is None else "hybrid",
            notes=tuple(note for note in dict.fromkeys((why_none, *notes)) if note),
        )

    # Asking

    async def _ask_everywhere(
        self, question: Question, rooms: tuple[RoomName, ...], findings: Findings
    ) -> tuple[list[Answer], list[str]]:
        """Take in what is found, and return who answered what, and what there is to note."""
        request = self._request(question)
        asked_of = [(room, member) for room in rooms for member in self._direct_members(room)]
        direct_done = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            old = group.create_task(self._ask_legacy(question, rooms, direct_done, findings))
            async with asyncio.TaskGroup() as direct:
                here = [direct.create_task(self._find_here(question, room)) for room in rooms]
                there = [
                    direct.create_task(self._ask(question, room, member, request, findings))
                    for room, member in asked_of[:MEMBERS_ASKED_MAX]
                ]
            direct_done.set()
        answers = [task.result() for task in there]
        answers += [
            Answer(member=member, silence="not_asked: a search asks 64 members at most")
            for _, member in asked_of[MEMBERS_ASKED_MAX:]
        ]
        answers += old.result()
        # Not as they came in: what is equally good comes in the same order each time.
        notes = []
        for found, note in (task.result() for task in here):
            findings.add(found)
            notes.append(note)
        for answer in answers:
            findings.add(answer.ranked)
            if answer.lexical_only:
                notes.append(f"{answer.member.name} searched by words alone")
        return answers, notes

    async def _find_here(
        self, question: Question, room: RoomName
    ) -> tuple[list[tuple[MemoryHead, float]], str]:
        """Return what this machine has of one room, and what there is to note about it."""
        try:
            found, damaged = await self._local.find(
                question.query,
                question.vector,
                scope_of(replace(question.filter, room=room)),
                question.limit,
                question.left_s(self._clock.now_s()),
            )
        except TimeoutError:
            return [], f"this machine's own memories of {room} could not be searched in time"
        except BuddiesError as error:
            return [], f"this machine's own memories of {room} could not be searched: {error}"
        ranked = [(memory, hit.score) for memory, hit in found]
        return ranked, f"{damaged} damaged records of {room} were skipped" if damaged else ""

    def _request(self, question: Question) -> peer_pb2.PeerRequest:
        filter, vector = question.filter, question.vector
        return peer_pb2.PeerRequest(
            search=peer_pb2.Search(
                query=question.query,
                vector=b"" if vector is None else vector.astype("<f4").tobytes(),
                model=self._local.model_id,
                limit=min(question.limit, FOUND_MAX),
                kind=filter.kind or "",
                tags=filter.tags,
                author=filter.author or "",
                since_ms=filter.since_ms or 0,
            ),
        )

    async def _ask(
        self,
        question: Question,
        room: RoomName,
        member: Member,
        request: peer_pb2.PeerRequest,
        findings: Findings,
    ) -> Answer:
        """Ask a member for what it has of one room; never raises for what a peer does."""
        left_s = question.left_s(self._clock.now_s())
        try:
            async with asyncio.timeout(left_s):
                replies = await self._network.ask(member.endpoint, room, request, left_s)
                copies = [
                    (found.proof, found.score) for reply in replies for found in reply.search.found
                ]
                believed = await findings.believed(
                    room, member.endpoint, copies[: request.search.limit], self._clock.wall_ms()
                )
        except (TimeoutError, TimedOut):
            return Answer(member=member, silence=f"no answer within {question.timeout_s:g} s")
        except BuddiesError as error:
            return Answer(member=member, silence=reason_of(error))
        return Answer(
            member=member,
            ranked=believed,
            elapsed_ms=question.elapsed_ms(self._clock.now_s()),
            lexical_only=any(reply.search.lexical_only for reply in replies),
        )

    async def _ask_legacy(
        self,
        question: Question,
        rooms: tuple[RoomName, ...],
        direct_done: asyncio.Event,
        findings: Findings,
    ) -> list[Answer]:
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
                ranked=await findings.believed(
                    it.room,
                    None,
                    [(copy, LEGACY_RELEVANCE) for copy in it.copies],
                    self._clock.wall_ms(),
                ),
                elapsed_ms=question.elapsed_ms(it.came_at_s),
                silence=it.silence,
            )
            for it in said
        ]

    # Answering

    async def answer(
        self, caller: EndpointId, room: RoomName, request: peer_pb2.Search
    ) -> peer_pb2.SearchReply:
        """Return to a peer what this machine has of the room that it asks in, best first.

        Raises:
            InvalidInput: the query is empty or too long, or the kind unknown here.
        """
        query = _checked(request.query)
        vector = self._local.vector_of_peer(request.vector, request.model)
        if vector is None:
            vector, _ = await self._local.vector(query, ANSWER_WITHIN_S)
        limit = min(request.limit or FOUND_MAX, FOUND_MAX)
        found = await self._find_for_peer(query, vector, _filter_of(room, request), limit)
        _log.debug("search_answered peer=%s found=%d", short(caller), len(found))
        return peer_pb2.SearchReply(
            found=[peer_pb2.Found(proof=memory.proof, score=score) for memory, score in found],
            lexical_only=vector is None,
        )

    async def find_for_peer(self, query: str, filter: MemoryFilter, limit: int) -> list[MemoryHead]:
        """Return what a peer that can't rank may see of this machine's memories, best first.

        Raises:
            TimedOut: the index did not answer in time.
        """
        vector, _ = await self._local.vector(query, ANSWER_WITHIN_S)
        return [memory for memory, _ in await self._find_for_peer(query, vector, filter, limit)]

    async def _find_for_peer(
        self, query: str, vector: Vectors | None, filter: MemoryFilter, limit: int
    ) -> list[tuple[MemoryHead, float]]:
        try:
            found, _ = await self._local.find(
                query, vector, scope_of(filter), limit, ANSWER_WITHIN_S
            )
        except TimeoutError:
            raise TimedOut("this node's index did not answer in time") from None
        return [(memory, hit.score) for memory, hit in found]

    # Both

    def _rooms_to_search(self, room: RoomName | None) -> tuple[RoomName, ...]:
        joined = self._rooms.joined()
        if room is not None and room not in joined:
            raise NotFound(
                f"room {room!r} is not joined; join it first: join_room, or buddies-cli join ROOM"
            )
        if not joined:
            raise NotFound("no room is joined; join one: join_room, or buddies-cli join ROOM")
        return joined if room is None else (room,)

    def _direct_members(self, room: RoomName) -> tuple[Member, ...]:
        members = self._rooms.members(room)
        return tuple(member for member in members if member.speaks_direct and not member.is_self)

    def _remember(self, memory: Memory) -> None:
        """Keep what is not on disk at hand, so that it can be read whole."""
        try:
            kept = self._store.get_head(memory.key)
        except StoreError:
            kept = None
        if kept is None:
            self._finds.keep(memory)


def _checked(query: str) -> str:
    query = query.strip()
    if not query:
        raise InvalidInput("query is empty; ask in your own words; list_memories shows the newest")
    if len(query.encode()) > QUERY_BYTES_MAX:
        raise InvalidInput(f"query is longer than {QUERY_BYTES_MAX} bytes; ask for less at once")
    return query


def _filter_of(room: RoomName, request: peer_pb2.Search) -> MemoryFilter:
    try:
        kind = MemoryKind(request.kind) if request.kind else None
    except ValueError:
        raise InvalidInput(f"kind {request.kind!r} is unknown here") from None
    return MemoryFilter(
        room=room,
        kind=kind,
        tags=tuple(request.tags),
        author=request.author or None,
        since_ms=request.since_ms or None,
    )

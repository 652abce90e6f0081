"""Search for skills: here and at every present member at once, and the answers to who asks us.

Found by the same engine as memories, put in order by relevance and votes. Each node counts the
votes that it can check, those on its disk and those that come with an answer; nobody's rank is
believed, and none are summed.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from buddies_core.clock import Clock
from buddies_core.errors import (
    BuddiesError,
    InvalidInput,
    NotFound,
    StoreError,
    TimedOut,
)
from buddies_core.finding.document import scope
from buddies_core.finding.embedder import Vectors
from buddies_core.finding.local_search import LocalSearch
from buddies_core.model.ids import EndpointId, RoomName, short
from buddies_core.model.room import BroadcastAnswer, Member
from buddies_core.model.skill import Skill, SkillHead, Vote
from buddies_core.model.skill_views import SkillSearchResult
from buddies_core.pb import peer_pb2
from buddies_core.skills.ballots import Ballots
from buddies_core.skills.copies import Copies
from buddies_core.skills.fetching import MEMBERS_ASKED_MAX, reason_of
from buddies_core.skills.findings import Findings, Heard, Question
from buddies_core.skills.ports import AskPort, HiddenPort, RoomsPort
from buddies_core.skills.reading import VOTES_MAX, AnswerReader
from buddies_core.skills.views import snippet
from buddies_core.skills.votes import weighed
from buddies_core.store.skills import SkillStore, has_any

QUERY_BYTES_MAX = 16 << 10
FOUND_MAX = 20
"""In one answer."""
FOUND_IN_FRAME = 10
"""With a proof of 4 KB and votes of 11 KB each they stay below 256 KiB."""
MODEL_PATIENCE = 2 / 3
"""Of the time a search has: the rest is for the members, who could not be asked otherwise."""
ANSWER_WITHIN_S = 2.0
"""Until then we give a peer an answer by words if the model is not ready; it waits 3 s."""
LEGACY_RELEVANCE = 0.5
"""The relevance of what 0.1.4 finds: it holds the whole query, so its words cover all of it."""

_log = logging.getLogger(__name__)


class LegacyPort(Protocol):
    """Members that can't be asked directly; see `legacy.asking.SkillQuestions`."""

    async def search(
        self,
        query: str,
        tags: tuple[str, ...],
        rooms: Sequence[RoomName],
        direct_done: asyncio.Event,
        until_s: float,
    ) -> list[BroadcastAnswer]:
        """Return what they answer until all have, a while after the direct answers, or the end."""


class SkillSearch:
    """Searches for this node's agents and people, and for its peers. One event loop owns this."""

    def __init__(
        self,
        *,
        local: LocalSearch[SkillHead],
        store: SkillStore,
        rooms: RoomsPort,
        network: AskPort,
        copies: Copies,
        ballots: Ballots,
        hidden: HiddenPort,
        clock: Clock,
        counters: Counter[str],
        legacy: LegacyPort | None = None,
    ) -> None:
        """Search without 0.1.4 members if there is no `legacy`."""
        self._local = local
        self._store = store
        self._rooms = rooms
        self._network = network
        self._ballots = ballots
        self._clock = clock
        self._reader = AnswerReader(store, rooms, copies, ballots, hidden, counters)
        self._legacy = legacy

    async def search(
        self,
        query: str,
        room: RoomName | None,
        tags: tuple[str, ...],
        timeout_s: float,
        limit: int,
    ) -> SkillSearchResult:
        """Return what this machine and the present members know, best first, and who answered.

        Returns as soon as all have answered, at the latest after `timeout_s`. What was found is not
        stored, but for votes on skills that are here; `get` stores what it reads.

        Raises:
            InvalidInput: the query is empty or too long.
            NotFound: this node is not in that room, or in none.
        """
        rooms = self._rooms_to_search(room)
        query = _checked(query)
        asked_at_s = self._clock.now_s()
        vector, why_none = await self._local.vector(query, timeout_s * MODEL_PATIENCE)
        question = Question(
            query=query,
            vector=vector,
            tags=tags,
            limit=limit,
            asked_at_s=asked_at_s,
            timeout_s=timeout_s,
        )
        findings, heard = Findings(), Heard()
        heard.notes.append(why_none)
        await self._ask_everywhere(question, rooms, findings, heard)
        ranked = self._ranked(findings)[:limit]
        with suppress(StoreError):
            await self._ballots.take_all(
                [v for skill, _, votes in ranked for v in votes if self._reader.kept(skill.key)]
            )
        standing = self._ballots.standing
        return SkillSearchResult(
            results=tuple(
                snippet(skill, self._ballots, self._rooms, standing(skill.key, votes), score)
                for skill, score, votes in ranked
            ),
            answered=heard.answers(),
            unanswered=heard.silences(),
            method="lexical" if vector is None else "hybrid",
            notes=tuple(note for note in dict.fromkeys(heard.notes) if note),
        )

    # Asking

    async def _ask_everywhere(
        self,
        question: Question,
        rooms: tuple[RoomName, ...],
        findings: Findings,
        heard: Heard,
    ) -> None:
        targets = [
            (room, member)
            for room in rooms
            for member in self._rooms.members(room)
            if member.speaks_direct and not member.is_self
        ]
        for _, member in targets[MEMBERS_ASKED_MAX:]:
            heard.silence(member, "not_asked: a search asks 64 members at most")
        direct_done = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ask_legacy(question, rooms, direct_done, findings, heard))
            async with asyncio.TaskGroup() as direct:
                for room in rooms:
                    direct.create_task(self._find_here(question, room, findings, heard))
                for room, member in targets[:MEMBERS_ASKED_MAX]:
                    direct.create_task(self._ask(question, room, member, findings, heard))
            direct_done.set()

    async def _find_here(
        self, question: Question, room: RoomName, findings: Findings, heard: Heard
    ) -> None:
        try:
            found, damaged = await self._find(
                question.query,
                question.vector,
                room,
                question.tags,
                question.limit,
                question.left_s(self._clock.now_s()),
            )
        except BuddiesError as error:
            heard.notes.append(f"this machine's own skills of {room} were not searched: {error}")
            return
        for skill, relevance in found:
            findings.add(skill, relevance)
        if damaged:
            heard.notes.append(f"{damaged} damaged records of {room} were skipped")

    async def _ask(
        self,
        question: Question,
        room: RoomName,
        member: Member,
        findings: Findings,
        heard: Heard,
    ) -> None:
        """Ask a member for what it has of one room; never raises for what a peer does."""
        left_s = question.left_s(self._clock.now_s())
        vector = question.vector
        request = peer_pb2.PeerRequest(
            search_skills=peer_pb2.SearchSkills(
                query=question.query,
                vector=b"" if vector is None else vector.astype("<f4").tobytes(),
                model=self._local.model_id,
                limit=min(question.limit, FOUND_MAX),
                tags=question.tags,
            ),
        )
        try:
            async with asyncio.timeout(left_s):
                replies = await self._network.ask(member.endpoint, room, request, left_s)
                found = [one for reply in replies for one in reply.skills_found.found]
                believed = await self._reader.take(
                    room,
                    member.endpoint,
                    found[: request.search_skills.limit],
                    question.tags,
                    findings,
                )
        except (TimeoutError, TimedOut):
            heard.silence(member, f"no answer within {question.timeout_s:g} s")
            return
        except BuddiesError as error:
            heard.silence(member, reason_of(error))
            return
        if any(reply.skills_found.lexical_only for reply in replies):
            heard.notes.append(f"{member.name} searched by words alone")
        heard.answer(member, believed, question.elapsed_ms(self._clock.now_s()))

    async def _ask_legacy(
        self,
        question: Question,
        rooms: tuple[RoomName, ...],
        direct_done: asyncio.Event,
        findings: Findings,
        heard: Heard,
    ) -> None:
        """Ask the members that can't be asked directly, if there are any."""
        if self._legacy is None:
            return
        until_s = question.asked_at_s + question.timeout_s
        said = await self._legacy.search(question.query, question.tags, rooms, direct_done, until_s)
        for it in said:
            if it.silence:
                heard.silence(it.member, it.silence)
                continue
            believed = 0
            for copy in it.copies:
                skill = await self._reader.read(it.room, None, copy)
                if skill is not None and has_any(skill, question.tags):
                    findings.add(skill, LEGACY_RELEVANCE)
                    believed += 1
            heard.answer(it.member, believed, question.elapsed_ms(it.came_at_s))

    # Answering

    async def answer(
        self, caller: EndpointId, room: RoomName, request: peer_pb2.SearchSkills
    ) -> list[peer_pb2.PeerReply]:
        """Return to a peer what this machine has of the room that it asks in, best first.

        Raises:
            InvalidInput: the query is empty or too long.
        """
        query = _checked(request.query)
        vector = self._local.vector_of_peer(request.vector, request.model)
        if vector is None:
            vector, _ = await self._local.vector(query, ANSWER_WITHIN_S)
        limit = min(request.limit or FOUND_MAX, FOUND_MAX)
        skills, _ = await self._find(
            query, vector, room, tuple(request.tags), limit, ANSWER_WITHIN_S
        )
        _log.debug("skill_search_answered peer=%s found=%d", short(caller), len(skills))
        found = [
            peer_pb2.FoundSkill(
                proof=skill.proof,
                score=relevance,
                votes=self._ballots.to_hand_on(skill.key, VOTES_MAX),
            )
            for skill, relevance in skills
        ]
        frames = [
            peer_pb2.SkillsFound(found=found[start : start + FOUND_IN_FRAME])
            for start in range(0, max(1, len(found)), FOUND_IN_FRAME)
        ]
        frames[0].lexical_only = vector is None
        return [peer_pb2.PeerReply(skills_found=frame) for frame in frames]

    async def find_for_peer(
        self, query: str, room: RoomName, tags: tuple[str, ...], limit: int
    ) -> list[tuple[Skill, int]]:
        """Return what a peer that can't rank may see of a room, best first, each with its rank.

        Raises:
            TimedOut: the index did not answer in time.
        """
        vector, _ = await self._local.vector(query, ANSWER_WITHIN_S)
        found, _ = await self._find(query, vector, room, tags, limit, ANSWER_WITHIN_S)
        bytes_max = self._rooms.message_bytes_max(room)
        short = (self._store.get_skill(it.key) for it, _ in found if it.size < bytes_max)
        return [(it, self._ballots.standing(it.key).votes.rank) for it in short if it is not None]

    # Both

    async def _find(
        self,
        query: str,
        vector: Vectors | None,
        room: RoomName,
        tags: tuple[str, ...],
        limit: int,
        timeout_s: float,
    ) -> tuple[list[tuple[SkillHead, float]], int]:
        try:
            found, damaged = await self._local.find(
                query, vector, scope(room=room, tags=tags), limit, timeout_s
            )
        except TimeoutError:
            raise TimedOut("the index of skills did not answer in time") from None
        return [(skill, hit.score) for skill, hit in found], damaged

    def _ranked(self, findings: Findings) -> list[tuple[Skill | SkillHead, float, list[Vote]]]:
        """Return all that was found, best first: by relevance, as votes weigh it."""
        ranked = []
        for key, found in findings.skills.items():
            skill = self._reader.kept(key) or found
            # Of what is truncated the hash is a claim: it may be that of a skill that is liked.
            votes = [] if skill.truncated else list(findings.votes[key].values())
            rank = self._ballots.standing(key, votes).votes.rank
            ranked.append((skill, weighed(findings.relevance[key], rank), votes))
        return sorted(ranked, key=lambda item: (-item[1], item[0].key))

    def _rooms_to_search(self, room: RoomName | None) -> tuple[RoomName, ...]:
        joined = self._rooms.joined()
        if room is not None and room not in joined:
            raise NotFound(
                f"room {room!r} is not joined; join it first: join_room, or buddies-cli join ROOM"
            )
        if not joined:
            raise NotFound("no room is joined; join one: join_room, or buddies-cli join ROOM")
        return joined if room is None else (room,)


def _checked(query: str) -> str:
    query = query.strip()
    if not query:
        raise InvalidInput("query is empty; ask in your own words; list_skills shows the newest")
    if len(query.encode()) > QUERY_BYTES_MAX:
        raise InvalidInput(f"query is longer than {QUERY_BYTES_MAX} bytes; ask for less at once")
    return query

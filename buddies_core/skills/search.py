"""Search for skills, here and at members, and the answers to members that search.

Skills are found by the same engine as memories and ordered by relevance and votes. Each node counts
the votes that it can check, those on its disk and those that come with an answer; it neither
believes nor sums the ranks that peers claim.
"""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

from buddies_core.asking.choosing import ComparedAt, never_compared
from buddies_core.asking.matching import matches
from buddies_core.asking.ports import LegacyPort, RoomsPort, SearchPort
from buddies_core.asking.question import Question
from buddies_core.asking.search import NO_MORE, Searching
from buddies_core.clock import Clock
from buddies_core.convert.arguments import filter_tags
from buddies_core.errors import StoreError
from buddies_core.finding.local_search import LocalSearch
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.memory import MemoryFilter
from buddies_core.model.skill import Skill, SkillEntry, SkillHead
from buddies_core.model.skill_views import SkillSearchResult
from buddies_core.pb import peer_pb2
from buddies_core.skills.ballots import Ballots
from buddies_core.skills.copies import Copies
from buddies_core.skills.findings import VOTES_MAX, Found, SkillFindings
from buddies_core.skills.ports import HiddenPort
from buddies_core.skills.views import view
from buddies_core.store.skills import SkillStore

FOUND_MAX = 20
"""The most skills in one answer."""
FOUND_IN_FRAME = 10
"""The most skills in a frame. With proofs of 4 KB and votes of 11 KB each, it is below 256 KiB."""


class SkillSearch:
    """Searches for this node's agents and people, and for its peers. One event loop owns this."""

    def __init__(
        self,
        *,
        local: LocalSearch[SkillHead],
        store: SkillStore,
        rooms: RoomsPort,
        network: SearchPort,
        copies: Copies,
        ballots: Ballots,
        hidden: HiddenPort,
        clock: Clock,
        counters: Counter[str],
        legacy: LegacyPort | None = None,
        compared_at_ms: ComparedAt = never_compared,
    ) -> None:
        """Search without 0.1.4 members if there is no `legacy`."""
        self._store = store
        self._rooms = rooms
        self._copies = copies
        self._ballots = ballots
        self._clock = clock
        self._hidden = hidden
        self._counters = counters
        self._searching: Searching[Found] = Searching(
            "skills",
            found_max=FOUND_MAX,
            request=_request,
            said=lambda reply: reply.skills_found,
            local=local,
            rooms=rooms,
            network=network,
            clock=clock,
            legacy=legacy,
            compared_at_ms=compared_at_ms,
        )

    def close(self) -> None:
        """End the requests to members that nobody waits for any more."""
        self._searching.close()

    async def search(
        self,
        query: str,
        room: RoomName | None,
        tags: tuple[str, ...],
        timeout_s: float,
        limit: int,
    ) -> SkillSearchResult:
        """Return what this machine and the present members know, best first, and who answered.

        Returns and raises as `Searching.search` does. Results are not stored, except for votes on
        skills that are here; `get` stores the skills it reads.
        """
        findings = SkillFindings(
            tags,
            self._store,
            self._rooms,
            self._copies,
            self._ballots,
            self._hidden,
            self._counters,
        )
        filter = MemoryFilter(room=room, tags=tags)
        heard = await self._searching.search(query, filter, timeout_s, limit, findings)
        ranked = findings.ranked(heard.hits)[:limit]
        with suppress(StoreError):
            await self._ballots.take_all(findings.votes_to_keep(ranked))
        now_s = self._clock.wall_ms() / 1000
        matched = await matches(query, ranked, self._whole, now_s)
        standing = findings.standing
        return heard.result(
            view(hit.item, text, self._ballots, self._rooms, standing(hit.item), match)
            for hit, (text, match) in zip(ranked, matched, strict=True)
        )

    async def answer(
        self,
        caller: EndpointId,
        room: RoomName,
        request: peer_pb2.SearchSkills,
        more: Mapping[RoomName, int] = NO_MORE,
    ) -> list[peer_pb2.PeerReply]:
        """Return this machine's skills to a peer, from the rooms that it asks about, best first.

        `more` has the rooms besides the first, each with its number in the request.

        Raises:
            InvalidInput: the query is empty or too long, or asks for too many tags.
            TimedOut: the index did not answer in time.
        """
        numbers = {**more, room: 0}
        hits, reply = await self._searching.answer(
            caller,
            request.query,
            MemoryFilter(tags=filter_tags(request.tags)),
            tuple(numbers),
            request.limit,
            request.vector,
            request.model,
        )
        reply.rooms.extend(more.values())
        found = [
            peer_pb2.Found(
                proof=hit.item.proof,
                score=hit.score,
                passage=hit.passage,
                room=numbers[hit.item.room],
                votes=self._ballots.to_hand_on(hit.item.key, VOTES_MAX),
            )
            for hit in hits
        ]
        frames = [
            peer_pb2.SearchReply(found=found[start : start + FOUND_IN_FRAME])
            for start in range(0, max(1, len(found)), FOUND_IN_FRAME)
        ]
        frames[0].MergeFrom(reply)
        return [peer_pb2.PeerReply(skills_found=frame) for frame in frames]

    async def find_for_peer(
        self, query: str, room: RoomName, tags: tuple[str, ...], limit: int
    ) -> list[tuple[Skill, int]]:
        """Return the skills of a room for a peer that can't rank, best first, each with its rank.

        Raises:
            TimedOut: the index did not answer in time.
        """
        filter = MemoryFilter(room=room, tags=tags)
        found, _ = await self._searching.answer(None, query, filter, (), limit)
        bytes_max = self._rooms.message_bytes_max(room)
        short = (self._store.get_skill(it.item.key) for it in found if it.item.size < bytes_max)
        return [(it, self._ballots.standing(it.key).votes.rank) for it in short if it is not None]

    def _whole(self, skill: Found) -> SkillEntry:
        """Return all of a skill that is stored here; if that can't be read, its beginning."""
        try:
            kept = None if isinstance(skill, Skill) else self._store.get_skill(skill.key)
        except StoreError:
            kept = None
        return (kept or skill).entry


def _request(question: Question) -> peer_pb2.PeerRequest:
    return peer_pb2.PeerRequest(
        search_skills=peer_pb2.SearchSkills(
            query=question.query,
            vector=question.vector_bytes,
            model=question.model,
            limit=question.limit,
            tags=question.filter.tags,
        ),
    )

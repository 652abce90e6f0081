"""Search for memories, here and at members, and the answers to members that search."""

from collections import Counter
from collections.abc import Mapping

from buddies_core.asking.choosing import ComparedAt, never_compared
from buddies_core.asking.matching import matches
from buddies_core.asking.ports import LegacyPort, RoomsPort, SearchPort
from buddies_core.asking.question import Question
from buddies_core.asking.search import NO_MORE, Searching
from buddies_core.clock import Clock
from buddies_core.convert.arguments import filter_tags
from buddies_core.errors import InvalidInput, StoreError
from buddies_core.finding.local_search import LocalSearch
from buddies_core.memory.findings import Found, MemoryFindings, RecentFinds
from buddies_core.memory.links import Links
from buddies_core.memory.ports import HiddenPort, StorePort
from buddies_core.memory.views import view
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.memory import Memory, MemoryEntry, MemoryFilter, MemoryHead, MemoryKind
from buddies_core.model.views import SearchResult
from buddies_core.pb import peer_pb2

FOUND_MAX = 50
"""The most results in one answer: at 4 KB each they stay below a frame's 256 KiB."""


class Search:
    """Searches for this node's agents and people, and for its peers. One event loop owns this."""

    def __init__(
        self,
        *,
        local: LocalSearch[MemoryHead],
        store: StorePort,
        rooms: RoomsPort,
        network: SearchPort,
        clock: Clock,
        counters: Counter[str],
        finds: RecentFinds,
        hidden: HiddenPort,
        links: Links,
        legacy: LegacyPort | None = None,
        compared_at_ms: ComparedAt = never_compared,
    ) -> None:
        """Search without 0.1.4 members if there is no `legacy`."""
        self._store = store
        self._rooms = rooms
        self._clock = clock
        self._counters = counters
        self._finds = finds
        self._hidden = hidden
        self._links = links
        self._searching: Searching[Found] = Searching(
            "memories",
            found_max=FOUND_MAX,
            request=_request,
            said=lambda reply: reply.search,
            local=local,
            rooms=rooms,
            network=network,
            clock=clock,
            legacy=legacy,
            compared_at_ms=compared_at_ms,
        )

    def close(self) -> None:
        """End the questions to members whose answers nobody waits for any more."""
        self._searching.close()

    async def search(
        self, query: str, filter: MemoryFilter, timeout_s: float, limit: int
    ) -> SearchResult:
        """Return the results of this machine and the present members, best first, and who answered.

        Returns and raises as `Searching.search` does. The results are not stored, but can be read
        by their ids.
        """
        findings = MemoryFindings(
            filter,
            self._store,
            self._rooms,
            self._hidden,
            self._links,
            self._clock,
            self._counters,
        )
        heard = await self._searching.search(query, filter, timeout_s, limit, findings)
        ranked = findings.ranked(heard.hits)[:limit]
        for hit in ranked:
            if isinstance(hit.item, Memory):  # A memory on this machine is found as a head.
                self._remember(hit.item)
        now_s = self._clock.wall_ms() / 1000
        matched = await matches(query, ranked, self._whole, now_s)
        return heard.result(
            view(hit.item, text, self._rooms, self._links.linked(hit.item), match)
            for hit, (text, match) in zip(ranked, matched, strict=True)
        )

    async def answer(
        self,
        caller: EndpointId,
        room: RoomName,
        request: peer_pb2.Search,
        more: Mapping[RoomName, int] = NO_MORE,
    ) -> peer_pb2.SearchReply:
        """Return this machine's results for a peer, from the rooms that it asks in, best first.

        `more` has the rooms besides the first, each with its number in the request.

        Raises:
            InvalidInput: the query is empty or too long, the kind is unknown here, or there are too
                many tags.
            TimedOut: the index did not answer in time.
        """
        numbers = {**more, room: 0}
        found, reply = await self._searching.answer(
            caller,
            request.query,
            _filter_of(request),
            tuple(numbers),
            request.limit,
            request.vector,
            request.model,
        )
        reply.rooms.extend(more.values())
        reply.found.extend(
            peer_pb2.Found(
                proof=it.item.proof,
                score=it.score,
                passage=it.passage,
                room=numbers[it.item.room],
            )
            for it in found
        )
        return reply

    async def find_for_peer(self, query: str, filter: MemoryFilter, limit: int) -> list[Found]:
        """Return this machine's memories that a peer that can't rank may see, best first.

        Raises:
            TimedOut: the index did not answer in time.
        """
        found, _ = await self._searching.answer(None, query, filter, (), limit)
        return [hit.item for hit in found]

    def _whole(self, memory: Found) -> MemoryEntry:
        """Return all of a memory that is here; if that can't be read, its beginning."""
        try:
            kept = None if isinstance(memory, Memory) else self._store.get_memory(memory.key)
        except StoreError:
            kept = None
        return (kept or memory).entry

    def _remember(self, memory: Memory) -> None:
        """Keep a memory that is not on disk at hand, so that it can be read whole."""
        try:
            kept = self._store.get_head(memory.key)
        except StoreError:
            kept = None
        if kept is None:
            self._finds.keep(memory)


def _request(question: Question) -> peer_pb2.PeerRequest:
    filter = question.filter
    return peer_pb2.PeerRequest(
        search=peer_pb2.Search(
            query=question.query,
            vector=question.vector_bytes,
            model=question.model,
            limit=question.limit,
            kind=filter.kind or "",
            tags=filter.tags,
            author=filter.author or "",
            agent=filter.agent or "",
            since_ms=filter.since_ms or 0,
            include_superseded=filter.include_superseded,
        ),
    )


def _filter_of(request: peer_pb2.Search) -> MemoryFilter:
    try:
        kind = MemoryKind(request.kind) if request.kind else None
    except ValueError:
        raise InvalidInput(f"kind {request.kind!r} is unknown here") from None
    return MemoryFilter(
        kind=kind,
        tags=filter_tags(request.tags),
        author=request.author or None,
        agent=request.agent or None,
        since_ms=request.since_ms or None,
        include_superseded=request.include_superseded,
    )

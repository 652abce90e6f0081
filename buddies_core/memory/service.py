"""Stores memories and tells the room, receives them from it, lists, reads and hands them on."""

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import TypeAlias
from uuid import UUID, uuid4

from buddies_core.asking.completion import Completion
from buddies_core.asking.fetching import BACKGROUND_ASK_S
from buddies_core.asking.members import check_joined, check_known
from buddies_core.asking.ports import AskPort, RoomsPort
from buddies_core.clock import Clock
from buddies_core.convert.cursors import memory_cursor
from buddies_core.errors import (
    BuddiesError,
    InvalidInput,
    NotAllowed,
    NotFound,
    QuotaExceeded,
    WireError,
)
from buddies_core.memory.amending import Amending
from buddies_core.memory.copies import received_memory, with_content
from buddies_core.memory.fetching import MemoryFetcher, memory_parts, preference
from buddies_core.memory.findings import RecentFinds
from buddies_core.memory.hidden import Hidden
from buddies_core.memory.limits import check_own
from buddies_core.memory.links import Links
from buddies_core.memory.naming import GET_TIMEOUT_S, Naming
from buddies_core.memory.ports import IndexPort, StorePort
from buddies_core.memory.receipts import Receipts
from buddies_core.memory.remainders import Remainders
from buddies_core.memory.short_ids import id_meant, ref_meant
from buddies_core.memory.views import page, snippet
from buddies_core.model.bodies import MemoryCreated
from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId, MemoryId, RoomName, short
from buddies_core.model.listing import Listed
from buddies_core.model.memory import (
    TITLE_BYTES_MAX,
    Memory,
    MemoryEntry,
    MemoryFilter,
    MemoryHead,
    MemoryKey,
    MemoryKind,
    MemoryPlace,
    MemoryRef,
    verified_key,
)
from buddies_core.model.views import MemoryPage, MemoryView
from buddies_core.pb import peer_pb2
from buddies_core.trust.admitted import Admitted
from buddies_core.trust.clocks import PeerClocks
from buddies_core.wire.shortening import fit_memory

PeerReplies: TypeAlias = list[peer_pb2.PeerReply]


_log = logging.getLogger(__name__)


class Memories:
    """The memories of this node. One event loop owns this."""

    def __init__(
        self,
        *,
        store: StorePort,
        index: IndexPort,
        rooms: RoomsPort,
        network: AskPort,
        clock: Clock,
        counters: Counter[str],
        finds: RecentFinds,
        hidden: Hidden,
        links: Links,
        receipts: Receipts,
        clocks: PeerClocks | None = None,
    ) -> None:
        self._store = store
        self._index = index
        self._rooms = rooms
        self._network = network
        self._clock = clock
        self._counters = counters
        self._finds = finds
        self._hidden = hidden
        self._links = links
        self._receipts = receipts
        self._clocks = clocks
        self._fetcher = MemoryFetcher(rooms, network, clock, counters)
        self._naming = Naming(store, finds, hidden, self._fetcher)
        self.amending = Amending(
            store=store,
            index=index,
            rooms=rooms,
            network=network,
            clock=clock,
            counters=counters,
            finds=finds,
            naming=self._naming,
        )
        self._completion = Completion(rooms, self._complete, _stays_truncated, clock, counters)
        self._remainders = Remainders(store, self._completion)

    async def run(self) -> None:
        """Fetch the contents that were too long for a broadcast, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._completion.run())
            group.create_task(self.amending.run())
            await self._remainders.run()

    async def store(
        self,
        room: RoomName,
        title: str,
        content: str,
        kind: MemoryKind,
        tags: tuple[str, ...],
        references: tuple[MemoryId, ...],
        supersedes: MemoryRef | None = None,
        *,
        agent: str,
        user: str,
        is_told: bool = True,
        id: MemoryId | None = None,
        created_at_s: int | None = None,
    ) -> MemoryView:
        """Store a memory and tell the room; on return it is on disk, peers may still be receiving.

        If a broadcast is missed, members find the memory when they compare histories. The id
        defaults to a new one, the time to now, the title to the content's first line. A content
        too long for a broadcast is sent shortened, and the members fetch its rest.
        Calling twice stores two memories. The superseded memory is listed among its references,
        which is all that 0.1.4 peers see of it.

        Raises:
            NotFound: this node is not in the room, or nobody has the memory to be superseded.
            InvalidInput: a field is empty or too large, or the memory to be superseded is not in
                this room, or one of several with its id; the text says which.
            NotAllowed: the id is that of a memory that was deleted.
            QuotaExceeded: the room or this machine has written as much as it may; nothing was told.
            StoreError: the disk refused; nothing was told.
        """
        check_joined(self._rooms, room)
        old = None if supersedes is None else await self._superseded(supersedes, room)
        if old is not None:
            references = (old.entry.id, *(it for it in references if it != old.entry.id))
        wall_ms = self._clock.wall_ms()
        endpoint = self._network.endpoint
        entry = MemoryEntry(
            id=id or MemoryId(uuid4()),
            author=endpoint.hex(),
            created_at_s=wall_ms // 1000 if created_at_s is None else created_at_s,
            room=room,
            kind=kind,
            title=title.strip() or _first_line(content),
            content=content,
            tags=tuple(dict.fromkeys(tags)),
            references=references,
        )
        check_own(entry)
        author_name = user or self._rooms.name_of(endpoint)
        told, whole = fit_memory(
            entry,
            agent=agent,
            user=author_name,
            size_max=self._rooms.message_bytes_max(room),
        )
        body = MemoryCreated(told)
        proof = await self._rooms.compose(room, body, agent=agent, user=author_name, whole=whole)
        memory = Memory(
            key=verified_key(endpoint, entry.id),
            entry=entry,
            author_name=author_name,
            agent=agent,
            verified=Verified.PEER,
            whole=whole,
            proof=proof,
            received_at_ms=wall_ms,
        )
        said = None
        if old is not None:  # Before the memory: if we stop in between, it refers to nothing.
            said = await self.amending.supersede(room, entry.id, old.key, agent=agent, user=user)
        if not await self._keep(memory) and self._hidden.hides(memory):
            raise NotAllowed(f"{self._hidden.why(memory)}; store it as a new one")
        if not is_told:
            return self._snippet(memory)
        listeners = 0
        try:
            await self._rooms.send(room, proof)
            listeners = len(self._rooms.members(room)) - 1
        except BuddiesError as error:
            # The memory is kept, and searches find it; only the broadcast is lost.
            _log.warning("memory_not_told memory=%s room=%s: %s", entry.id, room, error)
        if said is not None:
            await self.amending.tell(said)
        return replace(self._snippet(memory), told=listeners)

    async def _superseded(self, ref: MemoryRef, room: RoomName) -> Memory | MemoryHead:
        old = await self._naming.one(ref)
        if old.entry.room != room:
            raise InvalidInput(
                f"memory {ref.id} is in room {old.entry.room!r}, not in {room!r}; store the new "
                "one there, or leave out `supersedes`"
            )
        return old

    async def receive(
        self, admitted: Admitted, neighbor: EndpointId | None = None, content: bytes | None = None
    ) -> None:
        """Keep a memory that a peer sent to the room, unless it is too large; fetch its rest later.

        `neighbor` passed it on, maybe with all of its content. A peer's amendment to a memory is
        applied if the peer may make it.

        Raises:
            StoreError: the disk refused.
        """
        if not isinstance(admitted.message.body, MemoryCreated):
            await self.amending.receive(admitted, neighbor)
            return
        try:
            behind_ms = self._behind_ms(admitted)
            memory = received_memory(admitted, self._rooms, self._clock.wall_ms(), behind_ms)
            if memory.truncated and content is not None:
                memory = with_content(memory, content)
        except WireError as error:
            self._counters["memories_rejected"] += 1
            _log.info("memory_rejected room=%s: %s", admitted.room, error)
            return
        try:
            kept = await self._keep(memory)
        except QuotaExceeded as error:
            self._counters["memories_over_quota"] += 1
            _log.info("memory_rejected room=%s: %s", admitted.room, error)
            return
        if kept and memory.truncated:
            await self._remainders.want(memory.key, memory.entry.room, neighbor)

    async def answer_fetch(
        self, caller: EndpointId, room: RoomName, request: peer_pb2.FetchMemory
    ) -> PeerReplies:
        """Return the frames that carry a memory to a peer, from the room that it asks in.

        Raises:
            NotFound: the memory is not here, or less of it than was asked for.
        """
        found: tuple[MemoryHead, ...]
        if request.key:
            kept = self._store.get_head(MemoryKey(request.key))
            found = () if kept is None or kept.truncated else (kept,)
        elif len(request.id) == 16:
            found = self._store.find_heads(MemoryId(UUID(bytes=request.id)))
        else:
            raise InvalidInput("a memory is asked for by its key or by an id of 16 bytes")
        shown = [it for it in found if it.entry.room == room and not self._hidden.hides(it)]
        memory = self._store.get_memory(max(shown, key=preference).key) if shown else None
        if memory is None:
            raise NotFound("that memory is not here")
        _log.debug("memory_handed_on peer=%s", short(caller))
        return memory_parts(memory)

    async def get(self, meant: MemoryId | MemoryRef, offset: int, limit: int) -> MemoryPage:
        """Return `limit` characters of a memory's content, from the `offset`-th on.

        If the memory is missing or incomplete here, the members present are asked for it.

        Raises:
            NotFound: nobody has it, or the rest of it; the text says who was asked. Or it is
                hidden, and the text says how to bring it back.
            InvalidInput: the offset is beyond the end.
            StoreError: its record is damaged.
        """
        memory = await self._find(meant if isinstance(meant, MemoryRef) else MemoryRef(meant))
        if memory.truncated:
            memory = await self._completed(memory, offset)
        if offset > len(memory.entry.content):
            raise InvalidInput(
                f"offset is {offset}, but the content has {len(memory.entry.content)} characters"
            )
        linked = self._links.linked(memory)
        links = self._links.links(memory)
        shown = page(memory, self._rooms, offset, limit, linked, links)
        held_by = self._receipts.held_by(memory)
        return replace(shown, memory=replace(shown.memory, held_by=held_by))

    def id_of(self, text: str, field: str) -> MemoryId:
        """Return the id that a caller means by a whole id, or by at least its first 8 hex digits.

        Raises:
            NotFound: no memory here has an id that begins with these digits.
            InvalidInput: it is not an id, or several ids match; the text names the field.
        """
        return id_meant(text, field, self._store, self._finds)

    def ref_of(self, text: str, field: str) -> MemoryRef:
        """Return the memory that a caller means: as `id_of`, with its author after an @ if given.

        Raises:
            NotFound: as `id_of`.
            InvalidInput: as `id_of`, or the author is not given in hex digits.
        """
        return ref_meant(text, field, self._store, self._finds)

    async def list(
        self, filter: MemoryFilter, limit: int, after: MemoryPlace | None = None
    ) -> Listed[MemoryView]:
        """Return this machine's memories in order, each with the beginning of its content.

        With `after`, the list continues after that place.

        Raises:
            NotFound: this node is not in that room, and has nothing of it.
        """
        hides = self._hidden.hides if filter.include_superseded else self._is_not_listed
        memories, damaged = await self._store.list_memories(filter, limit, hides, after)
        if filter.room is not None and after is None and not memories:
            check_known(self._rooms, filter.room)
        return Listed(
            tuple(map(self._snippet, memories)),
            damaged,
            tuple(memory_cursor(MemoryPlace(memory.at_s, memory.key)) for memory in memories),
        )

    async def _complete(self, key: MemoryKey, _room: RoomName, member: EndpointId) -> None:
        memory = self._store.get_memory(key)
        if memory is not None and memory.truncated:
            await self._keep(await self._fetcher.whole_of(member, memory, BACKGROUND_ASK_S))
            _log.info("content_fetched memory=%s", memory.entry.id)

    def _behind_ms(self, admitted: Admitted) -> int:
        if self._clocks is None or admitted.trailer is None:
            return 0
        return self._clocks.behind_ms(admitted.trailer.sender)

    async def _keep(self, memory: Memory) -> bool:
        kept = await self._store.put_memory(memory)
        if kept:
            self._index.notice()
        return kept

    def _is_not_listed(self, memory: MemoryHead) -> bool:
        return self._hidden.hides(memory) or self._links.is_superseded(memory)

    def _snippet(self, memory: Memory | MemoryHead) -> MemoryView:
        return snippet(memory, self._rooms, self._links.linked(memory))

    async def _find(self, ref: MemoryRef) -> Memory:
        best = await self._naming.best(ref)
        if isinstance(best, Memory):
            return best
        memory = self._store.get_memory(best.key)
        assert memory is not None, "its head was there just now"
        return memory

    async def _completed(self, memory: Memory, offset: int) -> Memory:
        """Return the memory with its whole content, or with what is here if nobody has the rest."""
        try:
            whole = await self._fetcher.whole(memory, GET_TIMEOUT_S / 2)
        except NotFound:
            if offset >= len(memory.entry.content):
                raise  # The caller has read the part that is here and wants the rest.
            return memory
        if self._store.get_memory(memory.key) is not None:
            with suppress(QuotaExceeded):
                await self._keep(whole)
                return whole
        self._finds.keep(whole)
        return whole


async def _stays_truncated(_: MemoryKey) -> None:
    """Do nothing: the beginning is here, and `get` asks for the rest."""


def _first_line(content: str) -> str:
    lines = content.strip().splitlines()
    first = lines[0] if lines else ""
    return first.encode()[:TITLE_BYTES_MAX].decode(errors="ignore")

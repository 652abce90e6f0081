"""Fetches contents too long for a broadcast, and memories that are elsewhere, from members."""

from collections import Counter
from collections.abc import Sequence
from functools import partial

from buddies_core.asking.fetching import Fetcher, content_of, parts
from buddies_core.asking.members import endpoints_to_ask
from buddies_core.asking.ports import AskPort, RoomsPort
from buddies_core.clock import Clock
from buddies_core.errors import NotFound, WireError
from buddies_core.memory.copies import received_memory, with_content
from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId, MemoryId, RoomName, endpoint_in
from buddies_core.model.memory import Memory, MemoryHead
from buddies_core.pb import peer_pb2

ANOTHER_HOLDER_AFTER_S = 1.0
"""A content of 1 MiB may take longer; then two members send it."""


def memory_parts(memory: Memory) -> list[peer_pb2.PeerReply]:
    """Return the frames that carry a memory to a peer: its proof, then the content it lacks."""
    is_whole = memory.whole is not None and not memory.truncated
    frames = parts(memory.proof, memory.entry.content if is_whole else "")
    return [peer_pb2.PeerReply(memory_part=part) for part in frames]


class MemoryFetcher:
    """Asks members for memories."""

    def __init__(
        self, rooms: RoomsPort, network: AskPort, clock: Clock, counters: Counter[str]
    ) -> None:
        self._rooms = rooms
        self._clock = clock
        self._fetcher = Fetcher(rooms, network, counters)

    async def whole(self, memory: Memory, timeout_s: float) -> Memory:
        """Return the memory with all of its content, from the first holder that gives it.

        Its author is asked first.

        Raises:
            NotFound: nobody present could give it; the text says who was asked.
        """
        room, author = memory.entry.room, endpoint_in(memory.entry.author)
        holders = sorted(endpoints_to_ask(self._rooms, room), key=lambda peer: peer != author)
        found, why_not = await self._fetcher.first(
            [(room, peer) for peer in holders],
            lambda peer, _, timeout_s: self.whole_of(peer, memory, timeout_s),
            lambda _: True,
            timeout_s,
            at_once=1,
            another_after_s=ANOTHER_HOLDER_AFTER_S,
        )
        if found:
            return found[0]
        raise NotFound(
            f"the rest of memory {memory.entry.id} is not on this machine, and no member gave it "
            f"({why_not}); try again when {memory.author_name} is there"
        )

    async def whole_of(self, peer: EndpointId, memory: Memory, timeout_s: float) -> Memory:
        """Return the memory with all of its content, as this peer has it.

        Raises:
            BuddiesError: the peer does not have it, did not answer, or gave something else.
        """

        async def read(replies: Sequence[peer_pb2.PeerReply]) -> Memory:
            return with_content(memory, content_of(reply.memory_part for reply in replies))

        request = peer_pb2.PeerRequest(fetch_memory=peer_pb2.FetchMemory(key=memory.key))
        return await self._fetcher.ask(peer, memory.entry.room, request, timeout_s, read)

    async def by_id(self, id: MemoryId, timeout_s: float) -> Memory:
        """Return a memory that is not here, from any member of any joined room.

        The first answer that is verified and whole is taken at once; if none arrives in time,
        another one is taken.

        Raises:
            NotFound: nobody gave it; the text says who was asked.
        """

        async def fetch(peer: EndpointId, room: RoomName, timeout_s: float) -> Memory:
            request = peer_pb2.PeerRequest(fetch_memory=peer_pb2.FetchMemory(id=id.bytes))
            read = partial(self._read, id, room, peer)
            return await self._fetcher.ask(peer, room, request, timeout_s, read)

        found, why_not = await self._fetcher.first(
            self._fetcher.everybody(),
            fetch,
            lambda memory: _is_verified(memory) and not memory.truncated,
            timeout_s,
        )
        if found:
            return max(found, key=preference)
        raise NotFound(
            f"memory {id} is not on this machine ({why_not}); "
            "list_memories and search_memory show the ids there are"
        )

    async def _read(
        self,
        id: MemoryId,
        room: RoomName,
        peer: EndpointId,
        replies: Sequence[peer_pb2.PeerReply],
    ) -> Memory:
        frames = [reply.memory_part for reply in replies]
        admitted = await self._rooms.admit(room, frames[0].proof if frames else b"", peer)
        memory = received_memory(admitted, self._rooms, self._clock.wall_ms())
        if memory.entry.id != id:
            raise WireError("it gave another memory than it was asked for")
        content = content_of(frames)
        return with_content(memory, content) if content else memory


def preference(memory: Memory | MemoryHead) -> tuple[bool, bool, int]:
    """Return a sort key: of several memories with one id, the greatest is the one that is meant.

    A verified memory is preferred, then a complete one, then the one that came first: only somebody
    who means harm copies the id of another memory, and takes no place by naming a later time.
    """
    return _is_verified(memory), not memory.truncated, -memory.received_at_ms


def _is_verified(memory: Memory | MemoryHead) -> bool:
    return memory.verified is not Verified.UNVERIFIED

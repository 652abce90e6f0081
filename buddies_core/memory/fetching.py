"""Contents too long for a broadcast, and memories that are elsewhere: asked of members."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from buddies_core.asking.completion import members_to_ask
from buddies_core.clock import Clock
from buddies_core.errors import BuddiesError, NotFound, TimedOut, WireError
from buddies_core.memory.copies import claimed_author, received_memory, with_content
from buddies_core.memory.ports import AskPort, RoomsPort
from buddies_core.memory.question import reason_of
from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId, MemoryId, RoomName, short
from buddies_core.model.memory import Memory, MemoryHead
from buddies_core.pb import peer_pb2

MEMBERS_ASKED_MAX = 64
PART_BYTES = 128 << 10
"""Of a content, in one frame of at most 256 KiB."""
BACKGROUND_ASK_S = 30.0
"""For 1 MiB over a slow line."""

_log = logging.getLogger(__name__)


def memory_parts(memory: Memory) -> list[peer_pb2.PeerReply]:
    """Return the frames that bring a memory to a peer: its proof, then what the proof lacks."""
    parts = [peer_pb2.MemoryPart(proof=memory.proof)]
    if memory.whole is not None and not memory.truncated:
        content = memory.entry.content.encode()
        parts += [
            peer_pb2.MemoryPart(content=content[start : start + PART_BYTES])
            for start in range(0, len(content), PART_BYTES)
        ]
    return [peer_pb2.PeerReply(memory_part=part) for part in parts]


class Fetcher:
    """Asks members for memories."""

    def __init__(
        self, rooms: RoomsPort, network: AskPort, clock: Clock, counters: Counter[str]
    ) -> None:
        self._rooms = rooms
        self._network = network
        self._clock = clock
        self._counters = counters

    def holders(self, memory: Memory) -> tuple[EndpointId, ...]:
        """Return who may have all of it and is present: its author first."""
        author = claimed_author(memory.entry)
        members = members_to_ask(self._rooms, memory.entry.room)
        return tuple(sorted(members, key=lambda member: member != author))

    async def whole(self, memory: Memory, timeout_s: float, one_peer_s: float) -> Memory:
        """Return the memory with all of its content, from the first holder that gives it.

        Raises:
            NotFound: nobody present could give it; the text says who was asked.
        """
        failures: list[str] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                for peer in self.holders(memory):
                    try:
                        return await self.whole_of(peer, memory, one_peer_s)
                    except BuddiesError as error:
                        failures.append(f"{self._rooms.name_of(peer)}: {reason_of(error)}")
        raise NotFound(
            f"the rest of memory {memory.entry.id} is not on this machine, and no member gave it "
            f"({'; '.join(failures) or 'none is present'}); try again when {memory.author_name} "
            "is there"
        )

    async def whole_of(self, peer: EndpointId, memory: Memory, timeout_s: float) -> Memory:
        """Return the memory with all of its content, as this peer has it.

        Raises:
            BuddiesError: it has not, did not answer, or gave something else.
        """
        try:
            request = peer_pb2.FetchMemory(key=memory.key)
            replies = await self._ask(peer, memory.entry.room, request, timeout_s)
            return with_content(memory, _content(replies))
        except BuddiesError as error:
            self._note(peer, error)
            raise

    async def by_id(self, id: MemoryId, timeout_s: float) -> Memory:
        """Return a memory that is not here, from any member of any joined room.

        The first that is verified is taken at once; one that is not, if no other turns up in time.

        Raises:
            NotFound: nobody gave it; the text says who was asked.
        """
        found: list[Memory] = []
        failures: list[str] = []
        answered: set[EndpointId] = set()

        async def ask(room: RoomName, peer: EndpointId) -> None:
            try:
                request = peer_pb2.FetchMemory(id=id.bytes)
                replies = await self._ask(peer, room, request, timeout_s)
                memory = await self._memory(room, peer, replies)
                if memory.entry.id != id:
                    raise WireError("it gave another memory than it was asked for")
                found.append(memory)
            except NotFound:
                answered.add(peer)
            except BuddiesError as error:
                self._note(peer, error)
                failures.append(f"{self._rooms.name_of(peer)}: {reason_of(error)}")

        targets = [
            (room, peer)
            for room in self._rooms.joined()
            for peer in members_to_ask(self._rooms, room)
        ][:MEMBERS_ASKED_MAX]
        async with asyncio.TaskGroup() as group:
            asking = {group.create_task(ask(room, peer)) for room, peer in targets}
            while asking and not any(map(_is_verified, found)):
                _, asking = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            for task in asking:
                task.cancel()
        if found:
            return max(found, key=preference)
        said = [f"present members without it: {len(answered)}"] if answered else []
        said += [f"not given by {failure}" for failure in failures]
        raise NotFound(
            f"memory {id} is not on this machine ({'; '.join(said) or 'no member is present'}); "
            "list_memories and search_memory show the ids there are"
        )

    async def _ask(
        self, peer: EndpointId, room: RoomName, request: peer_pb2.FetchMemory, timeout_s: float
    ) -> Sequence[peer_pb2.PeerReply]:
        ask = peer_pb2.PeerRequest(fetch_memory=request)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._network.ask(peer, room, ask, timeout_s)
        except TimeoutError:
            raise TimedOut(f"no answer within {timeout_s:g} s") from None

    async def _memory(
        self, room: RoomName, peer: EndpointId, replies: Sequence[peer_pb2.PeerReply]
    ) -> Memory:
        proof = replies[0].memory_part.proof if replies else b""
        admitted = await self._rooms.admit(room, proof, peer)
        memory = received_memory(admitted, self._rooms, self._clock.wall_ms())
        content = _content(replies)
        return with_content(memory, content) if content else memory

    def _note(self, peer: EndpointId, error: BuddiesError) -> None:
        if isinstance(error, WireError):
            self._counters["fetched_memories_rejected"] += 1
        _log.info("fetch_failed peer=%s: %s", short(peer), error)


def preference(memory: Memory | MemoryHead) -> tuple[bool, bool, int]:
    """Return a key by which the greatest of several with one id is the one that is meant.

    One that is verified, then one that is all there, then the newest.
    """
    return _is_verified(memory), not memory.truncated, memory.at_s


def _is_verified(memory: Memory | MemoryHead) -> bool:
    return memory.verified is not Verified.UNVERIFIED


def _content(replies: Sequence[peer_pb2.PeerReply]) -> bytes:
    return b"".join(reply.memory_part.content for reply in replies)

"""Contents too long for a broadcast, and memories that are elsewhere: asked of members."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from buddies_core.clock import Clock
from buddies_core.errors import BuddiesError, NotFound, StoreError, TimedOut, WireError
from buddies_core.memory.copies import claimed_author, received_memory, with_content
from buddies_core.memory.ports import AskPort, RoomsPort
from buddies_core.memory.question import reason_of
from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId, MemoryId, RoomName, short
from buddies_core.model.memory import Memory, MemoryKey
from buddies_core.pb import peer_pb2

MEMBERS_ASKED_MAX = 64
PART_BYTES = 128 << 10
"""Of a content, in one frame of at most 256 KiB."""
FETCHES_AT_ONCE = 4
BACKLOG_MAX = 1000
"""Contents looked at in one round; if none of them can be had now, the next round looks further."""
FAILURES_MAX = 10_000
"""Contents that are remembered as given by nobody; beyond it the first are asked for anew."""
BACKGROUND_ASK_S = 30.0
"""For 1 MiB over a slow line."""
CHECK_EVERY_S = 2.0
RETRY_AFTER_S = 5.0
RETRY_AFTER_S_MAX = 600.0

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
        members = self._direct_members(memory.entry.room)
        return tuple(sorted(members, key=lambda member: member != author))

    async def whole(self, memory: Memory, timeout_s: float, one_peer_s: float) -> Memory:
        """Return the memory with all of its content, from the first holder that gives it.

        Raises:
            NotFound: nobody present could give it; the text says who was asked.
        """
        failures: list[str] = []
        request = peer_pb2.FetchMemory(key=memory.key)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                for peer in self.holders(memory):
                    try:
                        replies = await self._ask(peer, memory.entry.room, request, one_peer_s)
                        return with_content(memory, _content(replies))
                    except BuddiesError as error:
                        failures.append(self._failure(peer, error))
        raise NotFound(
            f"the rest of memory {memory.entry.id} is not on this machine, and no member gave it "
            f"({'; '.join(failures) or 'none is present'}); try again when {memory.author_name} "
            "is there"
        )

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
                failures.append(self._failure(peer, error))

        targets = [
            (room, peer) for room in self._rooms.joined() for peer in self._direct_members(room)
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

    def _direct_members(self, room: RoomName) -> tuple[EndpointId, ...]:
        if room not in self._rooms.joined():
            return ()
        return tuple(
            member.endpoint
            for member in self._rooms.members(room)
            if member.speaks_direct and not member.is_self
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

    def _failure(self, peer: EndpointId, error: BuddiesError) -> str:
        if isinstance(error, WireError):
            self._counters["fetched_memories_rejected"] += 1
        _log.info("fetch_failed peer=%s: %s", short(peer), error)
        return f"{self._rooms.name_of(peer)}: {reason_of(error)}"


def preference(memory: Memory) -> tuple[bool, bool, int]:
    """Return a key by which the greatest of several with one id is the one that is meant.

    One that is verified, then one that is all there, then the newest.
    """
    return _is_verified(memory), not memory.truncated, memory.at_s


def _is_verified(memory: Memory) -> bool:
    return memory.verified is not Verified.UNVERIFIED


def _content(replies: Sequence[peer_pb2.PeerReply]) -> bytes:
    return b"".join(reply.memory_part.content for reply in replies)


@dataclass(frozen=True, slots=True)
class _Failure:
    asked: frozenset[EndpointId]
    times: int
    again_at_s: float


class TruncatedStore(Protocol):
    """Where the memories are that have yet to be completed; see `store.rocks.RocksStore`."""

    def truncated_memories(
        self, limit: int, after: MemoryKey | None = None
    ) -> tuple[MemoryKey, ...]:
        """Return the keys of memories whose content is not all there, in order, after this one."""

    def get_memory(self, key: MemoryKey) -> Memory | None:
        """Return the memory under this key."""


class Completion:
    """Fetches what is truncated on disk, until nothing is. The store is the queue."""

    def __init__(
        self,
        fetcher: Fetcher,
        store: TruncatedStore,
        keep: Callable[[Memory], Awaitable[bool]],
        clock: Clock,
        check_every_s: float = CHECK_EVERY_S,
    ) -> None:
        self._fetcher = fetcher
        self._store = store
        self._keep = keep
        self._clock = clock
        self._check_every_s = check_every_s
        self._work = asyncio.Event()
        self._under_way: set[MemoryKey] = set()
        self._failures: dict[MemoryKey, _Failure] = {}
        self._after: MemoryKey | None = None
        """What the next round begins behind."""

    def wake(self) -> None:
        """Look at once for contents that are to be fetched."""
        self._work.set()

    async def run(self) -> None:
        """Fetch until cancelled.

        What nobody gave is asked for again, ever more seldom, and at once when a member is present
        that has not been asked.
        """
        async with asyncio.TaskGroup() as group:
            while True:
                self._work.clear()
                try:
                    is_more = self._begin_some(group)
                except StoreError as error:
                    _log.warning("contents_not_looked_for: %s", error)
                    is_more = True
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._check_every_s if is_more else None):
                        await self._work.wait()

    def _begin_some(self, group: asyncio.TaskGroup) -> bool:
        """Begin to fetch what is due, as much as goes at once; return whether anything is left."""
        after, self._after = self._after, None
        keys = self._store.truncated_memories(BACKLOG_MAX, after)
        for key in keys:
            if len(self._under_way) < FETCHES_AT_ONCE and key not in self._under_way:
                self._begin(key, group)
        if len(self._under_way) == FETCHES_AT_ONCE:
            self._after = after
        elif len(keys) == BACKLOG_MAX:
            # Else so many that nobody can give would keep the others from being asked for.
            self._after = keys[-1]
        return bool(keys) or after is not None

    def _begin(self, key: MemoryKey, group: asyncio.TaskGroup) -> None:
        try:
            memory = self._store.get_memory(key)
        except StoreError:
            return
        holders = frozenset(self._fetcher.holders(memory)) if memory else frozenset()
        failure = self._failures.get(key)
        has_rest = failure and holders <= failure.asked and self._clock.now_s() < failure.again_at_s
        if memory is None or not holders or has_rest:
            return
        self._under_way.add(key)
        group.create_task(self._fetch(memory, holders))

    async def _fetch(self, memory: Memory, holders: frozenset[EndpointId]) -> None:
        try:
            whole = await self._fetcher.whole(
                memory, BACKGROUND_ASK_S * len(holders), BACKGROUND_ASK_S
            )
            await self._keep(whole)
            self._failures.pop(memory.key, None)
            _log.info("content_fetched memory=%s", memory.entry.id)
        except NotFound as error:
            _log.info("content_missing: %s", error)
            self._rest(memory.key, holders)
        except StoreError as error:
            _log.warning("content_not_kept memory=%s: %s", memory.entry.id, error)
            self._rest(memory.key, holders)
        finally:
            self._under_way.discard(memory.key)
            self._work.set()

    def _rest(self, key: MemoryKey, asked: frozenset[EndpointId]) -> None:
        failure = self._failures.get(key)
        times = failure.times + 1 if failure else 1
        pause_s = min(RETRY_AFTER_S_MAX, RETRY_AFTER_S * 2 ** (times - 1))
        self._failures.pop(key, None)
        if len(self._failures) >= FAILURES_MAX:
            del self._failures[next(iter(self._failures))]
        self._failures[key] = _Failure(asked, times, self._clock.now_s() + pause_s)

"""One exchange with one member: both end up with the same items of a room.

This node compares its items with the member's, message by message (`reconcile`), and after each
message fetches what it lacks and gives what the member lacks. So nothing is lost when an exchange
breaks off: the next one skips the parts that are equal by then, and so continues where it stopped.

A member may lie. It can only make this node send some messages in vain: rounds, bytes and
time are bounded, and a member that breaks the rules is dropped and not asked again for a while.
"""

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from buddies_core.clock import Clock
from buddies_core.errors import Busy, StoreError, TimedOut, WireError
from buddies_core.history.answering import ITEMS_ASKED_MAX, MESSAGE_BYTES_MAX
from buddies_core.history.items import ItemSet
from buddies_core.history.ports import RoomsPort, StorePort
from buddies_core.history.reconcile import begin_briefly, learn
from buddies_core.history.refusals import Refusals
from buddies_core.history.taking import Taker
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.item import Bound, Item
from buddies_core.pb import peer_pb2
from buddies_core.pb.peer_pb2 import PeerReply, PeerRequest

ASK_TIMEOUT_S = 30.0
"""A member needs seconds for the first comparison of a large set."""
EXCHANGE_S_MAX = 600.0
ROUNDS_MAX = 1000
IDLE_ROUNDS_MAX = 24
"""The most rounds without a new item on either side. A million items are cut down to lists in 5;
more are needed only where many of the differing items are refused."""
BYTES_MAX = 256 << 20
"""The most bytes of items in one exchange, either way. The rest is left for the next one."""
BYTES_PER_S = 8 << 20
"""The bandwidth that history may use, so that memories and searches can go on beside it."""
GIVEN_BYTES = 96 << 10
"""The size of the proofs in one request, which has at most 128 KiB."""
UNDELIVERED_MAX = 256
"""The most items that a member may promise and not give. It may have deleted some meanwhile."""
LACKING_MAX = 1000
"""The most items noted as lacking at a member; any more are not noted one by one."""

_log = logging.getLogger(__name__)


class MemberLied(WireError):
    """The member breaks the rules of the exchange, and is dropped."""


@dataclass(slots=True)
class Progress:
    """The progress of an exchange."""

    room: RoomName
    peer: EndpointId
    received: int = 0
    """How many items were fetched, whether they are kept or not."""
    expected: int = 0
    """How many items this node lacks, as far as is known."""
    given: int = 0
    rounds: int = 0
    item_bytes: int = 0
    lacking: set[bytes] = field(default_factory=set)
    """Ids of our items that the member does not have, and has not taken."""
    undelivered: int = 0
    is_cut_short: bool = False
    """Whether much is left for the next exchange."""
    is_complete: bool = False
    """Whether the member is known to have all of our items except those in `lacking`."""


class Exchanger:
    """Carries out exchanges."""

    def __init__(
        self,
        *,
        store: StorePort,
        rooms: RoomsPort,
        taker: Taker,
        refusals: Refusals,
        clock: Clock,
        counters: Counter[str],
    ) -> None:
        self._store = store
        self._rooms = rooms
        self._taker = taker
        self._refusals = refusals
        self._clock = clock
        self._counters = counters
        self._under_way: set[tuple[RoomName, bytes]] = set()
        """The items being fetched: no other member is asked for them at the same time."""

    async def run(self, progress: Progress, since: Bound) -> None:
        """Make both sides equal, from `since` on, and record the progress in `progress`.

        Raises:
            MemberLied: the member breaks the rules.
            BuddiesError: it did not answer, or it or our disk refused. Items already kept stay.
        """
        try:
            async with asyncio.timeout(EXCHANGE_S_MAX):
                await self._run(progress, since)
        except TimeoutError:
            if not (progress.received or progress.given):
                raise TimedOut(f"nothing was exchanged in {EXCHANGE_S_MAX:g} s") from None
            progress.is_cut_short = True

    async def _run(self, progress: Progress, since: Bound) -> None:
        items = self._store.items(progress.room)
        message: bytes | None = await self._store.read(partial(begin_briefly, items, since))
        idle, wants_all = 0, True
        while message is not None:
            before = progress.received + progress.given
            reply = await self._reconcile(progress, message, since)
            # The member does not say whether it has the items that it does not want.
            wants_all = wants_all and not reply.wanted_since_ms
            if not progress.expected:
                progress.expected = max(0, reply.count - len(items))
            try:
                learned = await self._store.read(
                    partial(learn, items, reply.message, MESSAGE_BYTES_MAX)
                )
            except WireError as error:
                raise MemberLied(f"its message can't be read: {error}") from error
            await self._fetch(progress, learned.theirs_alone)
            await self._give(progress, items, learned.ours_alone, reply.wanted_since_ms)
            message = learned.reply
            progress.rounds += 1
            idle = 0 if progress.received + progress.given > before else idle + 1
            if progress.rounds >= ROUNDS_MAX or idle >= IDLE_ROUNDS_MAX:
                raise MemberLied(f"it has not come to an end in {progress.rounds} rounds")
            if progress.item_bytes > BYTES_MAX:
                progress.is_cut_short = True
                return
        progress.is_complete = wants_all and len(progress.lacking) < LACKING_MAX

    async def _reconcile(
        self, progress: Progress, message: bytes, since: Bound
    ) -> peer_pb2.Reconciled:
        asked = peer_pb2.Reconcile(message=message, since_ms=since.at_ms)
        request = PeerRequest(reconcile=asked)
        [reply, *_] = await self._ask(progress, request)
        if not reply.HasField("reconciled") or len(reply.reconciled.message) > MESSAGE_BYTES_MAX:
            raise MemberLied("its answer is not one to what it was asked")
        return reply.reconciled

    async def _fetch(self, progress: Progress, ids: Sequence[bytes]) -> None:
        """Fetch the items that this node lacks, unless refused lately or already being fetched."""
        room, peer, now_s = progress.room, progress.peer, self._clock.now_s()
        wanted = [
            id
            for id in dict.fromkeys(ids)
            if not self._refusals.has(room, id, peer, now_s) and (room, id) not in self._under_way
        ]
        progress.expected = max(progress.expected, progress.received + len(wanted))
        for start in range(0, len(wanted), ITEMS_ASKED_MAX):
            some = wanted[start : start + ITEMS_ASKED_MAX]
            keys = {(room, id) for id in some}
            self._under_way |= keys
            try:
                await self._fetch_some(progress, some)
            finally:
                self._under_way -= keys

    async def _fetch_some(self, progress: Progress, ids: Sequence[bytes]) -> None:
        began_s = self._clock.now_s()
        request = PeerRequest(fetch_items=peer_pb2.FetchItems(ids=ids))
        replies = await self._ask(progress, request)
        proofs = {
            hashlib.sha256(proof).digest(): proof
            for reply in replies
            for proof in reply.items.proofs
        }
        if not proofs.keys() <= set(ids):
            raise MemberLied("it gave other items than it was asked for")
        for id in set(ids) - proofs.keys():
            progress.undelivered += 1
            self._refusals.add(
                progress.room, id, began_s, brought_by=progress.peer, only_of=progress.peer
            )
        if progress.undelivered > UNDELIVERED_MAX:
            raise MemberLied("it does not give what it says it has")
        taken = await self._taker.take(progress.room, progress.peer, list(proofs.values()))
        progress.received += len(proofs)
        if taken.lies:
            raise MemberLied("it gave items that their authors have not signed for this room")
        await self._pause(progress, sum(map(len, proofs.values())), began_s)

    async def _give(
        self, progress: Progress, items: ItemSet, alone: Sequence[Item], wanted_since_ms: int
    ) -> None:
        """Give the items that the member lacks and wants, except those it refused lately."""
        room, peer, now_s = progress.room, progress.peer, self._clock.now_s()
        room_left = max(0, LACKING_MAX - len(progress.lacking))
        progress.lacking.update(item.id for item in alone[:room_left])
        wanted = [
            item.id
            for item in alone
            if item.at_ms >= wanted_since_ms and not self._refusals.has(room, item.id, peer, now_s)
        ]
        for start in range(0, len(wanted), ITEMS_ASKED_MAX):
            some = wanted[start : start + ITEMS_ASKED_MAX]
            proofs = await self._store.read(partial(_read, items, some))
            for given in _in_requests(proofs):
                try:
                    await self._give_some(progress, given)
                except Busy:
                    # It will take the rest another time.
                    self._counters["history_given_too_much_to_peer"] += 1
                    return

    async def _give_some(self, progress: Progress, proofs: dict[bytes, bytes]) -> None:
        began_s = self._clock.now_s()
        request = PeerRequest(give_items=peer_pb2.GiveItems(proofs=proofs.values()))
        replies = await self._ask(progress, request)
        refused = {id for reply in replies for id in reply.items_taken.refused}
        for id in refused & proofs.keys():
            self._refusals.add(
                progress.room, id, began_s, brought_by=progress.peer, only_of=progress.peer
            )
        taken = proofs.keys() - refused
        progress.lacking -= taken
        progress.given += len(taken)
        await self._pause(progress, sum(map(len, proofs.values())), began_s)

    async def _ask(self, progress: Progress, request: PeerRequest) -> Sequence[PeerReply]:
        return await self._rooms.ask(progress.peer, progress.room, request, ASK_TIMEOUT_S)

    async def _pause(self, progress: Progress, size: int, began_s: float) -> None:
        """Pause long enough to leave other traffic its share of the line."""
        progress.item_bytes += size
        took_s = self._clock.now_s() - began_s
        await asyncio.sleep(max(0.0, size / BYTES_PER_S - took_s))


def _read(items: ItemSet, ids: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return those of the proofs with these ids that can be read."""
    proofs = {}
    for id in ids:
        try:
            proof = items.read(id)
        except StoreError as error:
            _log.warning("item_not_read: %s", error)
            continue
        if proof is not None:
            proofs[id] = proof
    return proofs


def _in_requests(proofs: dict[bytes, bytes]) -> Iterator[dict[bytes, bytes]]:
    """Yield the proofs in portions that each fit into one request."""
    some: dict[bytes, bytes] = {}
    size = 0
    for id, proof in proofs.items():
        if some and size + len(proof) > GIVEN_BYTES:
            yield some
            some, size = {}, 0
        some[id] = proof
        size += len(proof)
    if some:
        yield some

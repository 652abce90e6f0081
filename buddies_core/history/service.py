"""The history of the rooms: runs the exchanges with members, and reports their progress."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from random import Random

from buddies_core.asking.members import endpoints_to_ask
from buddies_core.clock import Clock
from buddies_core.errors import BuddiesError, Busy
from buddies_core.history.answering import Answering
from buddies_core.history.exchange import Exchanger, MemberLied, Progress
from buddies_core.history.ports import (
    LegacyPort,
    MemoriesPort,
    RoomsPort,
    SkillsPort,
    StorePort,
)
from buddies_core.history.refusals import Refusals
from buddies_core.history.schedule import Schedule
from buddies_core.history.taking import Taker
from buddies_core.memory.receipts import Receipts
from buddies_core.model.ids import EndpointId, RoomName, short
from buddies_core.model.item import BEGIN, END, Bound
from buddies_core.model.room import CatchingUp, KeptHistory
from buddies_core.pb.peer_pb2 import PeerReply, PeerRequest

LOOK_EVERY_S = 5.0
NEIGHBOR_WITHIN_S = 2.0
FIRST_ANSWER_S = 1.0
"""How long a join waits to report what is being fetched."""
ASKED_LATELY_S = 10.0
"""A neighbor that compared its items with ours this recently need not be asked to."""

_log = logging.getLogger(__name__)


class History:
    """Keeps the history of this node's rooms complete. One event loop owns this."""

    def __init__(
        self,
        *,
        store: StorePort,
        rooms: RoomsPort,
        memories: MemoriesPort,
        skills: SkillsPort,
        legacy: LegacyPort | None,
        clock: Clock,
        rng: Random,
        counters: Counter[str],
        receipts: Receipts,
    ) -> None:
        self._store = store
        self._rooms = rooms
        self._clock = clock
        self._counters = counters
        self._receipts = receipts
        self._refusals = Refusals()
        self._revision = rooms.policy_revision()
        taker = Taker(
            store=store,
            rooms=rooms,
            memories=memories,
            skills=skills,
            legacy=legacy,
            refusals=self._refusals,
            clock=clock,
            counters=counters,
        )
        self._answering = Answering(
            store=store,
            taker=taker,
            wanted_since=self._wanted_since,
            clock=clock,
            counters=counters,
        )
        self._exchanger = Exchanger(
            store=store,
            rooms=rooms,
            taker=taker,
            refusals=self._refusals,
            clock=clock,
            counters=counters,
        )
        self._schedule = Schedule(rng)
        self._under_way: list[Progress] = []
        self._asked: dict[tuple[RoomName, EndpointId], float] = {}
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Exchange until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_around())
            while True:
                self._wake.clear()
                now_s = self._clock.now_s()
                if self._store.items_complete:
                    for room, peer in self._schedule.start(now_s):
                        group.create_task(self._exchange(room, peer))
                # A due exchange that can't begin waits until another ends, which wakes this.
                due_s = self._schedule.next_s(now_s)
                pause_s = LOOK_EVERY_S if due_s is None else due_s - now_s
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(pause_s, LOOK_EVERY_S)):
                        await self._wake.wait()

    # Events

    def neighbor_up(self, room: RoomName, peer: EndpointId) -> None:
        """Have the history compared with that of a neighbor that has come up."""
        if room not in self._rooms.joined():
            return  # The room is being joined: see `joined`.
        within_s = NEIGHBOR_WITHIN_S if len(self._store.items(room)) else 0.0
        self._schedule.neighbor_up(room, peer, self._clock.now_s(), within_s)
        self._wake.set()

    async def joined(self, room: RoomName) -> tuple[CatchingUp, ...]:
        """Have the history compared of a room that this node has just joined.

        Returns what is being fetched as soon as that is known; nothing if that takes too long.
        """
        self._compare_again((room,))
        until_s = self._clock.now_s() + FIRST_ANSWER_S
        while not (found := self.catching_up(room)) and self._clock.now_s() < until_s:
            if not self._schedule.is_wanted(room):
                break  # Nobody is present, or nothing is missing.
            await asyncio.sleep(0.02)  # an exchange reports its steps only in its progress
        return found

    def _compare_again(self, rooms: Sequence[RoomName]) -> None:
        """Have the history of these rooms compared: this node may have missed something."""
        self._schedule.all_again(self._members, rooms, self._clock.now_s())
        self._wake.set()

    async def answer(
        self, caller: EndpointId, room: RoomName, request: PeerRequest
    ) -> list[PeerReply]:
        """Return the reply to a member that compares its history with ours.

        Raises:
            InvalidInput: its request makes no sense.
            Busy: it asks too much, or this node is not ready for it.
            BuddiesError: the disk refused.
        """
        if not self._store.items_complete:
            raise Busy("this node is still bringing its store up to date; try again in a minute")
        if request.HasField("reconcile"):
            if request.reconcile.since_ms <= self._wanted_since(room).at_ms:
                self._note_asked(room, caller)
            return await self._answering.reconcile(room, request.reconcile)
        if request.HasField("fetch_items"):
            return await self._answering.fetch(room, request.fetch_items)
        return await self._answering.take(room, caller, request.give_items)

    # Progress

    def catching_up(self, room: RoomName | None = None) -> tuple[CatchingUp, ...]:
        """Return the exchanges that are fetching something, in this room or in all."""
        return tuple(
            CatchingUp(
                room=it.room,
                name=self._rooms.name_of(it.peer),
                received=it.received,
                expected=it.expected,
            )
            for it in self._under_way
            if room in (None, it.room) and it.expected > it.received
        )

    async def _look_around(self) -> None:
        moves = self._rooms.moves
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if moves != (moves := self._rooms.moves):
                self._compare_again(self._rooms.joined())
            self._schedule.take_turns(self._members, self._rooms.joined(), self._clock.now_s())
            if self._revision != (revision := self._rooms.policy_revision()):
                self._revision = revision
                self._refusals.clear()
            self._wake.set()

    async def _exchange(self, room: RoomName, peer: EndpointId) -> None:
        if self._was_asked_lately(room, peer):
            self._schedule.ended(room, peer, self._clock.now_s())
            return
        progress = Progress(room, peer)
        self._under_way.append(progress)
        try:
            since, began = self._wanted_since(room), self._receipts.now()
            if since != END:
                await self._exchanger.run(progress, since)
        except MemberLied as error:
            self._counters["history_members_dropped"] += 1
            _log.warning("history_member_dropped peer=%s room=%s: %s", short(peer), room, error)
            self._failed(room, peer, lied=True)
        except BuddiesError as error:
            self._counters["history_exchanges_failed"] += 1
            _log.info("history_exchange_failed peer=%s room=%s: %s", short(peer), room, error)
            self._failed(room, peer, lied=False)
        except Exception:  # noqa: BLE001 - one bad peer
            self._counters["bugs"] += 1
            _log.exception("history_exchange_met_bug room=%s", room)
            self._failed(room, peer, lied=False)
        else:
            self._counters["history_exchanges"] += 1
            if progress.is_complete and since == BEGIN:
                self._receipts.compared(room, peer, began, frozenset(progress.lacking))
            self._schedule.ended(room, peer, self._clock.now_s(), again=progress.is_cut_short)
        finally:
            self._under_way.remove(progress)
            self._wake.set()

    def _failed(self, room: RoomName, peer: EndpointId, *, lied: bool) -> None:
        others = self._members(room)
        self._schedule.failed(room, peer, others, self._clock.now_s(), lied=lied)

    def _members(self, room: RoomName) -> tuple[EndpointId, ...]:
        return endpoints_to_ask(self._rooms, room)

    def _wanted_since(self, room: RoomName) -> Bound:
        """Return the bound from which items are wanted; raises NotFound if the room was left."""
        kept, joined_at_ms = self._rooms.history_of(room)
        match kept:
            case KeptHistory.ALL:
                return BEGIN
            case KeptHistory.SINCE_JOIN:
                return Bound(joined_at_ms)
            case KeptHistory.NONE:
                return END

    def _note_asked(self, room: RoomName, peer: EndpointId) -> None:
        now_s = self._clock.now_s()
        self._asked = {
            it: at_s for it, at_s in self._asked.items() if at_s > now_s - ASKED_LATELY_S
        }
        self._asked[room, peer] = now_s

    def _was_asked_lately(self, room: RoomName, peer: EndpointId) -> bool:
        asked_s = self._asked.get((room, peer))
        return asked_s is not None and asked_s > self._clock.now_s() - ASKED_LATELY_S

"""The tasks that this node was asked to do: kept on disk at each change, in memory while they last.

    offered ──▶ claimed ──▶ submitted ──▶ done
       ▲         │   └────▶ lost ───┘         lost and done may be offered again
       └─────────┴─ returning

`claiming`, `working` and `tending` change their states; this module stores them and knows which
agents may do them.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from uuid import UUID
from weakref import WeakValueDictionary

from buddies_core.clock import Clock
from buddies_core.errors import Busy
from buddies_core.model.ids import EndpointId, RoomName, TaskId
from buddies_core.model.task import PERSON, Caller, TaskOrder
from buddies_core.store.task_records import OfferRecord, OfferState
from buddies_core.tasks.eligibility import agent_may, is_in_room
from buddies_core.tasks.ports import RoomsPort, StorePort
from buddies_core.tasks.waiting import Signal, Signals

WAITING_MAX = 1000
WAITING_PER_PEER_MAX = 100
KEPT_MS = 7 * 24 * 3600 * 1000
OFFER_SLACK_S = 60.0
"""How long after its end an offer is forgotten: its requester decides when it ends, and messages
take time."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Held:
    """A task in the inbox, and what this run of the daemon knows of it."""

    record: OfferRecord
    until_s: float
    """The time at which an unclaimed offer is forgotten."""
    holder: UUID | None = None
    """The attached agent that claimed it; None for a person, or if the agent has gone."""
    idle_since_s: float | None = None
    """The time since which no agent works on it: its agent has gone, or has yet to be told."""
    shown: bool = False
    """Whether a poll has returned it as claimed."""
    shown_to: UUID | None = None
    """The attached agent whose poll returned it; None for a person, or before this run."""
    in_answer: bool = False
    """Whether a poll in progress is about to return it as claimed."""
    claiming: bool = False
    """Whether a lease is being requested."""
    not_before_s: float = 0.0
    """The time before which its requester is not asked for a lease again."""
    offered_again: bool = False
    """Whether an offer came while it was being given back."""
    progress: str = ""
    unsent_progress: str | None = None
    finish_by_s: float | None = None
    wake: asyncio.Event | None = None

    @property
    def id(self) -> TaskId:
        """The id of the task."""
        return self.record.order.id

    def woken(self) -> None:
        """Have its tending task look at it now."""
        if self.wake is not None:
            self.wake.set()


class Inbox:
    """The tasks that this node's agents could do or are doing. One event loop owns this."""

    def __init__(
        self, store: StorePort, rooms: RoomsPort, endpoint: EndpointId, clock: Clock
    ) -> None:
        self._store = store
        self._rooms = rooms
        self._endpoint = endpoint
        self._clock = clock
        self._held: dict[TaskId, Held] = {}
        self._locks: WeakValueDictionary[TaskId, asyncio.Lock] = WeakValueDictionary()
        self.arrived = Signal()
        """Given when a task becomes claimable, or stops being so."""
        self.changed = Signals()

    async def load(self) -> None:
        """Load the tasks on disk. Agents that were attached before no longer are."""
        now_s, wall_ms = self._clock.now_s(), self._clock.wall_ms()
        for record in await self._store.offers():
            if record.state is not OfferState.DONE:
                away_s = max(0, wall_ms - record.changed_at_ms) / 1000
                held = self._held[record.order.id] = self._new(record, now_s - away_s)
                if record.state is OfferState.CLAIMED:
                    held.shown = True
                    held.idle_since_s = None if record.agent == PERSON.agent else now_s
                    if record.legacy:
                        held.finish_by_s = now_s - away_s + record.order.limits.finish_s

    def all(self) -> tuple[Held, ...]:
        """Return the unfinished tasks, in the order they came."""
        return tuple(self._held.values())

    def get(self, id: TaskId) -> Held | None:
        """Return the task if it is unfinished."""
        return self._held.get(id)

    def find(self, id: TaskId) -> OfferRecord | None:
        """Return a task, whether or not it is finished.

        Raises:
            StoreError: its record is damaged.
        """
        held = self._held.get(id)
        return held.record if held else self._store.get_offer(id)

    def visible(self, caller: Caller, room: RoomName | None) -> Iterator[Held]:
        """Yield the tasks that this caller could claim, oldest first."""

        @cache
        def is_there(name: RoomName) -> bool:
            return is_in_room(self._rooms.members(name), caller.agent)

        joined = self._rooms.joined()
        for held in self._held.values():
            record = held.record
            if (
                record.state is OfferState.OFFERED
                and not held.claiming
                and room in (None, record.order.room)
                and record.order.room in joined
                and is_there(record.order.room)
                and caller.agent not in record.rejected_by
                and agent_may(record.order, self._endpoint, caller.agent, caller.capabilities)
            ):
                yield held

    def check_room(self, requester: EndpointId) -> None:
        """Return if one more task of this requester may wait here.

        Raises:
            Busy: too many wait already.
        """
        waiting = [held for held in self._held.values() if held.record.state is OfferState.OFFERED]
        if len(waiting) >= WAITING_MAX:
            raise Busy(f"{WAITING_MAX} tasks wait at this node, which is the most")
        of_peer = sum(held.record.order.requester == requester for held in waiting)
        if of_peer >= WAITING_PER_PEER_MAX:
            raise Busy(f"{WAITING_PER_PEER_MAX} of your tasks wait at this node, which is the most")

    @asynccontextmanager
    async def lock(self, id: TaskId) -> AsyncIterator[None]:
        """Keep everyone else from changing this task while the block runs."""
        async with self._locks.setdefault(id, asyncio.Lock()):
            yield

    async def put(self, record: OfferRecord) -> Held:
        """Store a task and wake the callers that wait for it. The caller holds its lock.

        On return it is on disk.

        Raises:
            StoreError: the disk refused; nothing has changed.
        """
        record = replace(record, changed_at_ms=self._clock.wall_ms())
        await self._store.put_offer(record)
        held = self._held.get(record.order.id)
        if held is None:
            held = self._new(record, self._clock.now_s())
        held.record = record
        if record.state is OfferState.DONE:
            self._held.pop(held.id, None)
        else:
            self._held[held.id] = held
        self._tell(held)
        return held

    def refresh(self, held: Held, order: TaskOrder) -> None:
        """Extend or shorten an offer to the time that its requester gives now."""
        held.until_s = self._clock.now_s() + order.limits.start_s + OFFER_SLACK_S
        held.not_before_s = 0.0

    async def forget(self, id: TaskId) -> None:
        """Forget a task completely. The caller holds its lock."""
        await self._store.delete_offer(id)
        held = self._held.pop(id, None)
        if held is not None:
            self._tell(held)

    async def forget_ended(self) -> None:
        """Forget offers that nobody claimed in time."""
        for held in self.all():
            async with self.lock(held.id):
                is_over = held.until_s <= self._clock.now_s()
                if is_over and held.record.state is OfferState.OFFERED and not held.claiming:
                    await self.forget(held.id)

    async def forget_old(self) -> None:
        """Forget tasks that were finished seven days ago."""
        oldest_ms = self._clock.wall_ms() - KEPT_MS
        for record in await self._store.offers():
            if record.changed_at_ms < oldest_ms:
                async with self.lock(record.order.id):
                    await self.forget(record.order.id)

    def _new(self, record: OfferRecord, written_s: float) -> Held:
        until_s = written_s + record.order.limits.start_s + OFFER_SLACK_S
        return Held(record=record, until_s=until_s)

    def _tell(self, held: Held) -> None:
        held.woken()
        self.arrived.give()
        self.changed.give(held.id)

"""Claims tasks for this node's agents: each is leased and on disk before a poll returns it.

A claim belongs to an agent's name, so an agent that comes back finds it again. Claims whose agent
has gone, and those that a poll made but could not return, are given back after half a minute.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

from buddies_core.clock import Clock
from buddies_core.errors import BuddiesError, InvalidInput, NotAllowed, NotFound, StoreError
from buddies_core.model.bodies import AgentPresence
from buddies_core.model.ids import RoomName
from buddies_core.model.task import WAIT_S_MAX, Caller, TaskView
from buddies_core.pb.peer_pb2 import Lease, LeaseTask, PeerRequest
from buddies_core.store.task_records import OfferRecord, OfferState
from buddies_core.tasks import answers
from buddies_core.tasks.asking import Asking
from buddies_core.tasks.inbox import Held, Inbox
from buddies_core.tasks.ports import LegacyPort, RoomsPort
from buddies_core.tasks.tending import Tending
from buddies_core.tasks.views import offered_view
from buddies_core.tasks.waiting import wait_set

LEASE_TIMEOUT_S = 4.0
LOOK_S = 0.5
"""How long a poll may go on asking for leases after its time is up. Its client waits for this
long and for the last lease request."""
COLLECT_S = 5.0
"""How long a poll that has claimed a task may claim further tasks before it returns them all."""
ASK_AGAIN_AFTER_S = 5.0
"""The pause before asking again a requester that could not be asked for a lease."""

_log = logging.getLogger(__name__)


class Claiming:
    """The agents that are attached, and their claims. One event loop owns this."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        tending: Tending,
        asking: Asking,
        rooms: RoomsPort,
        clock: Clock,
        legacy: LegacyPort | None,
    ) -> None:
        self._inbox = inbox
        self._tending = tending
        self._asking = asking
        self._rooms = rooms
        self._clock = clock
        self._legacy = legacy
        self._attached: dict[UUID, AgentPresence] = {}
        self._group: asyncio.TaskGroup | None = None
        self._running = asyncio.Event()

    @property
    def agents(self) -> tuple[AgentPresence, ...]:
        """The agents of this node that are attached now."""
        return tuple(self._attached.values())

    def agent_attached(self, agent: UUID, presence: AgentPresence) -> None:
        """Keep for an agent what it, or another of its name, had claimed."""
        self._attached[agent] = presence
        for held in self._inbox.all():
            is_its_own = held.record.agent == presence.name and self.is_orphan(held)
            if held.record.state is OfferState.CLAIMED and is_its_own:
                held.holder, held.idle_since_s = agent, None
                held.woken()
        self._inbox.arrived.give()

    def agent_detached(self, agent: UUID) -> None:
        """Start the time after which the agent's claims are given back."""
        self._attached.pop(agent, None)
        for held in self._inbox.all():
            if held.holder == agent:
                held.holder, held.idle_since_s = None, self._clock.now_s()
                held.woken()
        # Another agent of that name may have the claims now.
        self._inbox.arrived.give()

    def is_orphan(self, held: Held) -> bool:
        """Return whether the agent that has claimed a task is not attached."""
        return held.holder is None or held.holder not in self._attached

    async def run(self) -> None:
        """Finish claims until cancelled; the poll that began one may be cancelled earlier."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._running.set()
            await asyncio.Event().wait()

    async def poll(
        self,
        caller: Caller,
        room: RoomName | None,
        timeout_s: float,
        limit: int,
        *,
        new_only: bool,
    ) -> tuple[TaskView, ...]:
        """Return tasks that are the caller's now, as soon as there are any; none if time is up.

        Unanswered claims of the agent, or of one of its name that has gone, come first. Those that
        a poll has returned before are marked so. Then further tasks are claimed, up to `limit` in
        all, as far as they fit into one answer.

        `new_only` leaves out tasks that this very caller was told of before, and cuts no
        description. It is for programs, which keep track of their tasks, and for people, several
        of whom may share a machine.

        A task is leased before it is returned. If this is cancelled, the next call returns what it
        has claimed, or it is given back after half a minute.
        """
        deadline_s = self._clock.now_s() + min(timeout_s, WAIT_S_MAX)
        claimed: list[Held] = []
        await self._running.wait()
        try:
            while True:
                arrived = self._inbox.arrived.listen()
                self._take_open_claims(caller, room, new_only, claimed)
                await self._claim_more(caller, room, deadline_s, limit, claimed)
                self._leave_out_lost(claimed)
                now_s = self._clock.now_s()
                left_s = deadline_s - now_s
                if claimed or left_s <= 0:
                    return self._answer(caller, claimed, whole=new_only)
                waiting = self._inbox.visible(caller, room)
                again_s = min((held.not_before_s for held in waiting), default=None)
                if again_s is not None:
                    left_s = min(left_s, max(0.01, again_s - now_s))
                await wait_set(arrived, left_s)
        finally:
            for held in claimed:
                held.in_answer = False

    def _take_open_claims(
        self, caller: Caller, room: RoomName | None, new_only: bool, claimed: list[Held]
    ) -> None:
        """Add the caller's unanswered claims, those it has yet to be told of first."""
        mine = [
            held
            for held in self._inbox.all()
            if held.record.state is OfferState.CLAIMED
            and held.record.agent == caller.agent
            and room in (None, held.record.order.room)
            and (held.holder == caller.agent_id or self.is_orphan(held))
            and not held.in_answer
            and not (new_only and held.shown and held.shown_to == caller.agent_id)
        ]
        for held in sorted(mine, key=lambda held: held.shown):
            held.holder, held.in_answer = caller.agent_id, True
            claimed.append(held)

    async def _claim_more(
        self,
        caller: Caller,
        room: RoomName | None,
        deadline_s: float,
        limit: int,
        claimed: list[Held],
    ) -> None:
        """Claim and add tasks that are available now; look once even if the time is up."""
        now_s = self._clock.now_s()
        until_s = max(deadline_s, now_s + LOOK_S)
        for held in tuple(self._inbox.visible(caller, room)):
            if len(claimed) >= limit or now_s > until_s:
                return
            # Another poll may have been quicker while this one was asking for the last lease.
            is_free = held.record.state is OfferState.OFFERED and not held.claiming
            if is_free and held.not_before_s <= now_s:
                if not answers.fits([*map(self._view, claimed), self._view(held)]):
                    return
                held.in_answer = True
                claimed.append(held)
                if not await self._claim(held, caller):
                    held.in_answer = False
                    claimed.remove(held)
            now_s = self._clock.now_s()
            if claimed:
                until_s = min(until_s, now_s + COLLECT_S)

    def _leave_out_lost(self, claimed: list[Held]) -> None:
        """Remove claims that were lost again while other leases were being requested."""
        for held in tuple(claimed):
            if held.record.state is not OfferState.CLAIMED:
                held.in_answer = False
                claimed.remove(held)

    def _answer(self, caller: Caller, claimed: list[Held], *, whole: bool) -> tuple[TaskView, ...]:
        views = tuple(replace(self._view(held), already_yours=held.shown) for held in claimed)
        if not whole:
            views = answers.fitted(views)
        is_there = caller.agent_id is None or caller.agent_id in self._attached
        for held in claimed[: len(views)]:
            held.shown, held.shown_to = True, caller.agent_id
            if is_there:
                held.idle_since_s = None
        return views

    async def _claim(self, held: Held, caller: Caller) -> bool:
        """Return whether the task is the caller's now: leased, and on disk.

        Cancelling the caller stops nothing, as it could leave a lease that nobody here knows of.
        """
        assert self._group is not None, "it is running"
        held.claiming = True
        return await asyncio.shield(self._group.create_task(self._lease_and_keep(held, caller)))

    async def _lease_and_keep(self, held: Held, caller: Caller) -> bool:
        record = held.record
        try:
            lease = None
            if not record.legacy:
                lease = await self._lease(record, caller)
            return await self._keep_claim(held, record, caller, lease)
        except (NotFound, NotAllowed, InvalidInput) as error:
            _log.info("lease_refused task=%s: %s", held.id, error)
            await self._drop(held, record, str(error))
        except BuddiesError as error:
            _log.info("lease_not_asked task=%s: %s", held.id, error)
            held.not_before_s = self._clock.now_s() + ASK_AGAIN_AFTER_S
        finally:
            held.claiming = False
            if held.record.state is OfferState.OFFERED:
                self._inbox.arrived.give()
        return False

    async def _lease(self, record: OfferRecord, caller: Caller) -> Lease:
        user = caller.user or self._rooms.name_of(self._asking.endpoint)
        ask = LeaseTask(task_id=record.order.id.bytes, agent=caller.agent, user=user)
        lease = await self._asking.ask_for_lease(
            record.order.requester,
            record.order.room,
            PeerRequest(lease_task=ask),
            LEASE_TIMEOUT_S,
        )
        if not lease.attempt:
            raise BuddiesError("the requester's lease has no number")
        return lease

    async def _keep_claim(
        self, held: Held, seen: OfferRecord, caller: Caller, lease: Lease | None
    ) -> bool:
        async with self._inbox.lock(held.id):
            if self._inbox.get(held.id) is not held or held.record != seen:
                return False  # It was withdrawn, so nobody renews the lease.
            claim = replace(
                seen,
                state=OfferState.CLAIMED,
                attempt=lease.attempt if lease else 0,
                agent=caller.agent,
                user=caller.user,
            )
            finish_left_s = lease.finish_left_s if lease else seen.order.limits.finish_s
            now_s = self._clock.now_s()
            held.holder, held.shown, held.idle_since_s = caller.agent_id, False, now_s
            held.progress, held.unsent_progress = "", None
            held.finish_by_s = now_s + finish_left_s
            await self._inbox.put(claim)
        self._tending.start(held)
        if claim.legacy and self._legacy:
            with suppress(BuddiesError):
                await self._legacy.begin(claim.order)
        return True

    async def _drop(self, held: Held, seen: OfferRecord, reason: str) -> None:
        """Forget an invalid offer; if an agent worked on it before, its result may count."""
        try:
            async with self._inbox.lock(held.id):
                if self._inbox.get(held.id) is not held or held.record != seen:
                    return
                if seen.attempt:
                    await self._inbox.put(replace(seen, state=OfferState.LOST, reason=reason))
                else:
                    await self._inbox.forget(held.id)
        except StoreError as error:
            _log.warning("offer_not_forgotten task=%s: %s", held.id, error)

    def _view(self, held: Held) -> TaskView:
        return offered_view(held.record, held, self._asking.endpoint, self._clock.now_s())

"""The worker's side: what this node's agents claim, report, submit and reject.

A claim is an agent's by name: an agent that comes back finds it again. Those without an agent are
kept for half a minute, then given back.
"""

import logging
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

from buddies_core.clock import Clock
from buddies_core.errors import BuddiesError, InvalidInput, NotAllowed, NotFound
from buddies_core.model.bodies import AgentPresence, TaskClaimed
from buddies_core.model.ids import RoomName, TaskId
from buddies_core.model.task import (
    PERSON,
    WAIT_S_MAX,
    Caller,
    SubmitVerdict,
    TaskResult,
    TaskView,
)
from buddies_core.pb.peer_pb2 import Lease, LeaseTask, PeerRequest
from buddies_core.store.task_records import OfferRecord, OfferState
from buddies_core.tasks.asking import Asking
from buddies_core.tasks.inbox import Held, Inbox
from buddies_core.tasks.ports import RoomsPort
from buddies_core.tasks.tending import LEGACY_VERDICT, Tending
from buddies_core.tasks.views import LATE, offered_view
from buddies_core.tasks.waiting import wait_set

LEASE_TIMEOUT_S = 4.0
"""A poll may end so much later than it should, which its client expects."""
ASK_AGAIN_AFTER_S = 5.0
"""A requester that could not be asked for a lease."""
VERDICT_TIMEOUT_S = 5.0
"""Then submitting returns; the result goes on being delivered."""

_log = logging.getLogger(__name__)


class Working:
    """What agents do with the tasks in the inbox. One event loop owns this."""

    def __init__(
        self, *, inbox: Inbox, tending: Tending, asking: Asking, rooms: RoomsPort, clock: Clock
    ) -> None:
        self._inbox = inbox
        self._tending = tending
        self._asking = asking
        self._rooms = rooms
        self._clock = clock
        self._attached: dict[UUID, AgentPresence] = {}

    @property
    def agents(self) -> tuple[AgentPresence, ...]:
        """The agents of this node that are attached now."""
        return tuple(self._attached.values())

    def agent_attached(self, agent: UUID, presence: AgentPresence) -> None:
        """Keep for an agent what it, or one of its name, had claimed."""
        self._attached[agent] = presence
        for held in self._inbox.all():
            is_its_own = held.record.agent == presence.name and self._is_orphan(held)
            if held.record.state is OfferState.CLAIMED and is_its_own:
                held.holder, held.detached_s = agent, None
                held.woken()
        self._inbox.arrived.give()

    def agent_detached(self, agent: UUID) -> None:
        """Begin to count how long the agent's claims have been without it."""
        self._attached.pop(agent, None)
        for held in self._inbox.all():
            if held.holder == agent:
                held.holder, held.detached_s = None, self._clock.now_s()
                held.woken()
        # Another agent of that name may have them now.
        self._inbox.arrived.give()

    async def poll(
        self, caller: Caller, room: RoomName | None, timeout_s: float, limit: int
    ) -> tuple[TaskView, ...]:
        """Return tasks that are the caller's now, as soon as there are any; none if time is up.

        What it returns is leased first. What the caller, or an agent of its name that has gone, had
        claimed and not finished comes first, once. Cancelled, it comes with the next call.
        """
        deadline_s = self._clock.now_s() + min(timeout_s, WAIT_S_MAX)
        while True:
            arrived = self._inbox.arrived.listen()
            claimed = self._unfinished(caller, room)[:limit]
            now_s = self._clock.now_s()
            for held in tuple(self._inbox.visible(caller, room)):
                if len(claimed) >= limit or now_s > deadline_s:
                    break
                # Another poll may have been quicker while this one was asking for the last one.
                is_free = held.record.state is OfferState.OFFERED and not held.claiming
                if is_free and held.not_before_s <= now_s and await self._claim(held, caller):
                    claimed.append(held)
                now_s = self._clock.now_s()
            left_s = deadline_s - now_s
            if claimed or left_s <= 0:
                break
            again_s = min((h.not_before_s for h in self._inbox.visible(caller, room)), default=None)
            if again_s is not None:
                left_s = min(left_s, max(0.01, again_s - now_s))
            await wait_set(arrived, left_s)
        for held in claimed:
            held.shown_to = caller.agent_id
        return tuple(self._view(held.record, held) for held in claimed)

    async def submit(self, id: TaskId, result: TaskResult, caller: Caller) -> SubmitVerdict:
        """Keep a result, deliver it, and return what the requester makes of it if that comes soon.

        The same result again gets the same verdict.

        Raises:
            NotFound: this node was not asked to do that task.
            NotAllowed: the caller has not claimed it, or there is another result already.
            StoreError: the disk refused; nothing is submitted.
        """
        changed = self._inbox.changed.of(id)
        async with self._inbox.lock(id):
            record = self._find(id)
            if record.state in (OfferState.SUBMITTED, OfferState.DONE):
                if record.result != result:
                    raise NotAllowed(
                        f"another result of task {id} was submitted before "
                        f"({record.verdict or 'it is on its way'}); only the first one counts"
                    )
            else:
                self._check_claim(record, caller)
                agent, user = caller.agent, caller.user
                if record.state is OfferState.CLAIMED:
                    agent, user = record.agent or agent, record.user
                record = replace(
                    record, state=OfferState.SUBMITTED, result=result, agent=agent, user=user
                )
                self._tending.start(await self._inbox.put(record))
        deadline_s = self._clock.now_s() + VERDICT_TIMEOUT_S
        while True:
            news = changed.listen()
            record = self._find(id)
            left_s = deadline_s - self._clock.now_s()
            if record.state is not OfferState.SUBMITTED or left_s <= 0:
                return _verdict(record)
            await wait_set(news, left_s)

    async def progress(self, id: TaskId, text: str, caller: Caller) -> TaskView:
        """Tell the requester how a task goes; if it can't be reached it is told later.

        Raises:
            NotFound: this node was not asked to do that task.
            NotAllowed: the caller has not claimed it, or has it no more: it should stop.
        """
        record = self._find(id)
        self._check_claim(record, caller)
        held = self._inbox.get(id)
        if held is None or record.state is not OfferState.CLAIMED:
            raise NotAllowed(
                f"task {id} is not yours any more: {record.reason}; stop working on it"
            )
        held.progress = held.unsent_progress = text
        if record.legacy:
            held.unsent_progress = None
            return self._view(record, held)
        try:
            await self._tending.report(record, text)
        except (NotAllowed, NotFound) as error:
            await self._tending.lose(held, record, str(error))
            raise NotAllowed(
                f"task {id} is not yours any more: {error}; stop working on it"
            ) from error
        except BuddiesError as error:
            _log.info("progress_not_told task=%s: %s", id, error)
            held.woken()
        else:
            if held.unsent_progress == text:
                held.unsent_progress = None
        return self._view(held.record, held)

    async def reject(self, id: TaskId, reason: str, caller: Caller) -> TaskView:
        """Leave a task to others, whether it was claimed or not; the caller is not asked again.

        Raises:
            NotFound: this node was not asked to do that task.
            NotAllowed: somebody else has claimed it, or it is over.
        """
        async with self._inbox.lock(id):
            record = self._find(id)
            if record.state is OfferState.OFFERED:
                held = self._inbox.get(id)
                if held not in tuple(self._inbox.visible(caller, None)):
                    raise NotAllowed(f"task {id} is not offered to {caller.agent}")
            else:
                self._check_claim(record, caller)
                if record.state is not OfferState.CLAIMED:
                    raise NotAllowed(f"task {id} is not yours any more: {record.reason}")
            state = OfferState.OFFERED if record.legacy else OfferState.RETURNING
            rejected_by = (*record.rejected_by, caller.agent)
            record = replace(
                record,
                state=state,
                agent=caller.agent,
                user=caller.user,
                reason=reason,
                rejected_by=rejected_by,
            )
            held = await self._inbox.put(record)
            self._tending.start(held)
        return self._view(replace(record, state=OfferState.RETURNING), held)

    def _unfinished(self, caller: Caller, room: RoomName | None) -> list[Held]:
        """Return claims of this agent's name that it has not been told of."""
        if caller.agent_id is None:
            return []
        found = []
        for held in self._inbox.all():
            record = held.record
            if (
                record.state is OfferState.CLAIMED
                and record.agent == caller.agent
                and room in (None, record.order.room)
                and (held.holder == caller.agent_id or self._is_orphan(held))
                and held.shown_to != caller.agent_id
            ):
                held.holder, held.detached_s = caller.agent_id, None
                found.append(held)
        return found

    def _is_orphan(self, held: Held) -> bool:
        return held.holder is None or held.holder not in self._attached

    async def _claim(self, held: Held, caller: Caller) -> bool:
        """Return whether the task is the caller's now: leased, and on disk."""
        held.claiming = True
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
        reply = await self._asking.ask(
            record.order.requester,
            record.order.room,
            PeerRequest(lease_task=ask),
            LEASE_TIMEOUT_S,
        )
        if not reply.lease.attempt:
            raise BuddiesError("the requester's lease has no number")
        return reply.lease

    async def _keep_claim(
        self, held: Held, seen: OfferRecord, caller: Caller, lease: Lease | None
    ) -> bool:
        async with self._inbox.lock(held.id):
            if self._inbox.get(held.id) is not held or held.record != seen:
                return False  # It was withdrawn, so nobody renews that lease.
            claim = replace(
                seen,
                state=OfferState.CLAIMED,
                attempt=lease.attempt if lease else 0,
                agent=caller.agent,
                user=caller.user,
            )
            finish_left_s = lease.finish_left_s if lease else seen.order.limits.finish_s
            now_s = self._clock.now_s()
            held.holder, held.shown_to = caller.agent_id, None
            is_there = caller.agent_id is None or caller.agent_id in self._attached
            held.detached_s = None if is_there else now_s
            held.progress, held.unsent_progress = "", None
            held.finish_by_s = now_s + finish_left_s
            await self._inbox.put(claim)
        self._tending.start(held)
        if claim.legacy:
            name = self._rooms.name_of(self._asking.endpoint)
            with suppress(BuddiesError):
                await self._rooms.publish(claim.order.room, TaskClaimed(held.id, name))
        return True

    async def _drop(self, held: Held, seen: OfferRecord, reason: str) -> None:
        """Forget an offer that is none; if an agent worked on it before, its result may count."""
        async with self._inbox.lock(held.id):
            if self._inbox.get(held.id) is not held or held.record != seen:
                return
            if seen.attempt:
                await self._inbox.put(replace(seen, state=OfferState.LOST, reason=reason))
            else:
                await self._inbox.forget(held.id)

    def _find(self, id: TaskId) -> OfferRecord:
        record = self._inbox.find(id)
        if record is None:
            raise NotFound(
                f"this machine was not asked to do a task {id}, or it is over and forgotten; "
                "list_tasks shows those there are"
            )
        return record

    def _check_claim(self, record: OfferRecord, caller: Caller) -> None:
        """Return if the caller has claimed the task, or may act for the agent that had."""
        held = self._inbox.get(record.order.id)
        is_orphan = held is not None and self._is_orphan(held) and record.agent != PERSON.agent
        has_it = caller.agent == record.agent
        match record.state:
            case OfferState.CLAIMED if has_it or is_orphan:
                return
            case OfferState.OFFERED | OfferState.LOST if has_it and record.attempt:
                return
            case OfferState.LOST | OfferState.RETURNING if not record.agent and record.attempt:
                return
            case OfferState.CLAIMED:
                why = f"it is {record.agent}'s now"
            case OfferState.OFFERED:
                why = "nobody here has claimed it; claim it first: poll_pending_tasks"
            case _:
                why = record.reason or f"it is {record.state}"
        raise NotAllowed(f"task {record.order.id} is not {caller.agent}'s: {why}")

    def _view(self, record: OfferRecord, held: Held | None) -> TaskView:
        return offered_view(record, held, self._asking.endpoint, self._clock.now_s())


def _verdict(record: OfferRecord) -> SubmitVerdict:
    word, _, text = record.verdict.partition(": ")
    if record.legacy:
        return SubmitVerdict("sending", text or LEGACY_VERDICT)
    if record.state is not OfferState.DONE:
        return SubmitVerdict(
            "sending",
            "the result is kept on this machine; who asked for it can't be reached now, and is "
            "told as soon as it can",
        )
    if word == LATE:
        return SubmitVerdict("late", f"the result came too late to count: {text}")
    return SubmitVerdict("accepted", "who asked for it has the result")

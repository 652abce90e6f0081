"""Keeps what this node's agents have claimed: renews leases, gives claims back, delivers results.

One asyncio task tends to each such task until its requester needs no more news of it. Anything that
fails is tried again; it is on disk, so it also continues after a restart.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random

from buddies_core.clock import Clock
from buddies_core.errors import (
    BuddiesError,
    InvalidInput,
    NotAllowed,
    NotFound,
    StoreError,
)
from buddies_core.model.task import TaskSucceeded
from buddies_core.pb import peer_pb2
from buddies_core.pb.peer_pb2 import PeerReply, PeerRequest
from buddies_core.store.task_records import OfferRecord, OfferState
from buddies_core.tasks.asking import ASK_TIMEOUT_S, FETCH_TIMEOUT_S, Asking
from buddies_core.tasks.inbox import Held, Inbox
from buddies_core.tasks.outputs import inline_output, is_complete
from buddies_core.tasks.ports import LegacyPort, RoomsPort
from buddies_core.tasks.views import ACCEPTED, LATE
from buddies_core.tasks.waiting import wait_set

RENEW_EVERY_S = 20.0
"""A third of a lease, so that two renewals may get lost."""
RETRY_AFTER_S = 5.0
IDLE_KEPT_S = 30.0
"""How long to wait for an agent that has gone or whose poll was cancelled."""
PAUSE_S = 1.0
PAUSE_S_MAX = 16.0
FORGET_ENDED_EVERY_S = 60.0
FORGET_OLD_EVERY_S = 3600.0
TENDED = (OfferState.CLAIMED, OfferState.RETURNING, OfferState.SUBMITTED)
LEGACY_VERDICT = "it was broadcast; buddies 0.1.4 does not tell whether it counts"
LEGACY_OFF = (
    "who asked for it runs buddies 0.1.4, and this machine does not talk to such peers any more"
)

_log = logging.getLogger(__name__)


class Tending:
    """Looks after claimed tasks while their agents work. One event loop owns this."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        asking: Asking,
        rooms: RoomsPort,
        clock: Clock,
        rng: Random,
        legacy: LegacyPort | None,
    ) -> None:
        self._inbox = inbox
        self._asking = asking
        self._rooms = rooms
        self._clock = clock
        self._rng = rng
        self._legacy = legacy
        self._group: asyncio.TaskGroup | None = None

    def start(self, held: Held) -> None:
        """Tend to a task from now on, unless this is being done already."""
        if self._group is not None and held.wake is None and held.record.state in TENDED:
            held.wake = asyncio.Event()
            self._group.create_task(self._tend(held, held.wake))

    async def run(self) -> None:
        """Tend to all that is claimed until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for held in self._inbox.all():
                self.start(held)
            group.create_task(self._forget(self._inbox.forget_ended, FORGET_ENDED_EVERY_S))
            group.create_task(self._forget(self._inbox.forget_old, FORGET_OLD_EVERY_S))

    async def _forget(self, forget: Callable[[], Awaitable[None]], every_s: float) -> None:
        while True:
            try:
                await forget()
            except StoreError as error:
                _log.warning("offers_not_forgotten: %s", error)
            await asyncio.sleep(every_s)

    async def _tend(self, held: Held, wake: asyncio.Event) -> None:
        renew_at_s = self._clock.now_s() + RENEW_EVERY_S * self._rng.uniform(0.5, 1.0)
        pause_s, state = PAUSE_S, held.record.state
        while held.record.state in TENDED and self._inbox.get(held.id) is held:
            wake.clear()
            if held.record.state is not state:
                pause_s, state = PAUSE_S, held.record.state
            try:
                if state is OfferState.CLAIMED:
                    renew_at_s = await self._keep_claim(held, renew_at_s)
                    wait_s = self._claim_waits_s(held, renew_at_s)
                    await wait_set(wake, wait_s)
                elif state is OfferState.RETURNING:
                    await self._give_back(held)
                else:
                    await self._deliver(held)
            except BuddiesError as error:
                _log.info("task_not_told task=%s state=%s: %s", held.id, state, error)
                await self._pause(held, pause_s * self._rng.uniform(0.75, 1.25))
                pause_s = min(PAUSE_S_MAX, 2 * pause_s)
        held.wake = None

    async def _pause(self, held: Held, pause_s: float) -> None:
        """Wait before the next try, but only until the requester is heard again."""
        heard_at_ms = self._requester_heard_at_ms(held)
        until_s = self._clock.now_s() + pause_s
        while (left_s := until_s - self._clock.now_s()) > 0:
            await asyncio.sleep(min(PAUSE_S, left_s))
            if self._requester_heard_at_ms(held) > heard_at_ms:
                return

    def _requester_heard_at_ms(self, held: Held) -> int:
        order = held.record.order
        try:
            members = self._rooms.members(order.room)
        except NotFound:
            return 0
        heard = (member.heard_at_ms for member in members if member.endpoint == order.requester)
        return next(heard, 0)

    # A claim

    def _claim_waits_s(self, held: Held, renew_at_s: float) -> float:
        now_s = self._clock.now_s()
        until = [renew_at_s]
        if held.idle_since_s is not None:
            until.append(held.idle_since_s + IDLE_KEPT_S)
        if held.record.legacy and held.finish_by_s is not None:
            until.append(held.finish_by_s)
        return max(0.01, min(until) - now_s)

    async def _keep_claim(self, held: Held, renew_at_s: float) -> float:
        """Do what is due for a claim, and return when to renew its lease next."""
        now_s = self._clock.now_s()
        if held.idle_since_s is not None and now_s - held.idle_since_s >= IDLE_KEPT_S:
            await self._agent_gone(held)
            return renew_at_s
        if held.record.legacy:
            if held.finish_by_s is not None and held.finish_by_s <= now_s:
                await self._move(held, held.record, OfferState.LOST, "its time is over")
            return now_s + RENEW_EVERY_S
        if held.unsent_progress is None and now_s < renew_at_s:
            return renew_at_s
        record, text = held.record, held.unsent_progress
        try:
            await self.report(held, record, text)
        except (NotAllowed, NotFound) as error:
            await self._move(held, record, OfferState.LOST, str(error))
            return renew_at_s
        except BuddiesError as error:
            _log.info("lease_not_renewed task=%s: %s", held.id, error)
            return self._clock.now_s() + RETRY_AFTER_S
        if held.unsent_progress == text:
            held.unsent_progress = None
        return self._clock.now_s() + RENEW_EVERY_S * self._rng.uniform(0.75, 1.0)

    async def report(self, held: Held, record: OfferRecord, progress: str | None) -> None:
        """Tell the requester that the task is being worked on.

        Raises:
            NotAllowed, NotFound: the task is no longer this node's, or is over.
            BuddiesError: the requester can't be reached now.
        """
        id = record.order.id.bytes
        if progress is None:
            request = PeerRequest(
                renew_lease=peer_pb2.RenewLease(task_id=id, attempt=record.attempt)
            )
        else:
            request = PeerRequest(
                report_progress=peer_pb2.ReportProgress(
                    task_id=id, attempt=record.attempt, text=progress
                )
            )
        order = record.order
        lease = await self._asking.ask_for_lease(order.requester, order.room, request)
        held.finish_by_s = self._clock.now_s() + lease.finish_left_s

    async def lose(self, held: Held, record: OfferRecord, reason: str) -> None:
        """Record that this node no longer has a claim."""
        await self._move(held, record, OfferState.LOST, reason)

    async def _agent_gone(self, held: Held) -> None:
        record = held.record
        if record.legacy:
            await self._move(held, record, OfferState.OFFERED, "")
            return
        gone = f"its agent {record.agent} {'went away' if held.shown else 'did not take it'}"
        await self._move(held, replace(record, agent=""), OfferState.RETURNING, gone)

    async def _move(self, held: Held, seen: OfferRecord, state: OfferState, reason: str) -> None:
        """Store the record in another state, unless it has changed since it was seen."""
        async with self._inbox.lock(held.id):
            now = held.record
            is_as_seen = (now.state, now.attempt) == (seen.state, seen.attempt)
            if is_as_seen and self._inbox.get(held.id) is held:
                await self._inbox.put(replace(seen, state=state, reason=reason))

    # A claim that is given back

    async def _give_back(self, held: Held) -> None:
        """Tell the requester that an agent here won't do the task; raises to be called again."""
        record = held.record
        reject = peer_pb2.RejectTask(
            task_id=held.id.bytes,
            attempt=record.attempt,
            agent=record.agent,
            reason=record.reason,
            not_begun=not record.agent and not held.shown,
        )
        try:
            await self._asking.ask(
                record.order.requester, record.order.room, PeerRequest(reject_task=reject)
            )
        except (NotAllowed, InvalidInput) as error:
            _log.info("rejection_refused task=%s: %s", held.id, error)
        again = held.offered_again
        held.offered_again = False
        state = OfferState.OFFERED if again else OfferState.LOST
        await self._move(held, record, state, record.reason)

    # A result

    async def _deliver(self, held: Held) -> None:
        """Send a result to the requester and store its verdict; raises to be called again."""
        record = held.record
        assert record.result is not None, "what was submitted has a result"
        if record.legacy:
            if self._legacy is None:
                await self._done(held, record, f"{LATE}: {LEGACY_OFF}")
                return
            await self._legacy.finish(record.order, record.result)
            await self._done(held, record, f"{ACCEPTED}: {LEGACY_VERDICT}")
            return
        text, size, sha256 = inline_output(record.result)
        submit = peer_pb2.SubmitResult(
            task_id=held.id.bytes,
            attempt=record.attempt,
            success=isinstance(record.result, TaskSucceeded),
            output=text,
            size=size,
            sha256=sha256,
        )
        # The requester fetches the omitted text before it answers.
        timeout_s = ASK_TIMEOUT_S + (0.0 if is_complete(submit) else FETCH_TIMEOUT_S)
        try:
            reply = await self._asking.ask(
                record.order.requester,
                record.order.room,
                PeerRequest(submit_result=submit),
                timeout_s,
            )
        except (NotAllowed, InvalidInput) as error:
            await self._done(held, record, f"{LATE}: {error}")
            return
        await self._done(held, record, _verdict(reply))

    async def _done(self, held: Held, record: OfferRecord, verdict: str) -> None:
        async with self._inbox.lock(held.id):
            if held.record == record and self._inbox.get(held.id) is held:
                await self._inbox.put(replace(record, state=OfferState.DONE, verdict=verdict))


def _verdict(reply: PeerReply) -> str:
    match reply.verdict.kind:
        case peer_pb2.Verdict.ACCEPTED:
            return ACCEPTED
        case peer_pb2.Verdict.LATE:
            return f"{LATE}: {reply.verdict.text}"
        case _:
            raise BuddiesError("the requester gave a verdict that this version does not know")

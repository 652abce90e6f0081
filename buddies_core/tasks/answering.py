"""Answers a member's request about a task, as the task's requester or as its worker."""

from dataclasses import replace
from typing import TypeAlias
from uuid import UUID

from buddies_core.clock import Clock
from buddies_core.errors import BuddiesError, InvalidInput, NotAllowed, NotFound
from buddies_core.model.ids import EndpointId, RoomName, TaskId
from buddies_core.model.task import (
    DESCRIPTION_BYTES_MAX,
    HOPS_MAX,
    OUTPUT_BYTES_MAX,
    PROGRESS_BYTES_MAX,
    REASON_BYTES_MAX,
    TaskFailed,
    TaskLimits,
    TaskOrder,
    TaskSucceeded,
    TaskTarget,
)
from buddies_core.pb import peer_pb2
from buddies_core.pb.peer_pb2 import PeerReply, PeerRequest
from buddies_core.store.task_records import OfferRecord, OfferState, Worker
from buddies_core.tasks import events
from buddies_core.tasks.asking import FETCH_TIMEOUT_S, Asking
from buddies_core.tasks.eligibility import agent_may
from buddies_core.tasks.inbox import Inbox
from buddies_core.tasks.ledger import Ledger
from buddies_core.tasks.lifecycle import Task, would_accept
from buddies_core.tasks.offering import Offering
from buddies_core.tasks.outputs import fetched_text, is_complete, output_parts
from buddies_core.tasks.paths import agent_path
from buddies_core.tasks.views import LATE

NAME_BYTES_MAX = 256

Replies: TypeAlias = list[PeerReply]


class Answering:
    """Answers members' requests about tasks."""

    def __init__(
        self, *, ledger: Ledger, inbox: Inbox, offering: Offering, asking: Asking, clock: Clock
    ) -> None:
        self._ledger = ledger
        self._inbox = inbox
        self._offering = offering
        self._asking = asking
        self._clock = clock

    async def answer(self, caller: EndpointId, room: RoomName, request: PeerRequest) -> Replies:
        """Return the replies to a request that concerns a task.

        Raises:
            InvalidInput: it makes no sense.
            NotFound: the task is over, or unknown.
            NotAllowed: the caller has no right to say this.
            Busy: the caller has too many tasks waiting here.
        """
        match request.WhichOneof("ask"):
            case "offer_task":
                return await self._on_offer(caller, room, request.offer_task)
            case "withdraw_task":
                return await self._on_withdrawal(caller, request.withdraw_task)
            case "fetch_output":
                return self._on_fetch(caller, request.fetch_output)
            case "lease_task":
                return await self._on_lease(caller, room, request.lease_task)
            case "renew_lease":
                renew = request.renew_lease
                event = events.LeaseRenewed(caller, renew.attempt)
                return await self._on_sign_of_life(_id(renew.task_id), event)
            case "report_progress":
                said = request.report_progress
                if len(said.text.encode()) > PROGRESS_BYTES_MAX:
                    raise InvalidInput(f"progress is over {PROGRESS_BYTES_MAX} bytes")
                progress = events.ProgressReported(caller, said.attempt, said.text)
                return await self._on_sign_of_life(_id(said.task_id), progress)
            case "submit_result":
                return await self._on_result(caller, room, request.submit_result)
            case "reject_task":
                return await self._on_rejection(caller, request.reject_task)
            case _:
                raise InvalidInput("this node does not know that request; it may be older")

    # As the requester

    async def _on_lease(
        self, caller: EndpointId, room: RoomName, ask: peer_pb2.LeaseTask
    ) -> Replies:
        task = self._task(_id(ask.task_id))
        order = task.order
        # Only its own node can know an agent's capabilities.
        capabilities = (order.target.capability,)
        if order.room != room or not agent_may(order, caller, ask.agent, capabilities):
            raise NotAllowed("that task is not for this agent")
        if max(len(ask.agent.encode()), len(ask.user.encode())) > NAME_BYTES_MAX:
            raise InvalidInput(f"a name is over {NAME_BYTES_MAX} bytes")
        worker = Worker(endpoint=caller, user=ask.user, agent=ask.agent)
        return [await self._lease(order.id, events.LeaseRequested(worker))]

    async def _on_sign_of_life(
        self, id: TaskId, event: events.LeaseRenewed | events.ProgressReported
    ) -> Replies:
        self._task(id)
        return [await self._lease(id, event)]

    async def _lease(self, id: TaskId, event: events.Event) -> PeerReply:
        answer = await self._apply(id, event)
        assert isinstance(answer, events.Lease), "these events are refused or give a lease"
        lease = peer_pb2.Lease(
            attempt=answer.attempt,
            lease_s=answer.lease_s,
            finish_left_s=answer.finish_left_s,
            silence_s=answer.silence_s,
        )
        return PeerReply(lease=lease)

    async def _on_result(
        self, caller: EndpointId, room: RoomName, submit: peer_pb2.SubmitResult
    ) -> Replies:
        id = _id(submit.task_id)
        if max(submit.size, len(submit.output.encode())) > OUTPUT_BYTES_MAX:
            raise InvalidInput(f"the output is over {OUTPUT_BYTES_MAX} bytes")
        task = self._ledger.get(id)
        if task is None:
            # Not a refusal: this node may just have left the room for now.
            return [_verdict(events.Verdict(False, "its requester knows no such task any more"))]
        text = submit.output
        if not is_complete(submit):
            text = ""
            if would_accept(task, caller, submit.attempt) or submit.attempt == task.attempt:
                text = await self._fetch(caller, room, submit)
        result = TaskSucceeded(text) if submit.success else TaskFailed(text)
        event = events.ResultSubmitted(caller, submit.attempt, result)
        answer = await self._apply(id, event)
        assert isinstance(answer, events.Verdict), "a result is refused or gets a verdict"
        return [_verdict(answer)]

    async def _fetch(
        self, worker: EndpointId, room: RoomName, submit: peer_pb2.SubmitResult
    ) -> str:
        fetch = peer_pb2.FetchOutput(task_id=submit.task_id, attempt=submit.attempt)
        request = PeerRequest(fetch_output=fetch)
        try:
            replies = await self._asking.ask_all(worker, room, request, FETCH_TIMEOUT_S)
        except BuddiesError as error:
            # Whatever the cause, the worker should submit again, not give up.
            raise BuddiesError(f"the output could not be fetched: {error}") from error
        return fetched_text(submit, replies)

    async def _on_rejection(self, caller: EndpointId, reject: peer_pb2.RejectTask) -> Replies:
        id = _id(reject.task_id)
        task = self._ledger.get_open(id)
        if task is None:
            return []
        reason = reject.reason[:REASON_BYTES_MAX]
        event: events.Event = events.LeaseReturned(caller, reject.attempt, reason, reject.not_begun)
        if reject.agent:
            if len(reject.agent.encode()) > NAME_BYTES_MAX:
                raise InvalidInput(f"a name is over {NAME_BYTES_MAX} bytes")
            who = agent_path(caller, reject.agent)
            others = [path for path in self._offering.candidates(task) if path != who]
            event = events.TaskRejectedBy(
                worker=Worker(
                    endpoint=caller, user=self._offering.name_of(caller), agent=reject.agent
                ),
                attempt=reject.attempt,
                reason=reason,
                nobody_left=not others,
            )
        await self._ledger.apply(id, event)
        return []

    def _task(self, id: TaskId) -> Task:
        task = self._ledger.get(id)
        if task is None:
            raise NotFound("this node has asked for no such task, or has forgotten it")
        return task

    async def _apply(self, id: TaskId, event: events.Event) -> events.Lease | events.Verdict:
        taken = await self._ledger.apply(id, event)
        match taken.answer if taken else None:
            case events.Lease() | events.Verdict() as answer:
                return answer
            case events.Refused(over=False, text=text):
                raise NotAllowed(text)
            case events.Refused(text=text):
                raise NotFound(text)
            case None:
                raise NotFound("this node has asked for no such task, or has forgotten it")

    # As the worker

    async def _on_offer(
        self, caller: EndpointId, room: RoomName, offer: peer_pb2.OfferTask
    ) -> Replies:
        id = _id(offer.task_id)
        order = _order(caller, room, self._asking.endpoint, offer, self._clock.wall_ms())
        async with self._inbox.lock(id):
            record = self._inbox.find(id)
            held = self._inbox.get(id)
            if record is None:
                self._inbox.check_room(caller)
                await self._inbox.put(OfferRecord(order=order))
                return []
            if record.order.requester != caller:
                raise NotAllowed("another node has asked for a task with that id")
            match record.state:
                case OfferState.LOST:
                    await self._take_again(record, order)
                case OfferState.DONE if record.verdict.startswith(LATE):
                    await self._take_again(replace(record, result=None, verdict=""), order)
                case OfferState.OFFERED if held is not None:
                    self._inbox.refresh(held, order)
                case OfferState.RETURNING if held is not None:
                    held.offered_again = True
                case _:
                    pass  # The worker learns what that means when it next renews its lease.
        return []

    async def _take_again(self, record: OfferRecord, order: TaskOrder) -> None:
        self._inbox.check_room(order.requester)
        again = replace(record, order=order, state=OfferState.OFFERED)
        self._inbox.refresh(await self._inbox.put(again), order)

    async def _on_withdrawal(self, caller: EndpointId, withdraw: peer_pb2.WithdrawTask) -> Replies:
        id = _id(withdraw.task_id)
        reason = withdraw.reason[:REASON_BYTES_MAX]
        async with self._inbox.lock(id):
            held = self._inbox.get(id)
            if held is None or held.record.legacy or held.record.order.requester != caller:
                return []
            record = held.record
            match record.state:
                case OfferState.OFFERED if not record.attempt:
                    await self._inbox.forget(id)
                case OfferState.OFFERED:
                    lost = replace(record, state=OfferState.LOST, reason=reason)
                    await self._inbox.put(lost)
                case OfferState.CLAIMED | OfferState.RETURNING:
                    if record.attempt <= withdraw.attempt:
                        lost = replace(record, state=OfferState.LOST, reason=reason)
                        await self._inbox.put(lost)
                case OfferState.LOST | OfferState.SUBMITTED | OfferState.DONE:
                    pass
        return []

    def _on_fetch(self, caller: EndpointId, fetch: peer_pb2.FetchOutput) -> Replies:
        record = self._inbox.find(_id(fetch.task_id))
        if record is None or record.order.requester != caller or record.legacy:
            raise NotFound("no result of that task is here")
        if record.result is None or record.attempt != fetch.attempt:
            raise NotFound("no result of that attempt is here")
        return output_parts(record.result)


def _verdict(verdict: events.Verdict) -> PeerReply:
    kind = peer_pb2.Verdict.ACCEPTED if verdict.accepted else peer_pb2.Verdict.LATE
    return PeerReply(verdict=peer_pb2.Verdict(kind=kind, text=verdict.text))


def _id(data: bytes) -> TaskId:
    if len(data) != 16:
        raise InvalidInput("a task's id has 16 bytes")
    return TaskId(UUID(bytes=data))


def _order(
    requester: EndpointId,
    room: RoomName,
    me: EndpointId,
    offer: peer_pb2.OfferTask,
    wall_ms: int,
) -> TaskOrder:
    """Return a member's order, with this node's own limits and times."""
    texts = (offer.requester_user, offer.requester_agent, offer.agent, offer.capability)
    if len(offer.description.encode()) > DESCRIPTION_BYTES_MAX:
        raise InvalidInput(f"the description is over {DESCRIPTION_BYTES_MAX} bytes")
    if len(offer.path) > HOPS_MAX + 1:
        raise InvalidInput(f"the task was handed on more than {HOPS_MAX} times")
    if any(len(text.encode()) > NAME_BYTES_MAX for text in (*texts, *offer.path)):
        raise InvalidInput(f"a name is over {NAME_BYTES_MAX} bytes")
    # NaN fails both comparisons.
    if not 0 <= offer.start_left_s < float("inf"):
        raise InvalidInput("a limit is no span of time")
    return TaskOrder(
        id=_id(offer.task_id),
        room=room,
        description=offer.description,
        requester=requester,
        requester_user=offer.requester_user,
        requester_agent=offer.requester_agent,
        target=TaskTarget(peer=None, agent=offer.agent, capability=offer.capability),
        limits=TaskLimits(start_s=offer.start_left_s),
        retryable=True,
        trace_id=_id(offer.trace_id),
        path=tuple(offer.path),
        created_at_ms=wall_ms,
    )

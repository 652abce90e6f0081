"""Tasks on disk: those this node asked for, and those it was asked to do.

A limit is kept as what was left of it when the record was written; `changed_at_ms` says when.
Decoding raises ValueError for whatever it can't take; the store adds which record it was.
"""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from buddies_core.model.ids import EndpointId, RoomName, TaskId
from buddies_core.model.task import (
    TaskFailed,
    TaskLimits,
    TaskOrder,
    TaskResult,
    TaskState,
    TaskSucceeded,
    TaskTarget,
)
from buddies_core.pb import records_pb2 as pb
from buddies_core.store.records import VERSION, parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """An agent that works on a task, on behalf of whom, and where."""

    endpoint: EndpointId
    """Empty for a 0.1.4 peer."""
    user: str
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LateResult:
    """A result that came when it no longer counted."""

    attempt: int
    worker: EndpointId
    result: TaskResult
    """Its beginning, if it is long."""
    why: str
    sha256: bytes
    """SHA-256 of the whole result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord:
    """A task that this node asked for."""

    order: TaskOrder
    idempotency_key: str
    state: TaskState
    attempt: int
    lost: int
    worker: Worker | None
    progress: str
    result: TaskResult | None
    result_sha256: bytes
    reason: str
    late: tuple[LateResult, ...]
    rejected_by: tuple[str, ...]
    rejections: tuple[str, ...]
    start_left_s: float | None
    finish_left_s: float | None
    changed_at_ms: int
    told_legacy: bool = False
    """Whether it was broadcast to 0.1.4 peers, at least once."""


class OfferState(StrEnum):
    """The state of a task, as seen by the node that was asked to do it."""

    OFFERED = "offered"
    """It waits for an agent."""
    CLAIMED = "claimed"
    """An agent has it, and this node a lease."""
    LOST = "lost"
    """An agent had it. Its result may still count."""
    RETURNING = "returning"
    """An agent rejected it or went away, and the requester has yet to be told."""
    SUBMITTED = "submitted"
    """There is a result, and the requester has yet to acknowledge it."""
    DONE = "done"
    """The requester has given its verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferRecord:
    """A task that this node was asked to do."""

    order: TaskOrder
    """Its limits are what was left of them when it was offered or leased."""
    state: OfferState = OfferState.OFFERED
    attempt: int = 0
    agent: str = ""
    """Who has claimed it, or had; while RETURNING who rejected it, empty if it just went away."""
    user: str = ""
    result: TaskResult | None = None
    """The one that has yet to be acknowledged, or that was."""
    verdict: str = ""
    """`accepted` or `late`, and why, once there is one."""
    reason: str = ""
    """Why it was lost or is given back."""
    rejected_by: tuple[str, ...] = ()
    """Names of this node's agents."""
    legacy: bool = False
    """It came as a broadcast of a 0.1.4 peer; nobody arbitrates."""
    changed_at_ms: int = 0


def encode_task(task: TaskRecord) -> bytes:
    """Return the record of a task that this node asked for."""
    worker = task.worker or Worker(endpoint=EndpointId(b""), user="", agent="")
    output, error = _result_fields(task.result)
    return pb.TaskRecord(
        version=VERSION,
        order=_order_to_pb(task.order),
        idempotency_key=task.idempotency_key,
        state=task.state,
        attempt=task.attempt,
        lost=task.lost,
        worker=worker.endpoint,
        worker_user=worker.user,
        worker_agent=worker.agent,
        progress=task.progress,
        output=output,
        error=error,
        result_sha256=task.result_sha256,
        reason=task.reason,
        late=[
            pb.LateResult(
                attempt=late.attempt,
                worker=late.worker,
                success=isinstance(late.result, TaskSucceeded),
                output=_text(late.result),
                why=late.why,
                sha256=late.sha256,
            )
            for late in task.late
        ],
        rejected_by=task.rejected_by,
        rejections=task.rejections,
        start_left_s=task.start_left_s,
        finish_left_s=task.finish_left_s,
        changed_at_ms=task.changed_at_ms,
        told_legacy=task.told_legacy,
    ).SerializeToString()


def decode_task(data: bytes) -> TaskRecord:
    """Return the task that `encode_task` wrote.

    Raises:
        ValueError: these bytes are not such a record.
    """
    record = pb.TaskRecord()
    parse(record, data)
    worker = Worker(
        endpoint=EndpointId(record.worker), user=record.worker_user, agent=record.worker_agent
    )
    result: TaskResult | None = None
    if record.HasField("output"):
        result = TaskSucceeded(record.output)
    elif record.HasField("error"):
        result = TaskFailed(record.error)
    return TaskRecord(
        order=_order_from_pb(record.order),
        idempotency_key=record.idempotency_key,
        state=TaskState(record.state),
        attempt=record.attempt,
        lost=record.lost,
        worker=worker if worker.endpoint or worker.user else None,
        progress=record.progress,
        result=result,
        result_sha256=record.result_sha256,
        reason=record.reason,
        late=tuple(
            LateResult(
                attempt=late.attempt,
                worker=EndpointId(late.worker),
                result=TaskSucceeded(late.output) if late.success else TaskFailed(late.output),
                why=late.why,
                sha256=late.sha256,
            )
            for late in record.late
        ),
        rejected_by=tuple(record.rejected_by),
        rejections=tuple(record.rejections),
        start_left_s=record.start_left_s if record.HasField("start_left_s") else None,
        finish_left_s=record.finish_left_s if record.HasField("finish_left_s") else None,
        changed_at_ms=record.changed_at_ms,
        told_legacy=record.told_legacy,
    )


def encode_offer(offer: OfferRecord) -> bytes:
    """Return the record of a task that this node was asked to do."""
    return pb.OfferRecord(
        version=VERSION,
        order=_order_to_pb(offer.order),
        state=offer.state,
        attempt=offer.attempt,
        agent=offer.agent,
        user=offer.user,
        success=isinstance(offer.result, TaskSucceeded),
        output=None if offer.result is None else _text(offer.result),
        verdict=offer.verdict,
        reason=offer.reason,
        rejected_by=offer.rejected_by,
        legacy=offer.legacy,
        changed_at_ms=offer.changed_at_ms,
    ).SerializeToString()


def decode_offer(data: bytes) -> OfferRecord:
    """Return the offer that `encode_offer` wrote.

    Raises:
        ValueError: these bytes are not such a record.
    """
    record = pb.OfferRecord()
    parse(record, data)
    result: TaskResult | None = None
    if record.HasField("output"):
        result = TaskSucceeded(record.output) if record.success else TaskFailed(record.output)
    return OfferRecord(
        order=_order_from_pb(record.order),
        state=OfferState(record.state),
        attempt=record.attempt,
        agent=record.agent,
        user=record.user,
        result=result,
        verdict=record.verdict,
        reason=record.reason,
        rejected_by=tuple(record.rejected_by),
        legacy=record.legacy,
        changed_at_ms=record.changed_at_ms,
    )


def _order_to_pb(order: TaskOrder) -> pb.TaskOrder:
    limits, target = order.limits, order.target
    return pb.TaskOrder(
        id=order.id.bytes,
        room=order.room,
        description=order.description,
        requester=order.requester,
        requester_user=order.requester_user,
        requester_agent=order.requester_agent,
        target_peer=target.peer or b"",
        target_agent=target.agent,
        target_capability=target.capability,
        start_s=limits.start_s,
        finish_s=limits.finish_s,
        silence_s=limits.silence_s,
        overall_s=limits.overall_s,
        retryable=order.retryable,
        trace_id=order.trace_id.bytes,
        path=order.path,
        created_at_ms=order.created_at_ms,
    )


def _order_from_pb(order: pb.TaskOrder) -> TaskOrder:
    return TaskOrder(
        id=TaskId(UUID(bytes=order.id)),
        room=RoomName(order.room),
        description=order.description,
        requester=EndpointId(order.requester),
        requester_user=order.requester_user,
        requester_agent=order.requester_agent,
        target=TaskTarget(
            peer=EndpointId(order.target_peer) if order.target_peer else None,
            agent=order.target_agent,
            capability=order.target_capability,
        ),
        limits=TaskLimits(
            start_s=order.start_s,
            finish_s=order.finish_s,
            silence_s=order.silence_s,
            overall_s=order.overall_s if order.HasField("overall_s") else None,
        ),
        retryable=order.retryable,
        trace_id=TaskId(UUID(bytes=order.trace_id)),
        path=tuple(order.path),
        created_at_ms=order.created_at_ms,
    )


def _result_fields(result: TaskResult | None) -> tuple[str | None, str | None]:
    """Return the output and the error, of which at most one is there."""
    match result:
        case TaskSucceeded(output):
            return output, None
        case TaskFailed(message):
            return None, message
        case None:
            return None, None


def _text(result: TaskResult) -> str:
    match result:
        case TaskSucceeded(output):
            return output
        case TaskFailed(message):
            return message

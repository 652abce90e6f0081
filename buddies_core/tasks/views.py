"""Tasks as they are shown, from the requester's side and from the worker's."""

from collections.abc import Iterable, Sequence

from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.task import InboxTask, TaskPlace, TaskState, TaskSucceeded, TaskView
from buddies_core.store.task_records import OfferRecord, OfferState
from buddies_core.tasks.inbox import Held
from buddies_core.tasks.lifecycle import Task

ACCEPTED = "accepted"
LATE = "late"
SUMMARY_CHARS_MAX = 200
REASON_CHARS_MAX = 500


def asked_view(task: Task, now_s: float, refusals: Sequence[str] = ()) -> TaskView:
    """Return a task that this node asked for.

    `refusals` are the words of members that don't take it; they matter while nobody else has begun.
    """
    order, worker = task.order, task.worker
    reason = task.reason
    if task.state is TaskState.SUBMITTED and refusals:
        reason = f"not taken by all: {'; '.join(refusals)}"[:REASON_CHARS_MAX]
    return TaskView(
        id=order.id,
        room=order.room,
        description=order.description,
        state=task.state,
        mine=True,
        requester=order.requester,
        requester_user=order.requester_user,
        requester_agent=order.requester_agent,
        worker=(worker.endpoint or None) if worker else None,
        worker_user=worker.user if worker else "",
        worker_agent=worker.agent if worker else "",
        attempt=task.attempt,
        progress=task.progress,
        result=task.result,
        reason=reason,
        late_results=len(task.late),
        left_s=task.left_s(now_s),
        created_at_ms=order.created_at_ms,
    )


def offered_view(record: OfferRecord, held: Held | None, me: EndpointId, now_s: float) -> TaskView:
    """Return a task that this node was asked to do; `held` unless it is done with."""
    order = record.order
    until_s = None
    if held is not None and record.state is OfferState.OFFERED:
        until_s = held.until_s
    elif held is not None and record.state is OfferState.CLAIMED:
        until_s = held.finish_by_s
    has_worker = bool(record.agent) and record.state is not OfferState.OFFERED
    return TaskView(
        id=order.id,
        room=order.room,
        description=order.description,
        state=_state(record),
        mine=order.requester == me,
        requester=order.requester,
        requester_user=order.requester_user,
        requester_agent=order.requester_agent,
        worker=me if has_worker else None,
        worker_user=record.user if has_worker else "",
        worker_agent=record.agent if has_worker else "",
        attempt=record.attempt,
        progress=held.progress if held else "",
        result=record.result,
        reason=_reason(record),
        late_results=int(record.verdict.startswith(LATE)),
        left_s=None if until_s is None else max(0.0, until_s - now_s),
        created_at_ms=order.created_at_ms,
    )


def newest(
    views: Iterable[TaskView],
    room: RoomName | None,
    state: TaskState | None,
    after: TaskPlace | None,
) -> tuple[TaskView, ...]:
    """Return the tasks of this room and in this state, newest first, behind a place in the list."""
    chosen = [
        view
        for view in views
        if room in (None, view.room)
        and state in (None, view.state)
        and (after is None or view.place < after)
    ]
    return tuple(sorted(chosen, key=lambda view: view.place, reverse=True))


def inbox_task(record: OfferRecord) -> InboxTask:
    """Return a waiting task as a notification shows it."""
    order = record.order
    return InboxTask(
        id=order.id,
        room=order.room,
        requester_user=order.requester_user,
        requester_agent=order.requester_agent,
        summary=order.description[:SUMMARY_CHARS_MAX],
    )


def _state(record: OfferRecord) -> TaskState:
    match record.state:
        case OfferState.OFFERED:
            return TaskState.SUBMITTED
        case OfferState.CLAIMED | OfferState.SUBMITTED:
            return TaskState.WORKING
        case OfferState.LOST:
            return TaskState.CANCELED
        case OfferState.RETURNING:
            return TaskState.REJECTED if record.agent else TaskState.CANCELED
        case OfferState.DONE:
            if record.verdict.startswith(LATE):
                return TaskState.CANCELED
            succeeded = isinstance(record.result, TaskSucceeded)
            return TaskState.COMPLETED if succeeded else TaskState.FAILED


def _reason(record: OfferRecord) -> str:
    match record.state:
        case OfferState.LOST | OfferState.RETURNING:
            return record.reason
        case OfferState.SUBMITTED:
            return "the result is on its way to who asked for it"
        case OfferState.DONE if record.verdict.startswith(LATE):
            return record.verdict
        case _:
            return ""

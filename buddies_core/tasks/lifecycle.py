"""A task as its requesting node sees it: state × event → state, effects, answer. Pure.

    submitted ──lease──▶ working ──result──▶ completed | failed
        ▲                   │
        └───lost, returned──┘      from both: canceled | rejected | expired | failed

The requester arbitrates. Each lease has a number that only rises, the attempt. A result counts if
it is of the newest attempt and the task is not over, even if its lease has lapsed meanwhile: work
that was done is not thrown away, and no other result can have been accepted. The same result
again gets the same verdict; any other is kept as late. So a result is accepted at most once,
however often the work is done and messages are repeated.

A lease is lost when it lapses, or when its worker is silent for too long or gives it up. The task
is then offered again, unless it may not be retried or was lost too often. A worker that comes back
while nobody else has the task continues it. Points in time are monotonic seconds of this node.
"""

import hashlib
from dataclasses import dataclass, field, replace

from buddies_core.model.ids import EndpointId
from buddies_core.model.task import (
    ATTEMPTS_MAX,
    TaskFailed,
    TaskOrder,
    TaskResult,
    TaskState,
    TaskSucceeded,
)
from buddies_core.store.task_records import LateResult, Worker
from buddies_core.tasks.events import (
    Answer,
    CancelRequested,
    Effect,
    Event,
    Lease,
    LeaseRenewed,
    LeaseRequested,
    LeaseReturned,
    LegacyResponded,
    LegacyTold,
    OfferAgain,
    ProgressReported,
    Refused,
    Restarted,
    ResultSubmitted,
    TaskRejectedBy,
    TellWaiters,
    TimePassed,
    Verdict,
    Withdraw,
)
from buddies_core.tasks.paths import agent_path

LEASE_S = 60.0
LATE_RESULTS_MAX = 8
"""The most late results that are kept of one task; further ones are dropped."""
LATE_OUTPUT_CHARS_MAX = 4096
REJECTIONS_MAX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task that this node asked for."""

    order: TaskOrder
    idempotency_key: str = ""
    state: TaskState = TaskState.SUBMITTED
    attempt: int = 0
    """The number of the newest lease; 0 before the first."""
    lost: int = 0
    """Leases that ended without a result or a rejection."""
    worker: Worker | None = None
    """The worker that holds the newest lease, or held it last."""
    progress: str = ""
    result: TaskResult | None = None
    result_sha256: bytes = b""
    """The SHA-256 of the accepted result and its attempt."""
    reason: str = ""
    late: tuple[LateResult, ...] = ()
    rejected_by: tuple[str, ...] = ()
    rejections: tuple[str, ...] = ()
    start_by_s: float | None = None
    finish_by_s: float | None = None
    lease_until_s: float | None = None
    silent_by_s: float | None = None
    """Stays set when the lease was lost because of it: a renewal is not a sign of progress."""
    told_legacy: bool = False
    """Whether 0.1.4 peers were told of the task, so that their answers may count."""

    def left_s(self, now_s: float) -> float | None:
        """Return how much time is left until the nearest of the task's own limits."""
        limits = [limit for limit in (self.start_by_s, self.finish_by_s) if limit is not None]
        return None if self.state.is_terminal or not limits else max(0.0, min(limits) - now_s)


@dataclass(frozen=True, slots=True)
class Step:
    """The result of applying an event to a task."""

    task: Task
    effects: tuple[Effect, ...] = ()
    answer: Answer = None
    stored_first: bool = field(default=True, kw_only=True)
    """Whether the task must be on disk before the answer is given; false if only time passed."""


def new_task(order: TaskOrder, idempotency_key: str, now_s: float) -> Task:
    """Return a task that was just asked for."""
    limits = order.limits
    overall = None if limits.overall_s is None else now_s + limits.overall_s
    return Task(
        order=order,
        idempotency_key=idempotency_key,
        start_by_s=now_s + limits.start_s if overall is None else overall,
        finish_by_s=overall,
    )


def digest(attempt: int, result: TaskResult) -> bytes:
    """Return a digest that tells two results of a task apart."""
    kind = b"output" if isinstance(result, TaskSucceeded) else b"failure"
    return hashlib.sha256(b"%d %s %s" % (attempt, kind, result_text(result).encode())).digest()


def result_text(result: TaskResult) -> str:
    """Return the worker's text, whether or not it did the task."""
    match result:
        case TaskSucceeded(output):
            return output
        case TaskFailed(message):
            return message


def would_accept(task: Task, endpoint: EndpointId, attempt: int) -> bool:
    """Whether a result of this worker and attempt, if it came now, would be accepted."""
    return not task.state.is_terminal and _holds(task, endpoint, attempt)


def step(task: Task, event: Event, now_s: float) -> Step:
    """Apply the event to the task; a task that is over only gathers late results."""
    match event:
        case Restarted():
            return _restarted(task, now_s)
        case ResultSubmitted(endpoint, attempt, result):
            # Also after a deadline that nobody was told of yet: finished work beats the clock.
            return _on_result(task, endpoint, attempt, result)
        case LegacyResponded(result, completed_by):
            return _on_legacy_result(task, result, completed_by)
        case TimePassed():
            return _on_time(task, now_s)
        case _ if task.state.is_terminal:
            return Step(task, answer=Refused(True, f"the task is over: {over_text(task)}"))
        case LegacyTold():
            return _on_legacy_told(task)
        case LeaseRequested(worker):
            return _on_lease_request(task, worker, now_s)
        case LeaseRenewed(endpoint, attempt):
            return _on_sign_of_life(task, endpoint, attempt, None, now_s)
        case ProgressReported(endpoint, attempt, text):
            return _on_sign_of_life(task, endpoint, attempt, text, now_s)
        case TaskRejectedBy():
            return _on_rejection(task, event)
        case LeaseReturned():
            return _on_return(task, event)
        case CancelRequested(reason):
            return _end(task, TaskState.CANCELED, reason)


def over_text(task: Task) -> str:
    """Return a text that says how a task ended."""
    return f"{task.state}{f' ({task.reason})' if task.reason else ''}"


def _holds(task: Task, endpoint: EndpointId, attempt: int) -> bool:
    """Whether the newest lease is, or was, this worker's."""
    newest = attempt == task.attempt > 0
    return newest and task.worker is not None and task.worker.endpoint == endpoint


def _on_lease_request(task: Task, worker: Worker, now_s: float) -> Step:
    if agent_path(worker.endpoint, worker.agent) in task.rejected_by:
        return Step(task, answer=Refused(False, f"{worker.agent} has rejected it"))
    if task.state is TaskState.WORKING:
        if task.worker is None or task.worker.endpoint != worker.endpoint:
            return Step(task, answer=Refused(False, "somebody else has it"))
        # The answer was lost. A worker's daemon gives a task to one agent at a time, so it is the
        # same claim, and no new attempt.
        attempt = task.attempt
    else:
        attempt = task.attempt + 1
    order = task.order
    leased = replace(
        task,
        state=TaskState.WORKING,
        attempt=attempt,
        worker=worker,
        progress="",
        start_by_s=None,
        finish_by_s=now_s + order.limits.finish_s if task.finish_by_s is None else task.finish_by_s,
        lease_until_s=now_s + LEASE_S,
        silent_by_s=now_s + order.limits.silence_s,
    )
    effects = (Withdraw("somebody else has it", but=worker.endpoint), TellWaiters())
    return Step(leased, effects, _lease(leased, now_s))


def _on_sign_of_life(
    task: Task, endpoint: EndpointId, attempt: int, progress: str | None, now_s: float
) -> Step:
    if not _holds(task, endpoint, attempt):
        return Step(task, answer=Refused(False, "somebody else has it, or it is offered again"))
    if progress is None and task.silent_by_s is not None and task.silent_by_s <= now_s:
        text = "no progress was reported for too long, so it was offered to others"
        return Step(task, answer=Refused(False, text))
    resumed = task.state is not TaskState.WORKING
    held = replace(
        task,
        state=TaskState.WORKING,
        lost=task.lost - resumed,
        reason="",
        lease_until_s=now_s + LEASE_S,
    )
    if progress is not None:
        silent_by_s = now_s + task.order.limits.silence_s
        held = replace(held, progress=progress, silent_by_s=silent_by_s)
    effects: tuple[Effect, ...] = ()
    if resumed:
        effects += (Withdraw("its worker came back", but=endpoint),)
    told = resumed or held.progress != task.progress
    effects += (TellWaiters(),) if told else ()
    return Step(held, effects, _lease(held, now_s), stored_first=told)


def _on_result(task: Task, endpoint: EndpointId, attempt: int, result: TaskResult) -> Step:
    if attempt == 0 or attempt > task.attempt:
        return Step(task, answer=Refused(False, "no such lease was given; poll for the task first"))
    if attempt == task.attempt and not _holds(task, endpoint, attempt):
        return Step(task, answer=Refused(False, "that lease is somebody else's"))
    sha256 = digest(attempt, result)
    if task.result is not None and task.result_sha256 == sha256 and _holds(task, endpoint, attempt):
        return Step(task, answer=Verdict(True, "accepted"))
    if not would_accept(task, endpoint, attempt):
        return _late(task, endpoint, attempt, result, sha256)
    return _accept(task, result, sha256)


def _on_legacy_told(task: Task) -> Step:
    if task.state is not TaskState.SUBMITTED:
        return Step(task, answer=Refused(False, "somebody else has it"))
    return Step(replace(task, told_legacy=True))


def _on_legacy_result(task: Task, result: TaskResult, completed_by: str) -> Step:
    sha256 = digest(0, result)
    if task.state is not TaskState.SUBMITTED:
        return _late(task, EndpointId(b""), 0, result, sha256)
    worker = Worker(endpoint=EndpointId(b""), user=completed_by, agent="")
    return _accept(replace(task, worker=worker), result, sha256)


def _accept(task: Task, result: TaskResult, sha256: bytes) -> Step:
    succeeded = isinstance(result, TaskSucceeded)
    state = TaskState.COMPLETED if succeeded else TaskState.FAILED
    accepted = replace(task, result=result, result_sha256=sha256)
    worker = task.worker.endpoint if task.worker else None
    return replace(_end(accepted, state, "", but=worker), answer=Verdict(True, "accepted"))


def _late(
    task: Task, endpoint: EndpointId, attempt: int, result: TaskResult, sha256: bytes
) -> Step:
    why = f"the task is over: {over_text(task)}" if task.state.is_terminal else "others have it now"
    this = endpoint, sha256
    known = next((late for late in task.late if (late.worker, late.sha256) == this), None)
    if known is not None:
        return Step(task, answer=Verdict(False, f"kept as late: {known.why}"))
    if len(task.late) < LATE_RESULTS_MAX:
        late = LateResult(
            attempt=attempt,
            worker=endpoint,
            result=_shortened(result),
            why=why,
            sha256=sha256,
        )
        task = replace(task, late=(*task.late, late))
    return Step(task, (TellWaiters(),), Verdict(False, f"kept as late: {why}"))


def _shortened(result: TaskResult) -> TaskResult:
    match result:
        case TaskSucceeded(output):
            return TaskSucceeded(output[:LATE_OUTPUT_CHARS_MAX])
        case TaskFailed(message):
            return TaskFailed(message[:LATE_OUTPUT_CHARS_MAX])


def _on_rejection(task: Task, event: TaskRejectedBy) -> Step:
    worker = event.worker
    who = agent_path(worker.endpoint, worker.agent)
    if who not in task.rejected_by and len(task.rejected_by) < REJECTIONS_MAX:
        said = f"{worker.agent} of {worker.user}: {event.reason or 'no reason given'}"
        task = replace(
            task,
            rejected_by=(*task.rejected_by, who),
            rejections=(*task.rejections, said),
        )
    holds_it = task.state is TaskState.WORKING and _holds(task, worker.endpoint, event.attempt)
    if task.state is TaskState.WORKING and not holds_it:
        return Step(task)
    if holds_it:
        task = replace(task, worker=None)
    if event.nobody_left:
        return _end(task, TaskState.REJECTED, "; ".join(task.rejections))
    return Step(_offered(task), (OfferAgain(), TellWaiters()))


def _on_return(task: Task, event: LeaseReturned) -> Step:
    if not _holds(task, event.endpoint, event.attempt):
        return Step(task)
    if task.state is TaskState.SUBMITTED:
        # The lease was lost before. This worker took no offer while it had the task.
        return Step(task, (OfferAgain(),))
    if event.not_begun:
        return Step(_offered(replace(task, worker=None)), (OfferAgain(), TellWaiters()))
    return _lose(task, event.reason)


def _on_time(task: Task, now_s: float) -> Step:
    limits = task.order.limits

    def is_past(limit_s: float | None) -> bool:
        return limit_s is not None and limit_s <= now_s

    if task.state.is_terminal:
        return Step(task)
    if is_past(task.start_by_s):
        wanted_s = limits.start_s if limits.overall_s is None else limits.overall_s
        return _end(task, TaskState.EXPIRED, f"nobody began within {wanted_s:g} s")
    if is_past(task.finish_by_s):
        wanted_s = limits.finish_s if limits.overall_s is None else limits.overall_s
        return _end(task, TaskState.EXPIRED, f"it was not finished within {wanted_s:g} s")
    if task.state is not TaskState.WORKING:
        return Step(task)
    if is_past(task.silent_by_s):
        lost = _lose(task, f"no progress was reported for {limits.silence_s:g} s")
        # Unlike a worker that can't be heard, this one still believes that it has the task.
        return replace(lost, effects=(Withdraw(lost.task.reason), *lost.effects))
    if is_past(task.lease_until_s):
        return _lose(task, f"its worker was not heard for {LEASE_S:g} s")
    return Step(task)


def _restarted(task: Task, now_s: float) -> Step:
    """Give workers time to be heard again, and to deliver what they finished meanwhile."""
    if task.finish_by_s is not None and task.finish_by_s <= now_s:
        task = replace(task, finish_by_s=now_s + LEASE_S)
    if task.state is TaskState.WORKING:
        silent_by_s = now_s + task.order.limits.silence_s
        task = replace(task, lease_until_s=now_s + LEASE_S, silent_by_s=silent_by_s)
    return Step(task, stored_first=False)


def _lose(task: Task, reason: str) -> Step:
    task = replace(task, lost=task.lost + 1)
    attempts_max = ATTEMPTS_MAX if task.order.retryable else 1
    if task.lost >= attempts_max:
        tries = "it may not be tried again" if attempts_max == 1 else f"lost {task.lost} times"
        return _end(task, TaskState.FAILED, f"{reason}; {tries}")
    return Step(replace(_offered(task), reason=reason), (OfferAgain(), TellWaiters()))


def _offered(task: Task) -> Task:
    return replace(task, state=TaskState.SUBMITTED, lease_until_s=None)


def _end(task: Task, state: TaskState, reason: str, but: EndpointId | None = None) -> Step:
    ended = replace(
        task,
        state=state,
        reason=reason,
        start_by_s=None,
        finish_by_s=None,
        lease_until_s=None,
        silent_by_s=None,
    )
    effects = (Withdraw(f"the task is over: {over_text(ended)}", but=but), TellWaiters())
    return Step(ended, effects)


def _lease(task: Task, now_s: float) -> Lease:
    assert task.finish_by_s is not None, "a leased task has an end"
    return Lease(
        attempt=task.attempt,
        lease_s=LEASE_S,
        finish_left_s=max(0.0, task.finish_by_s - now_s),
        silence_s=task.order.limits.silence_s,
    )

"""The events that happen to a task, their effects, and the answers to them."""

from dataclasses import dataclass
from typing import TypeAlias

from buddies_core.model.ids import EndpointId
from buddies_core.model.task import TaskResult
from buddies_core.store.task_records import Worker


@dataclass(frozen=True, slots=True)
class LeaseRequested:
    """A worker's daemon asks for the task, for an agent that has not rejected it."""

    worker: Worker


@dataclass(frozen=True, slots=True)
class LeaseRenewed:
    """The worker's daemon says that the agent is still there."""

    endpoint: EndpointId
    attempt: int


@dataclass(frozen=True, slots=True)
class ProgressReported:
    """The agent reports progress, which is also a sign of life."""

    endpoint: EndpointId
    attempt: int
    text: str


@dataclass(frozen=True, slots=True)
class ResultSubmitted:
    """A worker is done."""

    endpoint: EndpointId
    attempt: int
    result: TaskResult


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRejectedBy:
    """An agent does not want the task."""

    worker: Worker
    attempt: int
    """0 if it held no lease."""
    reason: str
    nobody_left: bool
    """Whether every agent that could do it now has rejected it."""


@dataclass(frozen=True, slots=True)
class LeaseReturned:
    """A worker's daemon gives up its lease, as the agent has gone."""

    endpoint: EndpointId
    attempt: int
    reason: str
    not_begun: bool = False
    """Whether no agent was told of the task."""


@dataclass(frozen=True, slots=True)
class LegacyTold:
    """It is about to be broadcast to 0.1.4 peers; refused if nobody is to be told any more."""


@dataclass(frozen=True, slots=True)
class LegacyResponded:
    """A 0.1.4 peer, which knows no leases, broadcast a result."""

    result: TaskResult
    completed_by: str


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The requester no longer needs the task."""

    reason: str


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Some time has passed."""


@dataclass(frozen=True, slots=True)
class Restarted:
    """This node was away, so that no worker could renew its lease."""


Event: TypeAlias = (
    LeaseRequested
    | LeaseRenewed
    | ProgressReported
    | ResultSubmitted
    | TaskRejectedBy
    | LeaseReturned
    | LegacyTold
    | LegacyResponded
    | CancelRequested
    | TimePassed
    | Restarted
)


@dataclass(frozen=True, slots=True)
class OfferAgain:
    """Offer the task to everyone again, as nobody works on it."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Tell all who know of the task, except one, that it is over or that this one has it."""

    reason: str
    but: EndpointId | None = None


@dataclass(frozen=True, slots=True)
class TellWaiters:
    """Wake the callers that watch the task, as it has changed."""


Effect: TypeAlias = OfferAgain | Withdraw | TellWaiters


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The worker has the task for this long."""

    attempt: int
    lease_s: float
    finish_left_s: float
    silence_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a result counts; if not, it is kept as late."""

    accepted: bool
    text: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing has changed."""

    over: bool
    """Whether the refusal is final because the task is over."""
    text: str


Answer: TypeAlias = Lease | Verdict | Refused | None

"""What happens to a task, what is to be done about it, and what is answered."""

from dataclasses import dataclass
from typing import TypeAlias

from buddies_core.model.ids import EndpointId
from buddies_core.model.task import TaskResult
from buddies_core.store.task_records import Worker


@dataclass(frozen=True, slots=True)
class LeaseRequested:
    """A worker's daemon asks for it, on behalf of an agent that has no rejection behind it."""

    worker: Worker


@dataclass(frozen=True, slots=True)
class LeaseRenewed:
    """The worker's daemon says that the agent is still there."""

    endpoint: EndpointId
    attempt: int


@dataclass(frozen=True, slots=True)
class ProgressReported:
    """The agent says how it goes; a sign of life, too."""

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
    """An agent does not want it."""

    worker: Worker
    attempt: int
    """0 if it held no lease."""
    reason: str
    nobody_left: bool
    """Whether all who could do it now have rejected it by this."""


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
    """Who asked for it does not need it any more."""

    reason: str


@dataclass(frozen=True, slots=True)
class TimePassed:
    """It is later than it was."""


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
    """Offer it to everybody anew, for nobody works on it."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Tell all who know of it but one that it is over, or that the one has it."""

    reason: str
    but: EndpointId | None = None


@dataclass(frozen=True, slots=True)
class TellWaiters:
    """Whoever watches the task sees something else now."""


Effect: TypeAlias = OfferAgain | Withdraw | TellWaiters


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The task is yours, for so long."""

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
    """Whether that is final, as the task is over."""
    text: str


Answer: TypeAlias = Lease | Verdict | Refused | None

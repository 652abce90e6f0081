"""Tasks: work handed to another agent, and its result."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias
from uuid import UUID

from buddies_core.model.ids import EndpointId, RoomName, TaskId

DESCRIPTION_BYTES_MAX = 64 << 10
OUTPUT_BYTES_MAX = 1 << 20
PROGRESS_BYTES_MAX = 4 << 10
REASON_BYTES_MAX = 500
"""The longest reason for canceling or rejecting a task."""
NAME_BYTES_MAX = 64
"""The longest name of an agent, a user or a capability."""
HOPS_MAX = 4
"""How often a task may be handed on; beyond that it is probably being passed in a cycle."""
ATTEMPTS_MAX = 3
TIMEOUT_S_MAX = 7 * 86_400.0
"""The longest overall deadline: results are kept as long."""
WAIT_S_MAX = 50.0
"""The longest that any call to the daemon may wait; many MCP clients give up after 60 s."""


@dataclass(frozen=True, slots=True)
class TaskSucceeded:
    """The worker's output."""

    output: str


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """The reason why there is no output."""

    message: str


TaskResult: TypeAlias = TaskSucceeded | TaskFailed


def result_with(result: TaskResult | None, text: str) -> TaskResult | None:
    """Return a result of the same kind with another text."""
    match result:
        case TaskSucceeded():
            return TaskSucceeded(text)
        case TaskFailed():
            return TaskFailed(text)
        case None:
            return None


class TaskState(StrEnum):
    """The state of a task. The names are A2A's where they coincide; `expired` is ours."""

    SUBMITTED = "submitted"
    """Nobody works on it: it is offered."""
    WORKING = "working"
    """A lease is out."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"

    @property
    def is_terminal(self) -> bool:
        """Whether this state is final."""
        return self not in (TaskState.SUBMITTED, TaskState.WORKING)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTarget:
    """The agents that may do a task; if nothing is given, any in the room."""

    peer: EndpointId | None = None
    agent: str = ""
    capability: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLimits:
    """How long a task may take, each in seconds on the requester's monotonic clock."""

    start_s: float = 600.0
    """From the request until an agent begins."""
    finish_s: float = 3600.0
    """From the first beginning to the end."""
    silence_s: float = 600.0
    """Between two signs of progress, while an agent works on it."""
    overall_s: float | None = None
    """From the request to the end; if given, it replaces the first two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOrder:
    """A task as it was asked for. It never changes."""

    id: TaskId
    room: RoomName
    description: str
    requester: EndpointId
    requester_user: str
    requester_agent: str
    target: TaskTarget
    limits: TaskLimits
    retryable: bool
    """Whether to offer the task again if the worker disappears."""
    trace_id: TaskId
    """The id of the first task in the chain of tasks that led to this one."""
    path: tuple[str, ...]
    """The agents that handed it on, in order, each as `endpoint id in hex/agent name`."""
    created_at_ms: int


@dataclass(frozen=True, slots=True, order=True)
class TaskPlace:
    """A task's place in a list ordered by time; it stays the same when other tasks arrive."""

    created_at_ms: int
    id: TaskId


@dataclass(frozen=True, slots=True)
class TextPage:
    """The part of a text that is shown, in characters."""

    offset: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """A task as it is shown to its requester and to its worker."""

    id: TaskId
    room: RoomName
    description: str
    state: TaskState
    mine: bool
    """Whether this node asked for it."""
    requester: EndpointId
    requester_user: str
    requester_agent: str
    worker: EndpointId | None
    worker_user: str
    worker_agent: str
    attempt: int
    """The fencing number of the newest lease; 0 before the first."""
    progress: str
    reason: str
    """Why it was rejected, canceled or expired."""
    late_results: int
    """Results that came when they no longer counted; they are kept, not used."""
    left_s: float | None
    """Seconds until its nearest limit; None if it has none or is over."""
    created_at_ms: int
    description_page: TextPage | None = None
    """The part of the description that is shown; None for all of it."""
    result_page: TextPage | None = None
    """The part of the output or of the error's text that is shown; None for all of it."""
    result: TaskResult | None
    warning: str = ""
    """While the task waits: why no agent can do it now."""
    already_yours: bool = False
    """Whether an earlier poll by this agent, or one of the same name, returned it as claimed."""

    @property
    def place(self) -> TaskPlace:
        """The task's place in lists."""
        return TaskPlace(self.created_at_ms, self.id)

    @property
    def result_text(self) -> str:
        """The output, or why there is none; empty without a result."""
        match self.result:
            case TaskSucceeded(text) | TaskFailed(text):
                return text
            case None:
                return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The agent or person that asks this machine's daemon about tasks."""

    agent_id: UUID | None
    """The id of an attached agent; None for a person at a terminal."""
    agent: str
    user: str
    """The person, or the agent's user; empty for the node's own user."""
    capabilities: tuple[str, ...] = ()


PERSON = Caller(agent_id=None, agent="buddies-cli", user="")


@dataclass(frozen=True, slots=True)
class TaskList:
    """Tasks that this machine asked for or was asked to do, newest first."""

    tasks: tuple[TaskView, ...]
    waiting: int
    """How many tasks the caller could claim now, regardless of the list's limits."""
    next_cursor: str | None = None
    """Gives the rest of the list; None at its end."""


VerdictWord: TypeAlias = Literal["accepted", "late", "sending"]


@dataclass(frozen=True, slots=True)
class SubmitVerdict:
    """The requester's verdict on a result."""

    verdict: VerdictWord
    """`sending` means that the requester can't be reached now; it will be told later."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxTask:
    """A waiting task, as described in a notification."""

    id: TaskId
    room: RoomName
    requester_user: str
    requester_agent: str
    summary: str
    """The beginning of its description."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxChange:
    """A change in the tasks that wait for an agent."""

    waiting: int
    """How many tasks the agent could claim now."""
    newest: InboxTask | None = None
    """The task that has just come; None if the number fell, or no new task is known."""

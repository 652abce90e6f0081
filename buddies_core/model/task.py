"""Tasks: work handed to another agent, and what comes back."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias
from uuid import UUID

from buddies_core.model.ids import EndpointId, RoomName, TaskId

DESCRIPTION_BYTES_MAX = 64 << 10
OUTPUT_BYTES_MAX = 1 << 20
PROGRESS_BYTES_MAX = 4 << 10
REASON_BYTES_MAX = 500
"""Of why a task was canceled or rejected."""
NAME_BYTES_MAX = 64
"""The longest name of an agent, a user or a capability."""
HOPS_MAX = 4
"""A task may be handed on so often; beyond that it goes in circles more likely than not."""
ATTEMPTS_MAX = 3
TIMEOUT_S_MAX = 7 * 86_400.0
"""Of the overall deadline: results are kept as long."""
WAIT_S_MAX = 50.0
"""As long as any call to the daemon may wait; many MCP clients give up after 60 s."""


@dataclass(frozen=True, slots=True)
class TaskSucceeded:
    """The worker's output."""

    output: str


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """Why there is no output."""

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
    """Where a task is. The names are A2A's where they coincide; `expired` is ours."""

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
        """Whether nothing changes it any more."""
        return self not in (TaskState.SUBMITTED, TaskState.WORKING)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTarget:
    """Who may do it; with nothing given, anybody in the room."""

    peer: EndpointId | None = None
    agent: str = ""
    capability: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLimits:
    """How long a task may take, each in seconds on the requester's monotonic clock."""

    start_s: float = 600.0
    """Until somebody begins."""
    finish_s: float = 3600.0
    """From the first beginning to the end."""
    silence_s: float = 600.0
    """Between two signs of progress, while somebody works on it."""
    overall_s: float | None = None
    """From the request to the end; where given it stands for the first two."""


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
    """Whether it may be begun again when who worked on it is lost."""
    trace_id: TaskId
    """Of the first task in a chain of tasks that led to this one."""
    path: tuple[str, ...]
    """The agents it came through, the first one first, each as `endpoint id in hex/agent name`."""
    created_at_ms: int


@dataclass(frozen=True, slots=True, order=True)
class TaskPlace:
    """A task's place in a list that goes by time; other tasks that come change nothing."""

    created_at_ms: int
    id: TaskId


@dataclass(frozen=True, slots=True)
class TextPage:
    """Which part of a text is shown, in characters."""

    offset: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """A task as it is shown, to who asked for it and to who works on it."""

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
    """Until its nearest limit; None where it has none or is over."""
    created_at_ms: int
    description_page: TextPage | None = None
    """Which part of the description this is; None for all of it."""
    result_page: TextPage | None = None
    """Which part of the output or of the error's text this is; None for all of it."""
    result: TaskResult | None
    warning: str = ""
    """Why nobody can do it now, while it waits for somebody who can."""
    already_yours: bool = False
    """Whether an earlier poll of this agent, or of one of its name, returned it as claimed."""

    @property
    def place(self) -> TaskPlace:
        """Where it stands in lists."""
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
    """Who asks this machine's daemon for something about tasks."""

    agent_id: UUID | None
    """Of an attached agent; None for a person at a terminal."""
    agent: str
    user: str
    """Whose agent it is, or who the person is; empty for the node's own user."""
    capabilities: tuple[str, ...] = ()


PERSON = Caller(agent_id=None, agent="buddies-cli", user="")


@dataclass(frozen=True, slots=True)
class TaskList:
    """Tasks that this machine asked for or was asked to do, newest first."""

    tasks: tuple[TaskView, ...]
    waiting: int
    """Tasks that the caller could claim now, whatever the list was limited to."""
    next_cursor: str | None = None
    """Gives the rest of the list; None at its end."""


VerdictWord: TypeAlias = Literal["accepted", "late", "sending"]


@dataclass(frozen=True, slots=True)
class SubmitVerdict:
    """What the requester made of a result."""

    verdict: VerdictWord
    """`sending`: the requester can't be reached now; it will be told."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxTask:
    """A task that waits, as far as a notification tells of it."""

    id: TaskId
    room: RoomName
    requester_user: str
    requester_agent: str
    summary: str
    """The beginning of its description."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxChange:
    """What waits for an agent has changed."""

    waiting: int
    """Tasks that the agent could claim now."""
    newest: InboxTask | None = None
    """The task that has just come; None if the number fell, or nothing new is known."""

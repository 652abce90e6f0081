"""All messages that a peer can send to a room: those of buddies 0.1.4, and ours from 13 on."""

from dataclasses import dataclass
from typing import TypeAlias

from buddies_core.model.identity import Binding
from buddies_core.model.ids import MemoryId, RequestId, RoomName, TaskId
from buddies_core.model.memory import MemoryEntry, MemoryKey
from buddies_core.model.skill import RankedSkill, SkillEntry
from buddies_core.model.task import TaskResult


@dataclass(frozen=True, slots=True)
class Join:
    """A peer joined the room."""

    name: str
    agent: str


@dataclass(frozen=True, slots=True)
class Leave:
    """A peer is leaving the room."""

    name: str


@dataclass(frozen=True, slots=True)
class MemoryCreated:
    """A memory was stored."""

    entry: MemoryEntry


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """An agent's current activity; `author` is an endpoint id in hex."""

    author: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchFilters:
    """0.1.4's filters for a memory search."""

    room: RoomName | None = None
    kind: str | None = None
    tags: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A question to every 0.1.4 peer of the room."""

    request_id: RequestId
    query: str
    filters: SearchFilters


@dataclass(frozen=True, slots=True)
class SearchResponse:
    """An answer, sent to the whole room."""

    request_id: RequestId
    results: tuple[MemoryEntry, ...]
    peer_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRequest:
    """Work that any agent may take on."""

    task_id: TaskId
    source_peer: str
    room: RoomName
    description: str
    timeout_s: int
    created_at_s: int


@dataclass(frozen=True, slots=True)
class TaskClaimed:
    """An agent has begun to work on a task."""

    task_id: TaskId
    claimed_by: str


@dataclass(frozen=True, slots=True)
class TaskResponse:
    """An agent has finished a task."""

    task_id: TaskId
    result: TaskResult
    completed_by: str


@dataclass(frozen=True, slots=True)
class SkillPublished:
    """A skill was published."""

    entry: SkillEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillSearchFilters:
    """0.1.4's filters for a skill search."""

    room: RoomName | None = None
    tags: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class SkillSearchRequest:
    """A question for skills to every 0.1.4 peer of the room."""

    request_id: RequestId
    query: str
    filters: SkillSearchFilters


@dataclass(frozen=True, slots=True)
class SkillSearchResponse:
    """An answer with skills, sent to the whole room."""

    request_id: RequestId
    results: tuple[RankedSkill, ...]
    peer_name: str


@dataclass(frozen=True, slots=True)
class SkillVoteCast:
    """A vote; `score` is any i8 on the wire."""

    skill_hash: str
    voter: str
    score: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPresence:
    """One agent that is attached to a peer."""

    name: str
    user: str = ""
    """The display name of the agent's user, where that differs from the peer's own."""
    status: str = ""
    status_at_ms: int = 0
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Presence:
    """Variant 13, ours: a peer's identity and agents, sent on change and every 30 s."""

    name: str
    agents: tuple[AgentPresence, ...]
    binding: Binding | None = None
    """The person's key that vouches for the peer."""
    sponsorships: tuple[bytes, ...] = ()
    """In a private room: who let the peer in during this epoch, and who them, the first first."""


@dataclass(frozen=True, slots=True)
class MemorySuperseded:
    """Variant 14, ours: the sender's memory with the id `new` replaces `old`."""

    new: MemoryId
    old: MemoryKey


@dataclass(frozen=True, slots=True)
class MemoryDeleted:
    """Variant 14, ours: a memory must be erased everywhere, and never accepted again."""

    key: MemoryKey
    item: bytes
    """SHA-256 of the memory's proof, as claimed by the sender; empty if it claims none."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class UnknownBody:
    """A variant from 14 on that only newer peers know: relayed and otherwise ignored."""

    variant: int
    payload: bytes


Body: TypeAlias = (
    Join
    | Leave
    | MemoryCreated
    | StatusUpdate
    | SearchRequest
    | SearchResponse
    | TaskRequest
    | TaskClaimed
    | TaskResponse
    | SkillPublished
    | SkillSearchRequest
    | SkillSearchResponse
    | SkillVoteCast
    | Presence
    | MemorySuperseded
    | MemoryDeleted
    | UnknownBody
)

"""The daemon's answers to agents and people: memories as shown, search results, its state."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeAlias, TypeVar
from uuid import UUID

from buddies_core.model.excerpt import Match
from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId, MemoryId, RoomName
from buddies_core.model.memory import MemoryKind
from buddies_core.model.room import CatchingUp

ViewT = TypeVar("ViewT")


LINKS_MAX = 10
"""The most linked memories shown for each relation."""


class Relation(StrEnum):
    """The relation of another memory to this one."""

    SUPERSEDES = "supersedes"
    """It was replaced by this one, or by one that this one has replaced."""
    SUPERSEDED_BY = "superseded_by"
    PROPOSED_FOR = "proposed_for"
    """This one is proposed in its place, by an author that may not replace it."""
    PROPOSALS = "proposals"
    REFERS_TO = "refers_to"
    REFERRED_BY = "referred_by"


@dataclass(frozen=True, slots=True)
class Link:
    """Another memory that is linked with this one."""

    relation: Relation
    id: MemoryId
    title: str = ""
    """The beginning of its title; empty if that memory is not on this machine."""
    author_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryView:
    """A memory as it is shown; `content` may be a part of it."""

    id: MemoryId
    author: str
    author_name: str
    agent: str
    verified: Verified
    signed_by: str = ""
    """The label of the signer that vouches for the author."""
    room: RoomName
    kind: MemoryKind
    title: str
    content: str
    tags: tuple[str, ...]
    references: tuple[MemoryId, ...]
    created_at_s: int
    truncated: bool
    """Whether `content` is less than all of it; get_memory reads the rest."""
    size: int
    """The size of the whole content, in bytes of UTF-8."""
    supersedes: tuple[MemoryId, ...] = ()
    superseded_by: tuple[MemoryId, ...] = ()
    proposals: tuple[MemoryId, ...] = ()
    """Memories that others propose in its place."""
    proposed_for: tuple[MemoryId, ...] = ()
    told: int | None = field(default=None, compare=False)
    """How many members were present when it was stored; None if it was not stored just now."""
    held_by: int | None = field(default=None, compare=False)
    """How many members are known to have it; None if that was not asked. Neither count is part of
    the memory, which stays equal to itself when they change."""
    match: Match | None = None
    """Why a search found it; None if none has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPage:
    """A memory with a page of its content."""

    memory: MemoryView
    links: tuple[Link, ...] = ()
    """The memories that it is linked with."""
    offset: int
    """Where the page begins, in characters of the content."""
    next_offset: int | None
    """Where the next page begins; None at the end."""
    total: int
    """Characters in the whole content."""


@dataclass(frozen=True, slots=True)
class DeletedMemory:
    """A deleted memory, as reported to the caller."""

    id: MemoryId
    room: RoomName
    title: str


@dataclass(frozen=True, slots=True)
class MemoryList:
    """Memories of this machine, newest first."""

    results: tuple[MemoryView, ...]
    damaged: int
    """Records that could not be read and were skipped."""
    next_cursor: str | None = None
    """Gives the rest of the list; None at its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAnswer:
    """A member that answered a search."""

    endpoint: EndpointId
    name: str
    results: int
    elapsed_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSilence:
    """A member that did not answer a search, and why."""

    endpoint: EndpointId
    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched(Generic[ViewT]):
    """The results of a search, best first, and the members that were asked."""

    results: tuple[ViewT, ...]
    left_out: int = 0
    """How many results, the least relevant ones, did not fit into the answer."""
    answered: tuple[PeerAnswer, ...]
    unanswered: tuple[PeerSilence, ...]
    method: str
    """`hybrid`, or `lexical` if the model was not ready in time."""
    notes: tuple[str, ...] = ()


SearchResult: TypeAlias = Searched[MemoryView]
"""The result of a search for memories."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonInfo:
    """A daemon's information about itself in the handshake."""

    version: str
    protocol: int
    pid: int
    user: str
    endpoint: EndpointId
    signer: str = "none"
    """The kind of key that vouches for this machine: git, gpg, ssh, generated or none."""
    identity: str = ""
    """The label of that key; empty if there is none."""
    signer_problem: str = ""
    """Why a configured key can't work, and how to fix it."""
    legacy: bool = True
    """Whether it talks with peers of buddies 0.1.4."""
    network: str
    relay_url: str
    data_dir: str
    agents: int = field(default=0, compare=False)
    """How many agents were attached at the handshake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentView:
    """An agent that is attached now."""

    id: UUID
    name: str
    user: str
    pid: int
    rooms: tuple[RoomName, ...]


@dataclass(frozen=True, slots=True)
class Used:
    """How many bytes of the disk the memories and skills of a room or an author use."""

    name: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUse:
    """The disk space that each room and author may use, and does use, the largest first."""

    room_quota: int = 0
    author_quota: int = 0
    rooms: tuple[Used, ...] = ()
    authors: tuple[Used, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonStatus:
    """The daemon's state, for people."""

    info: DaemonInfo
    uptime_s: float
    relay: str = ""
    """The URL of the relay by which this node can be reached now; empty if there is none."""
    addresses: tuple[str, ...]
    rooms: tuple[RoomName, ...]
    agents: tuple[AgentView, ...]
    peers_connected: int
    memories: int
    index: str
    """The state of the search index in words."""
    model: str
    """The state of the embedding model in words."""
    disk: DiskUse = DiskUse()
    counters: tuple[tuple[str, int], ...]
    """Counts of dropped items, by reason, and other counts; sorted by name."""
    warnings: tuple[str, ...]
    catching_up: tuple[CatchingUp, ...] = ()

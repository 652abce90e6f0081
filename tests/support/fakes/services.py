"""What lies behind the socket, in memory: it records what it was asked, and fails when told to."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from buddies_core import __version__
from buddies_core.clock import SystemClock
from buddies_core.convert import arguments
from buddies_core.errors import NotFound
from buddies_core.local_protocol import PROTOCOL
from buddies_core.logs import request_context, room_context
from buddies_core.model.bodies import AgentPresence
from buddies_core.model.contact import Path
from buddies_core.model.excerpt import Why
from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId, MemoryId, RoomName, TopicId, topic_of
from buddies_core.model.listing import Listed
from buddies_core.model.memory import MemoryFilter, MemoryKind, MemoryPlace, MemoryRef
from buddies_core.model.private import TOKEN_BYTES, Founding, Invite
from buddies_core.model.room import (
    AwayMember,
    CatchingUp,
    DialAttempt,
    JoinReport,
    KeptHistory,
    LeaveReport,
    Member,
    NamedPeer,
    NotifyReport,
    RoomStatus,
    RotateReport,
    TicketReport,
    typed_room,
)
from buddies_core.model.views import (
    AgentView,
    DaemonInfo,
    DaemonStatus,
    DeletedMemory,
    DiskUse,
    MemoryPage,
    MemoryView,
    PeerAnswer,
    PeerSilence,
    Searched,
    SearchResult,
    Used,
)
from buddies_core.rpc.agents import Agents
from buddies_core.wire.tickets import encode_invite
from tests.support.matches import a_match

SELF = EndpointId(bytes(range(32)))
PEER = EndpointId(bytes(range(1, 33)))
MEMORY_ID = MemoryId(UUID("8d3e5c1a-7f0b-4c52-9a54-1f0c2b7d9e61"))
OTHER_ID = MemoryId(UUID("0b8d2f6e-5a31-4a7c-8a8e-6d1c9f2e4b70"))

MEMBERS = (
    Member(
        endpoint=SELF,
        name="alice",
        agents=(
            AgentPresence(
                name="claude",
                user="ann",
                status="reading",
                status_at_ms=1_700_000_000_001,
                capabilities=("python", "sql"),
            ),
        ),
        is_self=True,
        heard_at_ms=1_700_000_000_002,
    ),
    Member(endpoint=PEER, name="bob", speaks_direct=False, heard_at_ms=3),
)
CAROL = EndpointId(bytes(range(2, 34)))
JOIN_REPORT = JoinReport(
    room=RoomName("feature-a"),
    ticket="ticket-text",
    endpoint=SELF,
    members=MEMBERS,
    already_joined=True,
    tried=(DialAttempt(PEER, reached=False, outcome="refused"),),
    warnings=("one peer did not answer",),
)
ROOM_STATUS = RoomStatus(
    room=RoomName("feature-a"),
    topic=TopicId(topic_of(RoomName("feature-a"))),
    members=(
        MEMBERS[0],
        replace(MEMBERS[1], silent_since_ms=4),
        Member(endpoint=CAROL, name="carol", path=Path.RELAY, round_trip_ms=0),
    ),
    neighbors=1,
    joined_at_ms=1_700_000_000_003,
    away=(AwayMember(EndpointId(bytes(range(3, 35))), "dave", 5),),
)
ROTATED = RotateReport(
    room=RoomName("feature-a"),
    epoch=2,
    removed=(NamedPeer(PEER, "bob"),),
    told=(NamedPeer(SELF, "alice"),),
    waiting=(),
)
MEMORY = MemoryView(
    id=MEMORY_ID,
    author=SELF.hex(),
    author_name="alice",
    agent="claude",
    verified=Verified.PEER,
    room=RoomName("feature-a"),
    kind=MemoryKind.DECISION,
    title="Database",
    content="We're using PostgreSQL for the user table ☺",
    tags=("db", "users"),
    references=(OTHER_ID,),
    created_at_s=1_700_000_000,
    truncated=True,
    size=200_000,
)
FOUND = MemoryView(
    id=OTHER_ID,
    author=PEER.hex(),
    author_name="bob",
    agent="",
    verified=Verified.UNVERIFIED,
    room=RoomName("feature-a"),
    kind=MemoryKind.CONTEXT,
    title="",
    content="x",
    tags=(),
    references=(),
    created_at_s=0,
    truncated=False,
    size=1,
    match=a_match(why=Why.WORDS, offset=7, passage=(0, 1), marks=((0, 1),)),
)
SEARCH_RESULT = Searched(
    results=(FOUND, MEMORY),
    answered=(PeerAnswer(endpoint=PEER, name="bob", results=1, elapsed_ms=12),),
    unanswered=(PeerSilence(endpoint=SELF, name="carol", reason="timed out"),),
    method="hybrid",
    notes=("a note",),
)


def daemon_info(
    *,
    protocol: int = PROTOCOL,
    version: str = __version__,
    pid: int = 4711,
    data_dir: str = "/d",
) -> DaemonInfo:
    """Return what a daemon of that protocol and version says of itself."""
    return DaemonInfo(
        protocol=protocol,
        version=version,
        pid=pid,
        endpoint=SELF,
        user="alice",
        network="loopback",
        relay_url="",
        data_dir=data_dir,
    )


DAEMON_STATUS = DaemonStatus(
    info=daemon_info(),
    uptime_s=1.5,
    rooms=(RoomName("a"), RoomName("b")),
    agents=(AgentView(id=OTHER_ID, name="claude", user="", pid=7, rooms=(RoomName("a"),)),),
    addresses=("127.0.0.1:5",),
    peers_connected=2,
    memories=1 << 33,
    index="ready",
    model="loading",
    counters=(("bad_frames", 3), ("wire_errors", 1 << 40)),
    warnings=("the UDP port was taken",),
    disk=DiskUse(
        room_quota=1 << 30,
        author_quota=1 << 20,
        rooms=(Used("a", 5), Used("b", 3)),
        authors=(Used("alice (61)", 8),),
    ),
    relay="https://relay.example/",
)


def invite_text(uses: int | None, expires_s: float | None) -> str:
    """Return an invite with these limits, from now on."""
    return encode_invite(
        Invite(
            room=RoomName("feature-a"),
            founding=Founding(EndpointId(bytes(32)), bytes(32)),
            endpoints=(),
            token=bytes(TOKEN_BYTES),
            expires_at_s=SystemClock().wall_ms() // 1000 + round(expires_s or 0),
            uses=uses or 1,
        )
    )


@dataclass
class FakeRooms:
    """A node that is in one room; listens to agents too."""

    calls: list[tuple[object, ...]] = field(default_factory=list)
    agents: dict[UUID, AgentPresence] = field(default_factory=dict)
    joined_before: list[tuple[RoomName, ...]] = field(default_factory=list)
    """Of each agent that was attached: the rooms that it had joined before."""
    contexts: list[tuple[str, str]] = field(default_factory=list)
    failure: Exception | None = None
    hold: asyncio.Event | None = None
    """Joins wait for it."""
    waits: int = 0
    """How many joins wait now."""
    names: tuple[RoomName, ...] = (RoomName("a"), RoomName("feature-a"))
    report: JoinReport = JOIN_REPORT
    seen: RoomStatus = ROOM_STATUS
    knows_private: bool = True
    """Otherwise it takes no notice of what makes a room private, as an older daemon."""

    def agent_attached(
        self, agent: UUID, presence: AgentPresence, rooms: Sequence[RoomName] = ()
    ) -> None:
        self.agents[agent] = presence
        self.joined_before.append(tuple(rooms))

    def agent_detached(self, agent: UUID) -> None:
        del self.agents[agent]

    async def join(
        self,
        room: str,
        ticket: str | None,
        agent: UUID | None,
        *,
        private: bool,
        history: KeptHistory | None,
    ) -> JoinReport:
        chosen = () if history is None else (history,)
        self.calls.append(("join", room, ticket, agent, private, *chosen))
        self.contexts.append((room_context.get(), request_context.get()))
        await self._fail_or_wait()
        return replace(self.report, room=RoomName(room), private=private and self.knows_private)

    async def leave(self, room: str, agent: UUID | None, *, for_all: bool) -> LeaveReport:
        self.calls.append(("leave", room, agent, for_all))
        return LeaveReport(RoomName(room), node_left=False, still_joined_by=("codex",))

    def joined(self) -> tuple[RoomName, ...]:
        return self.names

    def named(self, text: str) -> RoomName:
        return typed_room(text)

    def status(self, room: str) -> RoomStatus:
        self.calls.append(("status", room))
        if room != ROOM_STATUS.room:
            raise NotFound(f"this machine is not in room {room!r}")
        return self.seen

    async def ticket(self, room: str, uses: int | None, expires_s: float | None) -> TicketReport:
        self.calls.append(("ticket", room, uses, expires_s))
        limited = (uses or expires_s) and self.knows_private
        text = invite_text(uses, expires_s) if limited else "ticket-text"
        return TicketReport(RoomName(room), text, ("it may work here alone",))

    async def rotate(
        self, room: str, without: Sequence[str], *, along: bool, preview: bool
    ) -> RotateReport:
        asked = ("along",) * along + ("preview",) * preview
        self.calls.append(("rotate", room, tuple(without), *asked))
        return ROTATED if self.knows_private else replace(ROTATED, removed=())

    async def notify(self, room: str, text: str, agent: UUID | None) -> NotifyReport:
        self.calls.append(("notify", room, text, agent))
        return NotifyReport(RoomName(room), text, 3)

    async def _fail_or_wait(self) -> None:
        self.waits += 1
        try:
            if self.hold is not None:
                await self.hold.wait()
        finally:
            self.waits -= 1
        if self.failure is not None:
            raise self.failure


@dataclass
class FakeHistory:
    """Notes which rooms have just been joined."""

    rooms: list[RoomName] = field(default_factory=list)
    under_way: tuple[CatchingUp, ...] = ()

    async def joined(self, room: RoomName) -> tuple[CatchingUp, ...]:
        self.rooms.append(room)
        return self.under_way

    def catching_up(self, room: RoomName) -> tuple[CatchingUp, ...]:
        return self.under_way


@dataclass
class FakeMemories:
    """A store that holds one memory."""

    calls: list[tuple[object, ...]] = field(default_factory=list)
    listed: Listed[MemoryView] = field(
        default_factory=lambda: Listed((MEMORY, FOUND), 2, ("after the first", "after both"))
    )
    page: MemoryPage | None = None
    """What is read; a page of `MEMORY` if left out."""

    async def store(
        self,
        room: RoomName,
        title: str,
        content: str,
        kind: MemoryKind,
        tags: tuple[str, ...],
        references: tuple[MemoryId, ...],
        supersedes: MemoryRef | None = None,
        *,
        agent: str,
        user: str,
    ) -> MemoryView:
        given = (room, title, content, kind, tags, references, supersedes, agent, user)
        self.calls.append(("store", *given))
        return MEMORY

    @property
    def amending(self) -> "FakeMemories":
        return self

    async def delete(self, ref: MemoryRef, reason: str, *, agent: str, user: str) -> DeletedMemory:
        self.calls.append(("delete", ref, reason, agent, user))
        return DeletedMemory(self._checked(ref), MEMORY.room, MEMORY.title)

    async def forget(self, ref: MemoryRef) -> tuple[str, ...]:
        self.calls.append(("forget", ref))
        self._checked(ref)
        return (MEMORY.title,)

    async def remember(self, id: MemoryId) -> tuple[str, ...]:
        self.calls.append(("remember", id))
        return (MEMORY.title,)

    @staticmethod
    def _checked(ref: MemoryRef) -> MemoryId:
        if ref.id != MEMORY_ID:
            raise NotFound(f"no memory has the id {ref.id}")
        return ref.id

    async def list(
        self, filter: MemoryFilter, limit: int, after: MemoryPlace | None
    ) -> Listed[MemoryView]:
        self.calls.append(("list", filter, limit, after))
        return self.listed

    def id_of(self, text: str, field: str) -> MemoryId:
        return arguments.memory_id(text, field)

    def ref_of(self, text: str, field: str) -> MemoryRef:
        id, author = arguments.author_part(text, field)
        return MemoryRef(self.id_of(id, field), author)

    async def get(self, ref: MemoryRef, offset: int, limit: int) -> MemoryPage:
        self.calls.append(("get", ref, offset, limit))
        self._checked(ref)
        return self.page or MemoryPage(
            memory=MEMORY, offset=offset, next_offset=offset + limit, total=200_000
        )


@dataclass
class FakeSearch:
    """A search that always finds the same."""

    calls: list[tuple[object, ...]] = field(default_factory=list)
    result: SearchResult = SEARCH_RESULT

    async def search(
        self, query: str, filter: MemoryFilter, timeout_s: float, limit: int
    ) -> SearchResult:
        self.calls.append(("search", query, filter, timeout_s, limit))
        return self.result


@dataclass
class FakeDaemon:
    """A daemon of a chosen protocol."""

    shown: DaemonInfo
    agents: Agents
    stop_requested: asyncio.Event = field(default_factory=asyncio.Event)
    shows_attached: bool = False
    """Its status shows who is attached, in place of an agent that is always the same."""

    def info(self) -> DaemonInfo:
        return self.shown

    async def status(self) -> DaemonStatus:
        if not self.shows_attached:
            return DAEMON_STATUS
        attached = tuple(
            AgentView(id=agent.id, name=agent.name, user=agent.user, pid=agent.pid, rooms=())
            for agent in self.agents.attached()
        )
        return replace(DAEMON_STATUS, agents=attached)

    def request_stop(self) -> None:
        self.stop_requested.set()

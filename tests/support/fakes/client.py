"""A client without a daemon behind it: it answers as set up, and remembers what it was asked."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace
from typing import TypeVar
from uuid import UUID

from buddies_core import __version__
from buddies_core.client import DaemonClient
from buddies_core.errors import DaemonUnavailable, TimedOut
from buddies_core.model.bodies import AgentPresence
from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId, MemoryId, RoomName, topic_of
from buddies_core.model.memory import MemoryKind
from buddies_core.model.room import (
    DialAttempt,
    JoinReport,
    LeaveReport,
    Member,
    NamedPeer,
    NotifyReport,
    RoomList,
    RoomStatus,
    RotateReport,
    TicketReport,
)
from buddies_core.model.task import InboxChange, SubmitVerdict, TaskList, TaskView
from buddies_core.model.views import (
    AgentView,
    DaemonInfo,
    DaemonStatus,
    DeletedMemory,
    Link,
    MemoryList,
    MemoryPage,
    MemoryView,
    PeerAnswer,
    PeerSilence,
    Searched,
    SearchResult,
)
from buddies_core.rpc import fitting_tasks
from buddies_core.tasks import answers
from tests.support.fakes.tasks import CANCELED, COMPLETED, FAILED, REJECTED, SUBMITTED, WORKING
from tests.support.matches import a_match

ToldT = TypeVar("ToldT")

ALICE = EndpointId(b"\xaa" * 32)
BOB = EndpointId(b"\xbb" * 32)
CAROL = EndpointId(b"\xcc" * 32)
FEATURE = RoomName("feature-a")

MEMBERS = (
    Member(
        endpoint=ALICE,
        name="alice",
        agents=(AgentPresence(name="claude", status="writing tests"),),
        is_self=True,
        verified=Verified.SIGNER,
        signed_by="ssh:ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample0123456789abcdefghijklmnopq",
    ),
    Member(endpoint=BOB, name="bob", agents=(AgentPresence(name="codex"),), verified=Verified.PEER),
)
ROTATED = RotateReport(
    room=FEATURE,
    epoch=2,
    removed=(NamedPeer(CAROL, "carol"),),
    told=(NamedPeer(BOB, "bob"),),
    waiting=(),
)
MEMORY = MemoryView(
    id=MemoryId(UUID("8d3e5c1a-7f0b-4c52-9a54-1f0c2b7d9e61")),
    author=ALICE.hex(),
    author_name="alice",
    agent="claude",
    verified=Verified.PEER,
    room=FEATURE,
    kind=MemoryKind.DECISION,
    title="Database",
    content="We're using PostgreSQL for the user table",
    tags=("db",),
    references=(),
    created_at_s=1_700_000_000,
    truncated=False,
    size=41,
)
STATUS = DaemonStatus(
    info=DaemonInfo(
        protocol=1,
        version=__version__,
        pid=4321,
        endpoint=ALICE,
        user="alice",
        network="loopback",
        relay_url="",
        data_dir="/data/alice",
    ),
    uptime_s=187.5,
    rooms=(FEATURE,),
    agents=(AgentView(id=UUID(int=1), name="claude", user="", pid=99, rooms=(FEATURE,)),),
    addresses=("127.0.0.1:4000",),
    peers_connected=1,
    memories=7,
    index="complete",
    model="loaded",
    counters=(("undecodable", 2),),
    warnings=(),
)
FOUND = Searched(
    results=(replace(MEMORY, match=a_match(0.9, passage=(0, 9), marks=((0, 5),))),),
    answered=(PeerAnswer(endpoint=BOB, name="bob", results=1, elapsed_ms=12),),
    unanswered=(PeerSilence(endpoint=CAROL, name="carol", reason="timed out"),),
    method="hybrid",
)


class FakeClient(DaemonClient):
    """Answers every question with the same values, or with `failure` where one is set."""

    def __init__(self, *, content: str = MEMORY.content, found: SearchResult = FOUND) -> None:
        self.asked: list[object] = []
        self.failure: Exception | None = None
        self.hold: asyncio.Event | None = None
        """Every question waits for it."""
        self.waits = 0
        """How many questions wait now."""
        self.deadline_s: float | None = None
        """How long a question waits for its answer."""
        self.content = content
        self.links: tuple[Link, ...] = ()
        """What `get_memory` says of other memories."""
        self.found = found
        self.story: list[TaskView] = [SUBMITTED, WORKING, COMPLETED]
        """What each question after a task tells, the last one from then on."""
        self.claims: list[tuple[TaskView, ...]] = [(WORKING,)]
        """What each poll gives, the last one from then on."""
        self.verdict = SubmitVerdict("accepted", "it counts")
        self.waiting = 0
        self.inbox: asyncio.Queue[InboxChange] = asyncio.Queue()
        self.warning = ""
        """That it is of another version."""
        self.replaceable = False

    @property
    def info(self) -> DaemonInfo:
        return STATUS.info

    @property
    def version_warning(self) -> str:
        return self.warning

    @property
    def is_there(self) -> bool:
        return self.failure is None

    async def is_replaceable(self) -> bool:
        return self.replaceable

    async def attach(
        self, agent: str, user: str, capabilities: tuple[str, ...] = (), pid: int | None = None
    ) -> None:
        await self._answer("attach", agent, user, capabilities)

    def end(self) -> None:
        """Be without a daemon: questions that wait fail, and later ones too."""
        self.failure = DaemonUnavailable("the daemon ended during the call")
        if self.hold is not None:
            self.hold.set()

    async def _answer(self, *question: object) -> None:
        """Take a question. As with the real client, the caller can be cancelled while it waits."""
        self.asked.append(question)
        self.waits += 1
        try:
            async with asyncio.timeout(self.deadline_s):
                await (asyncio.sleep(0) if self.hold is None else self.hold.wait())
        except TimeoutError:
            raise TimedOut(f"the daemon did not answer within {self.deadline_s} s") from None
        finally:
            self.waits -= 1
        if self.failure is not None:
            raise self.failure

    async def join_room(
        self,
        room: str,
        ticket: str | None = None,
        *,
        private: bool = False,
        history: str = "",
    ) -> JoinReport:
        chosen = (*(("private",) if private else ()), *((history,) if history else ()))
        await self._answer("join_room", room, ticket, *chosen)
        return JoinReport(
            room=RoomName(room),
            ticket="buddiesticket",
            endpoint=ALICE,
            members=MEMBERS,
            already_joined=False,
            private=private,
            tried=(DialAttempt(BOB, True, "connected"), DialAttempt(CAROL, False, "refused")),
        )

    async def leave_room(self, room: str, *, for_all: bool) -> LeaveReport:
        await self._answer("leave_room", room, for_all)
        return LeaveReport(RoomName(room), node_left=True, still_joined_by=())

    async def list_rooms(self) -> tuple[RoomName, ...]:
        await self._answer("list_rooms")
        return (FEATURE,)

    async def room_list(self, cursor: str = "") -> RoomList:
        await self._answer("list_rooms", *filter(None, (cursor,)))
        return RoomList((FEATURE,))

    async def room_status(self, room: str, cursor: str = "") -> RoomStatus:
        await self._answer("room_status", room, *filter(None, (cursor,)))
        return RoomStatus(
            room=RoomName(room),
            topic=topic_of(RoomName(room)),
            members=MEMBERS,
            neighbors=1,
            joined_at_ms=1_700_000_000_000,
        )

    async def room_ticket(
        self, room: str, *, uses: int | None = None, expires_s: float | None = None
    ) -> TicketReport:
        await self._answer("room_ticket", room, uses, expires_s)
        return TicketReport(RoomName(room), "buddiesticket", ("it may work here alone",))

    async def rotate_room(
        self, room: str, without: Sequence[str] = (), *, along: bool = False, preview: bool = False
    ) -> RotateReport:
        asked = ("along",) * along + ("preview",) * preview
        await self._answer("rotate_room", room, tuple(without), *asked)
        return ROTATED

    async def notify(self, room: str, text: str) -> NotifyReport:
        await self._answer("notify", room, text)
        return NotifyReport(RoomName(room), text, members=1)

    async def store_memory(
        self,
        *,
        room: str,
        content: str,
        title: str = "",
        kind: str = "",
        tags: Sequence[str] = (),
        references: Sequence[str] = (),
        supersedes: str = "",
    ) -> MemoryView:
        given = (room, content, title, kind, tags, references, *filter(None, (supersedes,)))
        await self._answer("store_memory", *given)
        return replace(MEMORY, room=RoomName(room), content=content, title=title)

    async def list_memories(
        self,
        *,
        room: str | None = None,
        kind: str | None = None,
        tags: Sequence[str] = (),
        author: str | None = None,
        agent: str | None = None,
        since_ms: int | None = None,
        include_superseded: bool = False,
        oldest_first: bool = False,
        limit: int = 20,
        cursor: str = "",
    ) -> MemoryList:
        await self._answer(
            "list_memories",
            room,
            kind,
            tags,
            author,
            agent,
            since_ms,
            limit,
            *filter(None, (cursor, include_superseded, oldest_first and "oldest first")),
        )
        return MemoryList((MEMORY,), damaged=1)

    async def get_memory(self, id: str, offset: int = 0, limit: int = 20_000) -> MemoryPage:
        await self._answer("get_memory", id, offset, limit)
        end = min(offset + limit, len(self.content))
        return MemoryPage(
            memory=replace(MEMORY, content=self.content[offset:end]),
            offset=offset,
            next_offset=end if end < len(self.content) else None,
            total=len(self.content),
            links=self.links,
        )

    async def search_memory(
        self,
        query: str,
        *,
        room: str | None = None,
        kind: str | None = None,
        tags: Sequence[str] = (),
        author: str | None = None,
        agent: str | None = None,
        since_ms: int | None = None,
        include_superseded: bool = False,
        timeout_s: float = 3.0,
        limit: int = 20,
    ) -> SearchResult:
        asked = (query, room, kind, tags, author, agent, since_ms, timeout_s, limit)
        await self._answer("search_memory", *asked, *filter(None, (include_superseded,)))
        return self.found

    async def delete_memory(self, id: str, reason: str = "") -> DeletedMemory:
        await self._answer("delete_memory", id, reason)
        return DeletedMemory(MEMORY.id, MEMORY.room, MEMORY.title)

    async def forget_memory(self, id: str, *, undo: bool = False) -> tuple[str, ...]:
        await self._answer("forget_memory", id, undo)
        return (MEMORY.title,)

    async def delegate_task(
        self,
        room: str,
        description: str,
        *,
        timeout_s: float | None = None,
        peer: str = "",
        agent: str = "",
        capability: str = "",
        idempotency_key: str = "",
        retryable: bool = True,
        parent_task_id: str = "",
    ) -> TaskView:
        await self._answer(
            "delegate_task", room, description, timeout_s, peer, agent, capability,
            idempotency_key, retryable, parent_task_id,
        )  # fmt: skip
        return self._told(self.story)

    async def wait_task(
        self, task_id: str, timeout_s: float, *, offset: int = 0, description: bool = False
    ) -> AsyncGenerator[TaskView]:
        yield await self.task_after(task_id, timeout_s, offset=offset, description=description)

    async def task_after(
        self, task_id: str, timeout_s: float, *, offset: int = 0, description: bool = False
    ) -> TaskView:
        asked = filter(None, (offset, "description" if description else ""))
        await self._answer("task_after", task_id, timeout_s, *asked)
        fitted = fitting_tasks.description if description else fitting_tasks.outcome
        return fitted(self._told(self.story), offset)

    async def poll_tasks(
        self,
        *,
        room: str | None = None,
        timeout_s: float = 0.0,
        limit: int = 1,
        new_only: bool = False,
    ) -> tuple[TaskView, ...]:
        await self._answer("poll_tasks", room, timeout_s, limit)
        claimed = self._told(self.claims)
        return claimed if new_only else answers.fitted(claimed)

    async def submit_task_result(
        self, task_id: str, *, success: bool, output: str
    ) -> SubmitVerdict:
        await self._answer("submit_task_result", task_id, success, output)
        return self.verdict

    async def task_progress(self, task_id: str, text: str) -> TaskView:
        await self._answer("task_progress", task_id, text)
        return WORKING

    async def cancel_task(self, task_id: str, reason: str = "") -> TaskView:
        await self._answer("cancel_task", task_id, reason)
        return CANCELED

    async def reject_task(self, task_id: str, reason: str) -> TaskView:
        await self._answer("reject_task", task_id, reason)
        return REJECTED

    async def list_tasks(
        self,
        *,
        room: str | None = None,
        state: str | None = None,
        limit: int = 20,
        cursor: str = "",
    ) -> TaskList:
        await self._answer("list_tasks", room, state, limit, *filter(None, (cursor,)))
        return TaskList((WORKING, FAILED), self.waiting)

    @property
    def waiting_tasks(self) -> int:
        return self.waiting

    async def inbox_changes(self) -> AsyncIterator[InboxChange]:
        while True:
            yield await self.inbox.get()

    def _told(self, items: list[ToldT]) -> ToldT:
        return items.pop(0) if len(items) > 1 else items[0]

    async def status(self) -> DaemonStatus:
        await self._answer("status")
        return STATUS

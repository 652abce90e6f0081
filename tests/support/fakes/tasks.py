"""What lies behind the Tasks service, in memory: it records what it was asked, tells a story."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from uuid import UUID

from buddies_core.errors import NotFound
from buddies_core.model.ids import EndpointId, RoomName, TaskId
from buddies_core.model.task import (
    Caller,
    InboxChange,
    InboxTask,
    SubmitVerdict,
    TaskFailed,
    TaskPlace,
    TaskState,
    TaskSucceeded,
    TaskView,
)
from buddies_core.tasks import answers

TASK_ID = TaskId(UUID("5f0e7d0a-3c1b-4f7e-9b35-0d5a6f0c7e11"))
PARENT_ID = TaskId(UUID("7c2f7e58-0a53-4a57-8a4e-93a3f1f1b8aa"))
SUBMITTED = TaskView(
    id=TASK_ID,
    room=RoomName("feature-a"),
    description="Run the test suite ☺",
    state=TaskState.SUBMITTED,
    mine=True,
    requester=EndpointId(b"\xaa" * 32),
    requester_user="alice",
    requester_agent="claude",
    worker=None,
    worker_user="",
    worker_agent="",
    attempt=0,
    progress="",
    result=None,
    reason="",
    late_results=0,
    left_s=599.5,
    created_at_ms=1_700_000_000_000,
)
WORKING = replace(
    SUBMITTED,
    state=TaskState.WORKING,
    worker=EndpointId(b"\xbb" * 32),
    worker_user="bob",
    worker_agent="codex",
    attempt=2,
    progress="half of it",
    late_results=1,
    left_s=30.0,
)
COMPLETED = replace(
    WORKING, state=TaskState.COMPLETED, result=TaskSucceeded("all 12 pass"), left_s=None
)
FAILED = replace(WORKING, state=TaskState.FAILED, result=TaskFailed("no compiler"), left_s=None)
REJECTED = replace(
    SUBMITTED, state=TaskState.REJECTED, reason="bob's codex: no compiler", left_s=None
)
CANCELED = replace(WORKING, state=TaskState.CANCELED, reason="not needed", left_s=None)
ARRIVED = InboxChange(
    waiting=2,
    newest=InboxTask(
        id=TASK_ID,
        room=RoomName("feature-a"),
        requester_user="alice",
        requester_agent="claude",
        summary="Run the test suite ☺",
    ),
)


@dataclass
class FakeTasks:
    """Tasks whose story is `story`, one change after the other; one task waits for everybody."""

    calls: list[tuple[object, ...]] = field(default_factory=list)
    story: tuple[TaskView, ...] = (SUBMITTED, WORKING, COMPLETED)
    claimed: tuple[TaskView, ...] = (WORKING,)
    kept: tuple[TaskView, ...] = (WORKING, FAILED, REJECTED)
    verdict: SubmitVerdict = field(default_factory=lambda: SubmitVerdict("accepted", "it counts"))
    inbox: tuple[InboxChange, ...] = ()
    hold: asyncio.Event | None = None
    """Polls, and watches whose story has no end, wait for it."""
    waits: int = 0
    """How many wait now."""
    claimable: int = 3
    """How many tasks any caller could claim."""
    counted_for: list[str] = field(default_factory=list)
    """The callers for whom these were counted."""
    failure: Exception | None = None
    """What watches end with."""

    async def delegate(
        self,
        room: RoomName,
        description: str,
        *,
        timeout_s: float | None,
        peer: str,
        agent_target: str,
        capability: str,
        idempotency_key: str,
        retryable: bool,
        parent: TaskId | None,
        caller: Caller,
    ) -> TaskView:
        self.calls.append(
            (
                "delegate", room, description, timeout_s, peer, agent_target, capability,
                idempotency_key, retryable, parent, caller.agent,
            )
        )  # fmt: skip
        return self.story[0]

    async def watch(self, task_id: TaskId, timeout_s: float) -> AsyncGenerator[TaskView]:
        self.calls.append(("watch", task_id, timeout_s))
        self._known(task_id)
        if self.failure is not None:
            raise self.failure
        for view in self.story:
            yield view
        await self._wait()

    async def poll(
        self,
        caller: Caller,
        room: RoomName | None,
        timeout_s: float,
        limit: int,
        *,
        new_only: bool = False,
    ) -> tuple[TaskView, ...]:
        self.calls.append(
            ("poll", caller.agent, caller.capabilities, room, timeout_s, limit, new_only)
        )
        await self._wait()
        return self.claimed if new_only else answers.fitted(self.claimed)

    async def submit(
        self, task_id: TaskId, success: bool, output: str, caller: Caller
    ) -> SubmitVerdict:
        self.calls.append(("submit", task_id, success, output, caller.agent))
        return self.verdict

    async def progress(self, task_id: TaskId, text: str, caller: Caller) -> TaskView:
        self.calls.append(("progress", task_id, text, caller.agent))
        return WORKING

    async def cancel(self, task_id: TaskId, reason: str, caller: Caller) -> TaskView:
        self.calls.append(("cancel", task_id, reason, caller.agent))
        return CANCELED

    async def reject(self, task_id: TaskId, reason: str, caller: Caller) -> TaskView:
        self.calls.append(("reject", task_id, reason, caller.agent))
        return REJECTED

    def waiting_for(self, caller: Caller) -> int:
        self.counted_for.append(caller.agent)
        return self.claimable

    async def list(
        self,
        room: RoomName | None,
        state: TaskState | None,
        limit: int,
        caller: Caller,
        after: TaskPlace | None,
    ) -> tuple[tuple[TaskView, ...], int]:
        self.calls.append(("list", room, state, limit, caller.agent, after))
        return self.kept, 3

    async def inbox_changes(self, caller: Caller) -> AsyncGenerator[InboxChange]:
        for change in self.inbox:
            yield change
        await asyncio.Event().wait()

    def _known(self, task_id: TaskId) -> None:
        if task_id != TASK_ID:
            raise NotFound(f"no task has the id {task_id}")

    async def _wait(self) -> None:
        self.waits += 1
        try:
            if self.hold is not None:
                await self.hold.wait()
        finally:
            self.waits -= 1

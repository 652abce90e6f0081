"""The calls about tasks: handing work to other agents, doing it, waiting for the result."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Unpack

from buddies_core.client.connection import Connection, sendable
from buddies_core.convert import arguments
from buddies_core.convert.codec import from_proto
from buddies_core.errors import TimedOut
from buddies_core.model.fields import TaskFields
from buddies_core.model.limits import CLAIMS_DEFAULT, LIST_ITEMS_DEFAULT
from buddies_core.model.task import InboxChange, SubmitVerdict, TaskList, TaskView, result_with
from buddies_core.pb import task_pb2
from buddies_core.pb.task_pb2_grpc import TasksStub

WAIT_MARGIN_S = 5.0
"""Added to the time of the wait itself, so that the daemon ends it, not the deadline."""
SUBMIT_TIMEOUT_S = 30.0
"""The requester may be dialled, and fetch a megabyte, before it gives its verdict."""


class TaskCalls:
    """The part of DaemonClient that is about tasks."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tasks = TasksStub(connection.channel)

    async def delegate_task(
        self,
        room: str,
        description: str,
        *,
        timeout_s: float | None = None,
        retryable: bool = True,
        **fields: Unpack[TaskFields],
    ) -> TaskView:
        """Return the task once it is on disk and on its way; `wait_task` tells what comes of it.

        The same idempotency key from the same agent is the same task. Its `warning` says if nobody
        who is present can do it.

        Raises:
            InvalidInput: an argument can't be taken, the task was handed on too often, or the key
                belongs to a task with another order.
            NotFound: this machine is not in the room, or the target or the parent is unknown.
        """
        with sendable():
            request = task_pb2.DelegateRequest(
                room=room,
                description=description,
                timeout_s=arguments.task_timeout_s(timeout_s or 0) or 0,
                not_retryable=not retryable,
                **fields,
            )
        return from_proto(await self._connection.ask(self._tasks.Delegate, request), TaskView)

    async def wait_task(
        self, task_id: str, timeout_s: float, *, offset: int = 0, description: bool = False
    ) -> AsyncGenerator[TaskView]:
        """Return the task now and at each change, until it is over or the time is up.

        Of a long result there is the page that begins at `offset`, and the beginning of a long
        description; with `description` it is a page of that, and no result.

        Raises:
            NotFound: this machine knows no such task.
            InvalidInput: the text is over before the offset.
        """
        with sendable():
            request = task_pb2.WaitRequest(
                task_id=task_id,
                timeout_s=arguments.wait_s(timeout_s),
                offset=offset,
                description=description,
            )
        deadline_s = timeout_s + WAIT_MARGIN_S
        changes = self._connection.follow(self._tasks.Wait, request, deadline_s)
        async with aclosing(changes):
            async for change in changes:
                yield from_proto(change, TaskView)

    async def task_after(
        self, task_id: str, timeout_s: float, *, offset: int = 0, description: bool = False
    ) -> TaskView:
        """Return the task when it is over, or as it is when the time is up; see `wait_task`.

        Raises:
            NotFound: this machine knows no such task.
            InvalidInput: the text is over before the offset.
        """
        last: TaskView | None = None
        changes = self.wait_task(task_id, timeout_s, offset=offset, description=description)
        async for task in changes:
            last = task
        if last is None:
            raise TimedOut("the daemon ended before it told of the task; ask again")
        return last

    async def with_whole_description(self, task: TaskView) -> TaskView:
        """Return a task with all of its description, read page by page."""
        text = task.description
        while task.description_page is not None and len(text) < task.description_page.total:
            page = await self.task_after(str(task.id), 0, offset=len(text), description=True)
            text += page.description
        return replace(task, description=text, description_page=None)

    async def with_whole_result(self, task: TaskView) -> TaskView:
        """Return a task with all of its output, or of its error, read page by page."""
        parts = [task.result_text]
        page, read = task.result_page, len(task.result_text)
        while page is not None and read < page.total:
            part = await self.task_after(str(task.id), 0, offset=read)
            parts.append(part.result_text)
            read += len(part.result_text)
        return replace(task, result=result_with(task.result, "".join(parts)), result_page=None)

    async def poll_tasks(
        self,
        *,
        room: str | None = None,
        timeout_s: float = 0.0,
        limit: int = CLAIMS_DEFAULT,
        new_only: bool = False,
    ) -> tuple[TaskView, ...]:
        """Wait for tasks and claim those that are returned; none if the time is up.

        What an agent has claimed and not answered comes first, marked `already_yours`. With
        `new_only`, for programs that keep track themselves, what this agent was told of before is
        left out, and no description is cut; else `with_whole_description` reads the rest of one.
        Its claims go back to the others when it leaves without a result.

        Raises:
            NotFound: this machine is not in the room.
        """
        with sendable():
            request = task_pb2.PollRequest(
                room=room or "",
                timeout_s=arguments.wait_s(timeout_s),
                limit=limit,
                new_only=new_only,
            )
        deadline_s = timeout_s + WAIT_MARGIN_S
        reply = await self._connection.ask(self._tasks.Poll, request, deadline_s)
        return tuple(from_proto(it, TaskView) for it in reply.tasks)

    async def submit_task_result(
        self, task_id: str, *, success: bool, output: str
    ) -> SubmitVerdict:
        """Return what the requester made of the result, which is on disk here by then.

        Submitting the same again gives the same verdict.

        Raises:
            InvalidInput: the output is too long.
            NotFound: nobody asked this machine to do that task.
            NotAllowed: this agent has not claimed it.
        """
        with sendable():
            request = task_pb2.SubmitRequest(task_id=task_id, success=success, output=output)
        reply = await self._connection.ask(self._tasks.Submit, request, SUBMIT_TIMEOUT_S)
        return from_proto(reply, SubmitVerdict)

    async def task_progress(self, task_id: str, text: str) -> TaskView:
        """Tell who asked for it how a task goes; it is a sign of life too.

        Raises:
            NotFound: nobody asked this machine to do that task.
            NotAllowed: this agent has not claimed it, or not any more.
        """
        with sendable():
            request = task_pb2.ProgressRequest(task_id=task_id, text=text)
        return from_proto(await self._connection.ask(self._tasks.Progress, request), TaskView)

    async def cancel_task(self, task_id: str, reason: str = "") -> TaskView:
        """End a task that this machine asked for; who works on it is told.

        Raises:
            NotFound: this machine asked for no such task.
        """
        with sendable():
            request = task_pb2.CancelRequest(task_id=task_id, reason=reason)
        return from_proto(await self._connection.ask(self._tasks.Cancel, request), TaskView)

    async def reject_task(self, task_id: str, reason: str) -> TaskView:
        """Have a task done by somebody else; this agent is not asked for it again.

        Raises:
            NotFound: nobody asked this machine to do that task.
        """
        with sendable():
            request = task_pb2.RejectRequest(task_id=task_id, reason=reason)
        return from_proto(await self._connection.ask(self._tasks.Reject, request), TaskView)

    async def list_tasks(
        self,
        *,
        room: str | None = None,
        state: str | None = None,
        limit: int = LIST_ITEMS_DEFAULT,
        cursor: str = "",
    ) -> TaskList:
        """Return tasks that were asked for or are to be done here, newest first, without long ends.

        Raises:
            InvalidInput: the state is unknown, or this list has not given the cursor.
        """
        with sendable():
            request = task_pb2.ListRequest(
                room=room or "", state=state or "", limit=limit, cursor=cursor
            )
        return from_proto(await self._connection.ask(self._tasks.List, request), TaskList)

    @property
    def waiting_tasks(self) -> int:
        """How many tasks the attached agent could claim when the daemon gave its last answer."""
        return self._connection.waiting

    def inbox_changes(self) -> AsyncIterator[InboxChange]:
        """Return what waits for the attached agent, then each change, for ever, to one reader.

        They are hints: after a restart of the daemon some may be missing.
        """
        return self._connection.inbox.changes()

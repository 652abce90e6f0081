"""The Tasks service: handing work to other agents, doing it, and waiting for what comes of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Protocol

from grpc.aio import ServicerContext

from buddies_core.convert import arguments
from buddies_core.convert.codec import to_proto
from buddies_core.convert.cursors import task_place
from buddies_core.model.ids import RoomName, TaskId
from buddies_core.model.task import (
    PERSON,
    Caller,
    InboxChange,
    SubmitVerdict,
    TaskPlace,
    TaskState,
    TaskView,
)
from buddies_core.pb import task_pb2 as pb
from buddies_core.pb.task_pb2_grpc import TasksServicer
from buddies_core.rpc import fitting_tasks
from buddies_core.rpc.agents import Agents, AttachedAgent
from buddies_core.rpc.closing import Closing
from buddies_core.rpc.names import RoomNames


class InboxService(Protocol):
    """What the Daemon service asks of the tasks, for the agents that are attached."""

    def inbox_changes(self, caller: Caller) -> AsyncGenerator[InboxChange]:
        """Return what waits for an agent now, then each change of it."""


class TasksService(InboxService, Protocol):
    """What this service asks of the tasks; see `tasks.service.Tasks`."""

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
        """Keep a task and offer it to the room."""

    def watch(self, task_id: TaskId, timeout_s: float) -> AsyncGenerator[TaskView]:
        """Return the task now and at each change, until it is over or the time is up."""

    async def poll(
        self,
        caller: Caller,
        room: RoomName | None,
        timeout_s: float,
        limit: int,
        *,
        new_only: bool = False,
    ) -> tuple[TaskView, ...]:
        """Wait for tasks, claim some, and return them with what the caller has claimed before."""

    async def submit(
        self, task_id: TaskId, success: bool, output: str, caller: Caller
    ) -> SubmitVerdict:
        """Keep a result and tell who asked for it."""

    async def progress(self, task_id: TaskId, text: str, caller: Caller) -> TaskView:
        """Tell who asked for it how a claimed task goes."""

    async def cancel(self, task_id: TaskId, reason: str, caller: Caller) -> TaskView:
        """End a task that this node asked for."""

    async def reject(self, task_id: TaskId, reason: str, caller: Caller) -> TaskView:
        """Tell who asked for it that this agent does not do it."""

    def waiting_for(self, caller: Caller) -> int:
        """Return how many tasks the caller could claim now."""

    async def list(
        self,
        room: RoomName | None,
        state: TaskState | None,
        limit: int,
        caller: Caller,
        after: TaskPlace | None,
    ) -> tuple[tuple[TaskView, ...], int]:
        """Return tasks behind a place in the list, and how many the caller could claim now."""


def caller_of(agent: AttachedAgent | None) -> Caller:
    """Return in whose name a call is made; no agent means a person."""
    if agent is None:
        return PERSON
    return Caller(
        agent_id=agent.id, agent=agent.name, user=agent.user, capabilities=agent.capabilities
    )


class TasksRpc(TasksServicer):
    """The methods of the Tasks service."""

    def __init__(
        self, tasks: TasksService, agents: Agents, closing: Closing, names: RoomNames
    ) -> None:
        self._tasks = tasks
        self._named = names.named
        self._agents = agents
        self._closing = closing

    async def Delegate(
        self, request: pb.DelegateRequest, context: ServicerContext[Any, Any]
    ) -> pb.TaskView:
        """Return the task once it is on disk; it is being offered."""
        parent = request.parent_task_id
        task = await self._tasks.delegate(
            self._named(request.room),
            request.description,
            timeout_s=arguments.task_timeout_s(request.timeout_s),
            peer=request.peer,
            agent_target=request.agent,
            capability=request.capability,
            idempotency_key=request.idempotency_key,
            retryable=not request.not_retryable,
            parent=arguments.task_id(parent, "parent_task_id") if parent else None,
            caller=self._caller(context),
        )
        return to_proto(fitting_tasks.brief(task), pb.TaskView)

    async def Wait(
        self, request: pb.WaitRequest, context: ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.TaskView]:
        """Return the task now and at each change, until it is over or the time is up.

        With a page of its result, or of its description if that is asked for.
        """
        self._caller(context)
        fitted = fitting_tasks.description if request.description else fitting_tasks.outcome
        changes = self._tasks.watch(
            arguments.task_id(request.task_id), arguments.wait_s(request.timeout_s)
        )
        async for task in self._closing.until(changes):
            yield to_proto(fitted(task, request.offset), pb.TaskView)

    async def Poll(
        self, request: pb.PollRequest, context: ServicerContext[Any, Any]
    ) -> pb.PollReply:
        """Return tasks that the calling agent has claimed by this; none if the time is up.

        How many fit into an answer decides how many are claimed, so it is the tasks that see to it.
        """
        tasks: tuple[TaskView, ...] = ()
        async with self._closing.cuts():
            tasks = await self._tasks.poll(
                self._caller(context),
                self._named(request.room) if request.room else None,
                arguments.wait_s(request.timeout_s),
                arguments.claims(request.limit),
                new_only=request.new_only,
            )
        return pb.PollReply(tasks=(to_proto(it, pb.TaskView) for it in tasks))

    async def Submit(
        self, request: pb.SubmitRequest, context: ServicerContext[Any, Any]
    ) -> pb.SubmitReply:
        """Return what the requester made of the result, once it is on disk here."""
        task = arguments.task_id(request.task_id)
        verdict = await self._tasks.submit(
            task, request.success, request.output, self._caller(context)
        )
        return to_proto(verdict, pb.SubmitReply)

    async def Progress(
        self, request: pb.ProgressRequest, context: ServicerContext[Any, Any]
    ) -> pb.TaskView:
        """Return the task as the worker's side knows it."""
        task = await self._tasks.progress(
            arguments.task_id(request.task_id), request.text, self._caller(context)
        )
        return to_proto(fitting_tasks.brief(task), pb.TaskView)

    async def Cancel(
        self, request: pb.CancelRequest, context: ServicerContext[Any, Any]
    ) -> pb.TaskView:
        """Return the task, which is over."""
        task = await self._tasks.cancel(
            arguments.task_id(request.task_id), request.reason, self._caller(context)
        )
        return to_proto(fitting_tasks.brief(task), pb.TaskView)

    async def Reject(
        self, request: pb.RejectRequest, context: ServicerContext[Any, Any]
    ) -> pb.TaskView:
        """Return the task, which this agent will not be asked for again."""
        task = await self._tasks.reject(
            arguments.task_id(request.task_id), request.reason, self._caller(context)
        )
        return to_proto(fitting_tasks.brief(task), pb.TaskView)

    async def List(
        self, request: pb.ListRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListReply:
        """Return tasks, newest first, and how many wait for the calling agent."""
        limit = arguments.limit(request.limit)
        tasks, waiting = await self._tasks.list(
            self._named(request.room) if request.room else None,
            arguments.task_state(request.state),
            limit + 1,
            self._caller(context),
            task_place(request.cursor),
        )
        return to_proto(fitting_tasks.task_list(tasks, limit, waiting), pb.ListReply)

    def _caller(self, context: ServicerContext[Any, Any]) -> Caller:
        return caller_of(self._agents.caller(context))

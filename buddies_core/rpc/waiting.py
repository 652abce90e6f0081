"""Tells an agent with each answer how many tasks wait for it, so that it need not ask."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any, Protocol

import grpc
from grpc import aio

from buddies_core.errors import NotAttached
from buddies_core.local_protocol import AGENT_METADATA, WAITING_METADATA
from buddies_core.model.task import Caller
from buddies_core.rpc.agents import Agents
from buddies_core.rpc.tasks import caller_of


class WaitingService(Protocol):
    """What this asks of the tasks; see `tasks.service.Tasks`."""

    def waiting_for(self, caller: Caller) -> int:
        """Return how many tasks the caller could claim now."""


class WaitingWithAnswers(aio.ServerInterceptor):
    """Puts the number of tasks that wait into the trailing metadata of an agent's calls."""

    def __init__(self, tasks: WaitingService, agents: Agents) -> None:
        self._tasks = tasks
        self._agents = agents

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the method's handler, wrapped if an attached agent makes the call."""
        handler = await continuation(handler_call_details)
        metadata = handler_call_details.invocation_metadata or ()
        if handler is None or all(key != AGENT_METADATA for key, _ in metadata):
            return handler
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._stream(handler.unary_stream),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            self._unary(handler.unary_unary),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _unary(self, behaviour: Any) -> Any:
        async def answer(request: Any, context: aio.ServicerContext[Any, Any]) -> Any:
            reply = await behaviour(request, context)
            self._tell(context)
            return reply

        return answer

    def _stream(self, behaviour: Any) -> Any:
        async def answer(
            request: Any, context: aio.ServicerContext[Any, Any]
        ) -> AsyncIterator[Any]:
            async with aclosing(behaviour(request, context)) as replies:
                async for reply in replies:
                    yield reply
            self._tell(context)

        return answer

    def _tell(self, context: aio.ServicerContext[Any, Any]) -> None:
        with suppress(NotAttached):  # It has gone meanwhile, and reads no answer.
            waiting = self._tasks.waiting_for(caller_of(self._agents.caller(context)))
            context.set_trailing_metadata(((WAITING_METADATA, str(waiting)),))

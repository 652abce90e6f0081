"""Awaits gRPC so that cancelling a call ends that call and nothing else.

A grpc.aio call that is awaited directly swallows the CancelledError of the awaiting task and raises
a new one. asyncio does not mind, but anyio recognises the cancellation of a scope by the message of
the error. It takes an error without that message for a cancellation from outside, lets it through
the scope, and the task group around it, which is the whole MCP server, ends.

So nothing else in this package awaits a gRPC call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar, overload

from grpc import aio

RequestT = TypeVar("RequestT")
ReplyT = TypeVar("ReplyT")
AnswerT = TypeVar("AnswerT")


@overload
async def answer_of(call: aio.UnaryUnaryCall[RequestT, ReplyT]) -> ReplyT: ...
@overload
async def answer_of(call: aio.Call, answer: Awaitable[AnswerT]) -> AnswerT: ...
async def answer_of(call: aio.Call, answer: Awaitable[object] | None = None) -> object:
    """Return the answer to a call, or `answer`, such as the next one to a call that has many.

    Cancelling this cancels the call. The error is the one that asyncio raises, with its message.

    Raises:
        AioRpcError: the call failed.
        CancelledError: this task was cancelled, or somebody closed the channel under the call;
            `nobody_cancelled` tells which.
    """
    # In a task of its own: our cancellation reaches the shield, never gRPC.
    waiting: asyncio.Future[object] = asyncio.ensure_future(  # noqa: TID251 - it ends with the call
        call if answer is None else answer  # type: ignore[arg-type] # a call can be awaited
    )
    try:
        return await asyncio.shield(waiting)
    except BaseException:
        call.cancel()  # does nothing to a call that has ended
        waiting.add_done_callback(_overlook)
        raise


def _overlook(waiting: asyncio.Future[object]) -> None:
    """Read an outcome that comes too late, so that asyncio does not log it as never retrieved."""
    if not waiting.cancelled():
        waiting.exception()


def nobody_cancelled() -> bool:
    """Return whether a CancelledError is gRPC's own: nobody has cancelled the current task."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() == 0

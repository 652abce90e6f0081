"""Our errors as gRPC statuses, for every method in one place. `client` translates them back."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc import aio
from grpc_status import rpc_status

from buddies_core import errors
from buddies_core.local_protocol import ERROR_DOMAIN
from buddies_core.logs import request_context, room_context

if TYPE_CHECKING:
    from pathlib import Path

STATUS_CODES: dict[type[errors.BuddiesError], grpc.StatusCode] = {
    errors.InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.NotAllowed: grpc.StatusCode.PERMISSION_DENIED,
    errors.NotAttached: grpc.StatusCode.UNAUTHENTICATED,
    errors.TimedOut: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.Busy: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unreachable: grpc.StatusCode.UNAVAILABLE,
    errors.QuotaExceeded: grpc.StatusCode.FAILED_PRECONDITION,
    errors.StoreError: grpc.StatusCode.DATA_LOSS,
    errors.WireError: grpc.StatusCode.ABORTED,
    errors.BuddiesError: grpc.StatusCode.UNKNOWN,
}

TEXT_CHARS_MAX = 4000
"""Of an error's text: trailing metadata is bounded."""

log = logging.getLogger(__name__)


def status_of(error: errors.BuddiesError) -> Status:
    """Return the status that `client` makes the same error of.

    The reason names the nearest class that both ends know, not one of the daemon's own.
    """
    known = next(cls for cls in type(error).__mro__ if cls in STATUS_CODES)
    return _status(STATUS_CODES[known], str(error), known.__name__)


class ErrorsToStatus(aio.ServerInterceptor):
    """Gives every method of ours its statuses, and its log lines the request they belong to."""

    def __init__(self, log_file: Path) -> None:
        self._log_file = log_file
        self._numbers = itertools.count(1)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the method's handler, wrapped if it is one of ours."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not method.startswith("/buddies."):
            return handler
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._stream(handler.unary_stream, method),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            self._unary(handler.unary_unary, method),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _unary(self, behaviour: Any, method: str) -> Any:
        async def answer(request: Any, context: aio.ServicerContext[Any, Any]) -> Any:
            self._enter(request)
            try:
                return await behaviour(request, context)
            except Exception as error:  # noqa: BLE001 - one bad call must not end the others
                await context.abort_with_status(self._explain(error, method))

        return answer

    def _stream(self, behaviour: Any, method: str) -> Any:
        # Writes by itself: gRPC does not close a generator whose reader has gone, so that its
        # `finally` would wait for the garbage collector.
        async def answer(request: Any, context: aio.ServicerContext[Any, Any]) -> None:
            self._enter(request)
            try:
                async with aclosing(behaviour(request, context)) as events:
                    async for event in events:
                        await context.write(event)
            except Exception as error:  # noqa: BLE001 - one bad call must not end the others
                await context.abort_with_status(self._explain(error, method))

        return answer

    def _enter(self, request: Any) -> None:
        # Each call is a task of its own, so these end with it.
        request_context.set(f"rpc-{next(self._numbers)}")
        room_context.set(getattr(request, "room", ""))

    def _explain(self, error: Exception, method: str) -> grpc.Status:
        if isinstance(error, errors.BuddiesError):
            log.debug("rpc_refused method=%s error=%s text=%s", method, type(error).__name__, error)
            return rpc_status.to_status(status_of(error))
        log.error("rpc_failed method=%s", method, exc_info=error)
        text = (
            f"the daemon failed at this ({type(error).__name__}), which is a bug of buddies; "
            f"what happened is in {self._log_file}"
        )
        return rpc_status.to_status(
            _status(grpc.StatusCode.INTERNAL, text, errors.BuddiesError.__name__)
        )


def _status(code: grpc.StatusCode, text: str, reason: str) -> Status:
    detail = AnyMessage()
    detail.Pack(ErrorInfo(reason=reason, domain=ERROR_DOMAIN))
    return Status(code=code.value[0], message=text[:TEXT_CHARS_MAX], details=[detail])

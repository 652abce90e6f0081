"""The reasons that the daemon gives for an error, and the errors that they become again."""

from __future__ import annotations

from google.rpc.error_details_pb2 import ErrorInfo
from grpc import aio
from grpc_status import rpc_status

from buddies_core import errors
from buddies_core.errors import BuddiesError
from buddies_core.local_protocol import ERROR_DOMAIN

ERRORS: dict[str, type[BuddiesError]] = {
    cls.__name__: cls
    for cls in (
        errors.InvalidInput,
        errors.NotFound,
        errors.NotAllowed,
        errors.NotAttached,
        errors.TimedOut,
        errors.Busy,
        errors.Unreachable,
        errors.QuotaExceeded,
        errors.StoreError,
        errors.WireError,
        errors.BuddiesError,
    )
}
"""The reasons that `rpc.errors` gives."""


def reason_of(failed: aio.AioRpcError) -> str:
    """Return the reason that the daemon gave; empty if the status is gRPC's own."""
    status = rpc_status.from_call(failed)  # type: ignore[arg-type] # it has all that is read of a call
    for detail in status.details if status else ():
        info = ErrorInfo()
        if detail.Unpack(info) and info.domain == ERROR_DOMAIN:
            return str(info.reason)
    return ""

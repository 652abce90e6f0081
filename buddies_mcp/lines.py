"""Lines from a client: messages, batches of messages, and nonsense. Pure."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeGuard

import mcp_types as mcp

from buddies_mcp.splitting import LINE_BYTES_MAX, whole_number

_BOM = "\ufeff"
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer to what can't be read as a message."""

    answer: mcp.JSONRPCError


Part: TypeAlias = mcp.JSONRPCMessage | Refusal


def read_line(line: bytes) -> Part | list[Part] | None:
    """Return what a line says; a list is a batch. None is for what nobody waits to be answered.

    What is not UTF-8 is read with U+FFFD in its place, and so is half of a surrogate pair: clients
    write one where an emoji was cut in two.
    """
    if len(line) > LINE_BYTES_MAX:
        return refusal(mcp.PARSE_ERROR, f"this line is longer than {LINE_BYTES_MAX} bytes")
    text = line.decode(errors="replace").removeprefix(_BOM)
    if not text.strip():
        return None
    try:
        value = _json(text)
    except json.JSONDecodeError as error:
        return refusal(
            mcp.PARSE_ERROR,
            f"this line is not JSON: {error.msg} at character {error.pos + 1}; write each message"
            " as JSON on a line of its own",
        )
    except RecursionError:
        return refusal(mcp.PARSE_ERROR, "this line is nested too deeply to be read")
    if not isinstance(value, list):
        return _part(value)
    parts = [part for item in value if (part := _part(item)) is not None]
    return parts if value else refusal(mcp.INVALID_REQUEST, "this batch is empty")


def refusal(code: int, text: str, id: str | int | None = None) -> Refusal:
    """Return a JSON-RPC error as the answer to what has this id, or none that could be read."""
    return Refusal(
        mcp.JSONRPCError(jsonrpc="2.0", id=id, error=mcp.ErrorData(code=code, message=text))
    )


def _json(text: str) -> object:
    value: object = json.loads(text, parse_int=whole_number)
    if not _SURROGATE.search(text):
        return value
    return json.loads(in_unicode(value), parse_int=whole_number)


def in_unicode(value: object) -> str:
    """Return a value in JSON, with U+FFFD for each half of a surrogate pair in its texts."""
    spelt_out = json.dumps(value, ensure_ascii=False)
    return spelt_out.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _part(value: object) -> Part | None:
    """Return a message, the refusal of what is none, or None where nothing may be answered."""
    if not isinstance(value, dict):
        return _no_request("it must be an object")
    id = value.get("id")
    known_id = id if _is_id(id) else None
    if "method" not in value and ("result" in value or "error" in value):
        return _response(value)
    if value.get("jsonrpc") != "2.0":
        return _no_request('jsonrpc must be "2.0"', known_id)
    method, params = value.get("method"), value.get("params")
    if not isinstance(method, str):
        return _no_request("method must be a string", known_id)
    if "id" not in value:
        if not _is_params(params):
            logger.warning("notification_dropped method=%s: its params are not an object", method)
            return None
        return mcp.JSONRPCNotification(jsonrpc="2.0", method=method, params=params)
    if not _is_id(id):
        return _no_request("id must be a string or a whole number")
    if not _is_params(params):
        return _no_request("params must be an object", id)
    return mcp.JSONRPCRequest(jsonrpc="2.0", id=id, method=method, params=params)


def _response(value: Mapping[str, Any]) -> Part | None:
    """Return a client's answer to us; a bad one is dropped, as an answer gets no answer."""
    kind = mcp.JSONRPCResponse if "result" in value else mcp.JSONRPCError
    try:
        return kind.model_validate(value)
    except (ValueError, RecursionError):
        logger.warning("response_dropped: it is not a JSON-RPC response")
        return None


def _no_request(why: str, id: str | int | None = None) -> Refusal:
    return refusal(mcp.INVALID_REQUEST, f"this is not a JSON-RPC request: {why}", id)


def _is_id(value: object) -> TypeGuard[str | int]:
    return isinstance(value, str) or type(value) is int


def _is_params(value: object) -> TypeGuard[dict[str, Any] | None]:
    return value is None or isinstance(value, dict)

"""A relay's memory of its client's session, in case the host dies. Standard library only.

The relay hands on lines as they are. It reads them only to know which requests are unanswered, and
what a new host must be told: the handshake and the subscriptions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from buddies_mcp.splitting import whole_number

TYPE_CHECKING = False  # typing takes as long to import as all the rest here
if TYPE_CHECKING:
    from typing import Any

OURS = "buddies-relay-"
"""The prefix of the ids of our own requests, with which a new host is told about the session."""
SUBSCRIPTIONS_MAX = 100
INTERNAL_ERROR = -32603  # JSON-RPC 2.0, section 5.1
LOST = (
    "buddies was interrupted before it answered: the process that serves this machine's agents"
    " ended. It is started again by itself, so call again. If the call changes something, check"
    " first whether it was done."
)


class Conversation:
    """One client's session."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Request] = {}
        self._batches = 0
        self._handshake: dict[str, Any] | None = None
        self._is_initialized = False
        self._subscriptions: dict[str, dict[str, Any]] = {}
        self._replayed: set[str] = set()

    def client_said(self, line: bytes) -> None:
        """Take in a line of the client."""
        said = _parsed(line)
        if isinstance(said, list):
            self._batches += 1
            for part in said:
                self._take(part, self._batches)
        else:
            self._take(said, None)

    def host_said(self, line: bytes) -> bool:
        """Take in a line of the host, and return whether it is for the client."""
        if not self._waiting and not self._replayed:
            return True
        said = _parsed(line)
        if isinstance(said, dict) and said.get("id") in self._replayed:
            self._replayed.discard(said["id"])
            return False
        for part in said if isinstance(said, list) else (said,):
            if isinstance(part, dict) and "method" not in part and "id" in part:
                self._waiting.pop(_key(part["id"]), None)
        return True

    def lost(self) -> list[bytes]:
        """Answer what the host that died has not, and return the answers.

        A handshake is not answered: the next host does that.
        """
        waiting, self._waiting = self._waiting, {}
        self._replayed.clear()
        single, batches = [], dict[int, list[_Request]]()
        for key, request in waiting.items():
            if request.is_handshake:
                self._waiting[key] = request
            elif request.batch is None:
                single.append(request)
            else:
                batches.setdefault(request.batch, []).append(request)
        return [
            *(_line(request.lost()) for request in single),
            *(_line([request.lost() for request in batch]) for batch in batches.values()),
        ]

    def replay(self) -> list[bytes]:
        """Return what to tell a new host, so that it serves this session as the old one did."""
        if self._handshake is None:
            return []
        if _key(self._handshake["id"]) in self._waiting:
            lines = [_line(self._handshake)]
        else:
            lines = [self._again("handshake", self._handshake)]
        if self._is_initialized:
            lines.append(_line({"jsonrpc": "2.0", "method": "notifications/initialized"}))
        return lines + [self._again(uri, said) for uri, said in self._subscriptions.items()]

    def _again(self, name: str, request: dict[str, Any]) -> bytes:
        """Return a request whose answer the client has had already."""
        id = f"{OURS}{name}"
        self._replayed.add(id)
        return _line({**request, "id": id})

    def _take(self, said: object, batch: int | None) -> None:
        if not isinstance(said, dict):
            return
        method, id, params = said.get("method"), said.get("id"), said.get("params")
        params = params if isinstance(params, dict) else {}
        match method:
            case "notifications/cancelled":
                self._waiting.pop(_key(params.get("requestId")), None)
            case "notifications/initialized":
                self._is_initialized = True
            case str() if isinstance(id, str | int):
                self._waiting[_key(id)] = _Request(id, method, batch)
                self._remember(method, said, params)
            case _:
                pass

    def _remember(self, method: str, said: dict[str, Any], params: Mapping[str, Any]) -> None:
        uri = params.get("uri")
        if method == "initialize":
            self._handshake, self._is_initialized = said, False
        elif method == "resources/subscribe" and isinstance(uri, str):
            if len(self._subscriptions) < SUBSCRIPTIONS_MAX:
                self._subscriptions[uri] = said
        elif method == "resources/unsubscribe" and isinstance(uri, str):
            self._subscriptions.pop(uri, None)


class _Request:
    """A request that has no answer yet."""

    def __init__(self, id: str | int, method: str, batch: int | None) -> None:
        self._id = id
        self._method = method
        self.batch = batch
        self.is_handshake = method == "initialize" and batch is None

    def lost(self) -> dict[str, Any]:
        """Return the answer to it, now that nobody else gives one."""
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": self._id}
        if self._method == "tools/call":  # of an error in JSON-RPC a model often sees nothing
            text = {"type": "text", "text": LOST}
            return {**answer, "result": {"content": [text], "isError": True}}
        return {**answer, "error": {"code": INTERNAL_ERROR, "message": LOST}}


def _key(id: object) -> str:
    return json.dumps(id)


def _parsed(line: bytes) -> object:
    """Return what a line says, or None where the host would not take it either."""
    text = line.decode(errors="replace").removeprefix("\ufeff")
    try:
        said: object = json.loads(text, parse_int=whole_number)
    except (ValueError, RecursionError):
        return None
    return said


def _line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"

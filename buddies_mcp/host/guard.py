"""Admission to the HTTP server: checks the Host, the Origin and the bearer token of a request.

A web page that somebody opens on this machine can send requests to loopback: it is told by its
Origin, or by a Host that is not ours where its name was made to lead here (DNS rebinding).
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from buddies_core.errors import InvalidInput, StoreError

TOKEN = "BUDDIES_HTTP_TOKEN"  # noqa: S105 - the variable's name
TOKEN_CHARS_MIN = 16
LOOPBACK = ("localhost", "127.0.0.1", "::1")

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Guard:
    """An ASGI application in front of another, to which it lets good requests through."""

    application: Application
    host: str
    """The address at which the server listens."""
    token: str
    """The token that each request must have; empty if none is needed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, or refuse it."""
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        refused = self.refusal(scope["path"], _headers(scope))
        if refused is None:
            await self.application(scope, receive, send)
            return
        status, why = refused
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        if status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": f"{why}\n".encode()})

    def refusal(self, path: str, headers: Mapping[str, list[str]]) -> tuple[int, str] | None:
        """Return the status and the reason for which a request is refused; None if it is not."""
        hosts, origins = headers.get("host", []), headers.get("origin", [])
        name = _hostname(f"//{hosts[0]}") if len(hosts) == 1 else ""
        if not self._is_ours(name):
            return 421, f"this server is not {hosts[0] if hosts else 'without a Host'!r}"
        if origins and not (len(origins) == 1 and self._may_ask(origins[0], name)):
            return 403, f"pages of {origins[0]!r} may not ask this server"
        if self.token and not self._is_borne(headers.get("authorization", [])):
            return 401, f"send the token of this server: Authorization: Bearer <{TOKEN}>"
        if path != PATH:
            return 404, f"there is only {PATH}"
        return None

    def _is_ours(self, name: str) -> bool:
        if name in LOOPBACK:
            return True
        if is_loopback(self.host):
            return False
        return name in (self.host.lower(), socket.gethostname().lower()) or _is_address(name)

    def _may_ask(self, origin: str, name: str) -> bool:
        asking = _hostname(origin)
        return asking == name or (asking in LOOPBACK and name in LOOPBACK)

    def _is_borne(self, authorization: list[str]) -> bool:
        scheme, _, token = authorization[0].partition(" ") if authorization else ("", "", "")
        right = hmac.compare_digest(token.strip().encode(), self.token.encode())
        return right and scheme.lower() == "bearer" and len(authorization) == 1


PATH = "/mcp"


def is_loopback(host: str) -> bool:
    """Return whether only programs of this machine can reach a server that listens there."""
    if host.lower() == "localhost":
        return True
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


def token_of(environ: Mapping[str, str], host: str, file: Path) -> tuple[str, bool]:
    """Return the token that requests must bear, empty if none, and whether it was made just now.

    The environment's counts; else one is needed where others can reach the server. It is made once
    and kept in `file`, for its owner alone.

    Raises:
        InvalidInput: the environment's is no good.
        StoreError: the file can't be read or written.
    """
    given = environ.get(TOKEN, "")
    if given:
        if len(given) < TOKEN_CHARS_MIN or not given.isascii() or " " in given:
            raise InvalidInput(
                f"{TOKEN} must have at least {TOKEN_CHARS_MIN} ASCII characters and no space; for"
                " instance what this prints: openssl rand -hex 32"
            )
        return given, False
    if is_loopback(host):
        return "", False
    try:
        kept = file.read_text().strip() if file.exists() else ""
        if kept:
            return kept, False
        made = secrets.token_urlsafe(32)
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as writing:
            writing.write(f"{made}\n")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"can't keep the token in {file}: {error}; set {TOKEN}") from error
    return made, True


def _headers(scope: Scope) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return headers


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

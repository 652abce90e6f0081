"""The relay between an MCP client's pipes and the host of this machine. Standard library alone.

It hands on whole lines, so that a host that dies never leaves half of one with the client, and none
of the client's with the next host. It reads no more from one side than the other side takes.

    client ── stdin, stdout ── relay ── Unix socket ── host
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable

from buddies_core.streams import BROKEN_PIPE
from buddies_mcp.conversation import Conversation
from buddies_mcp.splitting import Lines

TICK_S = 1.0
"""Seconds between checks whether the parent has died: its other children may keep stdin open."""
STALLED_AFTER_S = 30.0
"""A host that reads nothing for this long hangs."""
FINISHES_WITHIN_S = 1.0
"""Seconds that unread answers may delay the end."""
CHUNK_BYTES = 1 << 16
ANSWER_BYTES_MAX = 1 << 30
"""The host bounds its answers by itself, far below."""
PIPE_BUF = 4096 if hasattr(os, "pipe2") else 512
"""Bytes that a writable pipe accepts without waiting, on Linux and macOS."""


class Relay:
    """One client's session.

    `reach` returns a socket to a host that serves us. It may return None while nobody needs one: a
    host that was ended on purpose is not started again before the client asks for something.
    """

    def __init__(
        self, stdin: int, stdout: int, reach: Callable[[bool], socket.socket | None]
    ) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._reach = reach
        self._host: socket.socket | None = None
        self._conversation = Conversation()
        self._from_client = Lines()
        self._from_host = Lines(ANSWER_BYTES_MAX)
        self._to_host = bytearray()
        self._to_client = bytearray()
        self._stdin_is_open = True
        self._took_s = 0.0
        """The time at which the host last read something, or should have."""

    def run(self) -> int:
        """Relay until the client is gone, and return the exit code."""
        try:
            return self._run()
        finally:
            if self._host is not None:
                self._host.close()

    def _run(self) -> int:
        parent = os.getppid()
        self._find_host(needed=True)
        deadline_s: float | None = None
        while os.getppid() == parent:
            if not self._stdin_is_open:
                if self._host is None and not self._to_client:
                    return 0
                now_s = time.monotonic()
                deadline_s = now_s + FINISHES_WITHIN_S if deadline_s is None else deadline_s
                if now_s > deadline_s:
                    return 0
            if self._host is None and self._stdin_is_open:
                self._find_host(needed=False)
            if self._turn():
                deadline_s = None
        return 0

    def _turn(self) -> bool:
        """Wait until something can be moved, and move it; return whether the client took any."""
        host = self._host
        reads: list[int | socket.socket] = []
        writes: list[int | socket.socket] = []
        if self._stdin_is_open and not self._to_host:
            reads.append(self._stdin)
        if host is not None and len(self._to_client) < CHUNK_BYTES:
            reads.append(host)
        if host is not None and self._to_host:
            writes.append(host)
        if self._to_client:
            writes.append(self._stdout)
        pause_s = TICK_S if self._stdin_is_open else FINISHES_WITHIN_S / 10
        readable, writable, _ = select.select(reads, writes, [], pause_s)
        if self._stdout in writable:
            self._write_to_client()
        if host is None or not self._to_host or host in writable:
            self._took_s = time.monotonic()
        elif time.monotonic() - self._took_s > STALLED_AFTER_S:
            self._lose_host(host)
            return False
        if host is not None and host in writable:
            self._write_to_host(host)
        if host is not None and host in readable:
            self._read_from_host(host)
        if self._stdin in readable:
            self._read_from_client()
        return self._stdout in writable

    def _read_from_client(self) -> None:
        try:
            chunk = os.read(self._stdin, CHUNK_BYTES)
        except BlockingIOError:  # whoever started us has made it so
            return
        except OSError:  # its terminal has gone
            chunk = b""
        if chunk and self._host is None:
            self._find_host(needed=True)
        for line in self._from_client.feed(chunk):
            self._take_from_client(line)
        if not chunk:
            self._stdin_is_open = False
            if rest := self._from_client.rest():
                self._take_from_client(rest)
            if self._host is not None and not self._to_host:
                _end_writing(self._host)

    def _take_from_client(self, line: bytes) -> None:
        self._conversation.client_said(line)
        self._to_host += line if line.endswith(b"\n") else line + b"\n"

    def _write_to_host(self, host: socket.socket) -> None:
        try:
            del self._to_host[: host.send(self._to_host)]
        except BlockingIOError:
            return
        except OSError:  # it has died; what it has still said is read first
            self._to_host.clear()
            return
        if not self._to_host and not self._stdin_is_open:
            _end_writing(host)

    def _read_from_host(self, host: socket.socket) -> None:
        try:
            chunk = host.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        for line in self._from_host.feed(chunk):
            if self._conversation.host_said(line):
                self._to_client += line
        if not chunk:
            self._lose_host(host)

    def _lose_host(self, host: socket.socket) -> None:
        host.close()
        self._host = None
        self._from_host = Lines(ANSWER_BYTES_MAX)
        self._to_host.clear()
        if self._stdin_is_open:
            for line in self._conversation.lost():
                self._to_client += line

    def _find_host(self, *, needed: bool) -> None:
        self._host = self._reach(needed)
        if self._host is not None:
            self._host.setblocking(False)
            self._to_host += b"".join(self._conversation.replay())

    def _write_to_client(self) -> None:
        try:
            del self._to_client[: os.write(self._stdout, self._to_client[:PIPE_BUF])]
        except BlockingIOError:
            pass
        except BrokenPipeError:  # this is how many clients hang up
            os._exit(BROKEN_PIPE)
        except OSError:
            self._to_client.clear()  # a full disk, say


def _end_writing(host: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it has died
        host.shutdown(socket.SHUT_WR)

"""MCP on stdin and stdout: no line ends the server, and none that can be answered is left alone.

In place of the SDK's transport, which drops what it can't parse and has no batches.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Self, TypeAlias

import anyio
import mcp_types as mcp
from mcp.shared.dispatcher import coerce_request_id
from mcp.shared.message import SessionMessage

from buddies_core.streams import BROKEN_PIPE
from buddies_mcp.lines import LINE_BYTES_MAX, Part, Refusal, in_unicode, read_line, refusal

if TYPE_CHECKING:
    from types import TracebackType

BATCHES_IN = "2025-03-26"
"""The one version of MCP that has batches."""
BATCH_MAX = 100
FINISHES_WITHIN_S = 1.0
"""A client that reads no more answers does not hold up the end for longer."""

Id: TypeAlias = str | int
Answer: TypeAlias = mcp.JSONRPCResponse | mcp.JSONRPCError


@dataclass(slots=True)
class _Batch:
    waiting: set[Id]
    answers: list[Answer] = field(default_factory=list)


@asynccontextmanager
async def stdio() -> AsyncIterator[tuple[Incoming, Outgoing]]:
    """Serve this process's stdin and stdout. What else is printed meanwhile goes to stderr."""
    wire = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 3)
    os.dup2(2, 1)
    async with line_streams(0, wire, _end_unread) as streams:
        yield streams


def _end_unread() -> None:
    """End this process: its client reads nothing any more, which is how many hang up."""
    os._exit(BROKEN_PIPE)


def _go_on() -> None:
    """Leave it to stdin to end the server."""


@asynccontextmanager
async def line_streams(
    read_descriptor: int, write_descriptor: int, when_unread: Callable[[], None] = _go_on
) -> AsyncIterator[tuple[Incoming, Outgoing]]:
    """Return what comes in by one descriptor, and what takes the answers to the other.

    `when_unread` is called, in a thread, when nobody has the other end of the second one open.
    """
    outgoing = Outgoing(write_descriptor, when_unread)
    incoming = Incoming(outgoing)
    loop = asyncio.get_running_loop()
    _in_background("stdin", lambda: incoming.read(read_descriptor, loop))
    try:
        yield incoming, outgoing
    finally:
        await outgoing.finish()


class Outgoing:
    """The way to the client: whole lines, one at a time."""

    def __init__(self, descriptor: int, when_unread: Callable[[], None] = _go_on) -> None:
        self._closed = False
        self._when_unread = when_unread
        # As long as those who wait for their line to be written.
        self._lines: SimpleQueue[tuple[bytes, Future[None]] | None] = SimpleQueue()
        self._finished: Future[None] = Future()
        _in_background("stdout", lambda: self._write_to(descriptor))
        self._batches: dict[Id, _Batch] = {}
        self._takes_batches = False

    async def send(self, item: SessionMessage, /) -> None:
        """Write a message; an answer to a part of a batch is kept until the others are there.

        Raises:
            ClosedResourceError: the server has closed this.
            BrokenResourceError: nobody reads it.
        """
        message = item.message
        if isinstance(message, mcp.JSONRPCResponse) and "protocolVersion" in message.result:
            self._takes_batches = message.result["protocolVersion"] == BATCHES_IN
        if isinstance(message, mcp.JSONRPCResponse | mcp.JSONRPCError):
            id = None if message.id is None else coerce_request_id(message.id)
            batch = None if id is None else self._batches.pop(id, None)
            if id is not None and batch is not None:
                batch.answers.append(message)
                await self._settle(id, batch)
                return
        await self.write(_text(message))

    async def refuse(self, refused: Refusal) -> None:
        """Answer what is no message."""
        await self.write(_text(refused.answer))

    async def begin(self, parts: list[Part]) -> list[mcp.JSONRPCMessage]:
        """Return the messages of a batch, whose answers will be written as one array."""
        if not self._takes_batches or len(parts) > BATCH_MAX:
            await self._refuse_batch(parts)
            return []
        batch = _Batch(set())
        messages: list[mcp.JSONRPCMessage] = []
        for part in parts:
            if isinstance(part, Refusal):
                batch.answers.append(part.answer)
                continue
            if isinstance(part, mcp.JSONRPCRequest):
                key = coerce_request_id(part.id)
                if key in self._batches:
                    text = "this id is in use by another request"
                    batch.answers.append(refusal(mcp.INVALID_REQUEST, text, part.id).answer)
                    continue
                self._batches[key] = batch
                batch.waiting.add(key)
            messages.append(part)
        if not batch.waiting:
            await self._write_batch(batch)
        return messages

    async def forget(self, id: object) -> None:
        """Wait no longer for the answer to a part of a batch: its client has cancelled it."""
        key = coerce_request_id(id) if isinstance(id, str | int) else None
        batch = None if key is None else self._batches.pop(key, None)
        if key is not None and batch is not None:
            await self._settle(key, batch)

    async def write(self, text: str) -> None:
        """Write a line. It is written whole also where whoever waits for that is cancelled."""
        if self._closed:
            raise anyio.ClosedResourceError
        written: Future[None] = Future()
        self._lines.put((f"{text}\n".encode(), written))
        try:
            # When stdin ends, the SDK cancels calls in the middle of their answers.
            await asyncio.shield(asyncio.wrap_future(written))
        except OSError as error:
            raise anyio.BrokenResourceError from error

    async def aclose(self) -> None:
        """Take no more messages."""
        self._closed = True

    async def finish(self) -> None:
        """Take no more messages, and wait a moment for those that were taken to be written."""
        self._closed = True
        self._lines.put(None)
        await asyncio.wait([asyncio.wrap_future(self._finished)], timeout=FINISHES_WITHIN_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _settle(self, id: Id, batch: _Batch) -> None:
        batch.waiting.discard(id)
        if not batch.waiting:
            await self._write_batch(batch)

    async def _write_batch(self, batch: _Batch) -> None:
        if batch.answers:  # none to a batch of notifications
            await self.write(f"[{','.join(map(_text, batch.answers))}]")

    async def _refuse_batch(self, parts: list[Part]) -> None:
        if self._takes_batches:
            text = f"this batch has {len(parts)} messages; at most {BATCH_MAX} are taken"
        else:
            text = f"batches are only taken in MCP {BATCHES_IN}; write one message a line"
        ids = [part.id for part in parts if isinstance(part, mcp.JSONRPCRequest)]
        for id in ids or (None,):
            await self.refuse(refusal(mcp.INVALID_REQUEST, text, id))

    def _write_to(self, descriptor: int) -> None:
        while (line := self._lines.get()) is not None:
            data, written = line
            try:
                left = memoryview(data)
                while left:
                    left = left[os.write(descriptor, left) :]
            except OSError as error:
                written.set_exception(error)
                if isinstance(error, BrokenPipeError):
                    self._when_unread()
            else:
                written.set_result(None)
        self._finished.set_result(None)


class Incoming:
    """The messages of the client, in order. What is none is answered here and passed over."""

    def __init__(self, outgoing: Outgoing) -> None:
        self._outgoing = outgoing
        # A full one holds up the thread that reads.
        self._lines: asyncio.Queue[bytes] = asyncio.Queue(1)
        self._ready: deque[mcp.JSONRPCMessage] = deque()

    def read(self, descriptor: int, loop: asyncio.AbstractEventLoop) -> None:
        """Hand over lines until there are no more; in a thread of its own."""
        with contextlib.suppress(RuntimeError, CancelledError):  # the loop has ended
            for line in _lines_of(descriptor):
                asyncio.run_coroutine_threadsafe(self._lines.put(line), loop).result()
            asyncio.run_coroutine_threadsafe(self._lines.put(b""), loop).result()

    async def receive(self) -> SessionMessage:
        """Return the next message.

        Raises:
            EndOfStream: the client has closed stdin.
        """
        while not self._ready:
            line = await self._lines.get()
            if not line:
                raise anyio.EndOfStream
            match read_line(line):
                case None:
                    pass
                case Refusal() as refused:
                    await self._outgoing.refuse(refused)
                case list() as parts:
                    self._ready.extend(await self._outgoing.begin(parts))
                case message:
                    self._ready.append(message)
        message = self._ready.popleft()
        if isinstance(message, mcp.JSONRPCNotification) and (
            message.method == "notifications/cancelled"
        ):
            await self._outgoing.forget((message.params or {}).get("requestId"))
        return SessionMessage(message)

    async def aclose(self) -> None:
        """Stop; the thread stays with its read, and the process does not wait for it."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.aclose()


def _in_background(name: str, work: Callable[[], None]) -> None:
    """Work in a thread that the end of the process does not wait for.

    Nothing can interrupt a read of a client that stays silent, nor a write to one that reads
    nothing any more.
    """
    threading.Thread(target=work, name=name, daemon=True).start()


def _lines_of(descriptor: int) -> Iterator[bytes]:
    """Return lines until there are no more, at most one byte of each beyond the limit."""
    # Not sys.stdin: closing that at the end of the process would wait for its reader.
    lines = open(descriptor, "rb", closefd=False)  # noqa: SIM115 - whoever opened it closes it
    with contextlib.suppress(OSError):  # its terminal has gone
        while line := lines.readline(LINE_BYTES_MAX + 1):
            rest = line
            while len(line) > LINE_BYTES_MAX and rest and not rest.endswith(b"\n"):
                rest = lines.readline(LINE_BYTES_MAX)
            yield line


def _text(message: mcp.JSONRPCMessage) -> str:
    try:
        return message.model_dump_json(by_alias=True, exclude_unset=True)
    except ValueError:  # the name of a file, say, whose bytes are not UTF-8
        return in_unicode(message.model_dump(by_alias=True, exclude_unset=True))

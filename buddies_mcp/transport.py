"""MCP over a socket: no line ends the server, and each that can be answered gets an answer.

In place of the SDK's transport, which drops what it can't parse and has no batches.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self, TypeAlias

import anyio
import mcp_types as mcp
from mcp.shared.dispatcher import coerce_request_id
from mcp.shared.message import SessionMessage

from buddies_mcp.lines import Part, Refusal, in_unicode, read_line, refusal
from buddies_mcp.splitting import Lines

if TYPE_CHECKING:
    from types import TracebackType

BATCHES_IN = "2025-03-26"
"""The only version of MCP that has batches."""
BATCH_MAX = 100
CALLS_MAX = 256
"""Requests that one client may have in progress; one more is refused."""
TOO_MANY_CALLS = (
    f"{CALLS_MAX} requests of this client are in progress, which is the limit; wait for answers"
    " before you send more"
)
CHUNK_BYTES = 1 << 16
FINISHES_WITHIN_S = 1.0
"""A client that reads no more answers delays the end by at most this long."""

Id: TypeAlias = str | int
Answer: TypeAlias = mcp.JSONRPCResponse | mcp.JSONRPCError


@dataclass(slots=True)
class _Batch:
    waiting: set[Id]
    answers: list[Answer] = field(default_factory=list)


@asynccontextmanager
async def messages(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> AsyncIterator[tuple[Incoming, Outgoing]]:
    """Return what a client sends by a stream, and what takes the answers; close it at the end."""
    outgoing = Outgoing(writer)
    try:
        yield Incoming(reader, outgoing), outgoing
    finally:
        await outgoing.finish()


class Outgoing:
    """The way to the client: whole lines, one at a time.

    Each answer waits until the client has read those before it, as far as the stream does not hold
    them. As the calls under way are bounded, so is what waits here.
    """

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._closed = False
        self._batches: dict[Id, _Batch] = {}
        self._calls: set[Id] = set()
        self._takes_batches = False

    @property
    def calls(self) -> int:
        """The number of requests in progress."""
        return len(self._calls)

    def begin_call(self, id: Id) -> None:
        """Take in that a request is under way."""
        self._calls.add(coerce_request_id(id))

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
            if id is not None:
                self._calls.discard(id)
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
        """Wait no longer for the answer to a request: its client has cancelled it."""
        if not isinstance(id, str | int):
            return
        key = coerce_request_id(id)
        self._calls.discard(key)
        batch = self._batches.pop(key, None)
        if batch is not None:
            await self._settle(key, batch)

    async def write(self, text: str) -> None:
        """Write a line. It is written whole also where whoever waits for that is cancelled."""
        if self._closed:
            raise anyio.ClosedResourceError
        if self._writer.is_closing():
            raise anyio.BrokenResourceError
        self._writer.write(f"{text}\n".encode())
        try:
            await self._writer.drain()
        except OSError as error:
            raise anyio.BrokenResourceError from error

    async def aclose(self) -> None:
        """Take no more messages."""
        self._closed = True

    async def finish(self) -> None:
        """Take no more messages, and wait a moment for those that were taken to be written."""
        self._closed = True
        self._writer.close()
        with suppress(OSError):
            try:
                async with asyncio.timeout(FINISHES_WITHIN_S):
                    await self._writer.wait_closed()
            except TimeoutError:
                self._writer.transport.abort()

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
            text = f"batches are only allowed in MCP {BATCHES_IN}; write one message a line"
        ids = [part.id for part in parts if isinstance(part, mcp.JSONRPCRequest)]
        for id in ids or (None,):
            await self.refuse(refusal(mcp.INVALID_REQUEST, text, id))


class Incoming:
    """The messages of the client, in order. What is none is answered here and passed over."""

    def __init__(self, reader: asyncio.StreamReader, outgoing: Outgoing) -> None:
        self._reader = reader
        self._outgoing = outgoing
        self._lines = Lines()
        self._unread: deque[bytes] = deque()
        self._ready: deque[mcp.JSONRPCMessage] = deque()

    async def receive(self) -> SessionMessage:
        """Return the next message.

        Raises:
            EndOfStream: there are no more.
        """
        while True:
            message = await self._message()
            match message:
                case mcp.JSONRPCNotification(method="notifications/cancelled"):
                    await self._outgoing.forget((message.params or {}).get("requestId"))
                case mcp.JSONRPCRequest() if self._outgoing.calls >= CALLS_MAX:
                    refused = refusal(mcp.INTERNAL_ERROR, TOO_MANY_CALLS, message.id)
                    await self._outgoing.send(SessionMessage(refused.answer))
                    continue
                case mcp.JSONRPCRequest():
                    self._outgoing.begin_call(message.id)
                case _:
                    pass
            return SessionMessage(message)

    async def _message(self) -> mcp.JSONRPCMessage:
        while not self._ready:
            match read_line(await self._line()):
                case None:
                    pass
                case Refusal() as refused:
                    await self._outgoing.refuse(refused)
                case list() as parts:
                    self._ready.extend(await self._outgoing.begin(parts))
                case message:
                    self._ready.append(message)
        return self._ready.popleft()

    async def _line(self) -> bytes:
        # Also where lines wait: others whose sessions this process serves have their turn between.
        await asyncio.sleep(0)
        while not self._unread:
            try:
                chunk = await self._reader.read(CHUNK_BYTES)
            except OSError:  # the other end has died
                chunk = b""
            self._unread.extend(self._lines.feed(chunk))
            if not chunk:
                if not (rest := self._lines.rest()):
                    raise anyio.EndOfStream
                self._unread.append(rest)
        return self._unread.popleft()

    async def aclose(self) -> None:
        """Read no more."""

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


def _text(message: mcp.JSONRPCMessage) -> str:
    try:
        return message.model_dump_json(by_alias=True, exclude_unset=True)
    except ValueError:  # the name of a file, say, whose bytes are not UTF-8
        return in_unicode(message.model_dump(by_alias=True, exclude_unset=True))

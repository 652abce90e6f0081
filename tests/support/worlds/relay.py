"""An iroh relay: iroh-relay's protocol over plain HTTP, as much of it as tests need.

A relay has no trust to lose in tests: no limits, no TLS, and whoever signs the challenge is let in.

    client frame  := tag:u8 · body
    challenge 0: 16 bytes   auth 1: endpoint id · signature   confirmed 2   denied 3
    datagrams to the relay 4, 5: peer id · data   from it 6, 7: the same   ping 9   pong 10
"""

import asyncio
import base64
import hashlib
import os
import socket as sockets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import blake3
import iroh

CONTEXT = "iroh-relay handshake v1 challenge signature"
WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
BINARY, CLOSE, PING, PONG = 2, 8, 9, 10
ENDS_WITHIN_S = 1.0


@dataclass(slots=True)
class Relay:
    """A relay, and who is connected to it."""

    url: str = ""
    clients: dict[bytes, "WebSocket"] = field(default_factory=dict)
    forwarded: int = 0
    serving: dict[asyncio.Task[None], asyncio.StreamWriter] = field(default_factory=dict)
    """The connections, also those that their client has given up in silence."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one HTTP connection until it ends."""
        task = asyncio.current_task()
        assert task is not None
        self.serving[task] = writer
        task.add_done_callback(self.serving.pop)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                request, *lines = head.splitlines()
                headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
                path = request.split(" ")[1].partition("?")[0]
                if path == "/relay":
                    key = next(line for line in lines if line.lower().startswith("sec-websocket-k"))
                    await self._relay(reader, writer, key.split(": ", 1)[1], headers)
                    break
                status = {"/ping": "200 OK", "/": "200 OK", "/generate_204": "204 No Content"}
                answer = f"HTTP/1.1 {status.get(path, '404 Not Found')}\r\nContent-Length: 0\r\n"
                writer.write(f"{answer}Access-Control-Allow-Origin: *\r\n\r\n".encode())
        writer.close()

    async def _relay(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        key: str,
        headers: dict[str, str],
    ) -> None:
        accept = base64.b64encode(hashlib.sha1(key.encode() + WEBSOCKET_GUID).digest())  # noqa: S324
        protocol = headers["sec-websocket-protocol"].split(",")[0].strip()
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\nSec-WebSocket-Protocol: %b\r\n\r\n"
            % (accept, protocol.encode())
        )
        socket = WebSocket(reader, writer)
        client = await _let_in(socket)
        self.clients[client] = socket
        try:
            while (message := await socket.receive()) is not None:
                tag, peer = message[0], message[1:33]
                if tag in (4, 5) and peer in self.clients:
                    self.forwarded += 1
                    self.clients[peer].send(bytes([tag + 2]) + client + message[33:])
                elif tag == 9:
                    socket.send(b"\x0a" + message[1:9])
        finally:
            if self.clients.get(client) is socket:
                del self.clients[client]


async def _let_in(socket: "WebSocket") -> bytes:
    challenge = os.urandom(16)
    socket.send(b"\0" + challenge)
    auth = await socket.receive()
    assert auth is not None
    assert auth[0] == 1
    endpoint, signature = auth[1:33], auth[-64:]
    digest = blake3.blake3(challenge, derive_key_context=CONTEXT).digest()
    iroh.EndpointId.from_bytes(endpoint).verify(digest, iroh.Signature.from_bytes(signature))
    socket.send(b"\x02")
    return endpoint


@dataclass(frozen=True, slots=True)
class WebSocket:
    """The server's end of a WebSocket whose messages are one frame each."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, message: bytes, opcode: int = BINARY) -> None:
        """Send one message."""
        size = len(message)
        if size < 126:
            length = bytes([size])
        elif size < 1 << 16:
            length = b"\x7e" + size.to_bytes(2, "big")
        else:
            length = b"\x7f" + size.to_bytes(8, "big")
        self.writer.write(bytes([0x80 | opcode]) + length + message)

    async def receive(self) -> bytes | None:
        """Return the next message; None at the end."""
        while True:
            first, second = await self.reader.readexactly(2)
            size = second & 0x7F
            if size > 125:
                size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
            mask = await self.reader.readexactly(4)
            masked = await self.reader.readexactly(size)
            pad = (mask * (size // 4 + 1))[:size]
            message = (int.from_bytes(masked, "big") ^ int.from_bytes(pad, "big")).to_bytes(
                size, "big"
            )
            opcode = first & 0x0F
            if opcode == BINARY:
                return message
            if opcode == CLOSE:
                return None
            if opcode == PING:
                self.send(message, PONG)


@asynccontextmanager
async def a_relay(listening: sockets.socket | None = None) -> AsyncIterator[Relay]:
    """Run a relay until the block ends, on loopback or where this socket listens."""
    relay = Relay()
    listening = listening or sockets.create_server(("127.0.0.1", 0))
    host, port = listening.getsockname()[:2]
    relay.url = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
    server = await asyncio.start_server(relay.serve, sock=listening)
    try:
        yield relay
    finally:
        server.close()
        for writer in relay.serving.values():
            writer.transport.abort()
        if relay.serving:
            await asyncio.wait(relay.serving, timeout=ENDS_WITHIN_S)

"""What waits for a peer is written to its newest connection, whatever becomes of the older ones."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import iroh

from buddies_core.model.ids import EndpointId, TopicId
from buddies_core.net.connections import Connections
from buddies_core.net.context import NetContext
from buddies_core.net.endpoint import Endpoint
from buddies_core.net.inbox import Inbox
from buddies_core.net.links import Link
from buddies_core.net.tasks import Tasks
from buddies_core.net.timing import TIMING
from buddies_core.wire.frames import frame
from buddies_core.wire.gossip_messages import stream_header
from tests.support.eventually import until
from tests.support.fakes.clocks import ManualClock

PEER = EndpointId(b"p" * 32)
TOPIC = TopicId(b"t" * 32)


class Lost(iroh.IrohError):
    """What iroh says when a connection is gone."""

    def __init__(self) -> None:
        pass

    def kind(self) -> Any:
        return iroh.IrohErrorKind.CONNECTION

    def message(self) -> str:
        return "timed out"

    def __del__(self) -> None:
        pass


@dataclass
class Connection:
    """A connection that takes what is written only when the test lets it."""

    takes: asyncio.Event = field(default_factory=asyncio.Event)
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    written: list[bytes] = field(default_factory=list)
    begun: int = 0

    def remote_id(self) -> Any:
        return self

    def to_bytes(self) -> bytes:
        return PEER

    def alpn(self) -> bytes:
        return b"/test/1"

    def stats(self) -> Any:
        return type("Stats", (), {"udp_rx_datagrams": 0})

    def set_max_concurrent_uni_streams(self, count: int) -> None:
        pass

    async def _ends(self) -> Any:
        await self.lost.wait()
        raise Lost

    accept_uni = accept_bi = _ends

    async def open_uni(self) -> "Connection":
        return self

    async def write_all(self, data: bytes) -> None:
        self.begun += 1
        either = [asyncio.ensure_future(it.wait()) for it in (self.takes, self.lost)]  # noqa: TID251
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        for it in either:
            it.cancel()
        if self.lost.is_set():
            raise Lost
        self.written.append(data)

    def close(self, code: int, reason: bytes) -> None:
        self.lost.set()


async def test_what_an_older_connection_did_not_take_is_written_to_the_newer_one() -> None:
    clock = ManualClock()
    context = NetContext(clock=clock, timing=TIMING)
    older, newer = Connection(), Connection()
    newer.takes.set()
    async with asyncio.TaskGroup() as group:
        endpoint = cast(Endpoint, type("Endpoint", (), {"id": b"me"}))
        connections = Connections(endpoint, Inbox(), Tasks(group), context)
        for connection in (older, newer):
            link = Link(cast(iroh.Connection, connection), context.calls, clock)
            connections.adopt(link)
            if connection is older:
                connections.send(PEER, TOPIC, frame(b"hello"), ends_stream=False)
                await until(lambda: older.begun == 1)
        older.lost.set()
        await until(lambda: bool(newer.written))
        connections.close()
    assert (older.written, newer.written) == ([], [stream_header(TOPIC) + frame(b"hello")])

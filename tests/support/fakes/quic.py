"""iroh in memory: endpoints with connections and streams, over a network that loses and delays.

It has of iroh what `net.endpoint`, `net.links` and those who use links call. What is lost is sent
again, so that it comes late, and nothing overtakes anything on a connection. An end that hears
nothing for 30 s takes the connection for lost, as QUIC does. A killed program says nothing more.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, field
from random import Random
from typing import Generic, TypeVar, cast

import iroh

from buddies_core.model.ids import EndpointId
from buddies_core.net.binding import Binding, NetworkMode
from buddies_core.net.context import NetContext
from buddies_core.net.endpoint import Endpoint
from buddies_core.net.iroh_calls import Failure, IrohFailed

T = TypeVar("T")

IDLE_S = 30.0
KEEP_ALIVE_S = 5.0
UNREAD_BYTES_MAX = 1_250_000
_OUTSIDE = Context()
"""What is under way belongs to no program."""


@dataclass
class Weather:
    """How the network behaves."""

    latency_s: tuple[float, float] = (0.001, 0.05)
    lost: float = 0.0
    """The part of all packets that has to be sent again."""


class Queue(Generic[T]):
    """What one end waits for, until that end fails."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._failure: IrohFailed | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()

    def put(self, item: T) -> None:
        self._items.append(item)
        self._wake()

    def fail(self, failure: IrohFailed) -> None:
        """Have whoever waits, from now on, told this, once all that came has been taken."""
        self._failure = failure
        self._wake()

    async def get(self) -> T:
        while not self._items:
            if self._failure is not None:
                raise IrohFailed(self._failure.failure)
            news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(news)
            await news
        return self._items.popleft()

    def _wake(self) -> None:
        while self._waiting:
            news = self._waiting.popleft()
            if not news.done():
                news.set_result(None)


class Quic:
    """The network between all endpoints."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.weather = Weather()
        self.islands: list[frozenset[EndpointId]] = []
        """Each is cut off from everybody else."""
        self.at: dict[str, FakeIroh] = {}
        """The endpoint that was bound last at each address."""
        self._ends: list[End] = []

    def passes(self, sender: "FakeIroh", receiver: "FakeIroh") -> bool:
        """Whether a packet gets through now."""
        if not (sender.is_on() and receiver.is_on()):
            return False
        return all((sender.key in it) == (receiver.key in it) for it in self.islands)

    def delay_s(self) -> float:
        """Return what a packet takes, with what was lost of it."""
        weather, rng = self.weather, self.rng
        delay_s = rng.uniform(*weather.latency_s)
        while rng.random() < weather.lost:
            delay_s += rng.uniform(0.2, 1.0)
        return delay_s

    def later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Do something that no program does."""
        asyncio.get_running_loop().call_later(delay_s, action, context=_OUTSIDE.copy())

    async def run(self) -> None:
        """Keep connections alive, or not, until cancelled."""
        while True:
            await asyncio.sleep(KEEP_ALIVE_S)
            now_s = asyncio.get_running_loop().time()
            self._ends = [it for it in self._ends if it.failure is None]
            for end in self._ends:
                if end.local.is_on() and now_s - end.heard_s > IDLE_S:
                    end.fail(Failure.TIMED_OUT, "timed out")
                elif not end.far.failure and self.passes(end.far.local, end.local):
                    end.hear()

    def connect(self, dialler: "FakeIroh", other: "FakeIroh", alpn: bytes) -> tuple["End", "End"]:
        """Return both ends of a new connection."""
        ends = End(self, dialler, alpn), End(self, other, alpn)
        ends[0].far, ends[1].far = ends[1], ends[0]
        self._ends.extend(ends)
        return ends


@dataclass(eq=False)
class FakeIroh:
    """An `iroh.Endpoint`: one run of a program, at one address."""

    quic: Quic
    key: EndpointId
    port: int
    is_on: Callable[[], bool]
    closed: bool = False
    _incoming: "Queue[Incoming | None]" = field(default_factory=Queue)
    _ends: "list[End]" = field(default_factory=list)

    def __post_init__(self) -> None:
        self.address = f"127.0.0.1:{self.port}"
        self._id = iroh.EndpointId.from_bytes(self.key)
        self._addr = iroh.EndpointAddr(self._id, None, [self.address])
        self.quic.at[self.address] = self

    def id(self) -> iroh.EndpointId:
        return self._id

    def bound_sockets(self) -> list[str]:
        return [self.address]

    def addr(self) -> iroh.EndpointAddr:
        return self._addr

    async def connect(self, to: iroh.EndpointAddr, alpn: bytes) -> "End":
        key, addresses = to.id().to_bytes(), to.direct_addresses()
        if not addresses:
            raise IrohFailed(Failure.NO_ADDRESS)
        loop = asyncio.get_running_loop()
        until_s = loop.time() + IDLE_S
        while loop.time() < until_s and not self.closed:
            await asyncio.sleep(2 * self.quic.delay_s())
            there = [it for address in addresses if (it := self.quic.at.get(address))]
            other = next((it for it in there if it.key == key and not it.closed), None)
            if other and self.quic.passes(self, other) and self.quic.passes(other, self):
                incoming = Incoming(self, other, alpn)
                other._incoming.put(incoming)
                return await incoming.dialled
            await asyncio.sleep(0.5)
        raise IrohFailed(Failure.TIMED_OUT)

    def adopt(self, end: "End") -> None:
        self._ends = [it for it in self._ends if it.failure is None]
        self._ends.append(end)

    async def accept_next(self) -> "Incoming | None":
        return await self._incoming.get()

    async def close(self) -> None:
        self.closed = True
        self._incoming.put(None)
        for end in self._ends:
            end.close(0, b"closed")


class Incoming:
    """A handshake that reaches an endpoint."""

    def __init__(self, dialler: FakeIroh, here: FakeIroh, alpn: bytes) -> None:
        self._dialler = dialler
        self._here = here
        self._alpn = alpn
        self.dialled: asyncio.Future[End] = asyncio.get_running_loop().create_future()

    async def remote_addr(self) -> iroh.IncomingAddr.IP:
        return iroh.IncomingAddr.IP(self._dialler.address)

    async def remote_addr_validated(self) -> bool:
        return True

    async def retry(self) -> None:
        self.dialled.set_exception(IrohFailed(Failure.OTHER))

    async def refuse(self) -> None:
        self.dialled.set_exception(IrohFailed(Failure.OTHER))

    async def accept(self) -> "Incoming":
        return self

    async def connect(self) -> "End":
        dialled, accepted = self._here.quic.connect(self._dialler, self._here, self._alpn)
        self._dialler.adopt(dialled)
        self._here.adopt(accepted)
        if not self.dialled.done():
            self.dialled.set_result(dialled)
        return accepted


class End:
    """An `iroh.Connection`: one end of it."""

    far: "End"

    def __init__(self, quic: Quic, local: FakeIroh, alpn: bytes) -> None:
        self.quic = quic
        self.local = local
        self.failure: IrohFailed | None = None
        self.heard_s = asyncio.get_running_loop().time()
        self._alpn = alpn
        self._reason: str | None = None
        self._datagrams = 0
        self._under_way: deque[tuple[float, Callable[[], None]]] = deque()
        self._uni: Queue[RecvStream] = Queue()
        self._bi: Queue[BiStream] = Queue()
        self._open: list[RecvStream] = []
        self.changed: list[asyncio.Future[None]] = []

    def remote_id(self) -> iroh.EndpointId:
        return self.far.local.id()

    def alpn(self) -> bytes:
        return self._alpn

    def stats(self) -> "End":
        return self

    @property
    def udp_rx_datagrams(self) -> int:
        return self._datagrams

    def paths(self) -> list[iroh.PathSnapshot]:
        return []

    def set_max_concurrent_uni_streams(self, count: int) -> None:
        pass

    def close_reason(self) -> str | None:
        return self._reason

    async def open_uni(self) -> "SendStream":
        self.check()
        stream = RecvStream(self.far)
        self.send(lambda: self.far._uni.put(stream))
        return SendStream(self, stream)

    async def open_bi(self) -> "BiStream":
        self.check()
        there, here = RecvStream(self.far), RecvStream(self)
        self.send(lambda: self.far._bi.put(BiStream(SendStream(self.far, here), there)))
        return BiStream(SendStream(self, there), here)

    async def accept_uni(self) -> "RecvStream":
        return await self._uni.get()

    async def accept_bi(self) -> "BiStream":
        return await self._bi.get()

    def close(self, code: int, reason: bytes) -> None:
        """Close it; the other end is told, once, which may be lost."""
        if self.failure is not None:
            return
        self.fail(Failure.CLOSED_HERE, f"closed here: {reason.decode()}")

        def tell() -> None:
            if self.quic.passes(self.local, self.far.local):
                self.far.fail(Failure.CLOSED_BY_PEER, f"closed by peer: {reason.decode()}")

        self.quic.later(self.quic.delay_s(), tell)

    # What the other parts of the network do to it

    def check(self) -> None:
        if self.failure is not None:
            raise IrohFailed(self.failure.failure)

    def hear(self) -> None:
        self.heard_s = asyncio.get_running_loop().time()
        self._datagrams += 1

    def fail(self, failure: Failure, reason: str) -> None:
        if self.failure is None:
            self.failure, self._reason = IrohFailed(failure), reason
            self._under_way.clear()
            self._uni.fail(self.failure)
            self._bi.fail(self.failure)
            for stream in self._open:
                stream.data.fail(self.failure)
            for news in self.changed:
                if not news.done():
                    news.set_result(None)

    def send(self, arrive: Callable[[], None]) -> None:
        """Have something arrive at the other end, behind all that was sent before."""
        due_s = asyncio.get_running_loop().time() + self.quic.delay_s()
        if self._under_way:
            due_s = max(due_s, self._under_way[-1][0])
        self._under_way.append((due_s, arrive))
        if len(self._under_way) == 1:
            self._arm()

    def _arm(self) -> None:
        due_s = self._under_way[0][0]
        self.quic.later(max(0.0, due_s - asyncio.get_running_loop().time()), self._arrive)

    def _arrive(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if not self._under_way:
            return
        if not self.quic.passes(self.local, self.far.local):
            # It is sent again and again. A program that is stopped acknowledges nothing.
            self.quic.later(0.5, self._arrive)
            return
        while self._under_way and self._under_way[0][0] <= now_s:
            arrive = self._under_way.popleft()[1]
            if self.far.failure is None:
                self.far.hear()
                arrive()
        if self._under_way:
            self._arm()


class RecvStream:
    """An `iroh.RecvStream`."""

    def __init__(self, end: End) -> None:
        self.end = end
        self.data: Queue[bytes] = Queue()
        self.unread = 0
        self.arrived_all = False
        end._open.append(self)
        if end.failure is not None:
            self.data.fail(end.failure)

    async def read(self, size_max: int) -> bytes:
        data = await self.data.get()
        self.unread -= len(data)
        if not data:
            self.end._open = [it for it in self.end._open if it is not self]
        return data


class SendStream:
    """An `iroh.SendStream`."""

    def __init__(self, end: End, to: RecvStream) -> None:
        self._end = end
        self._to = to

    async def write_all(self, data: bytes) -> None:
        self._end.check()
        while self._to.unread > UNREAD_BYTES_MAX:
            await asyncio.sleep(0.05)
            self._end.check()
        self._to.unread += len(data)
        self._end.send(lambda: self._to.data.put(data))

    async def finish(self) -> None:
        self._end.check()

        def end() -> None:
            self._to.arrived_all = True
            self._to.data.put(b"")
            for news in self._end.changed:
                if not news.done():
                    news.set_result(None)

        self._end.send(end)

    async def stopped(self) -> None:
        while not self._to.arrived_all:
            self._end.check()
            news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._end.changed = [it for it in self._end.changed if not it.done()] + [news]
            await news


@dataclass(frozen=True, slots=True)
class BiStream:
    """An `iroh.BiStream`."""

    _send: SendStream
    _recv: RecvStream

    def send(self) -> SendStream:
        return self._send

    def recv(self) -> RecvStream:
        return self._recv


def fake_endpoint(endpoint: FakeIroh, context: NetContext) -> Endpoint:
    """Return our endpoint over one of these."""
    alone = Binding(secret_key=b"", mode=NetworkMode.LOOPBACK, relay_url=None)
    return Endpoint(cast(iroh.Endpoint, endpoint), alone, context)

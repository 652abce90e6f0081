"""The direct protocol, ALPN `/buddies/peer/1`: ask one peer, answer one peer.

    stream := frame(PeerRequest) · frame(PeerReply)*      in both directions, one a request
    frame(message) := length:u32be · protobuf[length]     the last reply has `end`

A stream that ends before the reply with `end` has failed: QUIC ends an abandoned stream just like a
complete one. Requests go both ways on a connection, whoever made it, and it is kept for the next.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from weakref import WeakValueDictionary

import iroh
from google.protobuf.message import DecodeError

from buddies_core.errors import TimedOut, Unreachable, WireError
from buddies_core.model.address import AddressInfo
from buddies_core.model.ids import EndpointId, short
from buddies_core.net.binding import DIRECT_ALPN
from buddies_core.net.context import NetContext
from buddies_core.net.endpoint import Endpoint
from buddies_core.net.exchange import REPLIES_MAX, exchange
from buddies_core.net.incoming import IncomingRequest
from buddies_core.net.iroh_calls import Failure, IrohFailed
from buddies_core.net.links import CloseReason, Link
from buddies_core.net.rates import PeerRates
from buddies_core.net.tasks import Tasks
from buddies_core.pb.peer_pb2 import PeerReply, PeerRequest, Ping, Refusal
from buddies_core.wire.frames import FrameReader, frame

REQUEST_BYTES_MAX = 128 * 1024
REQUESTS_PER_PEER_MAX = 8
"""So many of one peer are in work at once; more are refused as Busy. We ask no peer for more."""
REQUESTS_PER_S = 50.0
REQUESTS_BURST = 50.0
"""Of one peer, pings too; beyond it they are refused as Busy."""
_OWN_BURST = REQUESTS_BURST / 2
"""What we ask at once may arrive closer together than it was sent."""
REQUESTS_MAX = 512
"""So many of all peers are in work at once; more are refused as Busy."""
LINKS_MAX = 64
"""So many connections are kept; beyond it the one that was idle for longest is closed."""
LINKS_PER_PEER_MAX = 2
"""One dialled by each side; a third closes an idle one, or the one that was silent for longest."""
VERDICTS_MAX = 4096

_READ_BYTES_MAX = 65_536

_log = logging.getLogger(__name__)


class DirectUnsupported(Unreachable):
    """The peer is there, but speaks only gossip, as buddies 0.1.4 does."""


@dataclass(frozen=True, slots=True)
class _Dial:
    """A dial that is under way, and where to."""

    to: AddressInfo
    task: asyncio.Task[Link | Unreachable]


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why the last dial to a peer failed, when, and where it went."""

    why: Unreachable
    at_s: float
    to: AddressInfo


class Direct:
    """Requests to peers and from peers, and the connections that carry them."""

    def __init__(self, endpoint: Endpoint, tasks: Tasks, context: NetContext) -> None:
        self._endpoint = endpoint
        self._tasks = tasks
        self._context = context
        # With the number of its requests in work; whatever was used last is last.
        self._links: dict[Link, int] = {}
        self._dials: dict[EndpointId, _Dial] = {}  # the latest to each peer
        self._failed: dict[EndpointId, _Failure] = {}
        # Whether a peer speaks this protocol, and since when that is known.
        self._verdicts: dict[EndpointId, tuple[bool, float]] = {}
        self._in_work: Counter[EndpointId] = Counter()
        self._asked = PeerRates(REQUESTS_PER_S, REQUESTS_BURST)
        # The same limits as seen from the other side, so that we wait instead of being refused.
        self._asking: WeakValueDictionary[EndpointId, asyncio.Semaphore] = WeakValueDictionary()
        self._own = PeerRates(REQUESTS_PER_S, _OWN_BURST)
        # Bounded by what is in work.
        self._waiting: asyncio.Queue[IncomingRequest] = asyncio.Queue()

    def adopt(self, link: Link) -> None:
        """Use a connection that was made, to ask and to answer."""
        self._judge(link.peer, speaks=True)
        self._failed.pop(link.peer, None)
        of_peer = [it for it in self._links if it.peer == link.peer]
        if len(of_peer) >= LINKS_PER_PEER_MAX:
            # An idle one, or else the one that is most likely dead.
            free = [it for it in of_peer if not self._links[it]]
            spare = free[0] if free else max(of_peer, key=Link.silent_s)
            spare.close(CloseReason.TOO_MANY)
        if len(self._links) >= LINKS_MAX:
            idle = next((it for it, requests in self._links.items() if not requests), None)
            if idle is not None:
                idle.close(CloseReason.DONE)
        self._context.links.add(link)
        self._links[link] = 0
        self._tasks.start(self._serve(link))

    def speaks(self, peer: EndpointId) -> bool | None:
        """Return whether the peer speaks the direct protocol; None if that is not known (yet).

        That it does not is believed for a while, and until it connects anew.
        """
        if peer not in self._verdicts:
            return None
        speaks, judged_s = self._verdicts[peer]
        if not speaks:
            age_s = self._context.clock.now_s() - judged_s
            connected_s = self._context.links.connected_since_s(peer)
            came_back = connected_s is not None and connected_s > judged_s
            if came_back or age_s > self._context.timing.direct_refusal_kept_s:
                del self._verdicts[peer]
                return None
        return speaks

    async def ask(
        self, peer: EndpointId, request: PeerRequest, timeout_s: float
    ) -> list[PeerReply]:
        """Return all replies of the peer, which is dialled if it is not connected.

        While we ask it too much already, this waits for its turn; that is part of the time-out.
        Cancelling the caller gives up on the answer only; the connection stays usable.

        Raises:
            InvalidInput: the request is over `REQUEST_BYTES_MAX`, or the peer refused it as such.
            TimedOut: the answer was not complete in time.
            Unreachable: no connection, or it was lost; DirectUnsupported for a peer of 0.1.4.
            Busy, NotAllowed, NotFound, BuddiesError: the peer refused, and says why.
        """
        framed = frame(request.SerializeToString(), REQUEST_BYTES_MAX)
        replies_max = REPLIES_MAX.get(request.WhichOneof("ask") or "", 1)
        with _late_as_timed_out(peer, timeout_s):
            async with asyncio.timeout(timeout_s), self._turn(peer):
                return await self._ask(peer, framed, replies_max)

    async def ping(self, peer: EndpointId, timeout_s: float) -> None:
        """Return when the peer has answered; raises as `ask` does, and waits for no turn."""
        with _late_as_timed_out(peer, timeout_s):
            async with asyncio.timeout(timeout_s):
                await self._ask(peer, frame(PeerRequest(ping=Ping()).SerializeToString()))

    def on_move(self) -> None:
        """Forget who could not be reached: that was from another network, maybe."""
        self._failed.clear()
        self._dials.clear()

    async def next_request(self) -> IncomingRequest:
        """Take the oldest request of a peer that waits to be answered."""
        return await self._waiting.get()

    def close(self) -> None:
        """Close all connections at once, so that everything here ends."""
        for link in self._links:
            link.close(CloseReason.DONE)

    # Asking

    @asynccontextmanager
    async def _turn(self, peer: EndpointId) -> AsyncIterator[None]:
        """Wait until one more request is not too many for the peer, and be one of those."""
        slots = self._asking.setdefault(peer, asyncio.Semaphore(REQUESTS_PER_PEER_MAX))
        async with slots:
            await asyncio.sleep(self._own.reserve(peer, self._context.clock.now_s()))
            yield

    async def _ask(self, peer: EndpointId, framed: bytes, replies_max: int = 1) -> list[PeerReply]:
        link, stream = await self._open_stream(peer)
        with self._using(link):
            return await exchange(link, stream, framed, self._context, replies_max)

    async def _open_stream(self, peer: EndpointId) -> tuple[Link, iroh.BiStream]:
        link = await self._link_to(peer)
        try:
            return link, await self._context.calls.run(link.connection.open_bi())
        except IrohFailed:
            # The peer may just have closed it as idle; nothing was asked yet, so ask once more.
            link.close(CloseReason.DONE)
            link = await self._link_to(peer)
            return link, await self._context.calls.run(link.connection.open_bi())

    async def _link_to(self, peer: EndpointId) -> Link:
        if self.speaks(peer) is False:
            raise _unsupported(peer)
        if (link := self._lively_link(peer)) is not None:
            return link
        known = self._context.book.known(peer)
        # A peer that was not reached there is probably off: it is dialled, but hardly waited for.
        failure = self._last_failure(peer, known)
        dial = self._dials.get(peer)
        if dial is None or known.adds_to(dial.to):
            dial = _Dial(known, self._tasks.start(self._dial(peer, known)))
            self._dials[peer] = dial
        patience_s = self._context.timing.patience_after_failure_s if failure else None
        await asyncio.wait({dial.task}, timeout=patience_s)
        made = dial.task.result() if dial.task.done() else failure
        if isinstance(made, Link):
            return made
        assert made is not None, "without a failure, a dial is waited for"
        # A later dial may have found it where this one did not look.
        if (link := self._lively_link(peer)) is not None:
            return link
        raise made.with_traceback(None)

    def _lively_link(self, peer: EndpointId) -> Link | None:
        for link in reversed(self._links):
            lively = link.peer == peer and not link.closed
            if lively and link.silent_s() <= self._context.timing.silent_after_s:
                return link
        return None

    def _last_failure(self, peer: EndpointId, known: AddressInfo) -> Unreachable | None:
        """Return why the last dial failed.

        None if there was none, the peer was heard since, or more of its addresses are known now.
        """
        failure = self._failed.get(peer)
        if failure is None or known.adds_to(failure.to):
            return None
        heard_s = self._context.links.heard_s(peer)
        return failure.why if heard_s is None or heard_s < failure.at_s else None

    async def _dial(self, peer: EndpointId, to: AddressInfo) -> Link | Unreachable:
        """Connect to a peer for all who want to ask it, or return why that failed."""
        try:
            link = await self._endpoint.dial(peer, DIRECT_ALPN, self._context.timing.dial_timeout_s)
        except IrohFailed as error:
            if error.failure is Failure.REFUSED_PROTOCOL:
                self._judge(peer, speaks=False)
                return _unsupported(peer)
            if self._is_latest(peer, to):
                self._remember_failure(peer, _Failure(error, self._context.clock.now_s(), to))
            return error
        finally:
            if self._is_latest(peer, to):
                del self._dials[peer]
        self.adopt(link)
        return link

    def _is_latest(self, peer: EndpointId, to: AddressInfo) -> bool:
        """Return whether the latest dial to the peer is the one that goes there."""
        latest = self._dials.get(peer)
        return latest is not None and latest.to is to

    def _remember_failure(self, peer: EndpointId, failure: _Failure) -> None:
        self._failed.pop(peer, None)
        self._failed[peer] = failure
        if len(self._failed) > VERDICTS_MAX:
            del self._failed[next(iter(self._failed))]

    @contextmanager
    def _using(self, link: Link) -> Iterator[None]:
        """Keep a connection from being closed as idle."""
        if link in self._links:
            self._links[link] = self._links.pop(link) + 1
        try:
            yield
        finally:
            if link in self._links:
                self._links[link] -= 1

    # Answering

    async def _serve(self, link: Link) -> None:
        """Answer all requests on a connection until it ends."""
        try:
            async with asyncio.TaskGroup() as requests:
                requests.create_task(self._refuse_stray_streams(link))
                try:
                    while (stream := await link.next_bi_stream()) is not None:
                        requests.create_task(self._answer(link, stream))
                finally:
                    # What is in work goes on, though nobody will hear the answers.
                    self._forget(link)
        except Exception:  # noqa: BLE001 - one bad peer
            _log.exception("peer_dropped peer=%s reason=our_bug", short(link.peer))

    def _forget(self, link: Link) -> None:
        link.close(CloseReason.DONE)
        del self._links[link]
        self._context.links.remove(link)

    async def _refuse_stray_streams(self, link: Link) -> None:
        """End a connection with a stream in one direction, which could hold 1.25 MB for ever."""
        if await link.next_uni_stream() is not None:
            self._refuse_nonsense(link, "a unidirectional stream")

    async def _answer(self, link: Link, stream: iroh.BiStream) -> None:
        with self._using(link):
            try:
                request = await self._read_request(link, stream.recv())
            except WireError as error:
                self._refuse_nonsense(link, str(error))
                return
            except IrohFailed:
                self._context.counters["requests_broken_off"] += 1
                return
            incoming = IncomingRequest(link.peer, request, stream.send(), link, self._context)
            if not self._asked.take(link.peer, self._context.clock.now_s()):
                await self._refuse_busy(incoming, "too many requests in a second")
                return
            match request.WhichOneof("ask"):
                case "ping":
                    await incoming.reply()
                case None:
                    text = "this node does not know that request; it may be older than yours"
                    await incoming.refuse(Refusal.UNSUPPORTED, text)
                case _:
                    await self._have_answered(incoming)

    async def _read_request(self, link: Link, stream: iroh.RecvStream) -> PeerRequest:
        """Return the one request in a stream; what follows it is not read."""
        frames = FrameReader(REQUEST_BYTES_MAX)
        try:
            async with asyncio.timeout(self._context.timing.first_read_s):
                while data := await self._context.calls.run(stream.read(_READ_BYTES_MAX)):
                    link.hear()
                    for body in frames.feed(data):
                        return PeerRequest.FromString(body)
        except TimeoutError:
            raise WireError("a request was not complete in time") from None
        except DecodeError:
            raise WireError("a request does not decode") from None
        raise WireError("a stream ended without a request")

    async def _have_answered(self, incoming: IncomingRequest) -> None:
        """Leave a request to the application, unless there are too many."""
        peer = incoming.caller
        in_work = self._in_work
        if in_work[peer] >= REQUESTS_PER_PEER_MAX or in_work.total() >= REQUESTS_MAX:
            await self._refuse_busy(incoming, "too many requests at once")
            return
        self._in_work[peer] += 1
        try:
            self._waiting.put_nowait(incoming)
            await incoming.wait_answered(self._context.timing.answer_timeout_s)
        finally:
            self._in_work[peer] -= 1
            if not self._in_work[peer]:
                del self._in_work[peer]

    async def _refuse_busy(self, incoming: IncomingRequest, why: str) -> None:
        self._context.counters["requests_refused_busy"] += 1
        await incoming.refuse(Refusal.BUSY, f"{why}; try again")

    def _refuse_nonsense(self, link: Link, what: str) -> None:
        self._context.counters["bad_requests"] += 1
        _log.warning("connection_dropped peer=%s reason=%r", short(link.peer), what)
        link.close(CloseReason.BAD_FRAME)

    def _judge(self, peer: EndpointId, *, speaks: bool) -> None:
        self._verdicts.pop(peer, None)
        self._verdicts[peer] = (speaks, self._context.clock.now_s())
        if len(self._verdicts) > VERDICTS_MAX:
            del self._verdicts[next(iter(self._verdicts))]


@contextmanager
def _late_as_timed_out(peer: EndpointId, timeout_s: float) -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise TimedOut(
            f"peer {short(peer)} has not answered within {timeout_s:.3g} s; is it still running?"
        ) from None


def _unsupported(peer: EndpointId) -> DirectUnsupported:
    return DirectUnsupported(
        f"peer {short(peer)} takes no direct requests: it runs buddies 0.1.4 or another program "
        "that speaks gossip only"
    )

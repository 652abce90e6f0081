"""Gossip's connections: dials peers, reads all that they say, writes what the node wants said.

    connection := stream*                    one in each direction for each topic
    stream := frame(topic) · frame(message)*

What is read goes to the driver's inbox. What is to be written waits in the peer's outbox for the
peer's one flusher, which takes all that has gathered while it was writing: so frames are batched
under load, and nothing is delayed without it.

All connections of a peer are read, as the other side may write to any; the newest is written to.
When that one ends the peer is disconnected, as in iroh-gossip, so that both sides think alike.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Any

import iroh

from buddies_core.errors import Unreachable, WireError
from buddies_core.gossip.events import MessageReceived, PeerDisconnected
from buddies_core.model.ids import EndpointId, TopicId, short
from buddies_core.net.binding import GOSSIP_ALPN
from buddies_core.net.context import NetContext
from buddies_core.net.endpoint import Endpoint
from buddies_core.net.inbox import Inbox
from buddies_core.net.iroh_calls import Failure, IrohFailed
from buddies_core.net.links import CloseReason, Link
from buddies_core.net.outbox import Batch, Outbox
from buddies_core.net.tasks import Tasks
from buddies_core.wire.frames import FrameReader
from buddies_core.wire.gossip_messages import decode_message, decode_stream_header, stream_header

READ_BYTES_MAX = 65_536
"""Larger reads gain nothing (measured)."""
LINKS_PER_PEER_MAX = 4
"""Nodes that dial each other at once have two connections; beyond four the oldest is closed."""
STREAMS_PER_LINK_MAX = 100
"""So many topics can two nodes share; it is what iroh-gossip's peers grant, too."""

_log = logging.getLogger(__name__)


class _Peer:
    """A peer that is dialled, connected, or being taken leave of."""

    def __init__(self, id: EndpointId) -> None:
        self.id = id
        self.links: list[Link] = []  # oldest first
        self.outbox = Outbox()
        self.dials = 0
        self.released = False
        """What waits is still written, then the connections are closed."""
        self.lost = False
        """The connections are closed, or none could be made; what waits is dropped."""
        self.behind_since_s: float | None = None
        """Since when its outbox is half full."""
        self.changed = asyncio.Event()
        """There may be something for the flusher to do."""
        self.connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()
        """Nothing more is written."""

    @property
    def newest(self) -> Link | None:
        """The connection to write to."""
        return self.links[-1] if self.links and not self.links[-1].closed else None


class Connections:
    """The gossip connections of one endpoint."""

    def __init__(self, endpoint: Endpoint, inbox: Inbox, tasks: Tasks, context: NetContext) -> None:
        self._endpoint = endpoint
        self._inbox = inbox
        self._tasks = tasks
        self._context = context
        self._peers: dict[EndpointId, _Peer] = {}
        # A released peer may be connected anew before its old connections are closed.
        self._released: set[_Peer] = set()
        self._eased = asyncio.Event()
        """Set when an outbox may have become shorter."""
        self._dials = True

    def connected(self) -> tuple[EndpointId, ...]:
        """Return the peers with a gossip connection."""
        return tuple(peer.id for peer in self._peers.values() if peer.newest)

    def send(self, peer: EndpointId, topic: TopicId, frame: bytes, *, ends_stream: bool) -> None:
        """Queue a frame, and dial the peer if it is not connected.

        A peer whose outbox is full is disconnected; gossip repairs what it misses.
        """
        if peer == self._endpoint.id:
            # A walk through the swarm may end where it began.
            self._context.counters["messages_to_self"] += 1
            return
        there = self._peers.get(peer)
        if there is None:
            if not self._dials:
                return
            there = self._add(peer)
            self._dial(there, self._context.timing.dial_timeout_s)
        if there.outbox.append(topic, frame, ends_stream=ends_stream):
            there.changed.set()
            if there.behind_since_s is None and there.outbox.is_half_full:
                there.behind_since_s = self._context.clock.now_s()
        else:
            self._context.counters["outboxes_overflowed"] += 1
            self._lose(there, CloseReason.STALLED)

    async def reach(self, peer: EndpointId, timeout_s: float) -> None:
        """Return once the peer is connected; it is dialled if it is not, or is silent.

        Cancelling the caller does not end the dial; what comes of it is kept.

        Raises:
            Unreachable: no connection within the time; the text says why.
        """
        there = self._peers.get(peer)
        if there is not None and there.links:
            newest = there.newest
            if newest and newest.silent_s() <= self._context.timing.silent_after_s:
                return
            self._lose(there, CloseReason.SILENT)
            there = None
        if there is None:
            there = self._add(peer)
        # Even if a dial is under way: the peer's addresses may have come in since it began.
        dial = self._dial(there, timeout_s)
        either: tuple[asyncio.Future[Any], ...] = (dial, there.connected)
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not there.connected.done() and (error := dial.result()):
            raise error

    def adopt(self, link: Link) -> None:
        """Use a connection that was made, from now on also for sending."""
        self._attach(self._peers.get(link.peer) or self._add(link.peer), link)

    def release(self, peer: EndpointId) -> None:
        """Close the connections to a peer as soon as all that waits for it has arrived there.

        What is sent to it later travels on a connection of its own.
        """
        there = self._peers.pop(peer, None)
        if there is not None:
            there.released = True
            self._released.add(there)
            there.changed.set()

    async def wait_room(self) -> None:
        """Wait while an outbox is half full, but for no peer longer than `Timing.room_wait_s`.

        For our own broadcasts: a burst of them is slowed down to what the peers take, where their
        outboxes would overflow. What others say is passed on at once.
        """
        while (wait_s := max(map(self._room_wait_s, self._peers.values()), default=0.0)) > 0:
            self._eased.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._eased.wait()

    def stop_dialling(self) -> None:
        """Send to peers that are connected, and to no others, from now on."""
        self._dials = False
        for there in self._released:
            there.changed.set()

    async def wait_released(self, timeout_s: float) -> None:
        """Wait until the connections of released peers are closed, at most for that time."""
        try:
            async with asyncio.timeout(timeout_s):
                for there in tuple(self._released):
                    await there.ended.wait()
        except TimeoutError:
            self._context.counters["leaves_unheard"] += len(self._released)

    def close(self) -> None:
        """Close all connections at once, so that everything here ends."""
        for there in tuple(self._peers.values()):
            self._lose(there, CloseReason.DONE)

    def _add(self, id: EndpointId) -> _Peer:
        there = self._peers[id] = _Peer(id)
        self._tasks.start(self._flush(there))
        return there

    def _room_wait_s(self, there: _Peer) -> float:
        """Return how long our broadcasts may still wait for this peer."""
        if there.behind_since_s is None:
            return 0.0
        behind_s = self._context.clock.now_s() - there.behind_since_s
        return self._context.timing.room_wait_s - behind_s

    def _dial(self, there: _Peer, timeout_s: float) -> asyncio.Task[Unreachable | None]:
        there.dials += 1
        return self._tasks.start(self._dialled(there, timeout_s))

    async def _dialled(self, there: _Peer, timeout_s: float) -> Unreachable | None:
        """Connect the peer, or return why that failed."""
        try:
            link = await self._endpoint.dial(there.id, GOSSIP_ALPN, timeout_s)
        except Unreachable as error:
            there.dials -= 1
            if not there.dials and not there.links:
                self._lose(there, CloseReason.DONE)
            return error
        there.dials -= 1
        if there.lost or there.ended.is_set():
            self.adopt(link)
        else:
            self._attach(there, link)
        return None

    def _attach(self, there: _Peer, link: Link) -> None:
        link.connection.set_max_concurrent_uni_streams(STREAMS_PER_LINK_MAX)
        self._context.links.add(link)
        there.links.append(link)
        if len(there.links) > LINKS_PER_PEER_MAX:
            there.links[0].close(CloseReason.TOO_MANY)
        if not there.connected.done():
            there.connected.set_result(None)
        there.changed.set()
        self._tasks.start(self._read_link(there, link))

    def _lose(self, there: _Peer, reason: CloseReason) -> None:
        """Close what is open to the peer, drop what waits for it, and tell the node."""
        there.lost = True
        there.changed.set()
        self._eased.set()
        for link in there.links:
            link.close(reason)
        if self._peers.get(there.id) is there:
            del self._peers[there.id]
            self._inbox.post(PeerDisconnected(there.id))

    async def _read_link(self, there: _Peer, link: Link) -> None:
        """Read all streams of a connection until it ends."""
        try:
            async with asyncio.TaskGroup() as readers:
                readers.create_task(self._refuse_requests(link))
                while (stream := await link.next_uni_stream()) is not None:
                    readers.create_task(self._read_stream(link, stream))
        except Exception:  # noqa: BLE001 - one bad peer
            _log.exception("peer_dropped peer=%s reason=our_bug", short(there.id))
        finally:
            link.close(CloseReason.DONE)
            self._context.links.remove(link)
            was_newest = there.links[-1] is link
            there.links.remove(link)
            there.changed.set()
            if was_newest and not there.released:
                self._lose(there, CloseReason.DONE)

    async def _refuse_requests(self, link: Link) -> None:
        """End a connection with a stream in both directions, of which gossip knows none.

        Left alone, each could hold 1.25 MB that nobody will ever read.
        """
        if await link.next_bi_stream() is not None:
            self._refuse_nonsense(link, "a bidirectional stream")

    async def _read_stream(self, link: Link, stream: iroh.RecvStream) -> None:
        """Hand the node what one stream brings.

        The stream is never dropped before its end while the connection is open: an iroh-gossip
        peer whose stream is refused never sends anything to us again.
        """
        frames = FrameReader()
        topic: TopicId | None = None
        timing = self._context.timing
        try:
            while True:
                timeout_s = timing.first_read_s if topic is None else None
                data = await self._context.calls.run(stream.read(READ_BYTES_MAX), timeout_s)
                if not data:
                    frames.end()
                    return
                link.hear()
                for body in frames.feed(data):
                    if topic is None:
                        topic = decode_stream_header(body)
                        continue
                    message = decode_message(body)
                    await self._inbox.receive(MessageReceived(topic, link.peer, message))
        except WireError as error:
            self._refuse_nonsense(link, str(error))
        except IrohFailed as error:
            if topic is None and error.failure is Failure.TIMED_OUT and not link.closed:
                self._refuse_nonsense(link, "a stream without a header")

    def _refuse_nonsense(self, link: Link, what: str) -> None:
        self._context.counters["bad_frames"] += 1
        _log.warning("connection_dropped peer=%s reason=%r", short(link.peer), what)
        link.close(CloseReason.BAD_FRAME)

    async def _flush(self, there: _Peer) -> None:
        """Write what waits for the peer, until it is lost or taken leave of."""
        writer: _Writer | None = None
        batch: Batch | None = None  # taken from the outbox, and not written yet
        while not there.lost:
            link = there.newest
            if link and batch is None:
                batch = there.outbox.take()
            if link is None or batch is None:
                if there.released and (link or not there.dials or not self._dials):
                    break
                there.changed.clear()
                await there.changed.wait()
                continue
            if writer is None or writer.link is not link:
                writer = _Writer(link, self._context)
            try:
                await writer.write(batch)
                batch = None
                if not there.outbox.is_half_full:
                    there.behind_since_s = None
                self._eased.set()
            except IrohFailed as error:
                _log.info("write_failed peer=%s reason=%s", short(there.id), error)
                self._context.counters["writes_failed"] += 1
                # What arrived of the batch is unknown. A newer connection gets the whole of it: to
                # hear a message twice changes nothing.
                link.close(CloseReason.STALLED)
        if not there.lost and writer is not None:
            await writer.finish()
        for link in there.links:
            link.close(CloseReason.DONE)
        self._released.discard(there)
        there.ended.set()


class _Writer:
    """The streams of one connection that this side writes."""

    def __init__(self, link: Link, context: NetContext) -> None:
        self.link = link
        self._calls = context.calls
        self._timing = context.timing
        self._open: dict[TopicId, iroh.SendStream] = {}
        self._ended: dict[TopicId, iroh.SendStream] = {}

    async def write(self, batch: Batch) -> None:
        """Write a batch to its topic's stream, which is opened before if need be.

        Raises:
            IrohFailed: the connection is lost, or the peer does not read; what arrived is unknown.
        """
        stall_s = self._timing.write_stall_s
        stream = self._open.get(batch.topic)
        data = batch.data
        if stream is None:
            stream = await self._calls.run(self.link.connection.open_uni(), stall_s)
            self._open[batch.topic] = stream
            data = stream_header(batch.topic) + data
        await self._calls.run(stream.write_all(data), stall_s)
        if batch.ends_stream:
            await self._calls.run(stream.finish(), stall_s)
            self._ended[batch.topic] = self._open.pop(batch.topic)

    async def finish(self) -> None:
        """End all streams, and wait a bounded time until the peer has acknowledged everything.

        Closing a connection before that throws away what is under way (measured: 10 of 10).
        """
        try:
            async with asyncio.timeout(self._timing.finish_timeout_s):
                for stream in self._open.values():
                    await self._calls.run(stream.finish())
                for stream in (*self._open.values(), *self._ended.values()):
                    await self._calls.run(stream.stopped())
        except (IrohFailed, TimeoutError):
            pass  # the peer is gone, and what was to tell it with it

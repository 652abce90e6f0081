"""This node's place in the network: who it is, where it is, and what it hears and says there."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from buddies_core.clock import Clock
from buddies_core.errors import Busy, NotFound
from buddies_core.gossip.config import OURS, GossipConfig
from buddies_core.gossip.events import (
    BroadcastRequested,
    JoinRequested,
    OwnDataChanged,
    QuitRequested,
)
from buddies_core.model.address import AddressInfo, PeerAddress
from buddies_core.model.contact import Contact
from buddies_core.model.ids import EndpointId, TopicId
from buddies_core.model.provenance import Source
from buddies_core.net.binding import GOSSIP_ALPN, NetworkMode
from buddies_core.net.connections import Connections
from buddies_core.net.context import NetContext
from buddies_core.net.direct import Direct
from buddies_core.net.driver import Delivery, Driver
from buddies_core.net.endpoint import Endpoint, bind
from buddies_core.net.inbox import Inbox
from buddies_core.net.incoming import IncomingRequest
from buddies_core.net.interfaces import default_sources
from buddies_core.net.links import Link
from buddies_core.net.liveness import Liveness
from buddies_core.net.probe import Probe
from buddies_core.net.surroundings import Surroundings
from buddies_core.net.tasks import Tasks
from buddies_core.net.timing import TIMING, Timing
from buddies_core.net.way_out import WayOut
from buddies_core.pb.peer_pb2 import PeerReply, PeerRequest
from buddies_core.wire.address_info import encode_address_info
from buddies_core.wire.gossip_messages import check_content_size

_BROADCAST_TIMEOUT_S = 5.0
"""Our broadcasts wait for nothing but each other and peers on slow lines. Half of what a client
waits for the daemon, so that the client hears the daemon's own words."""
_REACHABLE_PAUSE_S = 0.05
# What is left after that waits for peers that are gone.
_END_TIMEOUT_S = 0.5
Bind: TypeAlias = Callable[..., Awaitable[tuple[Endpoint, tuple[str, ...]]]]
"""See `endpoint.bind`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetConfig:
    """Who this node is, and which networks it uses."""

    secret_key: bytes
    mode: NetworkMode
    relay_url: str | None = None
    udp_port: int = 0
    gossip: GossipConfig = OURS
    timing: Timing = TIMING


class Network:
    """An open endpoint with its gossip node. `open` makes one."""

    def __init__(
        self,
        endpoint: Endpoint,
        warnings: tuple[str, ...],
        config: NetConfig,
        context: NetContext,
        rng: Random,
        group: asyncio.TaskGroup,
    ) -> None:
        self.endpoint = endpoint.id
        self.warnings = warnings
        self.counters: Counter[str] = context.counters
        self._endpoint = endpoint
        self._context = context
        self._inbox = Inbox()
        self._tasks = tasks = Tasks(group)
        self._connections = Connections(endpoint, self._inbox, tasks, context)
        self._direct = Direct(endpoint, tasks, context)
        self._topics: set[TopicId] = set()
        self._speaking = asyncio.Lock()
        self._surroundings = Surroundings(endpoint, context.clock)
        self._moved = asyncio.Event()
        self._told = self._own_data()
        self._driver = Driver(
            endpoint.id, self._told, config.gossip, rng, self._inbox, self._connections, context
        )
        liveness = Liveness(self._connections, self._driver, self._direct, context, rng)
        way_out = WayOut(
            endpoint,
            endpoint.relay_doors(),
            Probe(context.clock),
            default_sources,
            context.timing,
            context.clock,
            quiet=endpoint.uses_n0,
        )
        self._loops = [
            group.create_task(loop)
            for loop in (
                self._driver.run(),
                self._watch_surroundings(),
                liveness.run(),
                way_out.run(),
            )
        ]
        group.create_task(endpoint.let_in(self._adopt))

    @classmethod
    @asynccontextmanager
    async def open(
        cls, config: NetConfig, clock: Clock, rng: Random, bind: Bind = bind
    ) -> AsyncIterator["Network"]:
        """Yield the network; afterwards all topics are left and all connections closed.

        Raises:
            InvalidInput: the relay is no URL.
            BuddiesError: no UDP port could be bound.
        """
        context = NetContext(clock=clock, timing=config.timing)
        endpoint, warnings = await bind(
            secret_key=config.secret_key,
            mode=config.mode,
            relay_url=config.relay_url,
            udp_port=config.udp_port,
            context=context,
        )
        try:
            async with _group_cancelled_at_exit() as group:
                network = cls(endpoint, warnings, config, context, rng, group)
                try:
                    yield network
                finally:
                    await network._leave()
        finally:
            await endpoint.close()
            await context.calls.drain(_END_TIMEOUT_S)

    @property
    def udp_port(self) -> int:
        """The port where peers find this node."""
        return self._endpoint.udp_port

    def address(self) -> PeerAddress:
        """Return where this node may be reached now."""
        return self._endpoint.address()

    async def wait_reachable(self, timeout_s: float) -> bool:
        """Return whether `address` says all it should, as soon as it does or that time is up.

        It lacks the relay until the endpoint has reached one, which takes about 3 s.
        """
        until_s = self._context.clock.now_s() + timeout_s
        while not (known := self._endpoint.is_reachable()):
            if self._context.clock.now_s() >= until_s:
                break
            await asyncio.sleep(_REACHABLE_PAUSE_S)
        return known

    async def next_move(self) -> None:
        """Return when the ways out of this machine have changed since the last call.

        There is another network, the relay is back, or the machine was asleep.
        """
        await self._moved.wait()
        self._moved.clear()

    def learn(
        self,
        address: PeerAddress,
        source: Source = Source.DIALLED,
        told_by: EndpointId | None = None,
    ) -> None:
        """Remember where a peer may be reached, besides what is known already.

        `told_by` is the peer that has told it: each can add so many.
        """
        if address.endpoint != self.endpoint:
            self._context.book.learn(address, source, told_by)

    def rank(self, peer: EndpointId, rank: int) -> None:
        """Take note how far a peer is trusted, if it is connected: the least trusted go first."""
        self._context.links.rank(peer, rank)

    def vouched(self, endpoint: EndpointId) -> AddressInfo:
        """Return where a peer may be reached by its own word or because we have dialled it."""
        return self._context.book.vouched(endpoint)

    def contact(self, peer: EndpointId) -> Contact | None:
        """Return what our connections tell of a peer; None if there is none and none was lost."""
        return self._context.links.contact(peer)

    async def reach(self, peer: PeerAddress, timeout_s: float) -> None:
        """Return once there is a gossip connection to the peer; its addresses are remembered.

        Raises:
            Unreachable: there is none after that time; the text says why.
        """
        self.learn(peer, Source.DIALLED)
        await self._connections.reach(peer.endpoint, timeout_s)

    async def join(self, topic: TopicId, peers: Sequence[EndpointId]) -> None:
        """Be in the topic from now on, and ask these peers to let us in; again is fine.

        Whether any of them does is seen from `NeighborCameUp`.
        """
        self._topics.add(topic)
        others = tuple(peer for peer in peers if peer != self.endpoint)
        self._inbox.post(JoinRequested(topic, others))

    async def quit(self, topic: TopicId) -> None:
        """Leave the topic; its neighbors are told."""
        self._topics.discard(topic)
        self._inbox.post(QuitRequested(topic))

    async def broadcast(self, topic: TopicId, content: bytes) -> None:
        """Say something to everybody in the topic; with no neighbor yet, to nobody.

        Raises:
            InvalidInput: it is over 4057 bytes.
            NotFound: the topic is not joined.
            Busy: too much is being said at once; it may yet be sent.
        """
        check_content_size(content)
        try:
            async with asyncio.timeout(_BROADCAST_TIMEOUT_S), self._speaking:
                self._check_joined(topic)
                await self._connections.wait_room()
                # It may have been left meanwhile. From here on the node handles events in order.
                self._check_joined(topic)
                await self._inbox.post_and_wait(BroadcastRequested(topic, content))
        except TimeoutError:
            raise Busy(
                "this machine says more than its peers can take; wait some seconds and try again"
            ) from None

    def _check_joined(self, topic: TopicId) -> None:
        if topic not in self._topics:
            raise NotFound("this node is not in that topic; join it first")

    def neighbors(self, topic: TopicId) -> tuple[EndpointId, ...]:
        """Return the peers that this node is connected with in the topic."""
        return self._driver.neighbors(topic)

    async def next_delivery(self) -> Delivery:
        """Take the oldest delivery, waiting for one.

        A peer whose deliveries nobody takes, or calls `done` for, is read no further.
        """
        return await self._driver.next_delivery()

    async def ask(
        self, peer: EndpointId, request: PeerRequest, timeout_s: float
    ) -> list[PeerReply]:
        """Return all replies of a peer to a direct request; the last one has `end`.

        Raises:
            TimedOut: the answer was not complete in time.
            Unreachable: no connection, or it was lost; DirectUnsupported for a peer of 0.1.4.
            Busy, NotAllowed, NotFound, InvalidInput, BuddiesError: the peer refused, and says why.
        """
        return await self._direct.ask(peer, request, timeout_s)

    async def next_request(self) -> IncomingRequest:
        """Take the oldest request of a peer, waiting for one; it wants an answer."""
        return await self._direct.next_request()

    def speaks_direct(self, peer: EndpointId) -> bool | None:
        """Return whether the peer takes direct requests; None if that is not known."""
        return self._direct.speaks(peer)

    def connected_peers(self) -> int:
        """Return how many peers have a gossip connection."""
        return len(self._connections.connected())

    def _adopt(self, link: Link) -> None:
        if link.alpn == GOSSIP_ALPN:
            self._connections.adopt(link)
        else:
            self._direct.adopt(link)

    def _own_data(self) -> bytes:
        return encode_address_info(self._surroundings.info)

    async def _watch_surroundings(self) -> None:
        """Have peers and the application know when the ways out of this machine change."""
        while True:
            await asyncio.sleep(self._context.timing.poll_interval_s)
            if not self._surroundings.have_changed():
                continue
            self._direct.on_move()
            self._moved.set()
            data = self._own_data()
            if data != self._told:
                self._told = data
                self._inbox.post(OwnDataChanged(data))

    async def _leave(self) -> None:
        """Tell all neighbors, see for a bounded time that they have heard it, and close."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.wait(self._loops)
        self._connections.stop_dialling()
        self._driver.quit_all()
        await self._connections.wait_released(self._context.timing.close_timeout_s)
        self._connections.close()
        self._direct.close()
        await self._endpoint.close()
        await self._tasks.wait_ended(_END_TIMEOUT_S)


class _Closed(Exception):
    """Ends a group of tasks."""


@asynccontextmanager
async def _group_cancelled_at_exit() -> AsyncIterator[asyncio.TaskGroup]:
    """Yield a group whose tasks run until its user is done.

    An exception of the user's comes out as it is, one of a task in an ExceptionGroup.
    """
    failure: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            try:
                yield tasks
            except BaseException as error:  # noqa: BLE001 - it is raised again below
                failure = error
            raise _Closed  # noqa: TRY301 - an exception is what ends a group
    except* _Closed:
        pass
    if failure is not None:
        raise failure

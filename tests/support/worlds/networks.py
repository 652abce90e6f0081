"""Networks on loopback, and peers that do what no honest one does."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from random import Random
from typing import cast

import iroh
import pytest

from buddies_core.clock import SystemClock
from buddies_core.model.address import AddressInfo, PeerAddress, SocketAddress
from buddies_core.model.ids import EndpointId, TopicId
from buddies_core.net.binding import DIRECT_ALPN, GOSSIP_ALPN, NetworkMode
from buddies_core.net.context import NetContext
from buddies_core.net.driver import ContentDelivered, Delivery, NeighborCameUp
from buddies_core.net.endpoint import bind
from buddies_core.net.network import NetConfig, Network
from buddies_core.net.timing import TIMING, Timing
from tests.support.eventually import until

TOPIC = TopicId(b"topic" + bytes(27))


def key_of(number: int) -> bytes:
    """Return the secret key of test node number so and so."""
    return number.to_bytes(32, "big")


def id_of(number: int) -> EndpointId:
    """Return the endpoint id that belongs to `key_of`."""
    return EndpointId(iroh.SecretKey.from_bytes(key_of(number)).public().to_bytes())


@asynccontextmanager
async def a_network(
    number: int, *, udp_port: int = 0, timing: Timing = TIMING
) -> AsyncIterator[Network]:
    """Yield a network on loopback whose key is `key_of(number)`."""
    config = NetConfig(
        secret_key=key_of(number), mode=NetworkMode.LOOPBACK, udp_port=udp_port, timing=timing
    )
    async with Network.open(config, SystemClock(), Random(number)) as network:
        yield network


async def contents(network: Network, count: int) -> list[bytes]:
    """Return the next contents that are delivered; what else is delivered is left out."""
    heard: list[bytes] = []
    while len(heard) < count:
        delivery = await network.next_delivery()
        if isinstance(delivery, ContentDelivered):
            heard.append(delivery.content)
            delivery.done()
    return heard


async def wait_delivery(network: Network, wanted: Delivery) -> None:
    """Read deliveries until this one comes."""
    while (delivery := await network.next_delivery()) != wanted:
        if isinstance(delivery, ContentDelivered):
            delivery.done()


async def wait_neighbors(topic: TopicId, one: Network, other: Network) -> None:
    """Read both nodes' deliveries until each has the other for a neighbor."""
    await wait_delivery(one, NeighborCameUp(topic, other.endpoint))
    await wait_delivery(other, NeighborCameUp(topic, one.endpoint))


@dataclass(frozen=True, slots=True)
class RawPeer:
    """An iroh endpoint in the hands of a test."""

    endpoint: iroh.Endpoint
    address: PeerAddress

    async def connect(self, peer: PeerAddress, alpn: bytes = GOSSIP_ALPN) -> iroh.Connection:
        """Return a new connection to the peer."""
        addresses = [str(address) for address in peer.info.direct]
        there = iroh.EndpointAddr(iroh.EndpointId.from_bytes(peer.endpoint), None, addresses)
        return await self.endpoint.connect(there, alpn)

    async def accept(self) -> iroh.Connection:
        """Return the next connection that a peer makes."""
        incoming = await self.endpoint.accept_next()
        assert incoming is not None
        return await (await incoming.accept()).connect()

    async def accept_and_fail(self) -> None:
        """Let a peer connect that offers no protocol of ours."""
        incoming = await self.endpoint.accept_next()
        assert incoming is not None
        with pytest.raises(iroh.IrohError):  # noqa: PT012 - which of both it is depends on time
            accepting = await incoming.accept()
            await accepting.connect()


@asynccontextmanager
async def a_raw_peer(
    number: int, *, alpns: tuple[bytes, ...] = (GOSSIP_ALPN, DIRECT_ALPN)
) -> AsyncIterator[RawPeer]:
    """Yield an endpoint on loopback whose key is `key_of(number)`."""
    context = NetContext(clock=SystemClock(), timing=TIMING)
    bound, _ = await bind(
        secret_key=key_of(number),
        mode=NetworkMode.LOOPBACK,
        relay_url=None,
        udp_port=0,
        context=context,
    )
    raw = bound._endpoint
    assert raw is not None
    raw.set_alpns(list(alpns))
    try:
        yield RawPeer(raw, bound.address())
    finally:
        await bound.close()


@asynccontextmanager
async def handshakes_half_open(to: PeerAddress, count: int) -> AsyncIterator[None]:
    """Begin so many handshakes with a node; it gets the first packet of each and no other."""
    port = next(it.port for it in to.info.direct if it.host == "127.0.0.1")
    begun: set[bytes] = set()

    class FirstPackets(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast(asyncio.DatagramTransport, transport)

        def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
            connection_id = data[6 : 6 + data[5]]  # of a long header, RFC 9000, 17.2
            if sender[1] != port and connection_id not in begun:
                begun.add(connection_id)
                self.transport.sendto(data, ("127.0.0.1", port))

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(FirstPackets, ("127.0.0.1", 0))
    try:
        async with a_raw_peer(666) as dialler, asyncio.TaskGroup() as group:
            there = at_port(to.endpoint, transport.get_extra_info("sockname")[1])
            dials = [group.create_task(dialler.connect(there)) for _ in range(count)]
            await until(lambda: len(begun) == count)
            yield
            for dial in dials:
                dial.cancel()
    finally:
        transport.close()


def at_port(node: int | bytes, port: int) -> PeerAddress:
    """Return the address of a node, given by its number or id, at this port on loopback."""
    endpoint = id_of(node) if isinstance(node, int) else EndpointId(node)
    return PeerAddress(endpoint, AddressInfo(direct=(SocketAddress("127.0.0.1", port),)))


@contextmanager
def a_mute_port() -> Iterator[int]:
    """Yield a UDP port where nobody answers."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as mute:
        mute.bind(("127.0.0.1", 0))
        yield mute.getsockname()[1]

"""An endpoint is bound anew in the place of another, and gets back to its relay by that."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from buddies_core.clock import SystemClock
from buddies_core.model.address import PeerAddress
from buddies_core.model.provenance import Source
from buddies_core.net.binding import GOSSIP_ALPN, NetworkMode
from buddies_core.net.context import NetContext
from buddies_core.net.endpoint import Endpoint, bind
from buddies_core.net.iroh_calls import IrohFailed
from buddies_core.net.links import Link
from buddies_core.net.network import NetConfig, Network
from buddies_core.net.timing import TIMING, Timing
from tests.support.eventually import until
from tests.support.worlds.networks import (
    TOPIC,
    a_mute_port,
    a_network,
    at_port,
    key_of,
    wait_neighbors,
)
from tests.support.worlds.relay import a_relay

HURRIED = Timing(
    poll_interval_s=0.1, relay_patience_s=0.5, relay_redial_s=0.1, relay_probe_every_s=0.2
)


class Node:
    """An endpoint on loopback that lets everybody in, and the connections that came."""

    def __init__(self, endpoint: Endpoint, context: NetContext) -> None:
        self.endpoint = endpoint
        self.context = context
        self.let_in: list[Link] = []

    @property
    def at(self) -> PeerAddress:
        return at_port(self.endpoint.id, self.endpoint.udp_port)

    async def dial(self, to: PeerAddress, timeout_s: float = 5.0) -> Link:
        self.context.book.learn(to, Source.DIALLED, None)
        return await self.endpoint.dial(to.endpoint, GOSSIP_ALPN, timeout_s)

    async def reaches(self, other: "Node") -> bool:
        """Return whether a new connection arrives; it is closed again on both sides."""
        link = await self.dial(other.at)
        await until(lambda: bool(other.let_in))
        arrived = other.let_in.pop()
        for it in (link, arrived):
            it.connection.close(0, b"seen")
        return arrived.peer == self.endpoint.id


@asynccontextmanager
async def a_node(number: int) -> AsyncIterator[Node]:
    context = NetContext(clock=SystemClock(), timing=TIMING)
    endpoint, _ = await bind(
        secret_key=key_of(number),
        mode=NetworkMode.LOOPBACK,
        relay_url=None,
        udp_port=0,
        context=context,
    )
    node = Node(endpoint, context)
    async with asyncio.TaskGroup() as group:
        group.create_task(endpoint.let_in(node.let_in.append))
        try:
            yield node
        finally:
            await endpoint.close()


async def test_one_whose_relay_takes_connections_and_is_not_reached_is_bound_anew() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    config = NetConfig(
        secret_key=key_of(1),
        mode=NetworkMode.LOOPBACK,
        relay_url=f"http://127.0.0.1:{listening.getsockname()[1]}/",
        timing=HURRIED,
    )
    async with Network.open(config, SystemClock(), Random(1)) as alice:
        port = alice.udp_port
        await until(lambda: alice._endpoint._binds > 1)
        async with a_relay(listening) as relay:
            await until(lambda: alice.endpoint in relay.clients)
            assert alice.udp_port == port


async def test_peers_find_it_at_its_old_port_and_it_finds_them() -> None:
    async with a_node(1) as alice, a_node(2) as bob:
        assert await alice.reaches(bob)
        port = alice.endpoint.udp_port
        for outward in (False, True):
            await alice.endpoint.bind_anew(outward=outward)
            assert alice.endpoint.udp_port == port
            assert await bob.reaches(alice)
            assert await alice.reaches(bob)


async def test_it_keeps_its_port_though_connections_were_open() -> None:
    async with a_network(1) as alice, a_network(2) as bob:
        await alice.reach(bob.address(), 5)
        await alice.join(TOPIC, [bob.endpoint])
        await bob.join(TOPIC, [])
        await wait_neighbors(TOPIC, alice, bob)
        port = alice.udp_port
        assert not alice._endpoint.is_idle()

        await alice._endpoint.bind_anew(outward=True)

        assert alice.udp_port == port
        await bob.reach(alice.address(), 5)


async def test_a_dial_that_is_under_way_begins_again() -> None:
    async with a_node(1) as alice, asyncio.TaskGroup() as group:
        with a_mute_port() as port:
            dialling = group.create_task(alice.dial(at_port(2, port)))
            await until(lambda: alice.endpoint._dials == 1)
            await alice.endpoint.bind_anew(outward=True)
        async with a_network(2, udp_port=port) as bob:
            assert (await dialling).peer == bob.endpoint


async def test_one_that_is_cancelled_at_any_moment_can_be_bound_once_more() -> None:
    async with a_node(1) as alice, a_node(2) as bob:
        for moments in range(12):
            binding = asyncio.create_task(alice.endpoint.bind_anew(outward=True))  # noqa: TID251 - cancelled below
            for _ in range(moments):
                await asyncio.sleep(0)
            binding.cancel()
            await asyncio.wait([binding])
            if not alice.endpoint.is_bound:
                await alice.endpoint.bind_anew(outward=True)
            assert await bob.reaches(alice)
            assert await alice.reaches(bob)


async def test_without_an_endpoint_a_dial_says_so_and_the_end_comes_at_once() -> None:
    async with a_node(1) as alice, a_node(2) as bob:
        binding = asyncio.create_task(alice.endpoint.bind_anew(outward=True))  # noqa: TID251 - cancelled below
        await until(lambda: not alice.endpoint.is_bound)
        binding.cancel()
        await asyncio.wait([binding])
        assert alice.endpoint.relays_connected() == 0
        assert alice.at.info.adds_to(alice.endpoint.address().info) is False
        with pytest.raises(IrohFailed, match="has no UDP port now"):
            await alice.dial(bob.at, 0.1)


async def test_it_is_idle_only_while_nobody_is_connected() -> None:
    async with a_node(1) as alice, a_node(2) as bob:
        assert alice.endpoint.is_idle()
        link = await alice.dial(bob.at)
        alice.context.links.add(link)
        assert not alice.endpoint.is_idle()
        alice.context.links.remove(link)
        link.connection.close(0, b"seen")
        assert alice.endpoint.is_idle()

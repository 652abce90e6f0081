import asyncio
import socket
from contextlib import closing

import pytest

from buddies_core.net.driver import NeighborCameUp, NeighborWentDown
from buddies_core.net.timing import Timing
from tests.support.eventually import until
from tests.support.worlds.net_node import a_node_process, line_of
from tests.support.worlds.networks import (
    TOPIC,
    a_mute_port,
    a_network,
    id_of,
    wait_delivery,
    wait_neighbors,
)


@pytest.mark.parametrize("same_port", [True, False])
async def test_a_peer_that_restarts_is_reached_again(same_port: bool) -> None:
    async with asyncio.timeout(60), a_network(1) as alice:
        await alice.join(TOPIC, ())
        async with a_network(2) as bob:
            port = bob.udp_port
            await alice.reach(bob.address(), 5)
            # Bob does not know where she is, but by this connection.
            await until(lambda: bob.connected_peers() == 1)
            await bob.join(TOPIC, (alice.endpoint,))
            await wait_neighbors(TOPIC, alice, bob)
        await wait_delivery(alice, NeighborWentDown(TOPIC, bob.endpoint))
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as taking_the_port:
            if not same_port:
                taking_the_port.bind(("127.0.0.1", port))
            async with a_network(2, udp_port=port) as bob:
                assert (bob.udp_port == port) is same_port
                await bob.join(TOPIC, ())
                await alice.reach(bob.address(), 5)
                await alice.join(TOPIC, (bob.endpoint,))
                await wait_neighbors(TOPIC, alice, bob)


async def test_a_killed_peer_that_restarts_elsewhere_is_reached_past_its_dead_connection() -> None:
    """iroh would dial it along the path of the dead connection, which must be closed before."""
    timing = Timing(silent_after_s=0.05, close_timeout_s=0.1)
    async with asyncio.timeout(60), a_network(1, timing=timing) as alice:
        await alice.join(TOPIC, ())
        async with a_node_process(2) as (_, old_address):
            await alice.reach(old_address, 5)
        assert alice.connected_peers() == 1
        async with a_node_process(2) as (_, new_address):
            assert new_address != old_address
            (dead,) = alice._context.links._all()
            await until(lambda: dead.silent_s() > timing.silent_after_s)
            await alice.reach(new_address, 5)
            await alice.join(TOPIC, (id_of(2),))
            await wait_delivery(alice, NeighborCameUp(TOPIC, id_of(2)))


async def test_a_killed_peer_that_restarts_comes_back_beside_its_dead_connection() -> None:
    hurried = Timing(close_timeout_s=0.1)  # as one of its connections stays dead
    async with asyncio.timeout(60), a_network(1, timing=hurried) as alice:
        await alice.join(TOPIC, ())
        address = alice.address()
        async with a_node_process(2, by_way_of=address) as (_, old_address):
            await wait_delivery(alice, NeighborCameUp(TOPIC, id_of(2)))
        port = old_address.info.direct[0].port
        async with a_node_process(2, by_way_of=address, udp_port=port) as (again, new_address):
            assert new_address == old_address
            await until(lambda: len(alice._context.links) == 2)
            # It has been a neighbor all the time, so there is no news of it; but it hears again.
            await alice.broadcast(TOPIC, b"welcome back")
            assert await line_of(again) == "welcome back"


async def test_a_port_that_is_taken_is_replaced_with_a_warning() -> None:
    with a_mute_port() as taken:
        async with asyncio.timeout(60), a_network(1, udp_port=taken) as alice:
            assert alice.udp_port != taken
            assert alice.warnings == (
                f"UDP port {taken} is in use by another program, so this node is at "
                f"{alice.udp_port} now; tickets that name the old port may not reach it",
            )


async def test_a_free_port_is_used_on_ipv4_and_ipv6() -> None:
    with a_mute_port() as port:
        pass
    async with asyncio.timeout(60), a_network(1, udp_port=port) as alice:
        addresses = [str(address) for address in alice.address().info.direct]
        assert (addresses, alice.warnings) == ([f"127.0.0.1:{port}", f"[::1]:{port}"], ())

import asyncio
import signal

import pytest

from buddies_core.model.contact import Path
from buddies_core.net.binding import GOSSIP_ALPN
from buddies_core.net.driver import NeighborCameUp, NeighborWentDown
from buddies_core.net.liveness import MISSES_MAX
from buddies_core.net.timing import Timing
from tests.support.eventually import until
from tests.support.worlds.net_node import a_node_process
from tests.support.worlds.networks import (
    TOPIC,
    a_network,
    a_raw_peer,
    id_of,
    wait_delivery,
    wait_neighbors,
)

HURRIED = Timing(ping_interval_s=0.2, ping_timeout_s=0.2, poll_interval_s=0.05, close_timeout_s=0.1)
NOTICED_S = 1.2 * 0.2 + 2 * 0.2
"""An interval with its jitter, and two pings without an answer."""


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_dead_or_stopped_peer_is_noticed_after_two_pings(harm: signal.Signals) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(60), a_network(1, timing=HURRIED) as alice:
        await alice.join(TOPIC, ())
        async with a_node_process(2, by_way_of=alice.address()) as (process, _):
            await wait_delivery(alice, NeighborCameUp(TOPIC, id_of(2)))
            await until(lambda: alice.speaks_direct(id_of(2)) is True)
            there = alice.contact(id_of(2))
            assert there is not None
            assert (there.lost_s, there.path) == (None, Path.DIRECT)
            assert there.round_trip_ms is not None
            began_s = loop.time()
            process.send_signal(harm)
            await wait_delivery(alice, NeighborWentDown(TOPIC, id_of(2)))
            assert loop.time() - began_s < NOTICED_S + 10
            assert (alice.connected_peers(), alice.counters["dead_peers"]) == (0, 1)
            gone = alice.contact(id_of(2))
            assert gone is not None
            assert gone.lost_s is not None


async def test_a_peer_that_answers_pings_stays() -> None:
    async with asyncio.timeout(60), a_network(1, timing=HURRIED) as alice, a_network(2) as bob:
        await alice.join(TOPIC, ())
        await bob.reach(alice.address(), 5)
        await bob.join(TOPIC, (alice.endpoint,))
        await wait_neighbors(TOPIC, alice, bob)
        links = alice._context.links
        pinged: set[float] = set()

        def three_pings_are_answered() -> bool:
            pinged.add(links.heard_s(bob.endpoint) or 0.0)
            return len(pinged) > 3

        await until(three_pings_are_answered)
        assert (alice.connected_peers(), alice.counters) == (1, {})


async def test_a_peer_that_no_topic_needs_is_let_go_and_a_neighbor_stays() -> None:
    tidy = Timing(poll_interval_s=0.05, unneeded_after_s=0.3)
    async with (
        asyncio.timeout(60),
        a_network(1, timing=tidy) as alice,
        a_network(2) as bob,
        a_raw_peer(3) as idle,
    ):
        await alice.join(TOPIC, ())
        connection = await idle.connect(alice.address())
        await bob.reach(alice.address(), 5)
        await bob.join(TOPIC, (alice.endpoint,))
        await wait_neighbors(TOPIC, alice, bob)
        assert await connection.closed() == "closed by peer: done (code 0)"
        assert (alice.connected_peers(), alice.neighbors(TOPIC)) == (1, (bob.endpoint,))


async def test_a_peer_that_was_let_go_is_reached_anew() -> None:
    tidy = Timing(poll_interval_s=0.05, unneeded_after_s=0.1)
    async with asyncio.timeout(60), a_network(1, timing=tidy) as alice, a_network(2) as bob:
        await bob.reach(alice.address(), 5)
        await until(lambda: not bob.connected_peers())
        for network in (alice, bob):
            await network.join(TOPIC, ())
        await bob.reach(alice.address(), 5)
        await bob.join(TOPIC, (alice.endpoint,))
        await wait_neighbors(TOPIC, alice, bob)


async def test_a_peer_that_speaks_gossip_only_is_left_to_quic() -> None:
    async with (
        asyncio.timeout(60),
        a_network(1, timing=HURRIED) as alice,
        a_raw_peer(3, alpns=(GOSSIP_ALPN,)) as rust,
    ):
        alice.learn(rust.address)
        connection = await rust.connect(alice.address())
        async with asyncio.TaskGroup() as group:
            group.create_task(rust.accept_and_fail())
            await until(lambda: alice.speaks_direct(id_of(3)) is False)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(NOTICED_S):
                await connection.closed()
        assert alice.connected_peers() == 1


async def test_a_peer_that_refuses_further_connections_is_not_taken_for_dead() -> None:
    async with (
        asyncio.timeout(60),
        a_network(1, timing=HURRIED) as alice,
        a_raw_peer(3) as busy,
    ):
        alice.learn(busy.address)
        connection = await busy.connect(alice.address())
        for _ in range(MISSES_MAX + 1):
            incoming = await busy.endpoint.accept_next()
            assert incoming is not None
            await incoming.refuse()
        assert (connection.close_reason(), alice.counters) == (None, {})


async def test_a_peer_that_gossips_need_not_answer_pings() -> None:
    """It offers the direct protocol, and accepts nothing: every ping to it would be missed."""
    async with (
        asyncio.timeout(60),
        a_network(1, timing=HURRIED) as alice,
        a_raw_peer(3) as talker,
    ):
        alice.learn(talker.address)
        connection = await talker.connect(alice.address())
        stream = await connection.open_uni()
        await stream.write_all((32).to_bytes(4, "big") + TOPIC)
        prune = (2).to_bytes(4, "big") + b"\1\1"
        loop = asyncio.get_running_loop()
        until_s = loop.time() + 2 * NOTICED_S
        while loop.time() < until_s:
            await stream.write_all(prune)
            await asyncio.sleep(0.02)
        assert (connection.close_reason(), alice.counters) == (None, {})

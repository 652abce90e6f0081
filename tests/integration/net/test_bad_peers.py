import asyncio
from contextlib import AsyncExitStack

import pytest

from buddies_core.gossip.messages import Join
from buddies_core.net.connections import LINKS_PER_PEER_MAX, STREAMS_PER_LINK_MAX
from buddies_core.net.driver import NeighborCameUp, NeighborWentDown
from buddies_core.net.links import LINKS_PER_SOURCE_MAX
from buddies_core.net.timing import Timing
from buddies_core.wire.frames import frame
from buddies_core.wire.gossip_messages import encode_message, stream_header
from tests.support.eventually import until
from tests.support.worlds.networks import (
    TOPIC,
    a_network,
    a_raw_peer,
    contents,
    handshakes_half_open,
    id_of,
    wait_delivery,
    wait_neighbors,
)

HEADER = stream_header(TOPIC)
JOIN = frame(encode_message(Join(None)))


@pytest.mark.parametrize(
    "nonsense",
    [
        pytest.param(frame(bytes(31)), id="a header that is too short"),
        pytest.param(bytes(100_000), id="many empty frames"),
        pytest.param(HEADER + (4097).to_bytes(4, "big"), id="a frame that is too long"),
        pytest.param(HEADER + frame(b"\x07"), id="a message of no kind"),
        pytest.param(HEADER + (10).to_bytes(4, "big") + b"cut", id="a frame that breaks off"),
    ],
)
async def test_nonsense_ends_the_connection_it_came_by_and_no_other(nonsense: bytes) -> None:
    async with (
        asyncio.timeout(60),
        a_network(1) as alice,
        a_network(2) as bob,
        a_raw_peer(3) as mallory,
    ):
        await alice.join(TOPIC, ())
        await bob.reach(alice.address(), 5)
        await bob.join(TOPIC, (alice.endpoint,))
        await wait_neighbors(TOPIC, alice, bob)
        connection = await mallory.connect(alice.address())
        stream = await connection.open_uni()
        await stream.write_all(nonsense)
        await stream.finish()
        assert await connection.closed() == "closed by peer: bad frame (code 1)"
        assert alice.counters == {"bad_frames": 1}
        await bob.broadcast(TOPIC, b"undisturbed")
        assert await contents(alice, 1) == [b"undisturbed"]


async def test_a_header_that_does_not_come_in_time_ends_the_connection() -> None:
    async with (
        asyncio.timeout(60),
        a_network(1, timing=Timing(first_read_s=0.1)) as alice,
        a_raw_peer(3) as mallory,
    ):
        connection = await mallory.connect(alice.address())
        stream = await connection.open_uni()
        await stream.write_all(HEADER[:10])
        assert await connection.closed() == "closed by peer: bad frame (code 1)"
        assert alice.counters == {"bad_frames": 1}


async def test_a_stream_in_both_directions_ends_the_connection() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_raw_peer(3) as mallory:
        connection = await mallory.connect(alice.address())
        stream = await connection.open_bi()
        await stream.send().write_all(b"?")
        assert await connection.closed() == "closed by peer: bad frame (code 1)"


async def test_a_stream_that_is_reset_does_not_end_the_connection() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_raw_peer(3) as mallory:
        await alice.join(TOPIC, ())
        connection = await mallory.connect(alice.address())
        broken = await connection.open_uni()
        await broken.write_all(HEADER)
        await broken.reset(1)
        stream = await connection.open_uni()
        await stream.write_all(HEADER + JOIN)
        assert await alice.next_delivery() == NeighborCameUp(TOPIC, id_of(3))


async def test_no_more_streams_are_let_in_at_once_than_there_may_be_topics() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_raw_peer(3) as mallory:
        connection = await mallory.connect(alice.address())
        streams = []
        for _ in range(STREAMS_PER_LINK_MAX):
            streams.append(await connection.open_uni())
            await streams[-1].write_all(HEADER)
        async with asyncio.TaskGroup() as group:
            one_more = group.create_task(connection.open_uni())
            assert await asyncio.wait({one_more}, timeout=0.1) == (set(), {one_more})
            # QUIC grants new ones by the dozen.
            for stream in streams[:50]:
                await stream.finish()
            await one_more


async def test_of_too_many_connections_of_one_peer_the_oldest_is_closed() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_raw_peer(3) as mallory:
        connections = [
            await mallory.connect(alice.address()) for _ in range(LINKS_PER_PEER_MAX + 1)
        ]
        assert await connections[0].closed() == (
            "closed by peer: too many connections or streams (code 5)"
        )
        assert [it.close_reason() for it in connections[1:]] == [None] * LINKS_PER_PEER_MAX


async def test_a_peer_that_never_reads_is_disconnected_while_the_others_go_on() -> None:
    """It takes 1.25 MB of QUIC's and 1 MiB of ours until there is no more room for it."""
    async with (
        asyncio.timeout(60),
        a_network(1, timing=Timing(room_wait_s=0.3)) as alice,
        a_network(2) as bob,
        a_raw_peer(3) as sleeper,
    ):
        await alice.join(TOPIC, ())
        await bob.reach(alice.address(), 5)
        await bob.join(TOPIC, (alice.endpoint,))
        await wait_neighbors(TOPIC, alice, bob)
        connection = await sleeper.connect(alice.address())
        stream = await connection.open_uni()
        await stream.write_all(HEADER + JOIN)
        await wait_delivery(alice, NeighborCameUp(TOPIC, id_of(3)))
        burst = [number.to_bytes(4000, "big") for number in range(700)]
        async with asyncio.TaskGroup() as group:
            heard = group.create_task(contents(bob, len(burst)))
            for content in burst:
                await alice.broadcast(TOPIC, content)
        assert heard.result() == burst
        assert await connection.closed() == "closed by peer: you don't read (code 2)"
        await wait_delivery(alice, NeighborWentDown(TOPIC, id_of(3)))
        assert alice.counters["outboxes_overflowed"] == 1


async def test_a_write_that_gets_nowhere_ends_the_connection() -> None:
    async with (
        asyncio.timeout(60),
        a_network(1, timing=Timing(write_stall_s=0.2)) as alice,
        a_raw_peer(3) as sleeper,
    ):
        await alice.join(TOPIC, ())
        connection = await sleeper.connect(alice.address())
        stream = await connection.open_uni()
        await stream.write_all(HEADER + JOIN)
        await wait_delivery(alice, NeighborCameUp(TOPIC, id_of(3)))
        for number in range(400):
            await alice.broadcast(TOPIC, number.to_bytes(4000, "big"))
        assert await connection.closed() == "closed by peer: you don't read (code 2)"
        await wait_delivery(alice, NeighborWentDown(TOPIC, id_of(3)))
        assert alice.counters == {"writes_failed": 1}


async def test_a_stream_that_a_peer_refuses_ends_the_connection() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_raw_peer(3) as mallory:
        await alice.join(TOPIC, ())
        connection = await mallory.connect(alice.address())
        stream = await connection.open_uni()
        await stream.write_all(HEADER + JOIN)
        answer = await connection.accept_uni()
        await answer.stop(0)
        await wait_delivery(alice, NeighborCameUp(TOPIC, id_of(3)))
        while connection.close_reason() is None:
            await alice.broadcast(TOPIC, b"into the void")
        await wait_delivery(alice, NeighborWentDown(TOPIC, id_of(3)))


async def test_a_peer_that_shares_no_topic_is_parted_from_after_everything_has_arrived() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_raw_peer(3) as rust:
        await alice.join(TOPIC, ())
        connection = await rust.connect(alice.address())
        stream = await connection.open_uni()
        await stream.write_all(HEADER + JOIN)
        answer = await connection.accept_uni()
        await alice.quit(TOPIC)
        received = await answer.read_to_end(100_000)
        disconnect = bytes.fromhex("0000000400050000")
        assert (received[:36], received[-8:]) == (HEADER, disconnect)
        assert await connection.closed() == "closed by peer: done (code 0)"
        await until(lambda: alice.connected_peers() == 0)


async def test_handshakes_that_are_left_half_open_keep_no_newcomer_out() -> None:
    async with (
        asyncio.timeout(60),
        a_network(1) as alice,
        a_network(2) as bob,
        handshakes_half_open(alice.address(), 80),
    ):
        await until(lambda: alice.counters["addresses_to_prove"] > 0)
        await bob.reach(alice.address(), 5)
        assert "connections_refused" not in alice.counters


async def test_who_makes_endless_keys_keeps_no_newcomer_out_and_pushes_out_nobody_known() -> None:
    """They all come from one address, so the known member and the newcomer share its places.

    Of those who are known no better, the ones that were silent for longest go first.
    """
    async with (
        asyncio.timeout(60),
        AsyncExitStack() as stack,
        a_network(1, timing=Timing(ping_interval_s=60, unneeded_after_s=60)) as alice,
        a_network(2) as bob,
        a_network(3) as carol,
    ):
        await bob.reach(alice.address(), 5)
        await until(lambda: alice.connected_peers() == 1)
        alice.rank(bob.endpoint, 1)
        made_up = []
        for number in range(LINKS_PER_SOURCE_MAX + 20):
            mallory = await stack.enter_async_context(a_raw_peer(1000 + number))
            made_up.append(await mallory.connect(alice.address()))
        await carol.reach(alice.address(), 5)
        # So many more than there are places for, with Bob and Carol among those who keep theirs.
        let_go = [True] * 22 + [False] * (LINKS_PER_SOURCE_MAX - 2)
        await until(lambda: [it.close_reason() is not None for it in made_up] == let_go)
        assert alice.connected_peers() == LINKS_PER_SOURCE_MAX
        assert (bob.connected_peers(), carol.connected_peers()) == (1, 1)
        assert "connections_refused" not in alice.counters

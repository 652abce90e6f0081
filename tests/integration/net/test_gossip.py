import asyncio

import pytest

from buddies_core.errors import InvalidInput, NotFound
from buddies_core.gossip.messages import SwarmScope
from buddies_core.model.ids import TopicId
from buddies_core.net.driver import ContentDelivered, NeighborCameUp, NeighborWentDown
from tests.support.eventually import until
from tests.support.worlds.networks import TOPIC, a_network, contents, wait_delivery, wait_neighbors


async def test_three_nodes_find_each_other_through_one_and_hear_every_broadcast() -> None:
    async with (
        asyncio.timeout(60),
        a_network(1) as alice,
        a_network(2) as bob,
        a_network(3) as carol,
    ):
        await alice.join(TOPIC, ())
        for newcomer in (bob, carol):
            await newcomer.reach(alice.address(), 5)
            await newcomer.join(TOPIC, (alice.endpoint,))
        all_three = (alice, bob, carol)
        await until(lambda: all(len(it.neighbors(TOPIC)) == 2 for it in all_three))
        for speaker in all_three:
            others = [it for it in all_three if it is not speaker]
            await speaker.broadcast(TOPIC, speaker.endpoint)
            assert [await contents(it, 1) for it in others] == [[speaker.endpoint]] * 2
        assert [it.connected_peers() for it in all_three] == [2, 2, 2]


async def test_a_delivery_says_who_handed_it_over_and_how_far_it_came() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_network(2) as bob:
        await alice.join(TOPIC, ())
        await bob.reach(alice.address(), 5)
        await bob.join(TOPIC, (alice.endpoint,))
        assert await bob.next_delivery() == NeighborCameUp(TOPIC, alice.endpoint)
        await bob.broadcast(TOPIC, b"hello")
        assert [await alice.next_delivery(), await alice.next_delivery()] == [
            NeighborCameUp(TOPIC, bob.endpoint),
            ContentDelivered(TOPIC, b"hello", bob.endpoint, SwarmScope(0)),
        ]


async def test_content_of_4057_bytes_arrives_and_4058_are_refused() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_network(2) as bob:
        await alice.join(TOPIC, ())
        await bob.reach(alice.address(), 5)
        await bob.join(TOPIC, (alice.endpoint,))
        await wait_delivery(bob, NeighborCameUp(TOPIC, alice.endpoint))
        with pytest.raises(InvalidInput, match="4057 bytes, not 4058"):
            await bob.broadcast(TOPIC, bytes(4058))
        await bob.broadcast(TOPIC, bytes(4057))
        assert await contents(alice, 1) == [bytes(4057)]


async def test_nothing_is_said_in_a_topic_that_is_not_joined() -> None:
    async with asyncio.timeout(60), a_network(1) as alice:
        await alice.join(TOPIC, ())
        await alice.quit(TOPIC)
        with pytest.raises(NotFound, match="join it first"):
            await alice.broadcast(TOPIC, b"hello")


@pytest.mark.parametrize(("count", "size"), [(3000, 100), (800, 4000)])
async def test_a_burst_of_broadcasts_reaches_a_neighbor_in_full(count: int, size: int) -> None:
    """It is several times what an outbox holds."""
    async with asyncio.timeout(60), a_network(1) as alice, a_network(2) as bob:
        await alice.join(TOPIC, ())
        await bob.reach(alice.address(), 5)
        await bob.join(TOPIC, (alice.endpoint,))
        await wait_delivery(bob, NeighborCameUp(TOPIC, alice.endpoint))
        burst = [number.to_bytes(size, "big") for number in range(count)]
        async with asyncio.TaskGroup() as group:
            heard = group.create_task(contents(alice, count))
            for content in burst:
                await bob.broadcast(TOPIC, content)
        assert heard.result() == burst
        assert bob.counters == {}


async def test_who_leaves_is_gone_at_once_and_its_connection_with_it() -> None:
    async with asyncio.timeout(60), a_network(1) as alice:
        await alice.join(TOPIC, ())
        async with a_network(2) as bob:
            await bob.reach(alice.address(), 5)
            await bob.join(TOPIC, (alice.endpoint,))
            await wait_neighbors(TOPIC, alice, bob)
            await bob.quit(TOPIC)
            await wait_delivery(alice, NeighborWentDown(TOPIC, bob.endpoint))
            await until(lambda: (alice.connected_peers(), bob.connected_peers()) == (0, 0))


async def test_leaving_one_of_two_topics_keeps_the_connection() -> None:
    other = TopicId(b"other" + bytes(27))
    async with asyncio.timeout(60), a_network(1) as alice, a_network(2) as bob:
        await bob.reach(alice.address(), 5)
        for topic in (TOPIC, other):
            await alice.join(topic, ())
            await bob.join(topic, (alice.endpoint,))
            await wait_neighbors(topic, alice, bob)
        await bob.quit(TOPIC)
        await wait_delivery(alice, NeighborWentDown(TOPIC, bob.endpoint))
        await bob.broadcast(other, b"still here")
        assert await contents(alice, 1) == [b"still here"]
        assert (alice.connected_peers(), bob.connected_peers()) == (1, 1)


async def test_a_topic_that_was_left_can_be_joined_again() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_network(2) as bob:
        await alice.join(TOPIC, ())
        for _ in range(3):
            await bob.reach(alice.address(), 5)
            await bob.join(TOPIC, (alice.endpoint,))
            await wait_neighbors(TOPIC, alice, bob)
            await bob.quit(TOPIC)
            await wait_delivery(alice, NeighborWentDown(TOPIC, bob.endpoint))


async def test_a_node_that_closes_tells_its_neighbors() -> None:
    async with asyncio.timeout(60), a_network(1) as alice:
        await alice.join(TOPIC, ())
        async with a_network(2) as bob:
            await bob.reach(alice.address(), 5)
            await bob.join(TOPIC, (alice.endpoint,))
            await wait_neighbors(TOPIC, alice, bob)
        assert await alice.next_delivery() == NeighborWentDown(TOPIC, bob.endpoint)
        assert bob.counters == {}


async def test_a_broadcast_whose_topic_is_left_while_it_waits_is_refused() -> None:
    async with asyncio.timeout(60), a_network(1) as alice:
        await alice.join(TOPIC, ())

        async def speak() -> None:
            with pytest.raises(NotFound, match="not in that topic"):
                await alice.broadcast(TOPIC, b"too late")

        async with asyncio.TaskGroup() as group, alice._speaking:
            group.create_task(speak())
            await asyncio.sleep(0)
            await alice.quit(TOPIC)

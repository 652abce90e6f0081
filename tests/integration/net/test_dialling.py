import asyncio

import pytest

from buddies_core.errors import Unreachable
from buddies_core.gossip.events import Event, PeerDisconnected
from buddies_core.model.address import PeerAddress
from buddies_core.model.ids import short
from buddies_core.net.driver import NeighborCameUp
from tests.support.eventually import until
from tests.support.worlds.networks import (
    TOPIC,
    a_mute_port,
    a_network,
    a_raw_peer,
    at_port,
    contents,
    id_of,
    wait_delivery,
)


async def test_a_peer_that_does_not_answer_is_given_up_in_time_and_says_where_it_was_sought() -> (
    None
):
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(60), a_network(1) as alice:
        with a_mute_port() as port:
            peer = at_port(2, port)
            began_s = loop.time()
            with pytest.raises(Unreachable) as failed:
                await alice.reach(peer, 0.2)
            assert 0.2 <= loop.time() - began_s < 5
        assert str(failed.value) == (
            f"peer {short(peer.endpoint)} is not reachable: nothing answered within 0.2 s at "
            f"127.0.0.1:{port}; check that it runs and that these are still its addresses: a new "
            "ticket has the current ones"
        )
        assert alice.connected_peers() == 0


async def test_a_connection_that_comes_about_too_late_is_closed() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_raw_peer(2) as slow:
        with pytest.raises(Unreachable):
            await alice.reach(slow.address, 0.1)
        connection = await slow.accept()
        assert await connection.closed() == "closed by peer: done (code 0)"
        assert alice.connected_peers() == 0


async def test_giving_up_on_a_dial_leaves_what_comes_of_it_usable() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_raw_peer(2) as slow:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await alice.reach(slow.address, 5)
        connection = await slow.accept()
        await until(lambda: alice.connected_peers() == 1)
        assert connection.close_reason() is None


@pytest.mark.parametrize(
    ("number", "words"),
    [(3, "another node answers at"), (1, "that is this node itself")],
)
async def test_an_address_of_somebody_else_is_told_as_such(number: int, words: str) -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_network(2) as bob:
        with pytest.raises(Unreachable, match=words):
            await alice.reach(at_port(number, bob.udp_port), 5)


async def test_a_peer_without_any_address_is_told_as_such() -> None:
    async with asyncio.timeout(60), a_network(1) as alice:
        with pytest.raises(Unreachable, match="no address of it is known; get a new ticket"):
            await alice.reach(PeerAddress(id_of(2)), 5)


async def test_a_peer_that_speaks_no_gossip_is_told_as_such() -> None:
    async with (
        asyncio.timeout(60),
        a_network(1) as alice,
        a_raw_peer(2, alpns=(b"/other/1",)) as other,
        asyncio.TaskGroup() as group,
    ):
        accepting = group.create_task(other.accept_and_fail())
        with pytest.raises(Unreachable, match="does not speak this protocol"):
            await alice.reach(other.address, 5)
        await accepting


async def test_new_addresses_are_tried_while_a_dial_to_the_old_ones_is_under_way() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_network(2) as bob:
        with a_mute_port() as port:
            async with asyncio.TaskGroup() as group:
                group.create_task(alice.reach(at_port(2, port), 5))
                await asyncio.sleep(0)
                await alice.reach(bob.address(), 5)
        assert alice.connected_peers() == 1


async def test_nodes_that_dial_each_other_at_once_hear_each_other() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_network(2) as bob:
        async with asyncio.TaskGroup() as group:
            group.create_task(alice.reach(bob.address(), 5))
            group.create_task(bob.reach(alice.address(), 5))
        await alice.join(TOPIC, (bob.endpoint,))
        await bob.join(TOPIC, (alice.endpoint,))
        await wait_delivery(alice, NeighborCameUp(TOPIC, bob.endpoint))
        await wait_delivery(bob, NeighborCameUp(TOPIC, alice.endpoint))
        await alice.broadcast(TOPIC, b"from alice")
        await bob.broadcast(TOPIC, b"from bob")
        assert [await contents(it, 1) for it in (alice, bob)] == [[b"from bob"], [b"from alice"]]


async def test_the_node_hears_of_a_peer_that_it_wanted_and_that_could_not_be_dialled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with asyncio.timeout(60), a_network(1) as alice:
        posted: list[Event] = []
        monkeypatch.setattr(alice._connections._inbox, "post", posted.append)
        alice._connections.send(id_of(2), TOPIC, b"frame", ends_stream=False)
        await until(lambda: posted == [PeerDisconnected(id_of(2))])


async def test_a_peer_that_could_not_be_dialled_is_dialled_again_when_there_is_reason_to() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_network(2) as bob:
        await bob.join(TOPIC, ())
        await alice.join(TOPIC, (bob.endpoint,))  # of whom no address is known
        await alice.reach(bob.address(), 5)
        await alice.join(TOPIC, (bob.endpoint,))
        await wait_delivery(alice, NeighborCameUp(TOPIC, bob.endpoint))

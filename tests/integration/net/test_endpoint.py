import asyncio
from random import Random

import pytest

from buddies_core.clock import SystemClock
from buddies_core.errors import InvalidInput
from buddies_core.model.address import AddressInfo, PeerAddress, SocketAddress
from buddies_core.net.binding import NetworkMode
from buddies_core.net.network import NetConfig, Network
from buddies_core.net.timing import Timing
from buddies_core.wire.address_info import encode_address_info
from tests.support.eventually import until
from tests.support.worlds.networks import TOPIC, a_network, id_of, key_of, wait_neighbors


def _open(mode: NetworkMode, relay_url: str | None = None) -> NetConfig:
    return NetConfig(secret_key=key_of(1), mode=mode, relay_url=relay_url)


@pytest.mark.parametrize("mode", [NetworkMode.LAN, NetworkMode.PUBLIC])
async def test_a_node_on_all_interfaces_names_the_port_that_it_is_bound_to(
    mode: NetworkMode,
) -> None:
    """Offline there is only loopback, which iroh then names."""
    async with (
        asyncio.timeout(60),
        Network.open(_open(mode), SystemClock(), Random(1)) as network,
    ):
        address = network.address()
        assert address.endpoint == network.endpoint == id_of(1)
        assert SocketAddress("127.0.0.1", network.udp_port) in address.info.direct


@pytest.mark.parametrize("mode", NetworkMode)
async def test_a_relay_of_ones_own_can_be_named_in_every_mode(mode: NetworkMode) -> None:
    config = _open(mode, "http://127.0.0.1:9/")
    async with asyncio.timeout(60), Network.open(config, SystemClock(), Random(1)) as network:
        assert network.warnings == ()


async def test_a_relay_that_is_no_url_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'nonsense' is not a URL of a relay"):
        async with Network.open(_open(NetworkMode.LAN, "nonsense"), SystemClock(), Random(1)):
            pass


async def test_a_peer_is_reached_directly_though_the_relay_named_for_it_is_none() -> None:
    config = _open(NetworkMode.LOOPBACK, "http://127.0.0.1:9/")
    async with (
        asyncio.timeout(60),
        Network.open(config, SystemClock(), Random(1)) as alice,
        a_network(2) as bob,
    ):
        alice.learn(PeerAddress(bob.endpoint, AddressInfo(relay_url="no://re lay")))
        await alice.reach(bob.address(), 5)


async def test_an_error_of_its_user_comes_out_of_a_network_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(60), a_network(1):
            raise ZeroDivisionError


async def test_neighbors_learn_each_others_addresses() -> None:
    async with asyncio.timeout(60), a_network(1) as alice, a_network(2) as bob:
        await alice.join(TOPIC, ())
        await bob.reach(alice.address(), 5)
        await bob.join(TOPIC, (alice.endpoint,))
        await wait_neighbors(TOPIC, alice, bob)
        assert alice.vouched(bob.endpoint) == bob.address().info


async def test_a_change_of_the_own_address_is_told_to_peers_from_then_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moved = PeerAddress(id_of(1), AddressInfo(direct=(SocketAddress("127.0.0.1", 4242),)))
    async with (
        asyncio.timeout(60),
        a_network(1, timing=Timing(poll_interval_s=0.01)) as alice,
        a_network(2) as bob,
    ):
        await alice.join(TOPIC, ())
        monkeypatch.setattr(alice._endpoint, "address", lambda: moved)
        await until(lambda: alice._driver._node._data == encode_address_info(moved.info))
        await alice.reach(bob.address(), 5)
        await bob.join(TOPIC, ())
        await alice.join(TOPIC, (bob.endpoint,))
        await wait_neighbors(TOPIC, alice, bob)
        assert bob.vouched(alice.endpoint) == moved.info

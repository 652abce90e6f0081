"""Nodes that have a relay: when they know it, and that it leads to them."""

import asyncio
from random import Random

import pytest

from buddies_core.clock import SystemClock
from buddies_core.model.address import AddressInfo, PeerAddress
from buddies_core.net.binding import NetworkMode
from buddies_core.net.network import NetConfig, Network
from tests.support.worlds.networks import a_mute_port, a_network, at_port, key_of
from tests.support.worlds.relay import a_relay

DEAD_RELAY = "http://127.0.0.1:9/"


def _by(relay_url: str, number: int = 1, mode: NetworkMode = NetworkMode.LOOPBACK) -> NetConfig:
    return NetConfig(secret_key=key_of(number), mode=mode, relay_url=relay_url)


@pytest.mark.parametrize("mode", [NetworkMode.LOOPBACK, NetworkMode.LAN])
async def test_the_own_address_is_complete_once_the_relay_is_reached(mode: NetworkMode) -> None:
    async with (
        a_relay() as relay,
        Network.open(_by(relay.url, mode=mode), SystemClock(), Random(1)) as alice,
    ):
        assert not await alice.wait_reachable(0)
        assert alice.address().info.relay_url is None

        assert await alice.wait_reachable(10)

        assert alice.address().info.relay_url == relay.url
        assert await alice.wait_reachable(0), "from then on nothing is waited for"


async def test_a_peer_is_reached_by_its_relay_alone() -> None:
    async with (
        a_relay() as relay,
        Network.open(_by(relay.url, 1), SystemClock(), Random(1)) as alice,
        Network.open(_by(relay.url, 2), SystemClock(), Random(2)) as bob,
    ):
        assert await alice.wait_reachable(10)
        before = relay.forwarded

        await bob.reach(PeerAddress(alice.endpoint, AddressInfo(alice.address().info.relay_url)), 5)

        assert relay.forwarded > before


async def test_a_relay_that_is_not_there_is_waited_for_as_long_as_was_said() -> None:
    loop = asyncio.get_running_loop()
    async with Network.open(_by(DEAD_RELAY), SystemClock(), Random(1)) as alice:
        began_s = loop.time()
        assert not await alice.wait_reachable(0.3)
        assert loop.time() - began_s >= 0.3


async def test_where_no_relay_is_used_the_own_address_is_complete_at_once() -> None:
    async with a_network(1) as alice:
        assert await alice.wait_reachable(0)


async def test_a_peer_told_of_before_it_knew_its_relay_is_found_at_our_own_relay() -> None:
    """Such an invite names direct addresses alone, which lead nowhere from another network."""
    async with (
        a_relay() as relay,
        Network.open(_by(relay.url, 1), SystemClock(), Random(1)) as alice,
        Network.open(_by(relay.url, 2), SystemClock(), Random(2)) as bob,
    ):
        assert await alice.wait_reachable(10)
        with a_mute_port() as port:
            await bob.reach(at_port(alice.endpoint, port), 5)
        contact = bob.contact(alice.endpoint)
        assert contact is not None
        assert contact.path is not None

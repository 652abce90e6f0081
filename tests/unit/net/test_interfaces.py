"""What leads to this machine from outside travels, however many bridges it has."""

import socket
from random import Random

import pytest

from buddies_core.model.address import SocketAddress
from buddies_core.net.address_book import ADDRESSES_PER_PEER_MAX
from buddies_core.net.interfaces import Interface, Interfaces, default_sources, owners

WIFI = Interface("wlan0", is_running=True)
TUNNEL = Interface("tailscale0", is_running=True)
OFF = Interface("eth7", is_running=False)


def at(*hosts: str) -> tuple[SocketAddress, ...]:
    return tuple(SocketAddress(host, 4433) for host in hosts)


def test_the_default_route_comes_first_and_private_bridges_last() -> None:
    interfaces = Interfaces(
        {
            "192.168.1.2": WIFI,
            "2001:db8:1::2": WIFI,
            "2001:db8:1::3": WIFI,
            "100.64.0.9": TUNNEL,
            "10.7.0.1": OFF,
            "172.17.0.1": Interface("docker0", is_running=True),
        },
        ("192.168.1.2", "2001:db8:1::2"),
    )
    best_first = at(
        *("192.168.1.2", "2001:db8:1::2"),  # the default routes
        *("198.51.100.7", "2001:db8:1::3"),  # seen from outside, and beside a default route
        "100.64.0.9",
        *("10.7.0.1", "169.254.0.1", "172.17.0.1"),
    )
    assert interfaces.best_first(sorted(best_first, key=lambda it: it.host)) == best_first


@pytest.mark.parametrize("name", ["docker0", "br-0a1b2c3d4e5f", "veth12ab", "virbr0", "eth7"])
def test_twenty_interfaces_that_lead_nowhere_cut_off_no_address_that_leads_here(name: str) -> None:
    dead = [f"172.17.{number}.1" for number in range(20)]
    owned = dict.fromkeys(dead, Interface(name, is_running=name != "eth7"))
    interfaces = Interfaces(owned | {"192.168.1.2": WIFI}, ("192.168.1.2",))
    addresses = list(at(*dead, "192.168.1.2", "198.51.100.7"))
    Random(1).shuffle(addresses)

    travel = interfaces.best_first(addresses)[:ADDRESSES_PER_PEER_MAX]

    assert travel[:2] == at("192.168.1.2", "198.51.100.7")


def test_the_system_names_the_owner_of_each_address() -> None:
    owner = owners()["127.0.0.1"]
    names = [name for _, name in socket.if_nameindex()]

    assert (owner.name in names, owner.is_running) == (True, True)
    assert all(host in owners() for host in default_sources())

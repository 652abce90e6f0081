"""Which of this machine's addresses others are likely to reach.

Only some addresses travel, and a machine with containers has dozens: a bridge for each network of
theirs, which leads nowhere from outside.
"""

import socket
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from ipaddress import ip_address

import psutil

from buddies_core.model.address import SocketAddress

VIRTUAL = (
    *("docker", "br-", "veth", "virbr", "vmnet", "vboxnet", "lxc", "lxdbr", "podman", "cni"),
    *("flannel", "cali", "kube", "bridge"),
)
"""How interfaces to containers and virtual machines of this machine are named."""
_ELSEWHERE = ("192.0.2.1", "2001:db8::1")
"""Addresses for documentation, RFC 5737 and RFC 3849: only the default route leads there."""


@dataclass(frozen=True, slots=True)
class Interface:
    """One network interface."""

    name: str
    is_running: bool

    @property
    def is_private(self) -> bool:
        """Whether it leads to nobody outside this machine."""
        return not self.is_running or self.name.startswith(VIRTUAL)


@dataclass(frozen=True, slots=True)
class Interfaces:
    """Whose each address of this machine is, and from which it speaks to the world."""

    owners: Mapping[str, Interface] = field(default_factory=dict)
    """The interface that has each address."""
    defaults: tuple[str, ...] = ()
    """The addresses that the default routes use."""

    def best_first(self, addresses: Sequence[SocketAddress]) -> tuple[SocketAddress, ...]:
        """Return the addresses, those of the default route first and private bridges last."""
        ways_out = {it.name for host in self.defaults if (it := self.owners.get(host))}

        def rank(address: SocketAddress) -> int:
            owner = self.owners.get(address.host)
            if address.host in self.defaults:
                return 0
            if ip_address(address.host).is_link_local or (owner and owner.is_private):
                return 3
            # What no interface has was seen from outside: the address of our router.
            return 1 if owner is None or owner.name in ways_out else 2

        return tuple(sorted(addresses, key=rank))


def default_sources() -> tuple[str, ...]:
    """Return the addresses from which this machine speaks to the world; nothing is sent."""
    sources: list[str] = []
    for family, host in zip((socket.AF_INET, socket.AF_INET6), _ELSEWHERE, strict=True):
        try:
            with closing(socket.socket(family, socket.SOCK_DGRAM)) as asking:
                asking.connect((host, 9))
                if (source := _host(family, asking.getsockname()[0])) is not None:
                    sources.append(source)
        except OSError:
            pass  # no such route
    return tuple(sources)


def owners() -> dict[str, Interface]:
    """Return the interface of each address."""
    states = psutil.net_if_stats()
    return {
        host: Interface(name, name in states and states[name].isup)
        for name, addresses in psutil.net_if_addrs().items()
        for host in (_host(it.family, it.address) for it in addresses)
        if host is not None
    }


def _host(family: int, address: str) -> str | None:
    """Return an IP address as it is written everywhere; None for one of another kind."""
    if family not in (socket.AF_INET, socket.AF_INET6):
        return None
    return str(ip_address(address.partition("%")[0]))

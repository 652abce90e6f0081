"""Which of this machine's addresses others are likely to reach.

Only some addresses travel, and a machine with containers has dozens: a bridge for each network of
theirs, which leads nowhere from outside. Linux and macOS both have getifaddrs(3).
"""

import ctypes
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from ipaddress import ip_address

from buddies_core.model.address import SocketAddress

VIRTUAL = (
    *("docker", "br-", "veth", "virbr", "vmnet", "vboxnet", "lxc", "lxdbr", "podman", "cni"),
    *("flannel", "cali", "kube", "bridge"),
)
"""How interfaces to containers and virtual machines of this machine are named."""
_ELSEWHERE = ("192.0.2.1", "2001:db8::1")
"""Addresses for documentation, RFC 5737 and RFC 3849: only the default route leads there."""
_IFF_RUNNING = 0x40
"""<net/if.h>, on both systems: there is somebody at the other end of the cable."""


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
                sources.append(str(ip_address(asking.getsockname()[0].partition("%")[0])))
        except OSError:
            pass  # no such route
    return tuple(sources)


class _IfAddrs(ctypes.Structure):
    """struct ifaddrs, as far as both systems agree on it."""


_IfAddrs._fields_ = (
    ("ifa_next", ctypes.POINTER(_IfAddrs)),
    ("ifa_name", ctypes.c_char_p),
    ("ifa_flags", ctypes.c_uint),
    ("ifa_addr", ctypes.c_void_p),
)


def owners() -> dict[str, Interface]:
    """Return the interface of each address; nothing where the system does not tell."""
    libc = ctypes.CDLL(None)
    first = ctypes.POINTER(_IfAddrs)()
    found: dict[str, Interface] = {}
    if libc.getifaddrs(ctypes.byref(first)) != 0:
        return found
    try:
        entry = first
        while entry:
            one = entry.contents
            if one.ifa_addr and (host := _host(one.ifa_addr)) is not None:
                is_running = bool(one.ifa_flags & _IFF_RUNNING)
                found[host] = Interface(one.ifa_name.decode(errors="replace"), is_running)
            entry = one.ifa_next
    finally:
        libc.freeifaddrs(first)
    return found


def _host(sockaddr: int) -> str | None:
    """Return the IP address in a struct sockaddr."""
    head = ctypes.string_at(sockaddr, 2)
    family = head[1] if sys.platform == "darwin" else int.from_bytes(head, sys.byteorder)
    if family == socket.AF_INET:  # family · port · address
        return str(ip_address(ctypes.string_at(sockaddr, 8)[4:]))
    if family == socket.AF_INET6:  # family · port · flow · address
        return str(ip_address(ctypes.string_at(sockaddr, 24)[8:]))
    return None

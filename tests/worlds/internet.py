"""An internet in a box: hosts in namespaces, and the networks and routers between them.

Every packet passes through this program: it is the cable, the router and the source of all faults.
The seed decides which packets are lost.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from random import Random

from tests.worlds import namespaces
from tests.worlds.namespaces import INTERFACE
from tests.worlds.packets import Flow, flow_of, rewritten
from tests.worlds.routers import Router, Style

PACKET_BYTES_MAX = 65536
READ_AT_ONCE = 64
"""Packets that are read from a host before the others have their turn."""
DNS = 53


@dataclass(slots=True, eq=False)
class Network:
    """Hosts that reach each other directly: the public segment, or what is behind a router."""

    prefix: str
    """The first three bytes of its IPv4 addresses, `192.168.1`; its router has the address `.1`."""
    router: Router | None = None
    hosts: list["Host"] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Host:
    """One machine with one interface, and the state of its line."""

    namespace: int
    device: int
    network: Network
    addresses: tuple[IPv4Interface | IPv6Interface, ...] = ()
    others: list[int] = field(default_factory=list)
    """The devices of interfaces that lead nowhere, such as bridges of ended containers."""
    loss: float = 0.0
    delay_s: float = 0.0
    """How much longer packets take each way."""
    sent: Counter[str] = field(default_factory=Counter)
    """What it has sent: `packets`, and of those `dns`."""

    def packed(self) -> set[bytes]:
        """Return its addresses as they stand in packets."""
        return {address.ip.packed for address in self.addresses}

    def connect(self, *addresses: str) -> None:
        """Give the interface these addresses and no others, and set it up."""
        old, self.addresses = self.addresses, tuple(map(ip_interface, addresses))
        namespaces.inside(self.namespace, partial(self._set, old))

    def _set(self, old: Iterable[IPv4Interface | IPv6Interface]) -> None:
        self._set_down(old)
        self._set_up()

    def _set_down(self, old: Iterable[IPv4Interface | IPv6Interface]) -> None:
        namespaces.set_up(INTERFACE, up=False)  # takes routes and IPv6 addresses away
        if any(address.version == 4 for address in old):
            namespaces.set_ipv4(INTERFACE, None)

    def _set_up(self) -> None:
        gateway = ip_interface(f"{self.network.prefix}.1").ip.packed
        for address in self.addresses:
            if isinstance(address, IPv4Interface):
                namespaces.set_ipv4(INTERFACE, address)
        namespaces.set_up(INTERFACE, up=True)
        for address in self.addresses:
            if isinstance(address, IPv6Interface):
                namespaces.add_ipv6(INTERFACE, address)
            else:
                namespaces.add_ipv4_default(INTERFACE, gateway)

    def pull_the_cable(self) -> None:
        """Set the interface down: no address and no route is left, as laptops do it."""
        namespaces.inside(self.namespace, partial(self._set_down, self.addresses))

    def plug_in(self) -> None:
        """Set the interface up as it was."""
        namespaces.inside(self.namespace, self._set_up)

    def add_dead_bridges(self, count: int) -> None:
        """Add interfaces with an address each that lead nowhere."""

        def add(index: int) -> int:
            name = f"br-{index:08x}".encode()
            device = namespaces.new_tun(name)
            namespaces.set_ipv4(name, IPv4Interface(f"172.{17 + index % 15}.{index // 15}.1/24"))
            namespaces.set_up(name, up=True)
            return device

        for index in range(count):
            self.others.append(namespaces.inside(self.namespace, partial(add, index)))

    def close(self) -> None:
        """Give its namespace and devices back to the system."""
        for descriptor in (self.namespace, self.device, *self.others):
            os.close(descriptor)


class Internet:
    """All networks, and what lies between them."""

    def __init__(self, seed: int = 1) -> None:
        self._random = Random(seed)
        self._loop = asyncio.get_running_loop()
        self.public = Network("198.51.100")
        self.networks = [self.public]
        self.blocked: set[tuple[Host, Host]] = set()
        """From whom to whom nothing gets through."""

    def home(self, address: str, style: Style, prefix: str = "192.168.1") -> Network:
        """Return a new network behind a router with this public address."""
        router = Router(ip_interface(address).ip.packed, style, self._random)
        network = Network(prefix, router)
        self.networks.append(network)
        return network

    def host(self, network: Network, *addresses: str) -> Host:
        """Return a new host in a network."""
        namespace = namespaces.new_namespace()
        device = namespaces.inside(namespace, partial(namespaces.new_tun, INTERFACE))
        host = Host(namespace, device, network)
        host.connect(*addresses)
        network.hosts.append(host)
        self._loop.add_reader(device, self._read, host)
        return host

    def move(self, host: Host, network: Network, *addresses: str) -> None:
        """Carry a host to another network."""
        host.network.hosts.remove(host)
        network.hosts.append(host)
        host.network = network
        host.connect(*addresses)

    def split(self, *groups: Iterable[Host]) -> None:
        """Let nothing through between the groups."""
        sets = [set(group) for group in groups]
        self.blocked |= {
            (a, b) for one in sets for other in sets if one is not other for a in one for b in other
        }

    def heal(self) -> None:
        """Let everything through again."""
        self.blocked.clear()

    def close(self) -> None:
        """End all hosts."""
        for network in self.networks:
            for host in network.hosts:
                self._loop.remove_reader(host.device)
                host.close()

    def _read(self, host: Host) -> None:
        for _ in range(READ_AT_ONCE):
            try:
                packet = os.read(host.device, PACKET_BYTES_MAX)
            except BlockingIOError:
                return
            if (flow := flow_of(packet)) is not None:
                host.sent["packets"] += 1
                host.sent["dns"] += flow.destination.port == DNS
                self._carry(host, flow, packet)

    def _carry(self, sender: Host, flow: Flow, packet: bytes) -> None:
        if flow.source.host not in sender.packed():
            return  # as routers do with what cannot be answered
        for receiver, arriving in self._routes(sender, flow):
            lost = any(self._random.random() < it.loss for it in (sender, receiver) if it.loss)
            if lost or (sender, receiver) in self.blocked:
                continue
            changed = packet if arriving == flow else rewritten(packet, arriving)
            delay_s = sender.delay_s + receiver.delay_s
            if delay_s:
                self._loop.call_later(delay_s, _write, receiver.device, changed)
            else:
                _write(receiver.device, changed)

    def _routes(self, sender: Host, flow: Flow) -> Iterator[tuple[Host, Flow]]:
        """Yield who receives a packet, and how its flow then reads."""
        network, to = sender.network, flow.destination.host
        if to[0] >= 0xFF or (len(to) == 4 and to[0] >= 224):  # multicast and broadcast
            yield from ((host, flow) for host in network.hosts if host is not sender)
        elif found := _in(network, to):
            yield found, flow
        elif network.router is None:
            yield from self._arriving(flow)
        elif flow.source.port and len(to) == 4:
            yield from self._arriving(network.router.leaving(flow, self._loop.time()))

    def _arriving(self, flow: Flow) -> Iterator[tuple[Host, Flow]]:
        to = flow.destination.host
        if found := _in(self.public, to):
            yield found, flow
        for network in self.networks:
            router = network.router
            if router is None or router.address != to or not flow.destination.port:
                continue
            entering = router.entering(flow, self._loop.time())
            host = entering and _in(network, entering.destination.host)
            if entering and host:
                yield host, entering


@contextmanager
def an_internet(seed: int = 1) -> Iterator[Internet]:
    """Make an internet without hosts; what is made in it ends with the block."""
    internet = Internet(seed)
    try:
        yield internet
    finally:
        internet.close()


def _in(network: Network, address: bytes) -> Host | None:
    return next((host for host in network.hosts if address in host.packed()), None)


def _write(device: int, packet: bytes) -> None:
    # The interface is down, its queue is full, or the host has ended: all of them lose packets.
    with suppress(OSError):
        os.write(device, packet)

"""How a node's iroh endpoint is bound: as whom, at which port, and with which ways to the world."""

import os
import socket
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import urlsplit

import iroh

from buddies_core.errors import BuddiesError, InvalidInput
from buddies_core.model.address import SocketAddress
from buddies_core.net import fast_bytes
from buddies_core.net.iroh_calls import Failure, IrohCalls, IrohFailed

GOSSIP_ALPN = b"/iroh-gossip/1"
DIRECT_ALPN = b"/buddies/peer/1"

BIND_TIMEOUT_S = 10.0
_PORTS_TRIED = 8
_PORTS = {"http": 80, "https": 443}


class NetworkMode(StrEnum):
    """Which networks a node uses."""

    PUBLIC = "public"
    """All interfaces; n0's relays, and its lookup of peers by their id."""
    LAN = "lan"
    """All interfaces; no relay but one's own, no lookup."""
    LOOPBACK = "loopback"
    """This machine only."""

    @property
    def hosts(self) -> tuple[str, str]:
        """The IPv4 and the IPv6 address to bind."""
        if self is NetworkMode.LOOPBACK:
            return ("127.0.0.1", "::1")
        return ("0.0.0.0", "::")  # noqa: S104 - peers come from everywhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A node's identity, and the networks that it uses."""

    secret_key: bytes
    mode: NetworkMode
    relay_url: str | None
    """Its own relay; without one, a public node uses those of n0."""

    @property
    def is_relayed(self) -> bool:
        """Whether the node uses a relay at all."""
        return self.relay_url is not None or self.mode is NetworkMode.PUBLIC

    @property
    def uses_n0(self) -> bool:
        """Whether the node uses n0's relays."""
        return self.relay_url is None and self.mode is NetworkMode.PUBLIC

    def relays(self) -> list[iroh.RelayConfig]:
        """Return the relays that the node uses."""
        if not self.is_relayed:
            return []
        relays = self._relay_mode(outward=True).relay_map()
        return [it for url in relays.urls() if (it := relays.get(url)) is not None]

    def relay_doors(self) -> list[tuple[str, int]]:
        """Return the host and the TCP port of each of these relays."""
        parts = [urlsplit(relay.url) for relay in self.relays()]
        return [(it.hostname or "", it.port or _PORTS.get(it.scheme, 443)) for it in parts]

    async def bind(self, port: int, calls: IrohCalls, *, outward: bool = True) -> iroh.Endpoint:
        """Return an endpoint at exactly this UDP port, or at any if it is 0.

        One that is not bound outward asks no DNS and looks for no relay until it is given one.

        Raises:
            IrohFailed: it could not be bound; the failure is CANNOT_BIND if the port is taken.
            InvalidInput: the relay is no URL.
        """
        addresses = _addresses_to_bind(self.mode, port)
        options = iroh.EndpointOptions(
            preset=_Preset(addresses, n0=outward and self.mode is NetworkMode.PUBLIC),
            secret_key=self.secret_key,
            alpns=[GOSSIP_ALPN, DIRECT_ALPN],
            relay_mode=self._relay_mode(outward=outward),
        )
        # One that is bound too late is closed by being dropped.
        return await calls.run(iroh.Endpoint.bind(options), BIND_TIMEOUT_S)

    async def bind_somewhere(
        self, port: int, calls: IrohCalls, *, outward: bool = True
    ) -> iroh.Endpoint:
        """Return an endpoint at this UDP port if it is free, else at another.

        Raises:
            BuddiesError: no port could be bound.
            InvalidInput: the relay is no URL.
        """
        for candidate in (port, *[0] * _PORTS_TRIED):
            try:
                return await self.bind(candidate, calls, outward=outward)
            except IrohFailed as error:
                if error.failure is not Failure.CANNOT_BIND:
                    raise BuddiesError(f"iroh could not start: {error}") from error
        raise BuddiesError("no UDP port could be bound; does a firewall or sandbox forbid it?")

    def _relay_mode(self, *, outward: bool) -> iroh.RelayMode:
        if not self.is_relayed:
            return iroh.RelayMode.disabled()
        if not outward:
            # Where relays are disabled, none can be given to the endpoint later (measured).
            return iroh.RelayMode.custom(iroh.RelayMap.empty())
        if self.relay_url is None:
            return iroh.RelayMode.default_mode()
        check_relay(self.relay_url)
        return iroh.RelayMode.custom_from_urls([self.relay_url])


def prepare_iroh() -> tuple[str, ...]:
    """Set iroh up for this process, before the first endpoint; return warnings; again is fine."""
    # Where it is 1, an error costs up to 0.1 s.
    os.environ["RUST_BACKTRACE"] = "0"
    warning = fast_bytes.install()
    return (warning,) if warning else ()


def socket_address(text: str) -> SocketAddress:
    """Return the address that iroh writes as `1.2.3.4:5` or `[::1]:5`, perhaps with a zone."""
    host, _, port = text.rpartition(":")
    return SocketAddress(str(ip_address(host.strip("[]").partition("%")[0])), int(port))


def check_relay(url: str) -> None:
    """Return if this can be the URL of a relay.

    Raises:
        InvalidInput: it can't.
    """
    if not is_relay(url):
        raise InvalidInput(f"{url!r} is not a URL of a relay; give one with https://")


def is_relay(url: str) -> bool:
    """Whether iroh takes this for the URL of a relay."""
    try:
        iroh.RelayMode.custom_from_urls([url])
    except iroh.IrohError:
        return False
    return True


class _Preset(iroh.Preset):
    """The options that iroh takes only in this way: one IPv4 and one IPv6 address to bind."""

    def __init__(self, addresses: list[SocketAddress], *, n0: bool) -> None:
        self._addresses = addresses
        self._n0 = n0

    def apply(self, builder: iroh.EndpointBuilder) -> None:
        if self._n0:
            builder.apply_n0()
        else:
            builder.apply_minimal()
        for address in self._addresses:
            builder.bind_addr(str(address))


def _addresses_to_bind(mode: NetworkMode, port: int) -> list[SocketAddress]:
    """Return addresses of one port, which is picked where 0 is given; IPv6 only where it exists.

    One port for both, so that there is one to remember: a peer that comes back at its old port is
    found by everybody at once.
    """
    v4, v6 = mode.hosts
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as picking:
        if not port:
            picking.bind((v4, 0))
            port = picking.getsockname()[1]
    addresses = [SocketAddress(v4, port)]
    try:
        with closing(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)) as trying:
            trying.bind((v6, 0))
        addresses.append(SocketAddress(v6, port))
    except OSError:
        pass  # iroh then binds what IPv6 there is by itself, and does without if there is none
    return addresses

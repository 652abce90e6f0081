"""The node's iroh endpoint: binds it, says where it is, dials, and lets peers in."""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import closing, suppress
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import urlsplit

import iroh

from buddies_core.errors import BuddiesError, InvalidInput
from buddies_core.model.address import AddressInfo, PeerAddress, SocketAddress
from buddies_core.model.ids import EndpointId, short
from buddies_core.net import fast_bytes
from buddies_core.net.address_book import ADDRESSES_PER_PEER_MAX
from buddies_core.net.context import NetContext
from buddies_core.net.half_open import Answer, HalfOpen, source_of
from buddies_core.net.interfaces import Interfaces, default_sources, owners
from buddies_core.net.iroh_calls import Failure, IrohFailed, translate
from buddies_core.net.links import CloseReason, Link

GOSSIP_ALPN = b"/iroh-gossip/1"
DIRECT_ALPN = b"/buddies/peer/1"

# Far more than a room's members; peers can name any number of others, and any address.
_DIALS_MAX = 256
_PORTS_TRIED = 8
_BIND_TIMEOUT_S = 10.0
# iroh tells the peers at once, and is done in milliseconds unless a dial is under way, or a peer is
# dead: then it waits 3 s for answers (measured), which we don't.
_CLOSE_TIMEOUT_S = 0.5


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


class Endpoint:
    """An iroh endpoint, known to peers by its id."""

    def __init__(
        self, endpoint: iroh.Endpoint, context: NetContext, mode: NetworkMode, relay: str | None
    ) -> None:
        self._endpoint = endpoint
        self._context = context
        self._mode = mode
        self._relay = relay
        """Our own; n0's are left to iroh, which also looks up who is where."""
        self._relayed = relay is not None or mode is NetworkMode.PUBLIC
        self._dials = 0
        self._half_open = HalfOpen()
        self._closed = False
        self._sorted_for: tuple[tuple[str, ...], tuple[str, ...]] | None = None
        self._sorted: tuple[SocketAddress, ...] = ()
        self.id = EndpointId(endpoint.id().to_bytes())
        self._bound = tuple(socket_address(text) for text in endpoint.bound_sockets())
        self.udp_port = self._bound[0].port

    def address(self) -> PeerAddress:
        """Return where peers can reach this node, as far as it knows now."""
        # iroh names loopback addresses only where no other interface is up.
        if self._mode is NetworkMode.LOOPBACK:
            bound = tuple(it for it in self._bound if it.host in self._mode.hosts)
            relay_url = self._endpoint.addr().relay_url()
            return PeerAddress(self.id, AddressInfo(relay_url, bound))
        address = self._endpoint.addr()
        direct = self._best_first(tuple(address.direct_addresses()))
        info = AddressInfo(address.relay_url(), direct[:ADDRESSES_PER_PEER_MAX])
        return PeerAddress(self.id, info)

    def _best_first(self, texts: tuple[str, ...]) -> tuple[SocketAddress, ...]:
        """Return these addresses of this node, sorted anew only when something has changed."""
        defaults = default_sources()
        if (texts, defaults) != self._sorted_for:
            self._sorted_for = (texts, defaults)
            interfaces = Interfaces(owners(), defaults)
            self._sorted = interfaces.best_first(tuple(map(socket_address, texts)))
        return self._sorted

    def relays_connected(self) -> int:
        """Return how many relays this node has a connection to now."""
        if not self._relayed:
            return 0
        counts = self._endpoint.stats()
        made, ended = (counts.get(f"socket:relay_conns_{it}") for it in ("success", "closed"))
        return made.value - ended.value if made and ended else 0

    def relay_hosts(self) -> list[str]:
        """Return the hosts of n0's relays, if the node uses those; else nothing."""
        return [urlsplit(it.url).hostname or "" for it in self._n0_relays()]

    async def use_relays(self, *, on: bool) -> None:
        """Have iroh look for n0's relays, or not; connections that there are stay."""
        calls = self._context.calls
        for relay in self._n0_relays():
            with suppress(IrohFailed):
                if on:
                    await calls.run(self._endpoint.insert_relay(relay), _BIND_TIMEOUT_S)
                else:
                    await calls.run(self._endpoint.remove_relay(relay.url), _BIND_TIMEOUT_S)

    def _n0_relays(self) -> list[iroh.RelayConfig]:
        if self._mode is not NetworkMode.PUBLIC or self._relay is not None:
            return []
        relays = iroh.RelayMode.default_mode().relay_map()
        return [it for url in relays.urls() if (it := relays.get(url)) is not None]

    def is_reachable(self) -> bool:
        """Return whether `address` is complete: it takes iroh some seconds to reach a relay."""
        info = self.address().info
        return info.relay_url is not None if self._relayed else bool(info.direct)

    async def dial(self, peer: EndpointId, alpn: bytes, timeout_s: float) -> Link:
        """Return a new connection to the peer, made by way of all its known addresses.

        A connection that comes about after the time-out, or for a cancelled caller, is closed.

        Raises:
            IrohFailed: there is none; the text says why and what to do.
        """
        context = self._context
        if peer == self.id:
            raise IrohFailed(
                Failure.NO_ADDRESS, "that is this node itself; use the ticket of another one"
            )
        if self._dials >= _DIALS_MAX:
            raise IrohFailed(Failure.OTHER, "too many peers are being dialled; try again")
        context.links.close_silent(peer, context.timing.silent_after_s)
        info = context.book.known(peer)
        self._dials += 1
        try:
            address = self._iroh_address(peer, info)
            connection = await context.calls.run(
                self._endpoint.connect(address, alpn), timeout_s, late=_close_late
            )
        except iroh.IrohError as error:
            raise _undialled(peer, info, timeout_s, translate(error)) from None
        except IrohFailed as error:
            raise _undialled(peer, info, timeout_s, error) from None
        finally:
            self._dials -= 1
        return self._link(connection)

    def _iroh_address(self, peer: EndpointId, info: AddressInfo) -> iroh.EndpointAddr:
        relay_url = info.relay_url if self._relayed else None
        # Anybody may have said this of the peer: a relay that is none must not hide its addresses.
        if relay_url is not None and not _is_relay(relay_url):
            relay_url = None
        # A ticket that was made before its maker had reached the relay does not name it.
        relay_url = relay_url or self._relay
        direct = [str(it) for it in info.direct]
        return iroh.EndpointAddr(iroh.EndpointId.from_bytes(peer), relay_url, direct)

    async def let_in(self, adopt: Callable[[Link], None]) -> None:
        """Hand each connection that a peer makes to `adopt`; return when the endpoint is closed."""
        async with asyncio.TaskGroup() as handshakes:
            while True:
                try:
                    incoming = await self._context.calls.run(self._endpoint.accept_next())
                except IrohFailed:
                    return
                if incoming is None:
                    return
                handshakes.create_task(self._shake_hands(incoming, adopt))

    async def close(self) -> None:
        """Close all connections, telling the peers, and free the port; again is fine."""
        if self._closed:
            return
        self._closed = True
        with suppress(IrohFailed):
            await self._context.calls.run(self._endpoint.close(), _CLOSE_TIMEOUT_S)
        # The port stays bound for as long as the object lives.
        del self._endpoint

    async def _shake_hands(self, incoming: iroh.Incoming, adopt: Callable[[Link], None]) -> None:
        context = self._context
        timeout_s = context.timing.handshake_timeout_s
        try:
            source, proven = await self._source_of(incoming)
            match self._half_open.answer(source, proven=proven):
                case Answer.PROVE:
                    context.counters["addresses_to_prove"] += 1
                    await context.calls.run(incoming.retry(), timeout_s)
                    return
                case Answer.REFUSE:
                    context.counters["connections_refused"] += 1
                    await context.calls.run(incoming.refuse(), timeout_s)
                    return
                case Answer.ACCEPT:
                    pass
            with self._half_open.one_more(source):
                accepting = await context.calls.run(incoming.accept(), timeout_s)
                connection = await context.calls.run(
                    accepting.connect(), timeout_s, late=_close_late
                )
        except IrohFailed:
            # Stale attempts of peers that gave up arrive here too.
            context.counters["handshakes_failed"] += 1
            return
        link = self._link(connection, source)
        if link.peer == self.id:
            context.counters["own_id_elsewhere"] += 1
            link.close(CloseReason.OWN_ID)
            return
        # Only now: before, the packets may not be from where they say.
        if (spare := context.links.in_the_way(source)) is not None:
            context.counters["connections_let_go"] += 1
            spare.close(CloseReason.TOO_MANY)
        adopt(link)

    async def _source_of(self, incoming: iroh.Incoming) -> tuple[str, bool]:
        """Return where a handshake comes from, and whether it is known to receive packets there."""
        calls, timeout_s = self._context.calls, self._context.timing.handshake_timeout_s
        address = await calls.run(incoming.remote_addr(), timeout_s)
        if isinstance(address, iroh.IncomingAddr.IP):
            proven = await calls.run(incoming.remote_addr_validated(), timeout_s)
            return source_of(address.addr), proven
        return str(getattr(address, "url", address)), True  # A relay delivers to those it knows.

    def _link(self, connection: iroh.Connection, source: str | None = None) -> Link:
        return Link(connection, self._context.calls, self._context.clock, source)


async def bind(
    *,
    secret_key: bytes,
    mode: NetworkMode,
    relay_url: str | None,
    udp_port: int,
    context: NetContext,
) -> tuple[Endpoint, tuple[str, ...]]:
    """Return an endpoint on that UDP port, or on another and a warning; 0 stands for any.

    Raises:
        InvalidInput: the relay is no URL.
        BuddiesError: no port could be bound.
    """
    # Where it is 1, an error costs up to 0.1 s.
    os.environ["RUST_BACKTRACE"] = "0"
    warnings = [warning] if (warning := fast_bytes.install()) else []
    n0 = mode is NetworkMode.PUBLIC
    relays = _relay_mode(relay_url, n0=n0)
    for port in (udp_port, *[0] * _PORTS_TRIED):
        preset = _Preset(_addresses_to_bind(mode, port), n0=n0)
        options = iroh.EndpointOptions(
            preset=preset,
            secret_key=secret_key,
            alpns=[GOSSIP_ALPN, DIRECT_ALPN],
            relay_mode=relays,
        )
        try:
            bound = await context.calls.run(iroh.Endpoint.bind(options), _BIND_TIMEOUT_S)
        except IrohFailed as error:
            if error.failure is Failure.CANNOT_BIND:
                continue
            raise BuddiesError(f"iroh could not start: {error}") from error
        endpoint = Endpoint(bound, context, mode, relay_url)
        if udp_port not in (0, endpoint.udp_port):
            warnings.append(
                f"UDP port {udp_port} is in use by another program, so this node is at "
                f"{endpoint.udp_port} now; tickets that name the old port may not reach it"
            )
        return endpoint, tuple(warnings)
    raise BuddiesError("no UDP port could be bound; does a firewall or sandbox forbid it?")


def socket_address(text: str) -> SocketAddress:
    """Return the address that iroh writes as `1.2.3.4:5` or `[::1]:5`, perhaps with a zone."""
    host, _, port = text.rpartition(":")
    return SocketAddress(str(ip_address(host.strip("[]").partition("%")[0])), int(port))


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


def _relay_mode(relay_url: str | None, *, n0: bool) -> iroh.RelayMode:
    if relay_url is None:
        return iroh.RelayMode.default_mode() if n0 else iroh.RelayMode.disabled()
    check_relay(relay_url)
    return iroh.RelayMode.custom_from_urls([relay_url])


def check_relay(url: str) -> None:
    """Return if this can be the URL of a relay.

    Raises:
        InvalidInput: it can't.
    """
    if not _is_relay(url):
        raise InvalidInput(f"{url!r} is not a URL of a relay; give one with https://")


def _is_relay(url: str) -> bool:
    """Whether iroh takes this for the URL of a relay."""
    try:
        iroh.RelayMode.custom_from_urls([url])
    except iroh.IrohError:
        return False
    return True


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


def _close_late(connection: iroh.Connection) -> None:
    code, text = CloseReason.DONE.value
    connection.close(code, text)


def _undialled(
    peer: EndpointId, info: AddressInfo, timeout_s: float, error: IrohFailed
) -> IrohFailed:
    addresses = [str(it) for it in info.direct]
    tried = ", ".join([*addresses, info.relay_url] if info.relay_url else addresses)
    match error.failure:
        case Failure.TIMED_OUT:
            why = (
                f"nothing answered within {timeout_s:g} s at {tried or 'any address'}; check that "
                "it runs and that these are still its addresses: a new ticket has the current ones"
            )
        case Failure.NO_ADDRESS:
            why = "no address of it is known; get a new ticket from it"
        case Failure.WRONG_IDENTITY:
            why = f"another node answers at {tried}; get a new ticket from the peer"
        case _:
            why = str(error)
    return IrohFailed(error.failure, f"peer {short(peer)} is not reachable: {why}")

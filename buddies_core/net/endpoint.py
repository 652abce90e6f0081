"""The node's iroh endpoint: says where it is, dials, lets peers in, and can be bound anew."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

import iroh

from buddies_core.model.address import AddressInfo, PeerAddress, SocketAddress
from buddies_core.model.ids import EndpointId, short
from buddies_core.net.address_book import ADDRESSES_PER_PEER_MAX
from buddies_core.net.binding import (
    BIND_TIMEOUT_S,
    Binding,
    NetworkMode,
    is_relay,
    prepare_iroh,
    socket_address,
)
from buddies_core.net.context import NetContext
from buddies_core.net.half_open import Answer, HalfOpen, source_of
from buddies_core.net.interfaces import Interfaces, default_sources, owners
from buddies_core.net.iroh_calls import Failure, IrohCalls, IrohFailed, translate
from buddies_core.net.links import CloseReason, Link

# Far more than a room's members; peers can name any number of others, and any address.
_DIALS_MAX = 256
# iroh tells the peers at once, and is done in milliseconds unless a dial is under way, or a peer is
# dead: then it waits 3 s for answers (measured), which we don't.
_CLOSE_TIMEOUT_S = 0.5
# A port is free once the tasks of closed connections have ended, which takes milliseconds.
_PORT_FREE_WITHIN_S = 2.0
_PORT_LOOK_EVERY_S = 0.01

_log = logging.getLogger(__name__)


class Endpoint:
    """An iroh endpoint, known to peers by its id.

    iroh waits longer and longer before it dials a lost relay again, and nothing shortens that but
    an endpoint that is new (`bind_anew`): at the same port and with the same key, so peers see none
    of it. In between there is none; what needs it waits.
    """

    def __init__(self, endpoint: iroh.Endpoint, binding: Binding, context: NetContext) -> None:
        self._binding = binding
        self._context = context
        self._endpoint: iroh.Endpoint | None = None
        self._is_bound = asyncio.Event()
        """Set while there is an iroh endpoint, and once no other will come."""
        self._binds = 0
        self._calls = IrohCalls()
        """The calls that keep the iroh endpoint, and with it the port, in use."""
        self.is_outward = True
        """Whether it looks for relays and peers beyond the LAN."""
        self._dials = 0
        self._half_open = HalfOpen()
        self._closed = False
        self._sorted_for: tuple[tuple[str, ...], tuple[str, ...]] | None = None
        self._sorted: tuple[SocketAddress, ...] = ()
        self.id = EndpointId(endpoint.id().to_bytes())
        self._take(endpoint)

    def _take(self, endpoint: iroh.Endpoint) -> None:
        self._endpoint = endpoint
        self._binds += 1
        self._bound = tuple(socket_address(text) for text in endpoint.bound_sockets())
        self._is_bound.set()

    @property
    def is_bound(self) -> bool:
        """Whether there is an iroh endpoint: not if it could not be bound anew."""
        return self._endpoint is not None

    @property
    def uses_n0(self) -> bool:
        """Whether the node uses n0's relays."""
        return self._binding.uses_n0

    def relay_doors(self) -> list[tuple[str, int]]:
        """Return the host and the TCP port of each relay that the node uses."""
        return self._binding.relay_doors()

    @property
    def udp_port(self) -> int:
        """The port of both its addresses."""
        return self._bound[0].port

    def address(self) -> PeerAddress:
        """Return where peers can reach this node, as far as it knows now."""
        address = self._endpoint.addr() if self._endpoint else None
        relay_url = address.relay_url() if address else None
        # iroh names loopback addresses only where no other interface is up.
        if self._binding.mode is NetworkMode.LOOPBACK:
            direct = tuple(it for it in self._bound if it.host in NetworkMode.LOOPBACK.hosts)
        else:
            direct = self._best_first(tuple(address.direct_addresses()) if address else ())
        return PeerAddress(self.id, AddressInfo(relay_url, direct[:ADDRESSES_PER_PEER_MAX]))

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
        if not self._binding.is_relayed or self._endpoint is None:
            return 0
        counts = self._endpoint.stats()
        made, ended = (counts.get(f"socket:relay_conns_{it}") for it in ("success", "closed"))
        return made.value - ended.value if made and ended else 0

    async def use_relays(self, *, on: bool) -> None:
        """Have iroh look for the node's relays, or not; connections that there are stay."""
        for relay in self._binding.relays():
            with suppress(IrohFailed):
                if self._endpoint and on:
                    await self._calls.run(self._endpoint.insert_relay(relay), BIND_TIMEOUT_S)
                elif self._endpoint:
                    await self._calls.run(self._endpoint.remove_relay(relay.url), BIND_TIMEOUT_S)

    def is_reachable(self) -> bool:
        """Return whether `address` is complete: it takes iroh some seconds to reach a relay."""
        info = self.address().info
        return info.relay_url is not None if self._binding.is_relayed else bool(info.direct)

    def is_idle(self) -> bool:
        """Return whether no peer is connected, or about to be; one that is silent is not."""
        silent_after_s = self._context.timing.silent_after_s
        return not self._half_open and self._context.links.are_silent(silent_after_s)

    async def bind_anew(self, *, outward: bool) -> None:
        """Put a new iroh endpoint in the place of the present one.

        To be called while `is_idle`, by one owner. Dials that are under way begin again. It keeps
        its port, unless another program takes it in these milliseconds. A caller that is cancelled
        leaves the old endpoint, the new one, or none: then this is to be called again.

        Raises:
            BuddiesError: nothing could be bound, so there is no endpoint now; call again.
        """
        self._context.links.close_all_silent()
        # Without a connection nobody is to be told, and iroh's own close takes 3 s while a dial is
        # under way. The port is free as soon as nothing refers to the endpoint (measured).
        self._is_bound.clear()
        self._endpoint = None
        self._calls.abandon()
        port = self.udp_port
        bound = await self._bind_again(port, outward=outward)
        if self._closed:
            return
        self.is_outward = outward
        self._take(bound)
        if port != self.udp_port:
            _log.warning("udp_port_changed from=%d to=%d", port, self.udp_port)

    async def _bind_again(self, port: int, *, outward: bool) -> iroh.Endpoint:
        calls, clock = self._context.calls, self._context.clock
        until_s = clock.now_s() + _PORT_FREE_WITHIN_S
        while clock.now_s() < until_s:
            try:
                return await self._binding.bind(port, calls, outward=outward)
            except IrohFailed as error:
                if error.failure is not Failure.CANNOT_BIND:
                    break
            await asyncio.sleep(_PORT_LOOK_EVERY_S)
        return await self._binding.bind_somewhere(port, calls, outward=outward)

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
            connection = await self._connect(self._iroh_address(peer, info), alpn, timeout_s)
        except iroh.IrohError as error:
            raise _undialled(peer, info, timeout_s, translate(error)) from None
        except IrohFailed as error:
            raise _undialled(peer, info, timeout_s, error) from None
        finally:
            self._dials -= 1
        return self._link(connection)

    async def _connect(
        self, address: iroh.EndpointAddr, alpn: bytes, timeout_s: float
    ) -> iroh.Connection:
        """Connect, and begin again if the endpoint is bound anew meanwhile."""
        clock = self._context.clock
        until_s = clock.now_s() + timeout_s
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(until_s - clock.now_s()):
                    await self._is_bound.wait()
            if self._endpoint is None:
                raise IrohFailed(Failure.CLOSED_HERE if self._closed else Failure.UNBOUND)
            binds = self._binds
            try:
                return await self._calls.run(
                    self._endpoint.connect(address, alpn), until_s - clock.now_s(), late=_close_late
                )
            except IrohFailed as error:
                if error.failure is Failure.TIMED_OUT or self._is_present(binds):
                    raise

    def _is_present(self, binds: int) -> bool:
        """Return whether this is still the endpoint that it was after so many binds."""
        return self._endpoint is not None and self._binds == binds

    def _iroh_address(self, peer: EndpointId, info: AddressInfo) -> iroh.EndpointAddr:
        relay_url = info.relay_url if self._binding.is_relayed else None
        # Anybody may have said this of the peer: a relay that is none must not hide its addresses.
        if relay_url is not None and not is_relay(relay_url):
            relay_url = None
        # A ticket that was made before its maker had reached the relay does not name it.
        relay_url = relay_url or self._binding.relay_url
        direct = [str(it) for it in info.direct]
        return iroh.EndpointAddr(iroh.EndpointId.from_bytes(peer), relay_url, direct)

    async def let_in(self, adopt: Callable[[Link], None]) -> None:
        """Hand each connection that a peer makes to `adopt`; return when the endpoint is closed."""
        async with asyncio.TaskGroup() as handshakes:
            while True:
                await self._is_bound.wait()
                if self._endpoint is None or self._closed:
                    return
                binds = self._binds
                incoming = None
                with suppress(IrohFailed):
                    incoming = await self._calls.run(self._endpoint.accept_next())
                if incoming is not None:
                    handshakes.create_task(self._shake_hands(incoming, adopt))
                    del incoming  # It keeps the endpoint in use.
                elif self._is_present(binds):
                    return

    async def close(self) -> None:
        """Close all connections, telling the peers, and free the port; again is fine."""
        if self._closed:
            return
        self._closed = True
        if self._endpoint is not None:
            with suppress(IrohFailed):
                await self._context.calls.run(self._endpoint.close(), _CLOSE_TIMEOUT_S)
        # The port stays bound for as long as the object lives.
        self._endpoint = None
        self._is_bound.set()
        await self._calls.drain(_CLOSE_TIMEOUT_S)

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
    warnings = list(prepare_iroh())
    binding = Binding(secret_key=secret_key, mode=mode, relay_url=relay_url)
    bound = await binding.bind_somewhere(udp_port, context.calls)
    endpoint = Endpoint(bound, binding, context)
    if udp_port not in (0, endpoint.udp_port):
        warnings.append(
            f"UDP port {udp_port} is in use by another program, so this node is at "
            f"{endpoint.udp_port} now; tickets that name the old port may not reach it"
        )
    return endpoint, tuple(warnings)


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

"""Where a peer may be reached."""

from dataclasses import dataclass

from buddies_core.model.ids import EndpointId


@dataclass(frozen=True, slots=True, order=True)
class SocketAddress:
    """One UDP address; `host` is an IP address in its shortest text form, without a zone."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return `1.2.3.4:5` or `[::1]:5`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class AddressInfo:
    """A peer's relay and direct addresses, the content of iroh-gossip's PeerData."""

    relay_url: str | None = None
    direct: tuple[SocketAddress, ...] = ()

    def adds_to(self, other: "AddressInfo") -> bool:
        """Return whether this has an address or a relay that the other one lacks."""
        has_new_relay = self.relay_url not in (None, other.relay_url)
        return has_new_relay or not set(self.direct) <= set(other.direct)


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """A peer and all of its addresses that we know."""

    endpoint: EndpointId
    info: AddressInfo = AddressInfo()

"""AddressInfo ↔ bytes: the addresses that iroh-gossip's peers send of themselves and each other.

address_info := option(relay_url:text) · seq(socket_address), ascending, IPv4 first
socket_address := 00 · octets[4] · port:u16 | 01 · octets[16] · port:u16
"""

from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from buddies_core.errors import WireError
from buddies_core.model.address import AddressInfo, SocketAddress
from buddies_core.wire import postcard
from buddies_core.wire.postcard import Reader


def encode_address_info(info: AddressInfo) -> bytes:
    """Return the info's bytes, with each address once and in iroh's order."""
    addresses = sorted({(ip_address(it.host), it.port) for it in info.direct}, key=_order)
    return postcard.option(info.relay_url, postcard.text) + postcard.seq(
        addresses, lambda address: _write_socket_address(*address)
    )


def decode_address_info(data: bytes) -> AddressInfo:
    """Return the info in these bytes; empty bytes give an empty info.

    Raises:
        WireError: the bytes don't decode, or the relay is not a URL.
    """
    if not data:
        return AddressInfo()
    reader = Reader(data)
    relay_url = reader.option(reader.text)
    if relay_url is not None and not _is_url(relay_url):
        raise WireError(f"the relay {relay_url!r} is no URL")
    addresses = sorted(set(reader.seq(lambda: _read_socket_address(reader))), key=_order)
    return AddressInfo(relay_url, tuple(SocketAddress(str(ip), port) for ip, port in addresses))


_Address = tuple[IPv4Address | IPv6Address, int]


def _order(address: _Address) -> tuple[int, bytes, int]:
    ip, port = address
    return ip.version, ip.packed, port


def _write_socket_address(ip: IPv4Address | IPv6Address, port: int) -> bytes:
    return postcard.variant(0 if ip.version == 4 else 1) + ip.packed + postcard.u16(port)


def _read_socket_address(reader: Reader) -> _Address:
    ip = IPv6Address(reader.raw(16)) if reader.variant(2) else IPv4Address(reader.raw(4))
    return ip, reader.u16()


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return bool(parts.scheme and parts.hostname)
    except ValueError:
        return False

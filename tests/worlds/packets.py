"""What a router reads and rewrites in an IP packet: addresses, ports and checksums. Pure.

IPv4  version+ihl 1 · … · protocol at 9 · checksum at 10 · source at 12 · destination at 16
IPv6  version 1 · … · next header at 6 · source at 8 · destination at 24 · payload at 40
TCP   source port 2 · destination port 2 · … · checksum at 16
UDP   the same · length 2 · checksum at 6, where 0 stands for none (IPv4 alone)
"""

from dataclasses import dataclass
from ipaddress import ip_address

TCP, UDP = 6, 17
_PORTS = {TCP: 16, UDP: 6}
"""The protocols that have ports, and where their checksum is."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """One end of a flow."""

    host: bytes
    """4 bytes for IPv4, 16 for IPv6."""
    port: int

    def __str__(self) -> str:
        return f"{ip_address(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Where a packet comes from, and where it goes; ports are 0 where there are none."""

    protocol: int
    source: Place
    destination: Place


def flow_of(packet: bytes) -> Flow | None:
    """Return a packet's flow; None for what is no IP packet or only a part of one."""
    match packet[0] >> 4 if packet else 0:
        case 4 if len(packet) >= 20:
            start, protocol = (packet[0] & 15) * 4, packet[9]
            source, destination = packet[12:16], packet[16:20]
        case 6 if len(packet) >= 40:
            start, protocol = 40, packet[6]
            source, destination = packet[8:24], packet[24:40]
        case _:
            return None
    ports = (0, 0)
    if protocol in _PORTS:
        if len(packet) < start + 8:
            return None
        ports = (
            int.from_bytes(packet[start : start + 2], "big"),
            int.from_bytes(packet[start + 2 : start + 4], "big"),
        )
    return Flow(
        protocol=protocol,
        source=Place(source, ports[0]),
        destination=Place(destination, ports[1]),
    )


def rewritten(packet: bytes, flow: Flow) -> bytes:
    """Return an IPv4 packet of TCP or UDP with another flow, and checksums that fit it."""
    new = bytearray(packet)
    start = (packet[0] & 15) * 4
    addresses = flow.source.host + flow.destination.host
    ports = flow.source.port.to_bytes(2, "big") + flow.destination.port.to_bytes(2, "big")
    new[12:20] = addresses
    new[start : start + 4] = ports
    _mend(new, 10, packet[12:20], addresses)
    at = start + _PORTS[flow.protocol]
    if flow.protocol == TCP or new[at : at + 2] != b"\0\0":
        before = packet[12:20] + packet[start : start + 4]
        _mend(new, at, before, addresses + ports)
    return bytes(new)


def _mend(packet: bytearray, at: int, before: bytes, after: bytes) -> None:
    """Change a checksum by what changed in the bytes under it: RFC 1624, equation 3."""
    total = ~int.from_bytes(packet[at : at + 2], "big") & 0xFFFF
    for index in range(0, len(before), 2):
        total += ~int.from_bytes(before[index : index + 2], "big") & 0xFFFF
        total += int.from_bytes(after[index : index + 2], "big")
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    packet[at : at + 2] = (~total & 0xFFFF).to_bytes(2, "big")

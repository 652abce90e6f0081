"""What a router rewrites is what the kernel would accept: checksums are computed here anew."""

from hypothesis import given
from hypothesis import strategies as st

from tests.worlds.packets import TCP, UDP, Flow, Place, flow_of, rewritten

hosts = st.binary(min_size=4, max_size=4)
places = st.builds(Place, hosts, st.integers(0, 65535))
flows = st.builds(Flow, protocol=st.sampled_from((TCP, UDP)), source=places, destination=places)


def checksum(data: bytes) -> int:
    """Return the internet checksum of bytes in which it stands already: 0 if it fits."""
    padded = data + bytes(len(data) % 2)
    total = sum(int.from_bytes(padded[at : at + 2], "big") for at in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pseudo_header(packet: bytes) -> bytes:
    return packet[12:20] + bytes([0, packet[9]]) + (len(packet) - 20).to_bytes(2, "big")


def packet_of(flow: Flow, payload: bytes) -> bytes:
    header = bytes([0x45, 0]) + (40 + len(payload)).to_bytes(2, "big")
    header += bytes([0, 0, 0x40, 0, 64, flow.protocol, 0, 0])
    header += flow.source.host + flow.destination.host
    header = header[:10] + checksum(header).to_bytes(2, "big") + header[12:]
    ports = flow.source.port.to_bytes(2, "big") + flow.destination.port.to_bytes(2, "big")
    segment = bytearray(ports + bytes(16) + payload)
    at = {TCP: 16, UDP: 6}[flow.protocol]
    total = checksum(pseudo_header(header + segment) + segment)
    # 0 would say that there is none.
    segment[at : at + 2] = (total or 0xFFFF).to_bytes(2, "big")
    return header + bytes(segment)


@given(flows, flows.map(lambda flow: (flow.source, flow.destination)), st.binary(max_size=40))
def test_a_rewritten_packet_has_the_new_flow_and_checksums_that_fit(
    flow: Flow, places: tuple[Place, Place], payload: bytes
) -> None:
    packet = packet_of(flow, payload)
    assert flow_of(packet) == flow
    wanted = Flow(protocol=flow.protocol, source=places[0], destination=places[1])

    changed = rewritten(packet, wanted)

    assert flow_of(changed) == wanted
    assert checksum(changed[:20]) == 0
    assert checksum(pseudo_header(changed) + changed[20:]) == 0
    assert changed[40:] == packet[40:]


def test_a_datagram_without_a_checksum_gets_none() -> None:
    a, b = Place(b"\x0a\0\0\1", 1000), Place(b"\x0a\0\0\2", 2000)
    packet = bytearray(packet_of(Flow(protocol=UDP, source=a, destination=b), b"hello"))
    packet[26:28] = b"\0\0"

    changed = rewritten(bytes(packet), Flow(protocol=UDP, source=b, destination=a))

    assert changed[26:28] == b"\0\0"


@given(st.binary(max_size=80))
def test_any_bytes_have_a_flow_or_none(packet: bytes) -> None:
    flow = flow_of(packet)
    assert flow is None or len(flow.source.host) == len(flow.destination.host)

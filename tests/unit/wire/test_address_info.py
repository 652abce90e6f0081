"""What peers say of where they are, as iroh-gossip's net layer writes it."""

import json
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buddies_core.errors import WireError
from buddies_core.model.address import AddressInfo, SocketAddress
from buddies_core.wire.address_info import decode_address_info, encode_address_info

VECTORS: dict[str, str] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "gossip-vectors.json").read_text()
)

HOME = AddressInfo(
    "https://relay.example./",
    (SocketAddress("192.168.1.5", 4433), SocketAddress("2001:db8::1", 4433)),
)


@pytest.mark.parametrize(("name", "info"), [("addrinfo_empty", AddressInfo()), ("addrinfo", HOME)])
def test_an_address_is_written_and_read_as_in_rust(name: str, info: AddressInfo) -> None:
    assert encode_address_info(info).hex() == VECTORS[name]
    assert decode_address_info(bytes.fromhex(VECTORS[name])) == info


def test_addresses_are_written_once_each_ipv4_first_then_by_number() -> None:
    written = AddressInfo(
        None,
        tuple(
            SocketAddress(host, port)
            for host, port in [
                ("::1", 1),
                ("10.0.0.2", 9),
                ("9.0.0.1", 443),
                ("10.0.0.2", 1),
                ("10.0.0.2", 9),
            ]
        ),
    )
    read = decode_address_info(encode_address_info(written))
    assert [str(address) for address in read.direct] == [
        "9.0.0.1:443",
        "10.0.0.2:1",
        "10.0.0.2:9",
        "[::1]:1",
    ]


def test_addresses_in_another_order_are_read_in_theirs() -> None:
    data = bytes.fromhex("00" + "03" + "00 0a000002 09" + "00 09000001 01" + "00 0a000002 09")
    assert decode_address_info(data).direct == (
        SocketAddress("9.0.0.1", 1),
        SocketAddress("10.0.0.2", 9),
    )


def test_no_data_says_that_nothing_is_known() -> None:
    assert decode_address_info(b"") == AddressInfo()


def test_bytes_after_the_addresses_are_ignored() -> None:
    assert decode_address_info(bytes.fromhex(VECTORS["addrinfo"]) + b"\xff") == HOME


@pytest.mark.parametrize("relay", ["", "relay", "//relay/", "http://[::1", "https:///x"])
def test_a_relay_that_is_no_url_is_refused(relay: str) -> None:
    with pytest.raises(WireError, match="is no URL"):
        decode_address_info(encode_address_info(AddressInfo(relay)))


def test_an_address_of_a_third_kind_is_refused() -> None:
    with pytest.raises(WireError, match="variant 2 of 2"):
        decode_address_info(bytes.fromhex("00" + "01" + "02" + "00000000" + "01"))


def test_addresses_cut_short_are_refused() -> None:
    data = bytes.fromhex(VECTORS["addrinfo"])
    for size in range(1, len(data)):
        with pytest.raises(WireError):
            decode_address_info(data[:size])


HOSTS = st.one_of(
    st.integers(0, 2**32 - 1).map(lambda number: str(IPv4Address(number))),
    st.integers(0, 2**128 - 1).map(lambda number: str(IPv6Address(number))),
)
ADDRESSES = st.builds(SocketAddress, HOSTS, st.integers(0, 65535))
RELAYS = st.none() | st.sampled_from(["https://relay.example./", "http://127.0.0.1:3340/"])


@settings(deadline=None)
@given(RELAYS, st.sets(ADDRESSES, max_size=8))
def test_any_addresses_survive_the_wire(relay: str | None, direct: set[SocketAddress]) -> None:
    read = decode_address_info(encode_address_info(AddressInfo(relay, tuple(direct))))
    assert (read.relay_url, set(read.direct), len(read.direct)) == (relay, direct, len(direct))


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_any_bytes_are_addresses_or_refused(data: bytes) -> None:
    try:
        info = decode_address_info(data)
    except WireError:
        return
    assert decode_address_info(encode_address_info(info)) == info

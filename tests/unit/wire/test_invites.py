"""Invites, the tickets of private rooms: written, read, and refused with the reason."""

import json
from base64 import b32decode, b32encode
from dataclasses import replace
from textwrap import fill
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buddies_core.errors import InvalidInput
from buddies_core.model.address import AddressInfo, PeerAddress, SocketAddress
from buddies_core.model.ids import EndpointId, RoomName, TopicId
from buddies_core.model.private import Founding, Invite
from buddies_core.model.room import Ticket
from buddies_core.wire.tickets import TICKET_CHARS_MAX, decode_ticket, encode_invite

# RFC 8032, 7.1, test 1.
ANN = EndpointId(bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))
RELAY = "https://relay.example./"
OPS = Invite(
    room=RoomName("ops"),
    founding=Founding(ANN, b"\x0a" * 32),
    endpoints=(PeerAddress(ANN, AddressInfo(RELAY, (SocketAddress("192.168.1.5", 4433),))),),
    token=b"\x0b" * 32,
    expires_at_s=1_800_000_000,
    uses=5,
)
TEXT = encode_invite(OPS)
INNER: dict[str, object] = {
    "founder": ANN.hex(),
    "nonce": "0a" * 32,
    "token": "0b" * 32,
    "expires_at": 1_800_000_000,
    "uses": 5,
}
JSON: dict[str, object] = {
    "room": "ops",
    "invite": INNER,
    "endpoints": [{"id": ANN.hex(), "addrs": [{"Relay": RELAY}, {"Ip": "192.168.1.5:4433"}]}],
}


def written(value: object) -> str:
    """Return an invite as it might come from another program."""
    return b32encode(json.dumps(value).encode()).decode().rstrip("=").lower()


def read_json(text: str) -> Any:
    return json.loads(b32decode(text.upper() + "=" * (-len(text) % 8)))


def test_an_invite_is_the_json_of_a_ticket_with_an_invite_in_place_of_the_topic() -> None:
    assert read_json(TEXT) == JSON
    assert list(read_json(TEXT)) == ["room", "invite", "endpoints"]


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.upper(),
        f"  {TEXT}\r\n",
        fill(TEXT, 76),
        written({**JSON, "version": 2, "invite": {**INNER, "color": "red"}}),
        written({**JSON, "invite": list(INNER.values())}),
        written({**JSON, "invite": {**INNER, "token": "0B" * 32}}),
        written({**JSON, "topic": [0] * 32}),
    ],
    ids=["plain", "upper case", "spaces", "lines", "newer", "array", "hex in capitals", "topic"],
)
def test_an_invite_is_read_however_it_was_copied_or_written(text: str) -> None:
    assert decode_ticket(text) == OPS


def test_an_invite_has_no_topic_so_that_buddies_0_1_4_refuses_it() -> None:
    assert "topic" not in read_json(TEXT)


def test_an_endpoint_that_would_make_the_invite_too_long_to_read_is_left_out() -> None:
    flooding = AddressInfo(None, tuple(SocketAddress("10.0.0.1", port) for port in range(500)))
    invite = replace(OPS, endpoints=(PeerAddress(ANN, flooding), *OPS.endpoints))
    text = encode_invite(invite)
    assert decode_ticket(text) == OPS
    assert len(text) <= TICKET_CHARS_MAX


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ({"invite": INNER}, "it lacks room and endpoints"),
        ({**JSON, "room": 7}, "its room is no text"),
        ({**JSON, "endpoints": {}}, "its endpoints is no list"),
        ({**JSON, "endpoints": [{"id": "7", "addrs": []}]}, "the id of an endpoint in it is not"),
        ({**JSON, "invite": 7}, "it lacks founder and nonce and token and expires_at and uses"),
        ({**JSON, "invite": None}, "it lacks founder and nonce and token and expires_at and uses"),
        ({**JSON, "invite": {**INNER, "founder": 7}}, "the founder of its room is not 64 hex"),
        ({**JSON, "invite": {**INNER, "nonce": "0a"}}, "the nonce in it is not 64 hex digits"),
        ({**JSON, "invite": {**INNER, "token": "0g" * 32}}, "the token in it is not 64 hex digits"),
        ({**JSON, "invite": {**INNER, "token": " " * 64}}, "the token in it is not 64 hex digits"),
        ({**JSON, "invite": {**INNER, "token": "é" * 64}}, "the token in it is not 64 hex digits"),
        ({**JSON, "invite": {**INNER, "expires_at": "x"}}, "its expiry is not a number from 0 to"),
        ({**JSON, "invite": {**INNER, "expires_at": -1}}, "its expiry is not a number from 0 to"),
        ({**JSON, "invite": {**INNER, "expires_at": 1.5}}, "its expiry is not a number from 0 to"),
        (
            {**JSON, "invite": {**INNER, "expires_at": 253_402_300_800}},
            "its expiry is not a number from 0 to 253402300799",
        ),
        ({**JSON, "invite": {**INNER, "uses": 0}}, "its number of uses is not a number from 1 to"),
        ({**JSON, "invite": {**INNER, "uses": 65}}, "its number of uses is not a number from 1 to"),
        ({**JSON, "invite": {**INNER, "uses": True}}, "its number of uses is not a number from 1"),
    ],
)
def test_a_damaged_invite_is_refused_as_an_invite_with_the_reason(value: object, what: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        decode_ticket(written(value))
    assert str(refused.value).startswith(f"this invite can't be read: {what}")
    assert str(refused.value).endswith(
        "ask for a new one: `buddies-cli ticket ROOM` on the other machine"
    )


@given(st.integers(min_value=1, max_value=len(TEXT) - 1))
def test_a_part_of_an_invite_is_refused_and_does_not_show_the_token(length: int) -> None:
    with pytest.raises(InvalidInput, match="a part of it is missing") as refused:
        decode_ticket(TEXT[:length])
    assert "0b0b" not in str(refused.value)


invites = st.builds(
    Invite,
    room=st.text(max_size=20).map(RoomName),
    founding=st.builds(
        Founding,
        st.binary(min_size=32, max_size=32).map(EndpointId),
        st.binary(min_size=32, max_size=32),
    ),
    endpoints=st.just(()) | st.just(OPS.endpoints),
    token=st.binary(min_size=32, max_size=32),
    expires_at_s=st.integers(min_value=0, max_value=253_402_300_799),
    uses=st.integers(min_value=1, max_value=64),
)


@given(invites)
def test_what_was_written_is_read(invite: Invite) -> None:
    assert decode_ticket(encode_invite(invite)) == invite


leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=70)
)
names = st.sampled_from(["room", "invite", "endpoints", "founder", "nonce", "token", "uses"])
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4)
)


def decodes_or_is_refused(text: str) -> None:
    try:
        read = decode_ticket(text)
    except InvalidInput:
        return
    assert not isinstance(read, Ticket)
    assert decode_ticket(encode_invite(read)) == read


@given(values, values)
def test_any_json_in_an_invite_is_an_invite_or_refused(inner: object, token: object) -> None:
    decodes_or_is_refused(written({**JSON, "invite": inner}))
    decodes_or_is_refused(written({**JSON, "invite": {**INNER, "token": token}}))


@given(st.integers(min_value=0, max_value=len(TEXT) - 1), st.sampled_from("abz27=1 "))
def test_an_invite_with_a_wrong_letter_is_an_invite_or_refused(at: int, letter: str) -> None:
    decodes_or_is_refused(TEXT[:at] + letter + TEXT[at + 1 :])


def test_a_ticket_stays_a_ticket() -> None:
    ticket = decode_ticket(written({"room": "ops", "topic": [7] * 32, "endpoints": []}))
    assert ticket == Ticket(RoomName("ops"), TopicId(b"\7" * 32), ())


def test_an_invite_of_an_earlier_version_is_refused_and_says_what_to_do() -> None:
    earlier = {"room_id": "0a" * 32, "token": "0b" * 32, "expires_at": 1_800_000_000, "uses": 5}
    with pytest.raises(InvalidInput, match="that room has to be made anew with this version"):
        decode_ticket(written({**JSON, "invite": earlier}))

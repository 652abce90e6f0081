"""Tickets as buddies 0.1.4 writes and reads them, and what else may be pasted in their place."""

import json
from base64 import b32decode, b32encode
from pathlib import Path
from textwrap import fill
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buddies_core.errors import InvalidInput
from buddies_core.model.address import AddressInfo, PeerAddress, SocketAddress
from buddies_core.model.ids import EndpointId, RoomName, TopicId, topic_of
from buddies_core.model.room import Ticket
from buddies_core.wire.tickets import TICKET_CHARS_MAX, decode_ticket, encode_ticket

VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors" / "gossip-vectors.json").read_text("utf-8")
)

# RFC 8032, 7.1, tests 1 and 2.
ANN = EndpointId(bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))
BEN = EndpointId(bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"))
V4 = SocketAddress("192.168.1.5", 4433)
V6 = SocketAddress("2001:db8::1", 4433)
RELAY = "https://relay.example./"
DEMO = Ticket(
    RoomName("demo"),
    topic_of(RoomName("demo")),
    (PeerAddress(ANN, AddressInfo(RELAY, (V4, V6))),),
)
TOPIC = list(DEMO.topic)


def written(value: object) -> str:
    """Return a ticket as it might come from another program."""
    text = value if isinstance(value, str) else json.dumps(value)
    return b32encode(text.encode()).decode().rstrip("=").lower()


def read_json(text: str) -> Any:
    """Return the JSON in a ticket."""
    return json.loads(b32decode(text.upper() + "=" * (-len(text) % 8)))


def read(**changes: object) -> Ticket:
    """Return what is read where a ticket of one endpoint says something else."""
    return of_an_open_room(written({**json.loads(VECTORS["ticket_json"]), **changes}))


def of_an_open_room(text: str) -> Ticket:
    ticket = decode_ticket(text)
    assert isinstance(ticket, Ticket)
    return ticket


def with_addrs(*addrs: object) -> AddressInfo:
    return read(endpoints=[{"id": ANN.hex(), "addrs": addrs}]).endpoints[0].info


def test_a_ticket_is_written_as_in_rust() -> None:
    assert encode_ticket(DEMO) == VECTORS["ticket"]
    assert encode_ticket(DEMO) == written(VECTORS["ticket_json"])


def test_a_ticket_from_rust_is_read() -> None:
    assert decode_ticket(VECTORS["ticket"]) == DEMO


def test_addresses_are_written_relay_first_then_ipv4_then_ipv6_each_once_and_sorted() -> None:
    direct = tuple(
        SocketAddress(host, port)
        for host, port in [("::1", 1), ("10.0.0.2", 5), ("9.0.0.1", 7), ("9.0.0.1", 6), ("::1", 1)]
    )
    ticket = Ticket(DEMO.room, DEMO.topic, (PeerAddress(ANN, AddressInfo(RELAY, direct)),))
    assert read_json(encode_ticket(ticket))["endpoints"][0]["addrs"] == [
        {"Relay": RELAY},
        {"Ip": "9.0.0.1:6"},
        {"Ip": "9.0.0.1:7"},
        {"Ip": "10.0.0.2:5"},
        {"Ip": "[::1]:1"},
    ]


def test_a_ticket_may_name_several_endpoints_with_and_without_addresses() -> None:
    ticket = Ticket(DEMO.room, DEMO.topic, (*DEMO.endpoints, PeerAddress(BEN)))
    assert decode_ticket(encode_ticket(ticket)) == ticket


def test_an_endpoint_that_would_make_the_ticket_too_long_to_read_is_left_out() -> None:
    flooding = AddressInfo(None, tuple(SocketAddress("10.0.0.1", port) for port in range(500)))
    ticket = Ticket(
        DEMO.room, DEMO.topic, (*DEMO.endpoints, PeerAddress(BEN, flooding), PeerAddress(BEN))
    )
    kept = Ticket(DEMO.room, DEMO.topic, (*DEMO.endpoints, PeerAddress(BEN)))
    assert decode_ticket(encode_ticket(ticket)) == kept


@pytest.mark.parametrize(
    "text",
    [
        VECTORS["ticket"].upper(),
        f"  {VECTORS['ticket']}\r\n",
        fill(VECTORS["ticket"], 76),
        written(f"\n {VECTORS['ticket_json']} \n"),
    ],
    ids=["upper case", "spaces around it", "broken into lines", "spaces in the JSON"],
)
def test_a_ticket_is_read_however_it_was_copied(text: str) -> None:
    assert decode_ticket(text) == DEMO


TICKET = VECTORS["ticket"]
WRAPPED = fill(TICKET, 76)


@pytest.mark.parametrize(
    "pasted",
    [
        f"`{TICKET}`",
        f"```\n{TICKET}\n```",
        f"```text\n{WRAPPED}\n```\n",
        f'"{TICKET}"',
        f"'{TICKET}',",
        f"“{TICKET}”",
        f"<{TICKET}>",
        f"[{TICKET}]({TICKET})",
        f"**{TICKET}**",
        f"_{TICKET}_",
        f"{TICKET}.",
        f"{TICKET},",
        f"{TICKET}====",
        f"ticket: {TICKET}",
        f"Ticket:{TICKET}",
        f"TICKET={TICKET}",
        f"Ticket for feature-a: {TICKET}",
        f"Ticket for feature-a:\n\n    {WRAPPED}",
        f"--ticket {TICKET}",
        f"buddies-cli join demo --ticket '{TICKET}'",
        f"Joined demo; nobody else is here.\nTicket for others:\n{TICKET}\n",
        f'{{"room": "demo", "ticket": "{TICKET}", "already_joined": false}}',
        f"\ufeff{TICKET}",
        f"\u200b{TICKET[:40]}\u200b\u2060{TICKET[40:]}\u200d\ufe0f",
        "\u00ad".join(TICKET),
        WRAPPED.replace("\n", "\r\n"),
        WRAPPED.replace("\n", "\u2028"),
        WRAPPED.replace("\n", "\n\n"),
        WRAPPED.replace("\n", "\\\n"),
        WRAPPED.replace("\n", " \\\r\n"),
        WRAPPED.replace("\n", "=\n"),
        WRAPPED.replace("\n", "\\n"),
        WRAPPED.replace("\n", "\\\\r\\\\n"),
        "> " + WRAPPED.replace("\n", "\n> "),
        "> > Ticket:\n> > " + WRAPPED.replace("\n", "\n> > ").upper(),
        "│ " + WRAPPED.replace("\n", " │\n│ ").replace(" │\n", "\n"),
        f"\x1b[1m{TICKET}\x1b[0m",
        f"Hi Bob,\nhere it is:\n{WRAPPED}\n\nsee you at 8\nAnn",
        f"{TICKET} thanks",
        f"{WRAPPED}\nand\n{TICKET}",
        TICKET.upper(),
        TICKET.title(),
    ],
)
def test_a_ticket_is_found_in_what_was_pasted_with_it(pasted: str) -> None:
    assert decode_ticket(pasted) == DEMO


@pytest.mark.parametrize("more", ["a", "aaaaaaaa", "7"])
def test_letters_that_stick_to_a_ticket_are_not_passed_over(more: str) -> None:
    with pytest.raises(InvalidInput, match="this ticket can't be read"):
        decode_ticket(f"{TICKET}{more}")


@given(st.integers(1, 90), st.sampled_from(["\n", "\r\n> ", " ", "\u200b", "=\n", "\\\n\t"]))
def test_a_ticket_may_be_wrapped_anywhere_after_its_first_letters(width: int, wrap: str) -> None:
    rest = [TICKET[at : at + width] for at in range(8, len(TICKET), width)]
    assert decode_ticket(TICKET[:8] + wrap.join(["", *rest])) == DEMO


@given(
    st.text(st.characters(), max_size=30),
    st.sampled_from([" ", "\n", '"', "`", ":", "=", "> "]),
    st.sampled_from([" ", "\n", '"', "`", ".", ",", " \\n"]),
    st.text(st.characters() | st.sampled_from("a7 \n"), max_size=30),
)
def test_whatever_surrounds_a_ticket_it_is_found(
    before: str, opening: str, closing: str, after: str
) -> None:
    assert decode_ticket(f"{before}{opening}{TICKET}{closing}{after}") == DEMO


def test_keys_that_a_newer_version_may_add_are_passed_over() -> None:
    endpoint = json.loads(VECTORS["ticket_json"])["endpoints"][0]
    assert read(version=2, endpoints=[{"name": "ann", **endpoint}]) == DEMO


def test_arrays_are_read_in_place_of_objects() -> None:
    addrs = [{"Relay": RELAY}, {"Ip": "192.168.1.5:4433"}, {"Ip": "[2001:db8::1]:4433"}]
    assert decode_ticket(written(["demo", TOPIC, [[ANN.hex(), addrs]]])) == DEMO


def test_an_id_is_read_in_base32_of_either_case() -> None:
    id = b32encode(ANN).decode().rstrip("=")
    for text in (id, id.lower()):
        assert read(endpoints=[{"id": text, "addrs": []}]).endpoints == (PeerAddress(ANN),)


def test_kinds_of_addresses_that_are_unknown_are_passed_over() -> None:
    custom = {"Custom": {"id": 7, "data": {"Inline": {"size": 1, "data": [0] * 30}}}}
    assert with_addrs(custom, {"Ip": str(V4)}, "Unit", 7, None, []) == AddressInfo(None, (V4,))


def test_zones_of_addresses_are_dropped() -> None:
    info = with_addrs({"Ip": "[fe80::1%3]:5"}, {"Ip": "[fe80::1%eth0]:5"})
    assert info == AddressInfo(None, (SocketAddress("fe80::1", 5),))


def test_the_first_of_several_relays_counts() -> None:
    info = with_addrs({"Relay": RELAY}, {"Relay": "https://other.example./"})
    assert info == AddressInfo(RELAY)


def test_the_topic_is_read_as_it_stands() -> None:
    assert read(topic=[0] * 32).topic == TopicId(bytes(32))


ONE = {"id": ANN.hex(), "addrs": []}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("a" * (TICKET_CHARS_MAX + 1), "it has 16385 characters, tickets have at most 16384"),
        ("feature-a", "it is no base32 text, or a part of it is missing"),
        (VECTORS["ticket_json"], "it is no base32 text, or a part of it is missing"),
        (f"ticket: {written('{}')}", "it is no base32 text, or a part of it is missing"),
        (f"{written('{}')}==", "it lacks room and topic and endpoints"),
        ("“”", "it is empty"),
        ("`...`\ufeff", "it is empty"),
        ("mz", "it is no base32 text, or a part of it is missing"),
        ("a", "it is no base32 text, or a part of it is missing"),
        ("\u0131" * 8, "it is no base32 text, or a part of it is missing"),
        ("\ud800", "it is empty"),
        (b32encode(b"\xff\xff\xff\xff\xff").decode(), "it is no base32 text"),
        (written("hello"), "there is no JSON in it, or a part of it is missing"),
        (VECTORS["ticket"][:-8], "there is no JSON in it, or a part of it is missing"),
        (written("[" * 9000), "there is no JSON in it, or a part of it is missing"),
        (written("9" * 9000), "there is no JSON in it, or a part of it is missing"),
        (written("7"), "it lacks room and topic and endpoints"),
        (written(["demo", TOPIC]), "it lacks room and topic and endpoints"),
        (written({"room": "demo", "topic": TOPIC}), "it lacks endpoints"),
    ],
)
def test_what_is_no_ticket_is_refused_with_the_reason(text: str, what: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        decode_ticket(text)
    assert str(refused.value).startswith(f"this ticket can't be read: {what}")
    assert str(refused.value).endswith(
        "ask for a new one: `buddies-cli ticket ROOM` on the other machine"
    )


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"room": 7}, "its room is no text"),
        ({"room": "\ud800"}, "its room is no text"),
        ({"topic": "00" * 32}, "its topic is no list"),
        ({"topic": TOPIC[1:]}, "its topic is not 32 numbers from 0 to 255"),
        ({"topic": [*TOPIC, 0]}, "its topic is not 32 numbers from 0 to 255"),
        ({"topic": [256, *TOPIC[1:]]}, "its topic is not 32 numbers from 0 to 255"),
        ({"topic": [-1, *TOPIC[1:]]}, "its topic is not 32 numbers from 0 to 255"),
        ({"topic": [1.0, *TOPIC[1:]]}, "its topic is not 32 numbers from 0 to 255"),
        ({"topic": [True, *TOPIC[1:]]}, "its topic is not 32 numbers from 0 to 255"),
        ({"endpoints": {}}, "its endpoints is no list"),
        ({"endpoints": [{"id": ANN.hex()}]}, "it lacks addrs"),
        ({"endpoints": [{**ONE, "addrs": "x"}]}, "its addrs is no list"),
        ({"endpoints": [{**ONE, "id": 7}]}, "the id of an endpoint in it is not the public key"),
        ({"endpoints": [{**ONE, "id": "7"}]}, "the id of an endpoint in it is not the public key"),
        (
            {"endpoints": [{**ONE, "id": (2).to_bytes(32, "little").hex()}]},
            "the id of an endpoint in it is not the public key of anyone",
        ),
        ({"endpoints": [{**ONE, "id": " " * 64}]}, "the id of an endpoint in it is not the public"),
        ({"endpoints": [{**ONE, "addrs": [{"Ip": 7}]}]}, "an address in it is no text"),
        ({"endpoints": [{**ONE, "addrs": [{"Relay": "\ud800"}]}]}, "an address in it is no text"),
        ({"endpoints": [{**ONE, "addrs": [{"Relay": "x"}]}]}, "the relay in it is no URL"),
        ({"endpoints": [{**ONE, "addrs": [{"Ip": "x"}]}]}, "'x' in it is no address such as"),
        ({"endpoints": [{**ONE, "addrs": [{"Ip": "1.2.3.4"}]}]}, "'1.2.3.4' in it is no address"),
        ({"endpoints": [{**ONE, "addrs": [{"Ip": "1.2.3.4:"}]}]}, "'1.2.3.4:' in it is no"),
        ({"endpoints": [{**ONE, "addrs": [{"Ip": "1.2.3.4:+5"}]}]}, "'1.2.3.4:+5' in it is no"),
        ({"endpoints": [{**ONE, "addrs": [{"Ip": "1.2.3.4:65536"}]}]}, "'1.2.3.4:65536' in it is"),
        ({"endpoints": [{**ONE, "addrs": [{"Ip": "::1:5"}]}]}, "'::1:5' in it is no address such"),
        ({"endpoints": [{**ONE, "addrs": [{"Ip": "[1.2.3.4]:5"}]}]}, "'[1.2.3.4]:5' in it is no"),
        ({"endpoints": [{**ONE, "addrs": [{"Ip": "x.example:5"}]}]}, "'x.example:5' in it is no"),
    ],
)
def test_a_ticket_with_something_wrong_in_it_is_refused_with_the_reason(
    changes: dict[str, object], what: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(**changes)
    assert str(refused.value).startswith(f"this ticket can't be read: {what}")


rooms = st.text(max_size=20).map(RoomName)
sockets = st.builds(
    SocketAddress, st.ip_addresses().map(str), st.integers(min_value=0, max_value=65535)
)
infos = st.builds(AddressInfo, st.none() | st.just(RELAY), st.lists(sockets, max_size=4).map(tuple))
addresses = st.builds(PeerAddress, st.sampled_from([ANN, BEN]), infos)
tickets = st.builds(
    Ticket,
    rooms,
    st.binary(min_size=32, max_size=32).map(TopicId),
    st.lists(addresses, max_size=3).map(tuple),
)


@given(tickets)
def test_what_was_written_is_read_and_written_alike(ticket: Ticket) -> None:
    text = encode_ticket(ticket)
    again = of_an_open_room(text)
    assert encode_ticket(again) == text
    assert (again.room, again.topic) == (ticket.room, ticket.topic)
    for mine, theirs in zip(again.endpoints, ticket.endpoints, strict=True):
        assert (mine.endpoint, mine.info.relay_url) == (theirs.endpoint, theirs.info.relay_url)
        assert set(mine.info.direct) == set(theirs.info.direct)


def decodes_or_is_refused(text: str) -> None:
    try:
        ticket = of_an_open_room(text)
    except InvalidInput:
        return
    assert decode_ticket(encode_ticket(ticket)) == ticket


@given(st.text(st.characters()))
def test_any_text_is_a_ticket_or_refused(text: str) -> None:
    decodes_or_is_refused(text)


@given(st.binary())
def test_any_bytes_in_base32_are_a_ticket_or_refused(data: bytes) -> None:
    decodes_or_is_refused(b32encode(data).decode().rstrip("="))


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=70)
    | st.sampled_from([ANN.hex(), "1.2.3.4:5", "[::1%1]:5", RELAY])
)
names = st.sampled_from(["room", "topic", "endpoints", "id", "addrs", "Relay", "Ip", "x"])
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4)
)


@given(values, values, values)
def test_any_json_in_base32_is_a_ticket_or_refused(
    room: object, topic: object, endpoints: object
) -> None:
    decodes_or_is_refused(written({"room": room, "topic": topic, "endpoints": endpoints}))
    decodes_or_is_refused(written({"room": "r", "topic": TOPIC, "endpoints": endpoints}))
    decodes_or_is_refused(
        written({"room": "r", "topic": TOPIC, "endpoints": [{"id": ANN.hex(), "addrs": endpoints}]})
    )


@given(st.integers(min_value=0, max_value=len(VECTORS["ticket"]) - 1), st.sampled_from("abz27=1 "))
def test_a_ticket_with_a_wrong_letter_is_a_ticket_or_refused(at: int, letter: str) -> None:
    text = VECTORS["ticket"]
    decodes_or_is_refused(text[:at] + letter + text[at + 1 :])

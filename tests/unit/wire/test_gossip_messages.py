"""Each message byte for byte, and what else is taken or refused, as in iroh-gossip 0.101."""

import json
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from buddies_core.errors import InvalidInput, WireError
from buddies_core.gossip.messages import (
    CONTENT_BYTES_MAX,
    Disconnect,
    ForwardJoin,
    Gossip,
    Graft,
    IHave,
    Join,
    Message,
    Neighbor,
    NeighborsScope,
    PeerInfo,
    Priority,
    Prune,
    Shuffle,
    ShuffleReply,
    SwarmScope,
)
from buddies_core.model.ids import EndpointId, MessageId, TopicId
from buddies_core.wire.frames import FrameReader, frame
from buddies_core.wire.gossip_messages import (
    check_content_size,
    decode_message,
    decode_stream_header,
    encode_message,
    stream_header,
)

VECTORS: dict[str, str] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "gossip-vectors.json").read_text()
)


def bytes_of(name: str) -> bytes:
    return bytes.fromhex(VECTORS[name])


A, B, C = (
    EndpointId(bytes.fromhex(hexadecimal))
    for hexadecimal in (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    )
)
NOWHERE = bytes_of("addrinfo_empty")
HI = MessageId(bytes_of("blake3_hi"))

MESSAGES: dict[str, Message] = {
    "join_empty_addr": Join(NOWHERE),
    "join_addr": Join(bytes_of("addrinfo")),
    "join_none": Join(None),
    "forward_join": ForwardJoin(PeerInfo(B, NOWHERE), 6),
    "shuffle": Shuffle(A, (PeerInfo(B, None), PeerInfo(A, NOWHERE)), 6),
    "shuffle_reply": ShuffleReply((PeerInfo(C, None),)),
    "neighbor_high": Neighbor(Priority.HIGH, NOWHERE),
    "neighbor_low": Neighbor(Priority.LOW, NOWHERE),
    "disconnect_alive": Disconnect(alive=True),
    "disconnect_quit": Disconnect(alive=False),
    "gossip_swarm_r0": Gossip(HI, b"hi", SwarmScope(0)),
    "gossip_swarm_r300": Gossip(HI, b"hi", SwarmScope(300)),
    "gossip_neighbors": Gossip(HI, b"hi", NeighborsScope()),
    "prune": Prune(),
    "graft_id": Graft(HI, 2),
    "graft_none": Graft(None, 2),
    "ihave": IHave(((HI, 1),)),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_written_and_read_as_in_rust(name: str) -> None:
    body = encode_message(MESSAGES[name])
    assert body.hex() == VECTORS[f"msg_{name}"]
    assert frame(body).hex() == VECTORS[f"frame_{name}"]
    (read,) = FrameReader().feed(bytes_of(f"frame_{name}"))
    assert decode_message(read) == MESSAGES[name]


def test_every_message_that_there_are_bytes_for_is_compared() -> None:
    named = {name.removeprefix("msg_") for name in VECTORS if name.startswith("msg_")}
    assert named == set(MESSAGES)
    assert {name.removeprefix("frame_") for name in VECTORS if name.startswith("frame_")} == named


def test_a_stream_opens_with_its_topic() -> None:
    topic = TopicId(bytes_of("topic_demo"))
    assert stream_header(topic).hex() == VECTORS["stream_header_frame"]
    (body,) = FrameReader().feed(bytes_of("stream_header_frame"))
    assert decode_stream_header(body) == topic


def test_a_header_may_go_on_after_the_topic_but_not_end_before() -> None:
    assert decode_stream_header(bytes(32) + b"more") == bytes(32)
    with pytest.raises(WireError):
        decode_stream_header(bytes(31))


def test_the_id_of_a_message_is_blake3_of_its_content() -> None:
    assert blake3(b"hi").digest() == HI


@pytest.mark.parametrize("name", MESSAGES)
def test_bytes_after_a_message_are_ignored(name: str) -> None:
    assert decode_message(bytes_of(f"msg_{name}") + b"\xff\x00") == MESSAGES[name]


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_cut_short_is_refused(name: str) -> None:
    body = bytes_of(f"msg_{name}")
    for size in range(len(body)):
        with pytest.raises(WireError):
            decode_message(body[:size])


@pytest.mark.parametrize(
    "body",
    [
        "0200",  # no such layer
        "0006",  # no such message of HyParView
        "0104",  # no such message of PlumTree
        "000402" + "00",  # no such priority
        "0100" + HI.hex() + "026869" + "02",  # no such scope
        "00050200",  # alive is neither 0 nor 1
        "00050102",  # respond is ignored, but has to be 0 or 1
        "000002",  # neither with nor without data
    ],
)
def test_what_no_peer_may_say_is_refused(body: str) -> None:
    with pytest.raises(WireError):
        decode_message(bytes.fromhex(body))


def test_the_obsolete_half_of_disconnect_is_read_over() -> None:
    assert decode_message(bytes.fromhex("00050101")) == Disconnect(alive=True)


def test_numbers_of_more_bytes_than_needed_are_taken() -> None:
    assert decode_message(bytes.fromhex("8100" + "8100")) == Prune()
    assert decode_message(bytes.fromhex("0102" + "00" + "828000")) == Graft(None, 2)


NO_POINT = (2).to_bytes(32, "little")


@pytest.mark.parametrize(
    "message",
    [
        ForwardJoin(PeerInfo(EndpointId(NO_POINT), None), 6),
        Shuffle(EndpointId(NO_POINT), (), 6),
        Shuffle(A, (PeerInfo(B, None), PeerInfo(EndpointId(NO_POINT), None)), 6),
        ShuffleReply((PeerInfo(EndpointId(NO_POINT), None),)),
    ],
)
def test_a_message_that_names_nobody_possible_is_refused(message: Message) -> None:
    with pytest.raises(WireError, match="no point"):
        decode_message(encode_message(message))


@pytest.mark.parametrize(
    ("scope", "fits"),
    [
        (SwarmScope(0), True),
        (SwarmScope(127), True),
        (SwarmScope(128), False),
        (NeighborsScope(), True),
    ],
)
def test_the_largest_content_fits_until_its_round_takes_two_bytes(
    scope: SwarmScope | NeighborsScope, fits: bool
) -> None:
    body = encode_message(Gossip(HI, bytes(CONTENT_BYTES_MAX), scope))
    if fits:
        assert len(frame(body)) <= 4 + 4095
    else:
        with pytest.raises(InvalidInput):
            frame(body)
        assert decode_message(body) == Gossip(HI, bytes(CONTENT_BYTES_MAX), scope)


def test_content_over_the_limit_is_refused_where_it_is_said() -> None:
    check_content_size(bytes(4057))
    with pytest.raises(InvalidInput, match="a broadcast holds 4057 bytes, not 4058"):
        check_content_size(bytes(4058))


def test_a_frame_holds_116_announcements() -> None:
    ids = IHave(((HI, 0xFFFF),) * 116)
    assert len(frame(encode_message(ids))) == 4 + 3 + 116 * 35
    with pytest.raises(InvalidInput):
        frame(encode_message(IHave(((HI, 0xFFFF),) * 117)))


ENDPOINTS = st.sampled_from(
    [EndpointId(bytes(SigningKey(bytes([n] * 32)).verify_key)) for n in range(5)]
)
DATA = st.none() | st.binary(max_size=60)
ROUNDS = st.integers(0, 0xFFFF)
IDS = st.binary(min_size=32, max_size=32).map(MessageId)
INFOS = st.builds(PeerInfo, ENDPOINTS, DATA)
NODES = st.lists(INFOS, max_size=5).map(tuple)
SCOPES = st.one_of(ROUNDS.map(SwarmScope), st.just(NeighborsScope()))
ANY_MESSAGE: st.SearchStrategy[Message] = st.one_of(
    st.builds(Join, DATA),
    st.builds(ForwardJoin, INFOS, ROUNDS),
    st.builds(Shuffle, ENDPOINTS, NODES, ROUNDS),
    st.builds(ShuffleReply, NODES),
    st.builds(Neighbor, st.sampled_from(Priority), DATA),
    st.builds(Disconnect, st.booleans()),
    st.builds(Gossip, IDS, st.binary(max_size=300), SCOPES),
    st.builds(Prune),
    st.builds(Graft, st.none() | IDS, ROUNDS),
    st.builds(IHave, st.lists(st.tuples(IDS, ROUNDS), max_size=5).map(tuple)),
)


@settings(deadline=None)
@given(ANY_MESSAGE)
def test_any_message_survives_the_wire(message: Message) -> None:
    assert decode_message(encode_message(message)) == message


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        message = decode_message(data)
    except WireError:
        return
    assert decode_message(encode_message(message)) == message


@settings(deadline=None)
@given(ANY_MESSAGE, st.integers(0, 400), st.integers(0, 255))
def test_a_damaged_message_is_another_message_or_refused(
    message: Message, place: int, byte: int
) -> None:
    body = bytearray(encode_message(message))
    body[place % len(body)] = byte
    try:
        read = decode_message(bytes(body))
    except WireError:
        return
    assert decode_message(encode_message(read)) == read

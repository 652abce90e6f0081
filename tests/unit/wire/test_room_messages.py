"""Room messages as buddies 0.1.4 writes and reads them, and the trailer that we put behind."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buddies_core.errors import WireError
from buddies_core.identity.node_key import NodeKey
from buddies_core.identity.signatures import verify_endpoint
from buddies_core.model.address import AddressInfo, SocketAddress
from buddies_core.model.bodies import (
    AgentPresence,
    Body,
    Join,
    Leave,
    MemoryCreated,
    MemoryDeleted,
    MemorySuperseded,
    Presence,
    SearchFilters,
    SearchRequest,
    SearchResponse,
    SkillPublished,
    SkillSearchFilters,
    SkillSearchRequest,
    SkillSearchResponse,
    SkillVoteCast,
    StatusUpdate,
    TaskClaimed,
    TaskRequest,
    TaskResponse,
    UnknownBody,
)
from buddies_core.model.identity import Binding, GpgIdentity, SignerIdentity, SshIdentity
from buddies_core.model.ids import MemoryId, RequestId, RoomName, TaskId, topic_of
from buddies_core.model.memory import MemoryEntry, MemoryKey, MemoryKind, Whole
from buddies_core.model.skill import RankedSkill, SkillEntry
from buddies_core.model.task import TaskFailed, TaskSucceeded
from buddies_core.wire import postcard
from buddies_core.wire.room_messages import (
    Envelope,
    RoomMessage,
    Trailer,
    encode_entry,
    encode_room_message,
    has_trailer,
    legacy_signed_payload,
    open_envelope,
    seal,
    signing_input,
)

VECTORS: dict[str, str] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "gossip-vectors.json").read_text("utf-8")
)
NONCE = bytes(range(16))
ID = UUID("12345678-1234-4678-9234-567812345678")
DEMO = RoomName("demo")
ROOM_ID = topic_of(DEMO)
ANN = NodeKey(b"a" * 32)

ENTRY = MemoryEntry(
    id=MemoryId(ID),
    author="ann",
    created_at_s=1_700_000_000,
    room=DEMO,
    kind=MemoryKind.DECISION,
    title="T",
    content="C",
    tags=("x", "y"),
    references=(MemoryId(UUID("aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee")),),
)
SKILL = SkillEntry(
    hash=VECTORS["skill_hash"],
    author="ann",
    created_at_s=1_700_000_000,
    room=DEMO,
    title="deploy",
    content="run deploy.sh",
    tags=("ops", "ci"),
    version=1,
    parent_hash=None,
    signed_by=None,
    signature=None,
)


def said(body: Body) -> RoomMessage:
    return RoomMessage(nonce=NONCE, body=body)


MESSAGES = {
    "p2p_Join": said(Join("ann", "claude")),
    "p2p_Leave": said(Leave("ann")),
    "p2p_MemoryCreated": said(MemoryCreated(ENTRY)),
    "p2p_StatusUpdate": said(StatusUpdate("ann", "busy")),
    "p2p_SearchRequest": said(
        SearchRequest(RequestId(ID), "db", SearchFilters(room=DEMO, tags=("x",)))
    ),
    "p2p_SearchResponse": said(SearchResponse(RequestId(ID), (ENTRY,), "bob")),
    "p2p_TaskRequest": said(
        TaskRequest(
            task_id=TaskId(ID),
            source_peer="ann",
            room=DEMO,
            description="do it",
            timeout_s=60,
            created_at_s=1_700_000_000,
        )
    ),
    "p2p_TaskClaimed": said(TaskClaimed(TaskId(ID), "bob")),
    "p2p_TaskResponse_ok": said(TaskResponse(TaskId(ID), TaskSucceeded("done"), "bob")),
    "p2p_TaskResponse_err": said(TaskResponse(TaskId(ID), TaskFailed("oops"), "bob")),
    "p2p_SkillPublished": said(SkillPublished(SKILL)),
    "p2p_SkillSearchRequest": said(SkillSearchRequest(RequestId(ID), "dep", SkillSearchFilters())),
    "p2p_SkillSearchResponse": said(
        SkillSearchResponse(RequestId(ID), (RankedSkill(SKILL, -3),), "bob")
    ),
    "p2p_SkillVoteCast": said(SkillVoteCast("ab", "ann", -1)),
    "p2p_signed": RoomMessage(
        nonce=NONCE,
        body=Leave("ann"),
        signed_by=SshIdentity("ssh-ed25519 AAAA u@h"),
        signature=b"SIG",
    ),
    "p2p_signed_gpg": RoomMessage(
        nonce=NONCE, body=Leave("ann"), signed_by=GpgIdentity("ABC123"), signature=b"\x00\xff"
    ),
}


def test_every_message_of_rust_has_its_vector() -> None:
    named = {name for name in VECTORS if name.startswith("p2p_")}
    assert set(MESSAGES) == named - {"p2p_signed_payload"}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_written_and_read_as_in_rust(name: str) -> None:
    raw = bytes.fromhex(VECTORS[name])
    assert encode_room_message(MESSAGES[name]).hex() == VECTORS[name]
    assert open_envelope(raw) == Envelope(MESSAGES[name], None, b"", raw, raw)


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_cut_short_is_refused(name: str) -> None:
    raw = bytes.fromhex(VECTORS[name])
    for size in range(len(raw)):
        with pytest.raises(WireError):
            open_envelope(raw[:size])


def test_signatures_of_0_1_4_are_over_nonce_and_body() -> None:
    signed = legacy_signed_payload(MESSAGES["p2p_signed"])
    assert signed.hex() == VECTORS["p2p_signed_payload"]


def test_an_entry_is_written_as_in_its_message() -> None:
    message = encode_room_message(MESSAGES["p2p_MemoryCreated"])
    assert message == NONCE + b"\x02" + encode_entry(ENTRY) + b"\x00\x00"


def test_the_kinds_of_memories_have_the_indices_of_rust() -> None:
    kinds = ["decision", "implementation", "context", "skill", "status"]
    assert [kind.value for kind in MemoryKind] == kinds


def test_a_presence_is_variant_13_with_protobuf_in_one_blob() -> None:
    agent = AgentPresence(
        name="claude", user="zoe", status="busy", status_at_ms=300, capabilities=("py", "db")
    )
    body = b"\x0a\x03ann" + (
        b"\x12\x1e" + b"\x0a\x06claude\x12\x03zoe\x1a\x04busy\x20\xac\x02\x2a\x02py\x2a\x02db"
    )
    raw = NONCE + b"\x0d" + bytes([len(body)]) + body + b"\x00\x00"
    message = said(Presence("ann", (agent,)))
    assert encode_room_message(message) == raw
    assert open_envelope(raw).message == message


def test_what_a_newer_presence_says_besides_is_passed_over() -> None:
    raw = NONCE + b"\x0d\x08" + b"\x0a\x03ann\xf8\x06\x07" + b"\x00\x00"
    assert open_envelope(raw).message == said(Presence("ann", ()))


@pytest.mark.parametrize(
    "signer", [SshIdentity("ssh-ed25519 AAAA ann@home"), GpgIdentity("AB" * 20)]
)
def test_a_presence_brings_the_binding(signer: SignerIdentity) -> None:
    message = said(Presence("ann", (), Binding(signer, (1 << 64) - 1, b"signature")))
    assert open_envelope(encode_room_message(message)).message == message


@pytest.mark.parametrize("blob", [b"\xff", b"\x0a\x05ann", b"\x0a\x01\xff"])
def test_a_presence_that_is_not_protobuf_is_refused(blob: bytes) -> None:
    with pytest.raises(WireError, match="a presence that is not protobuf"):
        open_envelope(NONCE + b"\x0d" + postcard.blob(blob) + b"\x00\x00")


def test_a_variant_of_a_newer_version_is_read_with_its_trailer() -> None:
    trailer = Trailer(sender=ANN.endpoint, sent_at_ms=1)
    message = said(UnknownBody(300, b"\x01\x02"))
    raw = seal(NONCE + b"\xac\x02\x02\x01\x02\x00\x00", trailer, ROOM_ID, ANN.sign)
    envelope = open_envelope(raw)
    assert (envelope.message, envelope.trailer) == (message, trailer)
    assert encode_room_message(message) == NONCE + b"\xac\x02\x02\x01\x02\x00\x00"


KEY = MemoryKey(b"v" + ANN.endpoint + ID.bytes)


def amended(payload: bytes) -> bytes:
    return NONCE + b"\x0e" + postcard.blob(payload) + b"\x00\x00"


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        (MemorySuperseded(MemoryId(ID), KEY), b"\x0a\x45\x0a\x10" + ID.bytes + b"\x12\x31" + KEY),
        (
            MemoryDeleted(KEY, b"i" * 32, "wrong"),
            b"\x12\x5c\x0a\x31" + KEY + b"\x12\x20" + b"i" * 32 + b"\x1a\x05wrong",
        ),
    ],
)
def test_an_amendment_is_a_protobuf_message_in_variant_14(body: Body, payload: bytes) -> None:
    assert encode_room_message(said(body)) == amended(payload)
    assert open_envelope(amended(payload)).message == said(body)


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff",  # not protobuf
        b"\x12\x03\x0a\x01v",  # a deletion of nothing
        b"\x12\x23\x0a\x21u" + bytes(32),  # of a memory whose author is not proven
        b"\x12\x36\x0a\x31" + KEY + b"\x12\x01i",  # with half an item id
        b"\x0a\x33\x12\x31" + KEY,  # a replacement by nothing
        b"\x0a\x12\x0a\x10" + ID.bytes,  # of nothing
    ],
)
def test_an_amendment_that_names_no_memory_is_refused(payload: bytes) -> None:
    with pytest.raises(WireError, match=r"amendment|deletion"):
        open_envelope(amended(payload))


def test_an_amendment_of_a_newer_kind_is_a_body_that_is_not_known() -> None:
    newer = b"\x9a\x06\x01x"  # field 99
    assert open_envelope(amended(newer)).message == said(UnknownBody(14, newer))


FULL = Trailer(
    sender=ANN.endpoint,
    sent_at_ms=1_700_000_000_000,
    agent="claude",
    address=AddressInfo(None, (SocketAddress("192.168.1.5", 4433),)),
    whole=Whole(bytes(range(32)), 200_000),
    user="zoe",
)
MANDATORY = ANN.endpoint + bytes.fromhex("80d095ffbc31")
LATER = {
    "agent": b"\x01\x06claude",
    "address": b"\x01\x09\x00\x01\x00\xc0\xa8\x01\x05\xd1\x22",
    "whole": b"\x01" + bytes(range(32)) + b"\xc0\x9a\x0c",
    "user": b"\x01\x03zoe",
}
ALL = MANDATORY + b"".join(LATER.values())
"""The fields of FULL."""
LEAVE = encode_room_message(MESSAGES["p2p_Leave"])


def test_a_trailer_is_written_as_drawn_and_signed_for_the_room() -> None:
    signed = LEAVE + b"bud2" + ALL
    signature = ANN.sign(b"buddies/2 message" + ROOM_ID + signed)
    assert seal(LEAVE, FULL, ROOM_ID, ANN.sign).hex() == (signed + signature).hex()
    assert open_envelope(signed + signature) == Envelope(
        MESSAGES["p2p_Leave"], FULL, signature, signed, signed + signature
    )


def verifies(envelope: Envelope, room_id: bytes = ROOM_ID) -> bool:
    """Whether what was received is the sender's."""
    assert envelope.trailer is not None
    payload = signing_input(room_id, envelope.signed)
    return verify_endpoint(envelope.trailer.sender, payload, envelope.signature)


def test_a_sealed_message_verifies_in_its_room_and_in_no_other() -> None:
    envelope = open_envelope(seal(LEAVE, FULL, ROOM_ID, ANN.sign))
    assert verifies(envelope)
    assert not verifies(envelope, topic_of(RoomName("other")))


def test_no_bit_of_a_sealed_message_can_be_changed_without_notice() -> None:
    raw = seal(LEAVE, FULL, ROOM_ID, ANN.sign)
    signed, signature = raw[:-64], raw[-64:]
    for bit in range(8 * len(raw)):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        payload = signing_input(ROOM_ID, bytes(changed[:-64]))
        if bit < 8 * len(signed):
            assert not verify_endpoint(ANN.endpoint, payload, signature)
        try:
            envelope = open_envelope(bytes(changed))
        except WireError:
            continue
        assert envelope.trailer is None or not verifies(envelope)


def test_a_message_without_a_trailer_has_none() -> None:
    assert open_envelope(LEAVE).trailer is None


@pytest.mark.parametrize("tail", [b"b", b"bud", b"bud1" + bytes(200), bytes(300)])
def test_bytes_behind_a_message_that_are_no_trailer_are_left_alone(tail: bytes) -> None:
    raw = LEAVE + tail
    assert open_envelope(raw) == Envelope(MESSAGES["p2p_Leave"], None, b"", raw, raw)


def trailer_of(fields: bytes) -> Trailer | None:
    """Return what is read where these are the fields of a trailer."""
    signed = LEAVE + b"bud2" + fields
    envelope = open_envelope(signed + ANN.sign(signing_input(ROOM_ID, signed)))
    assert verifies(envelope)
    return envelope.trailer


@pytest.mark.parametrize("count", range(5))
def test_fields_that_an_older_version_does_not_write_are_none(count: int) -> None:
    written = MANDATORY + b"".join(list(LATER.values())[:count])
    missing: dict[str, Any] = dict.fromkeys(list(LATER)[count:])
    assert trailer_of(written) == replace(FULL, **missing)


@given(st.binary(max_size=100))
def test_fields_that_a_newer_version_adds_are_passed_over_and_signed(added: bytes) -> None:
    assert trailer_of(ALL + b"\0" + added) == FULL  # Without an epoch, and then what is new.


@pytest.mark.parametrize(
    "fields",
    [
        b"",
        MANDATORY[:31],
        MANDATORY[:-1],
        (2).to_bytes(32, "little") + MANDATORY[32:],
        MANDATORY + b"\x02",
        MANDATORY + b"\x01\x07claude",
        MANDATORY + b"\x01\x01\xff",
        MANDATORY + b"\x00" + b"\x01\x01\x07",
        MANDATORY + b"\x00\x00" + b"\x01" + bytes(32),
    ],
    ids=[
        "nothing",
        "half a sender",
        "half a time",
        "a sender that is no key",
        "an option that is neither",
        "an agent cut short",
        "an agent that is not UTF-8",
        "an address that is none",
        "a whole without its size",
    ],
)
def test_what_begins_as_a_trailer_and_is_none_is_refused(fields: bytes) -> None:
    with pytest.raises(WireError):
        trailer_of(fields)


@pytest.mark.parametrize("size", [0, 63])
def test_a_trailer_that_is_shorter_than_its_signature_is_refused(size: int) -> None:
    with pytest.raises(WireError, match="too short for its signature"):
        open_envelope(LEAVE + b"bud2" + bytes(size))


texts = st.text(max_size=12)
many_texts = st.lists(texts, max_size=3).map(tuple)
rooms = texts.map(RoomName)
u32s = st.integers(min_value=0, max_value=2**32 - 1)
u64s = st.integers(min_value=0, max_value=2**64 - 1)
signers = st.builds(GpgIdentity, texts) | st.builds(SshIdentity, texts)
entries = st.builds(
    MemoryEntry,
    id=st.uuids().map(MemoryId),
    author=texts,
    created_at_s=u64s,
    room=rooms,
    kind=st.sampled_from(MemoryKind),
    title=texts,
    content=texts,
    tags=many_texts,
    references=st.lists(st.uuids().map(MemoryId), max_size=2).map(tuple),
)
skills = st.builds(
    SkillEntry,
    hash=texts,
    author=texts,
    created_at_s=u64s,
    room=rooms,
    title=texts,
    content=texts,
    tags=many_texts,
    version=u32s,
    parent_hash=st.none() | texts,
    signed_by=st.none() | signers,
    signature=st.none() | st.binary(max_size=9),
)
ranked = st.builds(RankedSkill, skills, st.integers(min_value=-(2**63), max_value=2**63 - 1))
agents = st.builds(
    AgentPresence,
    name=texts,
    user=texts,
    status=texts,
    status_at_ms=u64s,
    capabilities=many_texts,
)
request_ids = st.uuids().map(RequestId)
task_ids = st.uuids().map(TaskId)
memory_ids = st.uuids().map(MemoryId)
verified_keys = st.binary(min_size=48, max_size=48).map(lambda rest: MemoryKey(b"v" + rest))
memory_keys = verified_keys | st.binary(min_size=32, max_size=32).map(
    lambda rest: MemoryKey(b"u" + rest)
)
bodies: st.SearchStrategy[Body] = st.one_of(
    st.builds(Join, texts, texts),
    st.builds(Leave, texts),
    st.builds(MemoryCreated, entries),
    st.builds(StatusUpdate, texts, texts),
    st.builds(
        SearchRequest,
        request_ids,
        texts,
        st.builds(
            SearchFilters,
            room=st.none() | rooms,
            kind=st.none() | texts,
            tags=st.none() | many_texts,
        ),
    ),
    st.builds(SearchResponse, request_ids, st.lists(entries, max_size=2).map(tuple), texts),
    st.builds(
        TaskRequest,
        task_id=task_ids,
        source_peer=texts,
        room=rooms,
        description=texts,
        timeout_s=u32s,
        created_at_s=u64s,
    ),
    st.builds(TaskClaimed, task_ids, texts),
    st.builds(
        TaskResponse,
        task_ids,
        st.builds(TaskSucceeded, texts) | st.builds(TaskFailed, texts),
        texts,
    ),
    st.builds(SkillPublished, skills),
    st.builds(
        SkillSearchRequest,
        request_ids,
        texts,
        st.builds(SkillSearchFilters, room=st.none() | rooms, tags=st.none() | many_texts),
    ),
    st.builds(SkillSearchResponse, request_ids, st.lists(ranked, max_size=2).map(tuple), texts),
    st.builds(SkillVoteCast, texts, texts, st.integers(min_value=-128, max_value=127)),
    st.builds(Presence, texts, st.lists(agents, max_size=2).map(tuple)),
    st.builds(MemorySuperseded, memory_ids, memory_keys),
    st.builds(
        MemoryDeleted, verified_keys, st.just(b"") | st.binary(min_size=32, max_size=32), texts
    ),
    st.builds(UnknownBody, st.integers(min_value=15, max_value=2**32 - 1), st.binary(max_size=20)),
)
messages = st.builds(
    RoomMessage,
    nonce=st.binary(min_size=16, max_size=16),
    body=bodies,
    signed_by=st.none() | signers,
    signature=st.none() | st.binary(max_size=80),
)
trailers = st.builds(
    Trailer,
    sender=st.just(ANN.endpoint),
    sent_at_ms=u64s,
    agent=st.none() | texts,
    address=st.none() | st.sampled_from([FULL.address, AddressInfo("https://relay.example./")]),
    whole=st.none() | st.builds(Whole, st.binary(min_size=32, max_size=32), u64s),
    user=st.none() | texts,
)


@given(messages, trailers)
def test_what_was_sealed_is_read_and_0_1_4_reads_the_same_message(
    message: RoomMessage, trailer: Trailer
) -> None:
    plain = encode_room_message(message)
    raw = seal(plain, trailer, ROOM_ID, ANN.sign)
    envelope = open_envelope(raw)
    assert envelope == Envelope(message, trailer, raw[-64:], raw[:-64], raw)
    assert verifies(envelope)
    assert raw.startswith(plain)  # and 0.1.4 stops where `plain` does
    assert open_envelope(plain).message == message


@given(st.binary(max_size=400))
def test_any_bytes_are_a_message_or_refused(raw: bytes) -> None:
    opens_or_is_refused(raw)


@given(st.integers(min_value=0, max_value=14), st.binary(max_size=400))
def test_any_bytes_behind_a_variant_are_a_message_or_refused(variant: int, raw: bytes) -> None:
    opens_or_is_refused(NONCE + bytes([variant]) + raw)


@given(messages, trailers, st.data())
def test_a_sealed_message_with_other_bytes_in_it_is_a_message_or_refused(
    message: RoomMessage, trailer: Trailer, data: st.DataObject
) -> None:
    raw = seal(encode_room_message(message), trailer, ROOM_ID, ANN.sign)
    start = data.draw(st.integers(min_value=0, max_value=len(raw)))
    end = data.draw(st.integers(min_value=start, max_value=min(start + 8, len(raw))))
    opens_or_is_refused(raw[:start] + data.draw(st.binary(max_size=8)) + raw[end:])


def opens_or_is_refused(raw: bytes) -> None:
    try:
        envelope = open_envelope(raw)
    except WireError:
        return
    assert envelope.signed + envelope.signature == envelope.raw == raw
    assert (envelope.trailer is None) == (envelope.signature == b"")
    again = encode_room_message(envelope.message)
    assert open_envelope(again).message == envelope.message


def test_what_says_which_endpoint_it_is_of_has_a_trailer_and_nonsense_has_none() -> None:
    message = RoomMessage(nonce=bytes(16), body=Leave("ann"))
    bare = encode_room_message(message)
    sealed = seal(bare, Trailer(sender=ANN.endpoint, sent_at_ms=1), bytes(32), ANN.sign)

    assert [has_trailer(raw) for raw in (sealed, bare, b"", sealed[:-70])] == [
        True,
        False,
        False,
        False,
    ]

"""What outsiders can't read, members can't be taken in by, and the removed can't use any more."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt

from buddies_core.errors import InvalidInput, WireError
from buddies_core.identity.node_key import NodeKey
from buddies_core.identity.signatures import verify_endpoint
from buddies_core.model.ids import EndpointId, RoomId
from buddies_core.model.private import ROSTER_MEMBERS_MAX, Epoch, Roster
from buddies_core.wire.private import (
    SEALED_OVERHEAD_BYTES,
    check_proof,
    decode_epoch,
    decode_roster,
    encode_roster,
    epoch_keys,
    epoch_of,
    open_content,
    prove,
    room_key,
    seal_content,
    sign_roster,
    verify_roster,
)

ROOM_ID = RoomId(b"r" * 32)
OTHER_ROOM_ID = RoomId(b"R" * 32)
SECRET = bytes(range(32))
EPOCH = Epoch(7, SECRET)
KEYS = epoch_keys(ROOM_ID, EPOCH)
NONCE = bytes(range(100, 124))
ANN, BEN, CAT = (NodeKey(letter * 32) for letter in (b"a", b"b", b"c"))
SEALED = seal_content(KEYS, b"hello", NONCE)


def test_each_key_is_the_hmac_of_its_label_the_room_and_the_epoch() -> None:
    def expected(label: bytes) -> bytes:
        block = SECRET.ljust(64, b"\0")  # RFC 2104, by hand
        inner = bytes(octet ^ 0x36 for octet in block)
        outer = bytes(octet ^ 0x5C for octet in block)
        message = label + b"\0" + b"r" * 32 + b"\0\0\0\7"
        return hashlib.sha256(outer + hashlib.sha256(inner + message).digest()).digest()

    assert room_key(SECRET, b"other", ROOM_ID, 7) == expected(b"other")
    assert (KEYS.number, KEYS.topic, KEYS.seal, KEYS.proof) == (
        7,
        expected(b"topic"),
        expected(b"seal"),
        expected(b"proof"),
    )


@pytest.mark.parametrize(
    ("room_id", "epoch"),
    [(OTHER_ROOM_ID, EPOCH), (ROOM_ID, Epoch(8, SECRET)), (ROOM_ID, Epoch(7, b"s" * 32))],
    ids=["room", "epoch", "secret"],
)
def test_another_room_epoch_or_secret_shares_no_key(room_id: RoomId, epoch: Epoch) -> None:
    other = epoch_keys(room_id, epoch)
    keys = {KEYS.topic, KEYS.seal, KEYS.proof, other.topic, other.seal, other.proof}
    assert len(keys) == 6


def test_keys_do_not_get_into_logs() -> None:
    assert repr(KEYS) == f"EpochKeys(number=7, topic={KEYS.topic!r})"


@pytest.mark.parametrize("secret", [b"", bytes(31), bytes(33)])
def test_a_secret_of_another_length_is_none(secret: bytes) -> None:
    assert decode_epoch(7, SECRET) == EPOCH
    with pytest.raises(WireError, match=f"has {len(secret)} bytes, not 32"):
        decode_epoch(7, secret)


def test_content_is_laid_out_as_written_and_opens_with_libsodium_alone() -> None:
    assert SEALED[:33] == b"bud2s" + b"\0\0\0\7" + NONCE
    assert len(SEALED) == len(b"hello") + SEALED_OVERHEAD_BYTES
    opened = crypto_aead_xchacha20poly1305_ietf_decrypt(SEALED[33:], KEYS.topic, NONCE, KEYS.seal)
    assert opened == b"hello"


@given(st.binary(max_size=4008), st.binary(min_size=24, max_size=24))
def test_what_was_sealed_is_opened(message: bytes, nonce: bytes) -> None:
    content = seal_content(KEYS, message, nonce)
    assert epoch_of(content) == 7
    assert open_content(KEYS, content) == message


def test_a_message_may_fill_a_broadcast_and_no_more() -> None:
    assert len(seal_content(KEYS, bytes(4008), NONCE)) == 4057
    with pytest.raises(InvalidInput, match="4009 bytes was not sealed: one broadcast has place"):
        seal_content(KEYS, bytes(4009), NONCE)


@pytest.mark.parametrize("at", range(len(SEALED)))
def test_content_altered_at_any_byte_does_not_open(at: int) -> None:
    altered = SEALED[:at] + bytes([SEALED[at] ^ 1]) + SEALED[at + 1 :]
    with pytest.raises(WireError):
        open_content(KEYS, altered)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "not sealed"),
        (b"bud2", "not sealed"),
        (bytes(16) + b"P2PMessage" + b"bud2" + bytes(200), "not sealed"),
        (b"bud2s", "of 5 bytes, which nobody seals"),
        (SEALED[: SEALED_OVERHEAD_BYTES - 1], "of 48 bytes, which nobody seals"),
        (SEALED + bytes(4058 - len(SEALED)), "of 4058 bytes, which nobody seals"),
        (SEALED[:-1], "does not open"),
        (SEALED + b"\0", "does not open"),
        (seal_content(epoch_keys(ROOM_ID, Epoch(8, SECRET)), b"x", NONCE), "of epoch 8 can't"),
        (seal_content(epoch_keys(OTHER_ROOM_ID, EPOCH), b"x", NONCE), "of another room"),
        (seal_content(epoch_keys(ROOM_ID, Epoch(7, b"s" * 32)), b"x", NONCE), "does not open"),
        (seal_content(replace(KEYS, topic=epoch_keys(OTHER_ROOM_ID, EPOCH).topic), b"x", NONCE),
         "of another room"),
    ],
    ids=[
        "empty", "short", "open format", "magic alone", "too short", "too long", "cut", "longer",
        "other epoch", "other room", "other secret", "topic of another room",
    ],
)  # fmt: skip
def test_what_was_not_sealed_for_this_room_and_epoch_does_not_open(
    content: bytes, what: str
) -> None:
    with pytest.raises(WireError, match=what):
        open_content(KEYS, content)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_do_not_open(data: bytes, with_header: bool) -> None:
    with pytest.raises(WireError):
        open_content(KEYS, SEALED[:9] + data if with_header else data)


def test_a_proof_is_the_hmac_of_who_asks_whom_and_where() -> None:
    ann, ben = ANN.endpoint, BEN.endpoint
    message = ann + ben + KEYS.topic
    expected = hmac.new(KEYS.proof, message, hashlib.sha256).digest()
    assert prove(KEYS, ann, ben) == expected
    assert check_proof(KEYS, ann, ben, expected)


def test_a_proof_is_of_no_use_to_others_elsewhere_or_later() -> None:
    ann, ben, cat = ANN.endpoint, BEN.endpoint, CAT.endpoint
    proof = prove(KEYS, ann, ben)
    assert not check_proof(KEYS, cat, ben, proof)
    assert not check_proof(KEYS, ann, cat, proof)
    assert not check_proof(KEYS, ben, ann, proof)
    assert not check_proof(epoch_keys(OTHER_ROOM_ID, EPOCH), ann, ben, proof)
    assert not check_proof(epoch_keys(ROOM_ID, Epoch(8, SECRET)), ann, ben, proof)
    assert not check_proof(epoch_keys(ROOM_ID, Epoch(7, b"s" * 32)), ann, ben, proof)
    for wrong in (b"", proof[:-1], proof + b"\0", bytes(32)):
        assert not check_proof(KEYS, ann, ben, wrong)


MEMBERS = tuple(sorted(key.endpoint for key in (ANN, BEN, CAT)))
ROSTER = sign_roster(ROOM_ID, EPOCH, MEMBERS, ANN.endpoint, ANN.sign)
WRITTEN = encode_roster(ROSTER)


def verified(roster: Roster, room_id: RoomId = ROOM_ID, epoch: Epoch = EPOCH) -> bool:
    return verify_roster(roster, room_id, epoch, verify_endpoint)


def test_a_roster_is_laid_out_and_signed_as_written() -> None:
    signed = ROOM_ID + b"\0\0\0\7" + ANN.endpoint + b"".join(MEMBERS)
    signature = ANN.sign(b"buddies/2 roster" + KEYS.topic + signed)
    assert signed + signature == WRITTEN
    assert decode_roster(WRITTEN) == ROSTER
    assert verified(ROSTER)


def test_a_roster_names_each_member_once_in_order_and_its_rotator_in_any_case() -> None:
    others = (CAT.endpoint, BEN.endpoint, CAT.endpoint)
    assert sign_roster(ROOM_ID, EPOCH, others, ANN.endpoint, ANN.sign) == ROSTER


def test_a_roster_does_not_hold_for_another_room_epoch_or_secret() -> None:
    assert not verified(ROSTER, room_id=OTHER_ROOM_ID)
    assert not verified(ROSTER, epoch=Epoch(8, SECRET))
    assert not verified(ROSTER, epoch=Epoch(7, b"s" * 32))
    assert not verified(replace(ROSTER, epoch=8), epoch=Epoch(8, SECRET))
    assert not verified(replace(ROSTER, room_id=OTHER_ROOM_ID), room_id=OTHER_ROOM_ID)


def test_a_roster_that_somebody_else_signed_does_not_hold() -> None:
    forged = sign_roster(ROOM_ID, EPOCH, MEMBERS, ANN.endpoint, BEN.sign)
    assert not verified(forged)
    assert not verified(replace(ROSTER, rotator=BEN.endpoint))
    assert not verified(replace(ROSTER, members=MEMBERS[1:]))


@pytest.mark.parametrize("at", range(len(WRITTEN)))
def test_a_roster_altered_at_any_byte_does_not_hold(at: int) -> None:
    altered = WRITTEN[:at] + bytes([WRITTEN[at] ^ 1]) + WRITTEN[at + 1 :]
    try:
        roster = decode_roster(altered)
    except WireError:
        return
    assert not verified(roster)


def raw_roster(*members: bytes, rotator: bytes = ANN.endpoint) -> bytes:
    return ROOM_ID + bytes(4) + rotator + b"".join(members) + bytes(64)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "of 0 bytes, which no number of members gives"),
        (raw_roster(), "of 132 bytes, which no number of members gives"),
        (WRITTEN[:-1], "which no number of members gives"),
        (raw_roster(*reversed(MEMBERS)), "not in order, or one is named twice"),
        (raw_roster(MEMBERS[0], *MEMBERS), "not in order, or one is named twice"),
        (raw_roster(BEN.endpoint), "leaves out the one who made it"),
        (raw_roster(ANN.endpoint, rotator=(2).to_bytes(32, "little")), "is no endpoint id"),
    ],
)
def test_what_is_no_roster_is_refused_with_the_reason(data: bytes, what: str) -> None:
    with pytest.raises(WireError, match=what):
        decode_roster(data)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_roster_or_refused(data: bytes) -> None:
    try:
        roster = decode_roster(data)
    except WireError:
        return
    assert encode_roster(roster) == data


def many(count: int) -> tuple[EndpointId, ...]:
    """Return this many ids, none of which is Ann's."""
    return tuple(EndpointId(b"\0" + number.to_bytes(31, "big")) for number in range(count))


@pytest.mark.parametrize(
    ("read_or_write", "error"),
    [
        (lambda ids: sign_roster(ROOM_ID, EPOCH, ids, ANN.endpoint, ANN.sign), InvalidInput),
        (lambda ids: decode_roster(raw_roster(*sorted((*ids, ANN.endpoint)))), WireError),
    ],
    ids=["write", "read"],
)
def test_a_roster_has_at_most_4000_members(
    read_or_write: Callable[[tuple[EndpointId, ...]], Roster], error: type[Exception]
) -> None:
    assert len(read_or_write(many(ROSTER_MEMBERS_MAX - 1)).members) == ROSTER_MEMBERS_MAX == 4000
    with pytest.raises(error, match="4001 members"):
        read_or_write(many(ROSTER_MEMBERS_MAX))

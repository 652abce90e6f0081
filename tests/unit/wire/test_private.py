"""What outsiders can't read, members can't be taken in by, and the removed can't use any more."""

import hashlib
import hmac
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt

from buddies_core.errors import InvalidInput, WireError
from buddies_core.identity.node_key import NodeKey
from buddies_core.identity.signatures import verify_endpoint
from buddies_core.model.bodies import UnknownBody
from buddies_core.model.ids import EndpointId, RoomId, RoomName, open_room_id
from buddies_core.model.private import MEMBERS_MAX, Epoch, Roster, Sponsorship
from buddies_core.wire.private import (
    SEALED_OVERHEAD_BYTES,
    SPONSORSHIP_BYTES,
    check_proof,
    decode_epoch,
    decode_roster,
    decode_sponsorship,
    encode_roster,
    encode_sponsorship,
    epoch_keys,
    epoch_of,
    is_of,
    open_content,
    prove,
    room_key,
    seal_content,
    sign_roster,
    sign_sponsorship,
    sponsorship_of_founder,
    verify_roster,
    verify_sponsorship,
)
from buddies_core.wire.room_messages import (
    RoomMessage,
    Trailer,
    encode_room_message,
    open_envelope,
    seal,
    signing_input,
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
    assert (KEYS.number, KEYS.id, KEYS.topic, KEYS.seal, KEYS.proof) == (
        7,
        expected(b"id"),
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
    keys = {key for it in (KEYS, other) for key in (it.id, it.topic, it.seal, it.proof)}
    assert len(keys) == 8


def test_keys_do_not_get_into_logs() -> None:
    assert repr(KEYS) == f"EpochKeys(number=7, id={KEYS.id!r})"


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


# Sponsorships and rosters

DURING = KEYS.id
FOUNDERS = sponsorship_of_founder(ANN.endpoint, DURING)
BENS, CATS = (
    sign_sponsorship(ROOM_ID, DURING, key.endpoint, ANN.endpoint, ANN.sign) for key in (BEN, CAT)
)
ENTRIES = tuple(sorted((FOUNDERS, BENS), key=lambda entry: entry.member))
ROSTER = sign_roster(ROOM_ID, EPOCH, ENTRIES, ANN.endpoint, ANN.sign, gone=(CATS,))
WRITTEN = encode_roster(ROSTER)


def admits(sponsorship: Sponsorship, room_id: RoomId = ROOM_ID, founder: NodeKey = ANN) -> bool:
    return verify_sponsorship(sponsorship, room_id, founder.endpoint, verify_endpoint)


def test_a_sponsorship_is_laid_out_and_signed_as_written() -> None:
    signature = ANN.sign(b"buddies/2 private sponsorship" + ROOM_ID + DURING + BEN.endpoint)
    assert encode_sponsorship(BENS) == BEN.endpoint + ANN.endpoint + DURING + signature
    assert decode_sponsorship(encode_sponsorship(BENS)) == BENS
    assert admits(BENS)


def test_only_the_founder_is_there_by_itself() -> None:
    assert admits(FOUNDERS)
    assert not admits(FOUNDERS, founder=BEN)
    assert not admits(sponsorship_of_founder(BEN.endpoint, DURING))


@pytest.mark.parametrize("at", range(SPONSORSHIP_BYTES))
def test_a_sponsorship_altered_at_any_byte_does_not_hold(at: int) -> None:
    written = encode_sponsorship(BENS)
    assert not admits(
        decode_sponsorship(written[:at] + bytes([written[at] ^ 1]) + written[at + 1 :])
    )
    assert not admits(BENS, room_id=OTHER_ROOM_ID)
    with pytest.raises(WireError, match=f"of {at} bytes, not 160"):
        decode_sponsorship(written[:at])


def verified(roster: Roster, room_id: RoomId = ROOM_ID) -> bool:
    return verify_roster(roster, room_id, verify_endpoint)


def test_a_roster_is_laid_out_and_signed_as_written() -> None:
    entries = b"".join(map(encode_sponsorship, (*ENTRIES, CATS)))
    signed = ROOM_ID + b"\0\0\0\7" + KEYS.id + ANN.endpoint + b"\0\2" + entries
    signature = ANN.sign(b"buddies/2 private roster" + signed)
    assert signed + signature == WRITTEN
    assert decode_roster(WRITTEN) == ROSTER
    assert verified(ROSTER)
    assert ROSTER.members == tuple(sorted((ANN.endpoint, BEN.endpoint)))


def test_a_roster_does_not_hold_for_another_room_epoch_or_secret() -> None:
    assert not verified(ROSTER, room_id=OTHER_ROOM_ID)
    assert not verified(replace(ROSTER, room_id=OTHER_ROOM_ID), room_id=OTHER_ROOM_ID)
    assert is_of(ROSTER, EPOCH)
    assert not is_of(ROSTER, Epoch(8, SECRET))
    assert not is_of(ROSTER, Epoch(7, b"s" * 32))


def test_a_roster_that_somebody_else_signed_does_not_hold() -> None:
    forged = sign_roster(ROOM_ID, EPOCH, ENTRIES, ANN.endpoint, BEN.sign)
    assert not verified(forged)
    assert not verified(replace(ROSTER, rotator=BEN.endpoint))
    assert not verified(replace(ROSTER, entries=ENTRIES[1:]))
    assert not verified(replace(ROSTER, entries=(*ENTRIES, CATS), gone=()))


@pytest.mark.parametrize("at", range(len(WRITTEN)))
def test_a_roster_altered_at_any_byte_does_not_hold(at: int) -> None:
    altered = WRITTEN[:at] + bytes([WRITTEN[at] ^ 1]) + WRITTEN[at + 1 :]
    try:
        roster = decode_roster(altered)
    except WireError:
        return
    assert not verified(roster)


def raw_roster(
    *entries: Sponsorship, rotator: bytes = ANN.endpoint, count: int | None = None
) -> bytes:
    members = (len(entries) if count is None else count).to_bytes(2, "big")
    sponsorships = b"".join(map(encode_sponsorship, entries))
    return ROOM_ID + bytes(36) + rotator + members + sponsorships + bytes(64)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "of 0 bytes, which no number of members gives"),
        (raw_roster(), "of 166 bytes, which no number of members gives"),
        (WRITTEN[:-1], "which no number of members gives"),
        (raw_roster(*reversed(ENTRIES)), "not in order, or one is named twice"),
        (raw_roster(ENTRIES[0], *ENTRIES), "not in order, or one is named twice"),
        (raw_roster(*ENTRIES, ENTRIES[0], count=2), "not in order, or one is named twice"),
        (raw_roster(BENS), "leaves out the one who made it"),
        (raw_roster(FOUNDERS, count=0), "leaves out the one who made it"),
        (raw_roster(FOUNDERS, rotator=(2).to_bytes(32, "little")), "is no endpoint id"),
    ],
)
def test_what_is_no_roster_is_refused_with_the_reason(data: bytes, what: str) -> None:
    with pytest.raises(WireError, match=what):
        decode_roster(data)


@given(st.binary(max_size=600))
def test_any_bytes_are_a_roster_or_refused(data: bytes) -> None:
    try:
        roster = decode_roster(data)
    except WireError:
        return
    assert encode_roster(roster) == data


def test_a_roster_has_at_most_500_members() -> None:
    def many(count: int) -> list[Sponsorship]:
        others = (EndpointId(b"\0" + number.to_bytes(31, "big")) for number in range(count - 1))
        return sorted((FOUNDERS, *(replace(BENS, member=it) for it in others)), key=by_member)

    assert len(decode_roster(raw_roster(*many(MEMBERS_MAX))).members) == MEMBERS_MAX == 500
    with pytest.raises(WireError, match="501 members"):
        decode_roster(raw_roster(*many(MEMBERS_MAX + 1)))


def by_member(entry: Sponsorship) -> EndpointId:
    return entry.member


# Signing contexts


def test_no_signature_of_one_kind_is_good_as_another_s_or_in_an_open_room() -> None:
    open_id, body = open_room_id(RoomName("ops")), UnknownBody(15, b"x")
    said = encode_room_message(RoomMessage(nonce=bytes(16), body=body))
    trailer = Trailer(sender=ANN.endpoint, sent_at_ms=1)
    in_private = seal(said, replace(trailer, epoch=KEYS.id), ROOM_ID, ANN.sign)
    contexts = {
        signing_input(ROOM_ID, b"")[: -len(ROOM_ID)],
        signing_input(ROOM_ID, b"", is_private=True)[: -len(ROOM_ID)],
        b"buddies/2 private sponsorship",
        b"buddies/2 private roster",
    }
    assert not any(one != other and other.startswith(one) for one in contexts for other in contexts)
    opened = open_envelope(in_private)
    assert opened.trailer == replace(trailer, epoch=KEYS.id)
    assert verify_endpoint(ANN.endpoint, opened.signing_input(ROOM_ID), opened.signature)
    for room_id in (open_id, ROOM_ID):
        as_open = signing_input(room_id, opened.signed)
        assert not verify_endpoint(ANN.endpoint, as_open, opened.signature)


def test_a_trailer_of_an_open_room_stays_as_it_was_byte_for_byte() -> None:
    trailer = Trailer(sender=ANN.endpoint, sent_at_ms=1, agent="a", user="u")
    sealed = seal(b"message", trailer, ROOM_ID, ANN.sign)
    fields = ANN.endpoint + b"\1" + b"\1\1a" + b"\0" + b"\0" + b"\1\1u"
    signature = ANN.sign(b"buddies/2 message" + ROOM_ID + b"message" + b"bud2" + fields)
    assert sealed == b"message" + b"bud2" + fields + signature

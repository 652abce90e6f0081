from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import UUID

import pytest

from buddies_core.identity.node_key import NodeKey
from buddies_core.identity.signers import Ed25519Signer
from buddies_core.identity.verifying import Verdict, Verification, Verifier
from buddies_core.model.bodies import (
    Body,
    Join,
    Leave,
    MemoryCreated,
    Presence,
    SkillVoteCast,
    StatusUpdate,
)
from buddies_core.model.identity import GpgIdentity, SignerIdentity, SshIdentity, Verified
from buddies_core.model.ids import MemoryId, RoomName, open_room_id
from buddies_core.model.memory import MemoryEntry, MemoryKind
from buddies_core.rooms.composing import Composer
from buddies_core.trust.admission import MESSAGE_BYTES_MAX, Admission
from buddies_core.trust.admitted import Rejected
from buddies_core.trust.clocks import PeerClocks
from buddies_core.trust.speakers import spoke_key
from buddies_core.wire.room_messages import RoomMessage, encode_room_message, legacy_signed_payload
from tests.support.fakes.clocks import ManualClock
from tests.support.in_memory.store import InMemoryStore
from tests.support.worlds.person import an_ed25519_signer

ALICE = NodeKey(b"a" * 32)
BOB = NodeKey(b"b" * 32)
DEMO = RoomName("demo")
ROOM_ID = open_room_id(DEMO)
ANNS_KEY = an_ed25519_signer(b"1", "ann@home")
ANN = an_ed25519_signer(b"1").identity
BENS_KEY = an_ed25519_signer(b"2")
VERIFIER = Verifier({}, ManualClock())

Say = Callable[[Body], Awaitable[bytes]]


def memory_by(author: str) -> MemoryCreated:
    entry = MemoryEntry(
        id=MemoryId(UUID(int=1)),
        author=author,
        created_at_s=1,
        room=DEMO,
        kind=MemoryKind.CONTEXT,
        title="t",
        content="c",
    )
    return MemoryCreated(entry)


def unsigned(body: Body) -> bytes:
    return encode_room_message(RoomMessage(nonce=bytes(16), body=body))


@pytest.fixture
def say() -> Say:
    composer = Composer(ALICE, InMemoryStore(), ManualClock())

    async def compose(body: Body) -> bytes:
        return await composer.compose(ROOM_ID, body)

    return compose


@pytest.fixture
def counters() -> Counter[str]:
    return Counter()


@pytest.fixture
def admission(counters: Counter[str]) -> Admission:
    return Admission(InMemoryStore(), VERIFIER.verify, counters)


async def test_what_no_broadcast_can_carry_is_refused(say: Say, admission: Admission) -> None:
    long = memory_by(ALICE.endpoint.hex())
    raw = await say(replace(long, entry=replace(long.entry, content="c" * MESSAGE_BYTES_MAX)))
    with pytest.raises(Rejected, match="more than a broadcast carries"):
        await admission.admit(DEMO, ROOM_ID, raw)


async def test_a_message_signed_by_its_author_is_verified(say: Say, admission: Admission) -> None:
    raw = await say(memory_by(ALICE.endpoint.hex()))
    admitted = await admission.admit(DEMO, ROOM_ID, raw)
    assert admitted.verified == Verified.PEER
    assert admitted.trailer is not None
    assert admitted.trailer.sender == ALICE.endpoint
    assert admitted.raw == raw


@pytest.mark.parametrize(
    "body",
    [
        memory_by(BOB.endpoint.hex()),
        StatusUpdate(BOB.endpoint.hex(), "busy"),
        SkillVoteCast("ab", BOB.endpoint.hex(), 1),
    ],
)
async def test_nobody_speaks_for_another(
    body: Body, say: Say, admission: Admission, counters: Counter[str]
) -> None:
    with pytest.raises(Rejected, match="speaks for"):
        await admission.admit(DEMO, ROOM_ID, await say(body))
    assert counters == {"rejected_author_is_not_sender": 1}


async def test_a_message_of_another_room_is_rejected(
    say: Say, admission: Admission, counters: Counter[str]
) -> None:
    raw = await say(Leave("alice"))
    with pytest.raises(Rejected):
        await admission.admit(RoomName("other"), open_room_id(RoomName("other")), raw)
    assert counters == {"rejected_bad_signature": 1}


async def test_no_bit_of_a_signed_message_can_be_turned(say: Say, admission: Admission) -> None:
    raw = await say(Leave("alice"))
    for position in range(len(raw)):
        turned = bytearray(raw)
        turned[position] ^= 1
        try:
            admitted = await admission.admit(DEMO, ROOM_ID, bytes(turned))
        except Rejected:
            continue
        # Where the trailer's mark is gone, what is left is a 0.1.4 message, and shown as one.
        assert admitted.verified == Verified.UNVERIFIED


async def test_a_message_without_trailer_is_admitted_as_unverified(admission: Admission) -> None:
    admitted = await admission.admit(DEMO, ROOM_ID, unsigned(memory_by(ALICE.endpoint.hex())))
    assert (admitted.verified, admitted.trailer) == (Verified.UNVERIFIED, None)


async def test_whoever_signs_cannot_be_spoken_for_without_a_signature(
    counters: Counter[str],
) -> None:
    store = InMemoryStore()
    await store.raise_watermark(spoke_key(ALICE.endpoint), 1)
    with pytest.raises(Rejected, match="signs its messages"):
        await Admission(store, VERIFIER.verify, counters).admit(
            DEMO, ROOM_ID, unsigned(memory_by(ALICE.endpoint.hex()))
        )
    assert counters == {"rejected_impersonation": 1}


async def test_a_presence_without_trailer_is_rejected(
    admission: Admission, counters: Counter[str]
) -> None:
    with pytest.raises(Rejected):
        await admission.admit(DEMO, ROOM_ID, unsigned(Presence("alice", ())))
    assert counters == {"rejected_unsigned": 1}


async def test_bytes_that_are_no_message_are_counted(
    admission: Admission, counters: Counter[str]
) -> None:
    with pytest.raises(Rejected):
        await admission.admit(DEMO, ROOM_ID, b"\xff" * 40)
    assert counters == {"rejected_undecodable": 1}


async def test_each_message_is_stamped_later_than_the_one_before_also_when_the_clock_jumps_back(
    admission: Admission,
) -> None:
    clock, marks = ManualClock(), InMemoryStore()
    stamps = []
    for unix_ms in (1_000, 900, 2_000):
        clock.unix_ms = unix_ms
        # A composer of its own each time: the mark is on disk.
        raw = await Composer(ALICE, marks, clock).compose(ROOM_ID, Leave("alice"))
        trailer = (await admission.admit(DEMO, ROOM_ID, raw)).trailer
        assert trailer is not None
        stamps.append(trailer.sent_at_ms)
    assert stamps == [1_000, 1_001, 2_000]


# Signed as 0.1.4 signs


async def signed_as_0_1_4(
    body: Body, key: Ed25519Signer, signed_by: SignerIdentity | None = None
) -> RoomMessage:
    message = RoomMessage(nonce=bytes(range(16)), body=body)
    signature = await key.sign(legacy_signed_payload(message), "buddies")
    return replace(message, signed_by=signed_by or key.identity, signature=signature)


@pytest.mark.parametrize("body", [Join("ann", "claude"), Leave("ann"), memory_by("ann")])
async def test_a_0_1_4_message_that_its_signer_signed_is_verified(
    body: Body, admission: Admission
) -> None:
    raw = encode_room_message(await signed_as_0_1_4(body, ANNS_KEY))
    admitted = await admission.admit(DEMO, ROOM_ID, raw)
    assert (admitted.verified, admitted.signer) == (Verified.SIGNER, ANN)


async def test_a_0_1_4_message_that_was_altered_or_is_by_another_is_rejected(
    admission: Admission, counters: Counter[str]
) -> None:
    good = await signed_as_0_1_4(Leave("ann"), ANNS_KEY)
    for forged in (
        replace(good, body=Leave("ben")),
        replace(good, nonce=bytes(16)),
        replace(good, signed_by=BENS_KEY.identity),
        replace(good, signed_by=SshIdentity("ssh-ed25519 AAAA")),
        replace(good, signature=b""),
        replace(good, signature=None),
    ):
        with pytest.raises(Rejected):
            await admission.admit(DEMO, ROOM_ID, encode_room_message(forged))
    assert counters == {"rejected_signer": 6}


async def test_a_signature_that_cannot_be_checked_here_leaves_a_message_unverified(
    counters: Counter[str],
) -> None:
    async def no_such_key(*_: object) -> Verification:
        return Verification(Verdict.UNKNOWN, "the key is not in the keyring")

    message = await signed_as_0_1_4(Leave("ann"), ANNS_KEY, GpgIdentity("AB" * 20))
    admission = Admission(InMemoryStore(), no_such_key, counters)
    admitted = await admission.admit(DEMO, ROOM_ID, encode_room_message(message))
    assert (admitted.verified, admitted.signer) == (Verified.UNVERIFIED, None)
    assert counters == {"signers_unknown": 1}


async def test_a_signature_without_a_signer_means_nothing(admission: Admission) -> None:
    message = replace(await signed_as_0_1_4(Leave("ann"), ANNS_KEY), signed_by=None)
    admitted = await admission.admit(DEMO, ROOM_ID, encode_room_message(message))
    assert admitted.verified == Verified.UNVERIFIED


async def test_a_signer_cannot_speak_for_an_endpoint_that_signs(counters: Counter[str]) -> None:
    store = InMemoryStore()
    await store.raise_watermark(spoke_key(ALICE.endpoint), 1)
    raw = encode_room_message(await signed_as_0_1_4(memory_by(ALICE.endpoint.hex()), ANNS_KEY))
    with pytest.raises(Rejected, match="signs its messages"):
        await Admission(store, VERIFIER.verify, counters).admit(DEMO, ROOM_ID, raw)


async def test_who_has_signed_anything_is_spoken_for_by_nobody_without_a_signature(
    say: Say, counters: Counter[str]
) -> None:
    store = InMemoryStore()
    admission = Admission(store, VERIFIER.verify, counters)
    forged = unsigned(memory_by(ALICE.endpoint.hex()))
    assert (await admission.admit(DEMO, ROOM_ID, forged)).verified is Verified.UNVERIFIED
    await admission.admit(DEMO, ROOM_ID, await say(StatusUpdate(ALICE.endpoint.hex(), "busy")))
    with pytest.raises(Rejected, match="signs its messages"):
        await Admission(store, VERIFIER.verify, counters).admit(DEMO, ROOM_ID, forged)


@pytest.mark.parametrize(
    ("body", "told_by", "tells"),
    [
        (Presence("alice", ()), ALICE, True),
        (Presence("alice", ()), BOB, False),
        (Presence("alice", ()), None, False),
        (memory_by(ALICE.endpoint.hex()), ALICE, False),
    ],
)
async def test_a_senders_clock_is_judged_by_the_presences_alone_that_it_hands_over_itself(
    body: Body, told_by: NodeKey | None, tells: bool, say: Say, counters: Counter[str]
) -> None:
    """Others hand on old messages; and so does the sender, where histories are compared."""
    ours = ManualClock()
    ours.unix_ms += 3_600_000
    clocks = PeerClocks(ours)
    admission = Admission(InMemoryStore(), VERIFIER.verify, counters, clocks=clocks)

    await admission.admit(DEMO, ROOM_ID, await say(body), told_by.endpoint if told_by else None)

    assert bool(clocks.warnings()) == tells

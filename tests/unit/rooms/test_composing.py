"""What this node says: signed by a person's key, too, where 0.1.4 peers want that."""

from dataclasses import dataclass

import pytest

from buddies_core.errors import InvalidInput
from buddies_core.gossip.messages import CONTENT_BYTES_MAX
from buddies_core.identity.node_key import NodeKey
from buddies_core.identity.signers import Signer
from buddies_core.identity.verifying import Verifier
from buddies_core.model.bodies import Leave, Presence, StatusUpdate
from buddies_core.model.identity import SignerIdentity
from buddies_core.model.ids import RoomName, open_room_id
from buddies_core.rooms.composing import Composer, MessageSigner
from buddies_core.rooms.legacy import WANT_SIGNATURES_MS, LegacyPeers
from buddies_core.store.in_memory import InMemoryStore
from buddies_core.wire.room_messages import RoomMessage, legacy_signed_payload, open_envelope
from buddies_core.wire.shortening import LegacySignature
from tests.support.fakes.clocks import ManualClock
from tests.support.worlds.person import an_ed25519_signer

ANN = an_ed25519_signer(b"1", "ann@home")
TAKES = LegacySignature(ANN.identity, 320)
ROOM_ID = open_room_id(RoomName("demo"))


@dataclass(frozen=True)
class BrokenSigner:
    identity: SignerIdentity = ANN.identity
    label: str = ""

    async def sign(self, payload: bytes, namespace: str) -> bytes:
        raise InvalidInput("the agent is gone")


def composer(signer: Signer | None = ANN) -> Composer:
    person = MessageSigner(signer, TAKES) if signer else None
    return Composer(NodeKey(b"a" * 32), InMemoryStore(), ManualClock(), person)


def message_in(raw: bytes) -> RoomMessage:
    envelope = open_envelope(raw)
    assert envelope.trailer is not None
    return envelope.message


async def test_a_message_for_old_peers_carries_their_kind_of_signature() -> None:
    message = message_in(await composer().compose(ROOM_ID, Leave("ann"), for_legacy=True))
    assert message.signed_by == ANN.identity  # with the comment: 0.1.4 compares whole lines
    assert message.signature is not None
    payload = legacy_signed_payload(message)
    verifier = Verifier({}, ManualClock())
    assert await verifier.is_good(message.signed_by, payload, message.signature, "buddies")


async def test_others_do_without() -> None:
    for raw in (
        await composer().compose(ROOM_ID, Leave("ann")),
        await composer(None).compose(ROOM_ID, Leave("ann"), for_legacy=True),
        await composer().compose(ROOM_ID, Presence("ann", ()), for_legacy=True),
    ):
        assert message_in(raw).signed_by is None


async def test_where_the_key_fails_or_there_is_no_place_the_message_goes_out_by_our_trailer() -> (
    None
):
    broken = await composer(BrokenSigner()).compose(ROOM_ID, Leave("ann"), for_legacy=True)
    assert message_in(broken).signed_by is None
    long = StatusUpdate("a" * 64, "x" * (CONTENT_BYTES_MAX - 300))
    raw = await composer().compose(ROOM_ID, long, for_legacy=True)
    assert (message_in(raw).signed_by, len(raw) <= CONTENT_BYTES_MAX) == (None, True)


@pytest.mark.parametrize(
    ("since_ms", "wanted"), [(0, True), (WANT_SIGNATURES_MS - 1, True), (WANT_SIGNATURES_MS, False)]
)
async def test_old_peers_want_signatures_for_a_day_over_restarts_too(
    since_ms: int, wanted: bool
) -> None:
    marks = InMemoryStore()
    before = LegacyPeers(ROOM_ID, marks)
    assert not before.want_signatures(1_000)
    before.heard(1_000)
    await before.keep()
    after = LegacyPeers(ROOM_ID, marks)
    for peers in (before, after):
        assert peers.want_signatures(1_000 + since_ms) is wanted
    assert not LegacyPeers(open_room_id(RoomName("other")), marks).want_signatures(1_000)

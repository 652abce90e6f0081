"""What this node says: signed by a person's key, too, where 0.1.4 peers want that."""

from dataclasses import dataclass

from buddies_core.errors import InvalidInput
from buddies_core.gossip.messages import CONTENT_BYTES_MAX
from buddies_core.identity.node_key import NodeKey
from buddies_core.identity.signers import Signer
from buddies_core.identity.verifying import Verifier
from buddies_core.legacy.members import LegacyMembers
from buddies_core.legacy.signing import MessageSigner
from buddies_core.model.bodies import Leave, Presence, StatusUpdate
from buddies_core.model.identity import SignerIdentity
from buddies_core.model.ids import EndpointId, RoomName, open_room_id
from buddies_core.rooms.composing import Composer
from buddies_core.wire.room_messages import RoomMessage, legacy_signed_payload, open_envelope
from buddies_core.wire.shortening import LegacySignature
from tests.support.fakes.clocks import ManualClock
from tests.support.in_memory.store import InMemoryStore
from tests.support.worlds.person import an_ed25519_signer

ANN = an_ed25519_signer(b"1", "ann@home")
OLGA = EndpointId(b"o" * 32)
TAKES = LegacySignature(ANN.identity, 320)
ROOM_ID = open_room_id(RoomName("demo"))


@dataclass(frozen=True)
class BrokenSigner:
    identity: SignerIdentity = ANN.identity
    label: str = ""

    async def sign(self, payload: bytes, namespace: str) -> bytes:
        raise InvalidInput("the agent is gone")


def composer(signer: Signer | None = ANN, *, old_peer: bool = True) -> Composer:
    """Return what composes in a room where a 0.1.4 peer was heard, or none."""
    marks, clock = InMemoryStore(), ManualClock()
    members = LegacyMembers(marks, clock)
    room = members.enter(ROOM_ID)
    if old_peer:
        room.heard(Leave("olga"), OLGA, is_author=False)
    person = MessageSigner(signer, TAKES, members) if signer else None
    return Composer(NodeKey(b"a" * 32), marks, clock, person)


def message_in(raw: bytes) -> RoomMessage:
    envelope = open_envelope(raw)
    assert envelope.trailer is not None
    return envelope.message


async def test_a_message_for_old_peers_carries_their_kind_of_signature() -> None:
    message = message_in(await composer().compose(ROOM_ID, Leave("ann")))
    assert message.signed_by == ANN.identity  # with the comment: 0.1.4 compares whole lines
    assert message.signature is not None
    payload = legacy_signed_payload(message)
    verifier = Verifier({}, ManualClock())
    assert await verifier.is_good(message.signed_by, payload, message.signature, "buddies")


def test_a_message_has_less_place_where_it_is_to_be_signed() -> None:
    sizes = [
        it.cosigned_bytes(ROOM_ID) for it in (composer(), composer(old_peer=False), composer(None))
    ]
    assert sizes == [TAKES.size, 0, 0]


async def test_others_do_without() -> None:
    for raw in (
        await composer(old_peer=False).compose(ROOM_ID, Leave("ann")),
        await composer(None).compose(ROOM_ID, Leave("ann")),
        await composer().compose(ROOM_ID, Presence("ann", ())),
    ):
        assert message_in(raw).signed_by is None


async def test_where_the_key_fails_or_there_is_no_place_the_message_goes_out_by_our_trailer() -> (
    None
):
    broken = await composer(BrokenSigner()).compose(ROOM_ID, Leave("ann"))
    assert message_in(broken).signed_by is None
    long = StatusUpdate("a" * 64, "x" * (CONTENT_BYTES_MAX - 300))
    raw = await composer().compose(ROOM_ID, long)
    assert (message_in(raw).signed_by, len(raw) <= CONTENT_BYTES_MAX) == (None, True)

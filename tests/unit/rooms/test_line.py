"""What a room's line carries: anything in an open room, only what members seal in a private one."""

import pytest

from buddies_core.errors import WireError
from buddies_core.gossip.messages import CONTENT_BYTES_MAX
from buddies_core.identity.node_key import NodeKey
from buddies_core.model.ids import RoomId, TopicId
from buddies_core.model.private import Epoch
from buddies_core.pb.peer_pb2 import EpochReply, PeerRequest, Search
from buddies_core.rooms.line import RoomLine
from buddies_core.store.records import RoomRecord
from buddies_core.wire.room_messages import EPOCH_FIELD_BYTES
from tests.support.worlds.private_members import FIRST, ROOM_ID, SECRET, Member, founders_state

ALICE, BOB, EVE = (NodeKey(letter * 32) for letter in (b"a", b"b", b"e"))
SECOND = Epoch(1, b"1" * 32)


def member(key: NodeKey, epoch: Epoch | None = None, asks: Member | None = None) -> Member:
    """Return a node in a private room in this epoch, or in an open one."""
    private = founders_state(epoch) if epoch else None
    one = Member(key, {} if asks is None else {asks.me: asks})
    one.start(
        RoomRecord(name=SECRET, room_id=ROOM_ID, joined_at_ms=1, bootstrap=(), private=private)
    )
    return one


def line(key: NodeKey, epoch: Epoch | None = None) -> RoomLine:
    return member(key, epoch).room.line


def asked_by(key: NodeKey, epoch: Epoch) -> tuple[Member, list[PeerRequest]]:
    """Return such a node, and what it will ask Alice."""
    alice, asked = Member(ALICE, {}), list[PeerRequest]()

    def note(request: PeerRequest) -> EpochReply:
        asked.append(request)
        return EpochReply()

    alice.lies = note
    return member(key, epoch, asks=alice), asked


def test_an_open_line_carries_what_is_said_as_it_is_for_all_who_know_the_topic() -> None:
    alice = line(ALICE)
    assert (RoomId(alice.topic), alice.seal(b"hello"), alice.open(b"hello")) == (
        ROOM_ID,
        b"hello",
        b"hello",
    )
    assert alice.is_proven(alice.topic, EVE.endpoint, b"")
    assert not alice.is_proven(TopicId(b"x" * 32), EVE.endpoint, b"")


def test_members_open_what_members_sealed_and_it_never_looks_the_same() -> None:
    one, other = line(ALICE, FIRST), line(BOB, FIRST)
    sealed = one.seal(b"hello")
    assert one.topic == other.topic != TopicId(ROOM_ID)
    assert other.open(sealed) == b"hello"
    assert sealed != one.seal(b"hello")
    assert b"hello" not in sealed


async def test_what_was_sealed_before_a_rotation_or_after_it_opens_on_that_side_alone() -> None:
    before, after = line(ALICE, FIRST), line(BOB, FIRST)
    await after.keep(founders_state(SECOND))
    for sealed, opener in (
        (before.seal(b"old"), after),
        (after.seal(b"new"), before),
        (b"in the open", after),
        (b"", after),
    ):
        with pytest.raises(WireError):
            opener.open(sealed)


async def test_a_request_has_the_topic_and_a_proof_for_one_caller_responder_and_epoch() -> None:
    bob, asked = asked_by(BOB, FIRST)
    await bob.room.line.ask(ALICE.endpoint, PeerRequest(search=Search(query="x")), 1)
    [request] = asked
    assert request.search.query == "x"
    topic, proof = TopicId(request.topic), request.proof
    assert topic == bob.topic
    alice, eve = line(ALICE, FIRST), line(EVE, FIRST)
    assert alice.is_proven(topic, BOB.endpoint, proof)
    for responder, shown_topic, caller, shown in (
        (line(ALICE, SECOND), topic, BOB, proof),
        (alice, topic, EVE, proof),
        (eve, topic, BOB, proof),
        (line(BOB, FIRST), topic, ALICE, proof),
        (alice, topic, BOB, proof[:-1]),
        (alice, topic, BOB, b""),
        (alice, TopicId(ROOM_ID), BOB, proof),
    ):
        assert not responder.is_proven(shown_topic, caller.endpoint, shown)


def test_the_longest_message_fills_a_broadcast() -> None:
    for alice in (line(ALICE), line(ALICE, FIRST)):
        spare = EPOCH_FIELD_BYTES if alice.topic != TopicId(ROOM_ID) else 0  # In the trailer.
        assert len(alice.seal(bytes(alice.message_bytes_max + spare))) == CONTENT_BYTES_MAX


async def test_only_the_last_neighbor_that_goes_takes_the_line_down() -> None:
    alice = member(ALICE, FIRST)
    line, neighbors = alice.room.line, alice.network.neighbors_of
    line.neighbor_up()
    neighbors[alice.topic] = (BOB.endpoint,)
    assert (line.neighbor_down(), line.has_neighbor) == (False, True)
    neighbors[alice.topic] = ()
    assert (line.neighbor_down(), line.has_neighbor) == (True, False)


async def test_nothing_is_on_disk_of_a_room_that_is_not_entered() -> None:
    alice = member(ALICE, FIRST)
    alice.room.line.entered = False
    await alice.room.line.keep(founders_state(SECOND))
    assert (alice.store.rooms(), alice.newest) == ((), SECOND)
    alice.room.line.entered = True
    await alice.room.line.keep(founders_state(SECOND))
    assert alice.store.rooms() == (alice.room.line.record(),)

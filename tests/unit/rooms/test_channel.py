"""How what is said travels: what a private room's channel opens, and whom it believes."""

import pytest

from buddies_core.errors import WireError
from buddies_core.gossip.messages import CONTENT_BYTES_MAX
from buddies_core.model.ids import EndpointId, RoomId, TopicId
from buddies_core.model.private import EPOCHS_KEPT_MAX, Epoch
from buddies_core.rooms.channel import OpenChannel, PrivateChannel

ROOM_ID = RoomId(b"r" * 32)
ALICE, BOB, EVE = (EndpointId(letter * 32) for letter in (b"a", b"b", b"e"))
FIRST, SECOND = Epoch(0, b"0" * 32), Epoch(1, b"1" * 32)


def test_an_open_channel_carries_what_is_said_as_it_is_for_all_who_know_the_topic() -> None:
    channel = OpenChannel(ROOM_ID)
    assert (RoomId(channel.topic), channel.seal(b"hello"), channel.open(b"hello")) == (
        ROOM_ID,
        b"hello",
        b"hello",
    )
    assert channel.is_proven(channel.topic, EVE, ALICE, channel.prove(EVE, ALICE))
    assert not channel.is_proven(TopicId(b"x" * 32), EVE, ALICE, b"")


def test_members_open_what_members_sealed_and_it_never_looks_the_same() -> None:
    one, other = PrivateChannel(ROOM_ID, [FIRST]), PrivateChannel(ROOM_ID, [FIRST])
    sealed = one.seal(b"hello")
    assert one.topic == other.topic != TopicId(ROOM_ID)
    assert other.open(sealed) == b"hello"
    assert sealed != one.seal(b"hello")
    assert b"hello" not in sealed


def test_what_was_sealed_before_a_rotation_or_after_it_opens_on_that_side_alone() -> None:
    before, after = PrivateChannel(ROOM_ID, [FIRST]), PrivateChannel(ROOM_ID, [FIRST])
    after.go_on(SECOND)
    for sealed, opener in (
        (before.seal(b"old"), after),
        (after.seal(b"new"), before),
        (b"in the open", after),
        (b"", after),
    ):
        with pytest.raises(WireError):
            opener.open(sealed)


def test_the_same_secret_in_another_room_or_epoch_gives_nothing_in_common() -> None:
    channels = [
        PrivateChannel(ROOM_ID, [FIRST]),
        PrivateChannel(ROOM_ID, [Epoch(1, FIRST.secret)]),
        PrivateChannel(RoomId(b"s" * 32), [FIRST]),
    ]
    assert len({it.topic for it in channels}) == len({it.prove(BOB, ALICE) for it in channels}) == 3


def test_a_proof_is_good_for_one_caller_one_responder_and_one_epoch() -> None:
    alice = PrivateChannel(ROOM_ID, [FIRST, SECOND])
    once = PrivateChannel(ROOM_ID, [FIRST])
    proof = once.prove(BOB, ALICE)
    assert alice.is_proven(once.topic, BOB, ALICE, proof)
    for topic, caller, responder, shown in (
        (alice.topic, BOB, ALICE, proof),
        (once.topic, EVE, ALICE, proof),
        (once.topic, BOB, EVE, proof),
        (once.topic, ALICE, BOB, proof),
        (once.topic, BOB, ALICE, proof[:-1]),
        (once.topic, BOB, ALICE, b""),
        (TopicId(ROOM_ID), BOB, ALICE, proof),
    ):
        assert not alice.is_proven(topic, caller, responder, shown)


def test_so_many_epochs_are_known_and_none_before_them() -> None:
    channel = PrivateChannel(ROOM_ID, [FIRST])
    first = PrivateChannel(ROOM_ID, [FIRST])
    for number in range(1, EPOCHS_KEPT_MAX + 1):
        assert channel.is_proven(first.topic, BOB, ALICE, first.prove(BOB, ALICE))
        channel.go_on(Epoch(number, bytes([number]) * 32))
    assert not channel.is_proven(first.topic, BOB, ALICE, first.prove(BOB, ALICE))
    assert [keys.number for keys in channel.last_two] == [EPOCHS_KEPT_MAX, EPOCHS_KEPT_MAX - 1]
    assert [keys.number for keys in first.last_two] == [0]


def test_the_longest_message_fills_a_broadcast() -> None:
    channel = PrivateChannel(ROOM_ID, [FIRST])
    assert len(channel.seal(bytes(channel.message_bytes_max))) == CONTENT_BYTES_MAX


def test_no_secret_is_shown_by_accident() -> None:
    channel = PrivateChannel(ROOM_ID, [Epoch(0, b"SECRET" + bytes(26))])
    for shown in (repr(channel), repr(channel.newest), repr(Epoch(0, b"SECRET"))):
        assert "SECRET" not in shown
        assert repr(channel.newest.seal)[2:-1] not in shown

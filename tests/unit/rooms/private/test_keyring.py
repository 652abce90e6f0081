"""Which epoch of a private room counts, who is in it, and what follows from it."""

from dataclasses import replace

import pytest

from buddies_core.errors import Busy, InvalidInput, NotAllowed, WireError
from buddies_core.identity.node_key import NodeKey
from buddies_core.model.ids import EndpointId, RoomId, TopicId
from buddies_core.model.private import (
    EPOCH_NUMBER_MAX,
    EPOCHS_KEPT_MAX,
    ROSTER_MEMBERS_MAX,
    Epoch,
    PrivateState,
    Roster,
)
from buddies_core.rooms.private.keyring import JUMP_MAX, Follow, GoPast, Keyring, Stay
from buddies_core.wire.private import epoch_keys, prove, sign_roster

ROOM_ID = RoomId(b"r" * 32)
FIRST = Epoch(0, b"0" * 32)
KEYS = sorted((NodeKey(bytes([octet]) * 32) for octet in b"abcd"), key=lambda it: it.endpoint)
ALICE, BOB, CAROL, ZOE = (key.endpoint for key in KEYS)


def keyring(
    *epochs: Epoch,
    members: tuple[EndpointId, ...] = (ALICE, BOB, CAROL),
    removed: tuple[EndpointId, ...] = (),
) -> Keyring:
    """Return Alice's keyring."""
    state = PrivateState(epochs=epochs or (FIRST,), members=members, removed=removed)
    return Keyring(ROOM_ID, ALICE, state)


def roster(epoch: Epoch, by: EndpointId, *others: EndpointId) -> Roster:
    [key] = [it for it in KEYS if it.endpoint == by]
    return sign_roster(ROOM_ID, epoch, others, by, key.sign)


def epoch(number: int, *, below: TopicId | None = None, above: TopicId | None = None) -> Epoch:
    """Return an epoch whose topic is below or above another, as chance has it."""
    for octet in range(1, 256):
        made = Epoch(number, bytes([octet]) * 32)
        topic = epoch_keys(ROOM_ID, made).topic
        if (below is None or topic < below) and (above is None or topic > above):
            return made
    raise AssertionError("no such topic in 255 tries")


# Which epoch counts


def test_the_higher_epoch_prevails_and_of_two_with_one_number_that_with_the_smaller_topic() -> None:
    alice = keyring(epoch(5))
    ours = alice.newest.topic
    for theirs, decision in (
        (epoch(4), Stay()),
        (epoch(5, above=ours), Stay()),
        (epoch(5, below=ours), Follow()),
        (epoch(6, above=ours), Follow()),
        (epoch(5 + JUMP_MAX), Follow()),
    ):
        offered = roster(theirs, BOB, ALICE)
        assert alice.decide(theirs, offered, handed_by=BOB, known_by=ours) == decision


def test_an_epoch_of_another_branch_with_removed_members_is_gone_past_without_them() -> None:
    alice = keyring(epoch(1), members=(ALICE, BOB), removed=(CAROL,))
    theirs, once = epoch(7), epoch_keys(ROOM_ID, FIRST).topic
    by_bob, by_carol = roster(theirs, BOB, ALICE, CAROL, ZOE), roster(theirs, CAROL, ALICE, ZOE)
    # Whom a member has let in stays; whom the removed one has let in does not.
    assert alice.decide(theirs, by_bob, handed_by=BOB, known_by=once) == GoPast((ALICE, BOB, ZOE))
    assert alice.decide(theirs, by_carol, handed_by=BOB, known_by=once) == GoPast((ALICE, BOB))
    # Bob knows whom our newest epoch left out, so he has let Carol in again.
    mine = alice.newest.topic
    assert alice.decide(theirs, by_bob, handed_by=BOB, known_by=mine) == Follow()


def test_an_epoch_that_nobody_known_vouches_for_or_that_is_out_of_reach_is_refused() -> None:
    alice = keyring(epoch(1), members=(ALICE, BOB), removed=(CAROL,))
    mine = alice.newest.topic
    for theirs, offered, handed_by in (
        (epoch(2), roster(epoch(2), BOB), BOB),
        (epoch(2), roster(epoch(2), CAROL, ALICE), CAROL),
    ):
        with pytest.raises(NotAllowed):
            alice.decide(theirs, offered, handed_by=handed_by, known_by=mine)
    last, far = Epoch(EPOCH_NUMBER_MAX, b"x" * 32), epoch(1 + JUMP_MAX + 1)
    for theirs, offered in (
        (epoch(2), replace(roster(epoch(2), BOB, ALICE), members=(ALICE, BOB, ZOE))),
        (epoch(2), roster(epoch(3), BOB, ALICE)),
        (last, roster(last, BOB, ALICE)),
        (far, roster(far, BOB, ALICE)),
    ):
        with pytest.raises(WireError):
            alice.decide(theirs, offered, handed_by=BOB, known_by=mine)


# The next state


def test_in_the_next_epoch_are_those_on_its_roster_and_the_others_are_removed() -> None:
    alice = keyring(members=(ALICE, BOB), removed=(CAROL,))
    theirs = epoch(1)
    offered = roster(theirs, CAROL, ALICE, ZOE)
    assert alice.following(theirs, offered) == PrivateState(
        epochs=(FIRST, theirs), roster=offered, members=(ALICE, CAROL, ZOE), removed=(BOB,)
    )
    assert alice.following(theirs, None, also=(ZOE,)).members == (ALICE, BOB, ZOE)
    assert alice.state.epochs == (FIRST,), "nothing counts until it is taken"


def test_of_too_many_removed_members_those_removed_last_are_remembered() -> None:
    many = tuple(EndpointId(number.to_bytes(32, "big")) for number in range(ROSTER_MEMBERS_MAX))
    alice = keyring(removed=many)
    removed = alice.following(epoch(1), roster(epoch(1), ALICE, BOB)).removed
    assert removed == (CAROL, *many[:-1])


def test_a_member_is_let_in_during_the_newest_epoch_alone_and_while_there_is_room() -> None:
    alice = keyring(epoch(1), members=(ALICE, BOB), removed=(CAROL, ZOE))
    mine = alice.newest.topic
    assert alice.with_member(CAROL, during=mine) == replace(
        alice.state, members=(ALICE, BOB, CAROL), removed=(ZOE,)
    )
    with pytest.raises(NotAllowed, match="changed meanwhile"):
        alice.with_member(CAROL, during=epoch_keys(ROOM_ID, FIRST).topic)
    many = tuple(EndpointId(number.to_bytes(32, "big")) for number in range(ROSTER_MEMBERS_MAX))
    with pytest.raises(Busy, match="4000 members"):
        keyring(members=many).with_member(CAROL, during=epoch_keys(ROOM_ID, FIRST).topic)


def test_the_last_number_is_the_last_epoch() -> None:
    assert keyring().members_without((BOB,)) == (ALICE, CAROL)
    with pytest.raises(InvalidInput, match="make a new room"):
        keyring(Epoch(EPOCH_NUMBER_MAX, b"l" * 32)).members_without(())


def test_a_removed_member_is_shut_out_until_it_speaks_in_the_newest_epoch() -> None:
    alice = keyring(FIRST, epoch(1), members=(ALICE, BOB), removed=(CAROL,))
    alice.note_speaker(CAROL, epoch_keys(ROOM_ID, FIRST).topic)
    alice.note_speaker(ZOE, alice.newest.topic)
    assert [alice.is_shut_out(it) for it in (BOB, CAROL, ZOE)] == [False, True, False]
    alice.note_speaker(CAROL, alice.newest.topic)
    assert not alice.is_shut_out(CAROL)
    alice.take(alice.with_member(ZOE, during=alice.newest.topic))
    assert not alice.is_shut_out(CAROL), "the epoch is the same"
    alice.take(alice.following(epoch(2), None))
    assert alice.is_shut_out(CAROL)


def test_a_new_epoch_shows_that_this_node_was_not_left_out() -> None:
    alice = keyring()
    alice.left_out_by = BOB
    alice.take(alice.with_member(ZOE, during=alice.newest.topic))
    assert alice.left_out_by == BOB
    alice.take(alice.following(epoch(1), None))
    assert alice.left_out_by is None


# The keys


def test_so_many_epochs_are_known_and_none_before_them() -> None:
    alice = keyring()
    first = alice.newest
    assert [keys.number for keys in alice.last_two] == [0]
    for number in range(1, EPOCHS_KEPT_MAX + 1):
        assert alice.keys_of(first.topic) == first
        alice.take(alice.following(Epoch(number, bytes([number]) * 32), None))
    assert alice.keys_of(first.topic) is None
    assert [keys.number for keys in alice.last_two] == [EPOCHS_KEPT_MAX, EPOCHS_KEPT_MAX - 1]
    assert len(alice.state.epochs) == EPOCHS_KEPT_MAX


def test_the_same_secret_in_another_room_or_epoch_gives_nothing_in_common() -> None:
    state = PrivateState(epochs=(FIRST,))
    all_keys = [
        keyring().newest,
        keyring(Epoch(1, FIRST.secret)).newest,
        Keyring(RoomId(b"s" * 32), ALICE, state).newest,
    ]
    topics, proofs = {it.topic for it in all_keys}, {prove(it, BOB, ALICE) for it in all_keys}
    assert (len(topics), len(proofs)) == (3, 3)


def test_no_secret_is_shown_by_accident() -> None:
    alice = keyring(Epoch(0, b"SECRET" + bytes(26)))
    for shown in (repr(alice), repr(alice.state), repr(alice.newest)):
        assert "SECRET" not in shown
        assert repr(alice.newest.seal)[2:-1] not in shown

"""Who is handed the keys of a private room, when members are away, at odds, removed or lying."""

import asyncio
from dataclasses import replace

import pytest

from buddies_core.errors import (
    Busy,
    InvalidInput,
    NotAllowed,
    NotFound,
    Rotated,
    StoreError,
    WireError,
)
from buddies_core.model.bodies import Presence
from buddies_core.model.ids import EndpointId, RoomId, TopicId
from buddies_core.model.private import EPOCH_NUMBER_MAX, ROSTER_MEMBERS_MAX, Epoch
from buddies_core.pb.peer_pb2 import CatchUp, EpochReply, PeerRequest, Search, TakeEpoch
from buddies_core.rooms import room
from buddies_core.rooms.private.keyring import JUMP_MAX
from buddies_core.wire.private import encode_roster, epoch_keys, prove, sign_roster
from tests.support.eventually import until
from tests.support.worlds.private_members import (
    FIRST,
    ROOM_ID,
    Member,
    a_newcomer,
    members_of_a_room,
)


def asks(caller: Member, of: Member, ask: PeerRequest, epoch: Epoch = FIRST) -> PeerRequest:
    """Return a request that proves that the caller once was in this epoch."""
    keys = epoch_keys(ROOM_ID, epoch)
    request = PeerRequest(topic=keys.topic, proof=prove(keys, caller.me, of.me))
    request.MergeFrom(ask)
    return request


async def takes(one: Member, given: EpochReply, giver: Member, known: Epoch = FIRST) -> EpochReply:
    take = TakeEpoch(epoch=given.epoch, secret=given.secret, roster=given.roster)
    return await one.answer(giver.me, asks(giver, one, PeerRequest(take_epoch=take), known))


def epoch(number: int, *, below: TopicId | None = None, above: TopicId | None = None) -> Epoch:
    """Return an epoch whose topic is below or above another, as chance has it."""
    for octet in range(1, 256):
        made = Epoch(number, bytes([octet]) * 32)
        topic = epoch_keys(ROOM_ID, made).topic
        if (below is None or topic < below) and (above is None or topic > above):
            return made
    raise AssertionError("no such topic in 255 tries")


# Who is handed what


async def test_all_who_are_told_are_in_the_new_epoch_and_who_is_removed_is_not() -> None:
    alice, bob, carol, dave = await members_of_a_room(4)
    dave.is_off = True
    told = await alice.rotate(carol, told=(alice, bob, carol, dave))
    assert told == {bob.me}
    assert alice.newest == bob.newest
    assert (alice.newest.number, carol.newest, dave.newest) == (1, FIRST, FIRST)
    assert alice.members == bob.members == {alice.me, bob.me, dave.me}
    assert (set(bob.network.topics), bob.keyring.state.removed) == ({bob.topic}, (carol.me,))
    bob.restart()
    assert (bob.newest, bob.keyring.state.removed) == (alice.newest, (carol.me,))


@pytest.mark.parametrize("number", [0, 1, 2])
async def test_who_was_removed_gets_no_secret_by_handing_over_an_epoch_itself(number: int) -> None:
    alice, bob, carol = await members_of_a_room(3)
    await alice.rotate(carol, told=(bob,))
    made = carol.made(Epoch(number, b"x" * 32), alice, carol)
    with pytest.raises(NotAllowed):
        await takes(alice, made, carol)
    with pytest.raises(NotAllowed, match="without you"):
        await takes(alice, EpochReply(epoch=0, secret=FIRST.secret), carol)
    with pytest.raises(NotAllowed, match="without you"):
        await alice.answer(carol.me, asks(carol, alice, PeerRequest(catch_up=CatchUp())))
    with pytest.raises(Rotated):
        await alice.answer(carol.me, asks(carol, alice, PeerRequest(search=Search(query="x"))))
    with pytest.raises(NotAllowed):
        await carol.epochs.catch_up(alice.me)
    assert carol.keyring.left_out_by == alice.me
    assert (alice.newest, carol.newest) == (bob.newest, FIRST)


async def test_whom_its_own_branch_misleads_is_told_by_members_that_it_was_left_out() -> None:
    alice, _, carol = await members_of_a_room(3)
    await alice.rotate(carol)
    await carol.rotate()  # They don't follow, and have never known that epoch.
    with pytest.raises(NotAllowed):
        await carol.epochs.catch_up(alice.me)
    assert carol.keyring.left_out_by == alice.me


async def test_who_was_away_for_many_rotations_is_handed_the_newest_by_any_member() -> None:
    alice, bob, carol = await members_of_a_room(3)
    for _ in range(5):
        await alice.rotate(told=(bob,))
    assert await carol.epochs.catch_up(bob.me)
    assert not await carol.epochs.catch_up(bob.me)
    assert (carol.newest.number, carol.newest) == (5, alice.newest)


async def test_who_has_never_been_in_an_epoch_is_handed_none() -> None:
    alice, bob = await members_of_a_room(2)
    await alice.rotate(told=(bob,))
    eve = await a_newcomer(alice)
    unknown = Epoch(0, b"?" * 32)
    for ask in (PeerRequest(catch_up=CatchUp()), PeerRequest(take_epoch=TakeEpoch())):
        with pytest.raises(NotFound):
            await alice.answer(eve.me, asks(eve, alice, ask, unknown))
        stolen = asks(bob, alice, ask)  # Somebody else's proof.
        with pytest.raises(NotFound):
            await alice.answer(eve.me, stolen)


# What is believed


async def test_an_epoch_that_makes_no_sense_is_not_taken() -> None:
    alice, bob, carol = await members_of_a_room(3)
    eve = await a_newcomer(alice)
    new = Epoch(1, b"1" * 32)
    good = bob.made(new, alice, bob, carol)
    forged = replace(bob.roster(new, alice, bob), members=tuple(sorted((alice.me, bob.me, eve.me))))
    elsewhere = sign_roster(RoomId(b"x" * 32), new, (alice.me,), bob.me, bob.key.sign)
    huge = bob.roster(new, bob).signature
    nonsense = [
        EpochReply(epoch=1, secret=b"1" * 31, roster=good.roster),
        EpochReply(epoch=1, secret=b"", roster=good.roster),
        EpochReply(epoch=1, secret=b"1" * 32),
        EpochReply(epoch=1, secret=b"1" * 32, roster=good.roster[:-1]),
        EpochReply(epoch=1, secret=b"2" * 32, roster=good.roster),
        EpochReply(epoch=2, secret=b"1" * 32, roster=good.roster),
        EpochReply(epoch=1, secret=b"1" * 32, roster=encode_roster(forged)),
        EpochReply(epoch=1, secret=b"1" * 32, roster=encode_roster(elsewhere)),
        EpochReply(epoch=1, secret=b"1" * 32, roster=huge * ROSTER_MEMBERS_MAX),
        bob.made(Epoch(JUMP_MAX + 1, b"1" * 32), alice, bob),
        bob.made(Epoch(EPOCH_NUMBER_MAX, b"1" * 32), alice, bob),
    ]
    for given in nonsense:
        with pytest.raises(WireError):
            await takes(alice, given, bob)
    for given in (bob.made(new, bob, carol), eve.made(new, alice, bob, eve)):
        with pytest.raises(NotAllowed):
            await takes(alice, given, eve)
    assert alice.newest == FIRST
    await takes(alice, bob.made(Epoch(JUMP_MAX, b"1" * 32), alice, bob), bob)
    assert alice.newest.number == JUMP_MAX


async def test_answers_that_make_no_sense_change_nothing_and_are_the_answerers_fault() -> None:
    alice, bob = await members_of_a_room(2)
    for lie in (
        EpochReply(),
        EpochReply(epoch=1, secret=b"1" * 32),
        EpochReply(epoch=EPOCH_NUMBER_MAX, secret=b"1" * 32),
    ):
        bob.lies = lambda _, lie=lie: lie
        with pytest.raises(WireError):
            await alice.epochs.catch_up(bob.me)
        assert not await alice.epochs.caught_up(bob.me)
    assert alice.newest == FIRST
    assert await alice.rotate(told=(bob,)) == set()
    assert alice.newest.number == 1


async def test_a_member_vouches_for_a_rotator_that_it_alone_has_let_in() -> None:
    alice, bob = await members_of_a_room(2)
    zoe = await a_newcomer(alice)
    await bob.epochs.let_in(zoe.me, during=bob.topic)
    await takes(bob, zoe.made(Epoch(1, b"1" * 32), alice, bob, zoe), zoe)
    assert await alice.epochs.catch_up(bob.me)
    assert alice.members == {alice.me, bob.me, zoe.me}


# What follows from new keys


async def hears(one: Member, *others: Member) -> None:
    """Have a member hear that these are present."""
    for it in others:
        said = await it.room.line.compose(Presence("somebody", ()))
        await one.room.on_presence(await one.room.admit(said))


async def test_of_a_removed_member_nothing_is_shown_known_or_kept() -> None:
    alice, bob, carol = await members_of_a_room(3)
    await hears(alice, bob, carol)
    await alice.rotate(carol)
    assert [it.endpoint for it in alice.room.members()] == [alice.me, bob.me]
    assert alice.room.heard_of() == (bob.me,)
    assert [it.endpoint for it in alice.store.presences(ROOM_ID)] == [bob.me]
    with pytest.raises(NotAllowed, match="is not a member of this room"):
        await alice.room.ask(carol.me, PeerRequest(search=Search(query="x")), 1)


async def test_new_keys_move_the_room_to_their_topic_and_members_are_met_there_anew() -> None:
    alice, bob = await members_of_a_room(2)
    line, former = alice.room.line, alice.topic
    await line.join()
    alice.network.neighbors_of[former] = (bob.me,)
    alice.room.on_neighbor_up(bob.me)
    line.say_again.clear()
    await alice.rotate()
    assert alice.topic != former
    assert (alice.network.topics, line.neighbors(), line.has_neighbor) == (
        {alice.topic: []},
        (),
        False,
    )
    assert line.say_again.is_set()


async def test_new_keys_have_absent_members_dialled_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "REUNITE_EVERY_S", 0.01)
    alice, bob = await members_of_a_room(2)
    await hears(alice, bob)
    alice.restart()  # Its clock stands still, so no pause between two dials ends.
    await alice.room.line.join()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        living = group.create_task(alice.room.live())
        await until(lambda: alice.network.dialled == [bob.me])
        await alice.rotate()
        await until(lambda: alice.network.dialled == [bob.me] * 2)
        living.cancel()


# Two branches


async def test_of_two_rotations_that_with_the_smaller_topic_prevails_at_both() -> None:
    alice, bob = await members_of_a_room(2)
    both = (alice, bob)
    await takes(alice, alice.made(epoch(1), *both), bob)
    smaller, larger = epoch(1, below=alice.topic), epoch(1, above=alice.topic)
    assert (await takes(alice, bob.made(larger, *both), bob)).secret == epoch(1).secret
    assert (await takes(alice, bob.made(smaller, *both), bob)).secret == smaller.secret


async def test_whom_a_rotation_removes_cannot_overrule_it_by_one_of_the_same_number() -> None:
    alice, bob, carol = await members_of_a_room(3)
    await takes(alice, alice.made(epoch(1), alice, bob), bob)
    rival = carol.made(epoch(1, below=alice.topic), alice, bob, carol)
    with pytest.raises(NotAllowed):
        await takes(alice, rival, carol)
    # Bob has followed it in good faith.
    assert (await takes(alice, rival, bob)).secret == alice.newest.secret
    assert alice.newest.number == 1
    assert carol.me not in alice.members


async def test_two_rotations_at_a_time_leave_out_whom_either_has_removed() -> None:
    alice, bob, carol, dave = await members_of_a_room(4)
    async with asyncio.TaskGroup() as group:
        group.create_task(alice.rotate(carol, told=(bob, dave)))
        group.create_task(bob.rotate(dave, told=(alice, carol)))
    assert alice.newest == bob.newest
    assert alice.members == bob.members == {alice.me, bob.me}
    assert alice.newest.number == 2


async def test_three_rotations_at_a_time_end_as_one() -> None:
    alice, bob, carol, dave, erin = await members_of_a_room(5)
    everybody = (alice, bob, carol, dave, erin)
    async with asyncio.TaskGroup() as group:
        group.create_task(alice.rotate(told=everybody))
        group.create_task(bob.rotate(told=everybody))
        group.create_task(carol.rotate(erin, told=everybody))
    for one in (alice, bob, carol, dave):
        for other in (alice, bob, carol, dave):
            if one is not other and one.newest != other.newest:
                await one.epochs.catch_up(other.me)
    assert len({it.newest for it in (alice, bob, carol, dave)}) == 1
    assert alice.members == bob.members == {alice.me, bob.me, carol.me, dave.me}
    assert alice.newest not in erin.keyring.state.epochs


@pytest.mark.parametrize("restarted", [False, True])
async def test_nobody_follows_a_branch_back_to_whom_it_has_removed(restarted: bool) -> None:
    """Carol is removed while Dave is away, and carries him off with a higher number."""
    alice, bob, carol, dave = await members_of_a_room(4)
    await alice.rotate(carol, told=(bob,))
    rogue = Epoch(900, b"9" * 32)
    await takes(dave, carol.made(rogue, alice, bob, carol, dave), carol)
    assert dave.newest == rogue
    if restarted:
        alice.restart()

    assert await alice.epochs.catch_up(dave.me)

    assert alice.newest.number == 901
    assert alice.newest == bob.newest == dave.newest
    assert carol.newest == FIRST
    assert alice.members == bob.members == dave.members == {alice.me, bob.me, dave.me}
    for one in (alice, bob):
        assert epoch_keys(ROOM_ID, rogue).topic not in one.network.been_in
    with pytest.raises(NotAllowed):
        await takes(dave, EpochReply(epoch=900, secret=rogue.secret), carol, rogue)


async def test_a_branch_of_somebody_unknown_brings_nobody_in() -> None:
    alice, bob, carol, dave = await members_of_a_room(4)
    mallory = await a_newcomer(alice)
    await alice.rotate(carol, told=(bob,))
    await takes(dave, carol.made(Epoch(5, b"5" * 32), alice, bob, carol, dave, mallory), carol)
    await alice.epochs.catch_up(dave.me)
    assert alice.members == {alice.me, bob.me, dave.me}


async def test_who_was_let_in_again_stays_for_who_was_away_meanwhile() -> None:
    alice, bob, carol, dave = await members_of_a_room(4)
    await alice.rotate(carol, told=(bob, dave))
    dave.is_off = True
    await bob.epochs.let_in(carol.me, during=bob.topic)
    await bob.rotate(told=(alice,))
    assert carol.me in bob.members
    dave.restart()
    assert await dave.epochs.catch_up(bob.me)
    assert dave.newest == bob.newest
    assert dave.members == {alice.me, bob.me, carol.me, dave.me}
    assert dave.keyring.state.removed == ()


async def test_who_is_told_but_follows_another_branch_does_not_count_as_told() -> None:
    alice, bob = await members_of_a_room(2)
    await takes(bob, bob.made(Epoch(7, b"7" * 32), alice, bob), bob)
    assert await alice.rotate(told=(bob,)) == set()
    assert alice.newest == bob.newest == Epoch(7, b"7" * 32)


# Being let in


async def test_one_that_was_removed_is_heard_once_it_speaks_in_the_newest_epoch() -> None:
    alice, _, carol = await members_of_a_room(3)
    before = alice.topic
    await alice.rotate(carol)
    assert not await alice.epochs.heard(carol.me)  # A copy of what it said before.
    alice.keyring.note_speaker(carol.me, before)  # What was on its way when the keys were changed.
    assert not await alice.epochs.heard(carol.me)
    alice.keyring.note_speaker(carol.me, alice.topic)
    assert await alice.epochs.heard(carol.me)
    assert alice.keyring.state.removed == ()
    alice.restart()
    assert alice.members == {*alice.everybody}


async def test_having_spoken_counts_for_no_later_epoch() -> None:
    alice, _, carol = await members_of_a_room(3)
    await alice.rotate(carol)
    alice.keyring.note_speaker(carol.me, alice.topic)
    await alice.rotate()
    assert not await alice.epochs.heard(carol.me)


async def test_who_is_let_in_while_the_keys_change_is_not_in_the_new_epoch() -> None:
    alice, *_ = await members_of_a_room(2)
    zoe, during = EndpointId(b"z" * 32), alice.topic
    await alice.rotate()
    with pytest.raises(NotAllowed, match="changed meanwhile"):
        await alice.epochs.let_in(zoe, during=during)
    assert not alice.keyring.is_member(zoe)


async def test_a_full_room_lets_nobody_in_and_can_still_change_its_keys() -> None:
    alice, bob = await members_of_a_room(2)
    many = (EndpointId(number.to_bytes(32, "big")) for number in range(ROSTER_MEMBERS_MAX - 2))
    state = replace(alice.keyring.state, members=tuple(sorted((alice.me, bob.me, *many))))
    await alice.store.put_room(replace(alice.room.line.record(), private=state))
    alice.restart()
    zoe = EndpointId(b"z" * 32)
    with pytest.raises(Busy, match="4000 members"):
        await alice.epochs.let_in(zoe, during=alice.topic)
    assert not await alice.epochs.heard(zoe)
    assert await alice.epochs.heard(bob.me)
    assert await alice.rotate(told=(bob,)) == {bob.me}
    assert len(bob.members) == ROSTER_MEMBERS_MAX


# What goes wrong


async def test_a_disk_that_refuses_leaves_everybody_in_the_epoch_they_are_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alice, bob, carol = await members_of_a_room(3)

    async def refuse(_: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(alice.store, "put_room", refuse)
        with pytest.raises(StoreError):
            await alice.rotate(carol, told=(bob,))
        with pytest.raises(StoreError):
            await takes(alice, bob.made(Epoch(3, b"3" * 32), alice, bob), bob)
    assert (alice.newest, bob.newest, alice.members) == (FIRST, FIRST, {*alice.everybody})
    assert await alice.rotate(carol, told=(bob,)) == {bob.me}


async def test_a_rotation_given_up_while_it_tells_is_one_that_the_others_catch_up_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alice, bob, carol = await members_of_a_room(3)
    asked = asyncio.Event()

    async def never(*_: object) -> None:
        asked.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as slow:
        slow.setattr(bob, "answer", never)
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            rotating = group.create_task(alice.rotate(carol, told=(bob,)))
            await asked.wait()
            rotating.cancel()
    assert rotating.cancelled()
    alice.restart()
    assert await bob.epochs.catch_up(alice.me)
    assert bob.newest == alice.newest
    assert bob.members == {alice.me, bob.me}


async def test_the_last_number_is_the_last_epoch() -> None:
    alice, *_ = await members_of_a_room(2)
    last = Epoch(EPOCH_NUMBER_MAX, b"l" * 32)
    await alice.epochs.take_invited(last, None, alice.me)
    with pytest.raises(InvalidInput, match="make a new room"):
        await alice.rotate()
    assert alice.newest == last


async def test_an_invite_brings_back_from_a_higher_epoch_of_ones_own() -> None:
    alice, bob, carol = await members_of_a_room(3)
    await alice.rotate(carol, told=(bob,))
    for _ in range(3):
        await carol.rotate()
    await carol.epochs.take_invited(alice.newest, alice.keyring.state.roster, alice.me)
    assert (carol.newest, carol.keyring.left_out_by) == (alice.newest, None)
    assert alice.topic in carol.network.topics


async def test_a_room_that_was_left_is_in_no_topic_whatever_was_on_its_way() -> None:
    alice, bob = await members_of_a_room(2)
    alice.room.line.entered = False
    await alice.store.delete_room(alice.room.name)
    await alice.rooms.remove(alice.room)
    await takes_late(alice, bob.made(Epoch(1, b"1" * 32), alice, bob), bob)
    assert alice.network.topics == {}
    assert alice.store.rooms() == ()


async def takes_late(one: Member, given: EpochReply, giver: Member) -> None:
    """Hand over an epoch to a room that no longer answers for itself."""
    take = TakeEpoch(epoch=given.epoch, secret=given.secret, roster=given.roster)
    request = asks(giver, one, PeerRequest(take_epoch=take))
    await one.epochs.answer_take(giver.me, request)

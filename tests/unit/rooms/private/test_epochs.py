"""Who is handed the keys of a private room, when members are away, at odds, removed or lying."""

import asyncio

import pytest

from buddies_core.errors import (
    NotAllowed,
    NotFound,
    Rotated,
    StoreError,
    WireError,
)
from buddies_core.identity.node_key import NodeKey
from buddies_core.model.bodies import Presence
from buddies_core.model.private import EPOCH_NUMBER_MAX, Epoch
from buddies_core.pb.peer_pb2 import CatchUp, EpochReply, PeerRequest, Search, TakeEpoch
from buddies_core.rooms import room
from buddies_core.wire.private import encode_sponsorship, epoch_keys, prove
from tests.support.eventually import until
from tests.support.worlds.private_members import (
    FIRST,
    ROOM_ID,
    Member,
    a_newcomer,
    members_of_a_room,
)

ZED = NodeKey(b"z" * 32)


def by_id(ask: PeerRequest) -> PeerRequest:
    """Return a request that names the room by its id, as those about epochs do."""
    request = PeerRequest(topic=ROOM_ID)
    request.MergeFrom(ask)
    return request


def asks(caller: Member, of: Member, ask: PeerRequest, epoch: Epoch = FIRST) -> PeerRequest:
    """Return a request that proves that the caller is in this epoch."""
    keys = epoch_keys(ROOM_ID, epoch)
    request = PeerRequest(topic=keys.topic, proof=prove(keys, caller.me, of.me))
    request.MergeFrom(ask)
    return request


async def takes(one: Member, given: EpochReply, giver: Member) -> EpochReply:
    take = TakeEpoch(epoch=given.epoch, secret=given.secret, roster=given.roster, past=given.past)
    return await one.answer(giver.me, by_id(PeerRequest(take_epoch=take)))


CATCH_UP = by_id(PeerRequest(catch_up=CatchUp()))


# Who is handed what


async def test_all_who_are_told_are_in_the_new_epoch_and_who_is_removed_is_not() -> None:
    alice, bob, carol, dave = await members_of_a_room(4)
    dave.is_off = True
    told = await alice.rotate(carol, told=(alice, bob, carol, dave))
    assert told == {bob.me}
    assert alice.newest == bob.newest
    assert (alice.newest.number, carol.newest, dave.newest) == (1, FIRST, FIRST)
    assert alice.members == bob.members == {alice.me, bob.me, dave.me}
    assert set(bob.network.topics) == {bob.topic}
    bob.restart()
    assert (bob.newest, bob.members) == (alice.newest, alice.members)


@pytest.mark.parametrize("number", [0, 1, 2, 999])
async def test_who_was_removed_gets_no_secret_by_handing_over_an_epoch_itself(number: int) -> None:
    alice, bob, carol = await members_of_a_room(3)
    before = alice.keyring.newest.id
    await alice.rotate(carol, told=(bob,))
    past = [before, alice.keyring.newest.id]
    made = carol.made(Epoch(number, b"x" * 32), alice, carol, past=past)
    for given in (made, EpochReply(epoch=0, secret=FIRST.secret, roster=made.roster)):
        with pytest.raises(NotFound):
            await takes(alice, given, carol)
    assert (alice.newest, carol.newest) == (bob.newest, FIRST)


async def test_whoever_is_no_member_is_told_the_same_whatever_it_asks_or_knows() -> None:
    alice, bob, carol = await members_of_a_room(3)
    eve = await a_newcomer(alice)
    await alice.rotate(carol, told=(bob,))
    search, take = PeerRequest(search=Search(query="x")), PeerRequest(take_epoch=TakeEpoch())
    said = set()
    for asker in (carol, eve):
        unknown = Epoch(0, b"?" * 32)
        for request in (
            CATCH_UP,
            by_id(take),
            asks(asker, alice, search),
            asks(asker, alice, search, unknown),
            asks(bob, alice, search, bob.newest),  # Somebody else's proof.
        ):
            with pytest.raises(NotFound) as refused:
                await alice.answer(asker.me, request)
            said.add(str(refused.value))
    assert said == {"this node is not in that room"}


async def test_a_member_that_asks_by_an_old_topic_is_told_to_catch_up() -> None:
    alice, bob = await members_of_a_room(2)
    await alice.rotate()
    with pytest.raises(Rotated):
        await alice.answer(bob.me, asks(bob, alice, PeerRequest(search=Search(query="x"))))


async def test_who_was_away_for_many_rotations_is_handed_the_newest_by_any_member() -> None:
    alice, bob, carol = await members_of_a_room(3)
    for _ in range(40):
        await alice.rotate(told=(bob,))
    assert await carol.epochs.catch_up(bob.me)
    assert not await carol.epochs.catch_up(bob.me)
    assert (carol.newest.number, carol.newest) == (40, alice.newest)


async def test_who_knows_more_hands_it_to_the_one_it_asks() -> None:
    alice, bob = await members_of_a_room(2)
    await alice.rotate()
    assert await alice.epochs.catch_up(bob.me)
    assert bob.newest == alice.newest


async def test_who_is_removed_while_others_are_told_is_not_handed_what_comes_after() -> None:
    """Alice hands Bob an epoch, and is handed one past it; Carol, who is not in that, is next."""
    alice, bob, carol = await members_of_a_room(3)
    bobs: list[bytes] = []

    async def bob_rotates() -> None:
        bob.on_asked = None
        await alice.epochs.catch_up(bob.me)
        await bob.rotate(carol, told=(alice,))
        bobs.append(bob.newest.secret)

    bob.on_asked = bob_rotates
    await alice.rotate(told=(bob, carol))
    assert bobs == [alice.newest.secret]
    assert carol.newest.secret not in bobs


# What is believed


async def test_an_epoch_that_makes_no_sense_is_not_taken() -> None:
    alice, bob, carol = await members_of_a_room(3)
    new = Epoch(1, b"1" * 32)
    good = bob.made(new, alice, bob, carol)
    nonsense = [
        EpochReply(epoch=1, secret=b"1" * 31, roster=good.roster),
        EpochReply(epoch=1, secret=b"1" * 32),
        EpochReply(epoch=1, secret=b"1" * 32, roster=good.roster[:-1]),
        EpochReply(epoch=1, secret=b"2" * 32, roster=good.roster),
        EpochReply(epoch=2, secret=b"1" * 32, roster=good.roster),
        EpochReply(epoch=1, secret=b"1" * 32, roster=good.roster, past=b"x"),
        EpochReply(epoch=1, secret=b"1" * 32, roster=good.roster, past=bytes(32 * 257)),
        bob.made(Epoch(EPOCH_NUMBER_MAX, b"1" * 32), alice, bob),
    ]
    for given in nonsense:
        with pytest.raises(WireError):
            await takes(alice, given, bob)
    with pytest.raises(NotAllowed):
        await takes(alice, bob.made(new, bob, carol), bob)
    assert alice.newest == FIRST
    await takes(alice, good, bob)
    assert alice.newest == new


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


async def test_a_lie_that_it_was_left_out_is_not_believed_and_costs_nothing() -> None:
    alice, bob, carol, dave = await members_of_a_room(4)
    alice.network.neighbors_of[alice.topic] = (bob.me,)

    def not_in_that_room(_: PeerRequest) -> EpochReply:
        raise NotFound("this node is not in that room")

    carol.lies = not_in_that_room
    with pytest.raises(NotFound):
        await alice.epochs.catch_up(carol.me)
    roster = carol.made(Epoch(5, b"5" * 32), bob, carol, dave).roster
    await alice.answer(carol.me, by_id(PeerRequest(take_epoch=TakeEpoch(epoch=5, roster=roster))))
    assert alice.epochs.warnings() == ()
    assert not alice.keyring.is_out
    await alice.invites.make(alice.room, 1, 60)


async def test_who_is_removed_is_told_with_proof_and_asks_another_before_it_believes() -> None:
    alice, bob, carol, dave = await members_of_a_room(4)
    await alice.rotate(dave, told=(bob, carol, dave))
    assert dave.keyring.is_out
    [warning] = dave.epochs.warnings()
    assert warning.startswith(f"member {alice.me.hex()[:10]} has changed the keys")
    for other in (bob, carol):
        assert other.epochs.warnings() == ()


async def test_who_was_away_when_it_was_removed_is_told_that_members_don_t_know_it() -> None:
    alice, bob, carol = await members_of_a_room(3)
    carol.is_off = True
    await alice.rotate(carol, told=(bob, carol))
    assert carol.epochs.warnings() == ()
    for member in (alice, bob):
        assert not await carol.epochs.caught_up(member.me)
    [warning] = carol.epochs.warnings()
    assert "no member of this room answers this machine" in warning
    assert not carol.keyring.is_out


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


async def test_two_rotations_at_a_time_leave_out_whom_either_has_removed() -> None:
    alice, bob, carol, dave = await members_of_a_room(4)
    async with asyncio.TaskGroup() as group:
        group.create_task(alice.rotate(carol, told=(bob, dave)))
        group.create_task(bob.rotate(dave, told=(alice, carol)))
    for one, other in ((alice, bob), (bob, alice)):
        await one.epochs.caught_up(other.me)
    assert alice.newest == bob.newest
    assert alice.members == bob.members == {alice.me, bob.me}


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
    assert alice.newest != erin.newest


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("goes_on", [False, True], ids=["followed", "rotated by him"])
async def test_a_removed_one_does_not_come_back_by_a_fresh_key_and_one_who_was_away(
    restarted: bool, goes_on: bool
) -> None:
    """Carol is removed while Dave is away, and hands him an epoch without her, with a new key."""
    alice, bob, carol, dave = await members_of_a_room(4)
    zed = await a_newcomer(alice)
    zed.room = carol.room  # They are one.
    before = alice.keyring.newest.id
    await alice.rotate(carol, told=(bob,))
    hers = zed.made(
        Epoch(900, b"9" * 32), alice, bob, carol, dave, fresh=[carol.lets_in(ZED)], past=[before]
    )
    await takes(dave, hers, carol)
    assert zed.me in dave.members
    if goes_on:
        await dave.rotate(carol)
    if restarted:
        alice.restart()

    assert await alice.epochs.catch_up(dave.me)

    assert alice.newest == bob.newest == dave.newest
    assert alice.members == bob.members == dave.members == {alice.me, bob.me, dave.me}
    rogue = epoch_keys(ROOM_ID, Epoch(900, b"9" * 32)).topic
    for one in (alice, bob):
        assert rogue not in one.network.been_in
    for asker in (carol, zed):
        with pytest.raises(NotFound):
            await dave.answer(asker.me, CATCH_UP)


async def test_who_was_carried_off_beyond_all_that_it_remembers_finds_back() -> None:
    """Two steps of 1,000 were too far, and 16 made the two forget what they had in common."""
    alice, bob, carol, dave = await members_of_a_room(4)
    for one in (alice, bob, dave):
        one.clock.unix_ms = 1_800_000_000_000
    await alice.rotate(carol, told=(bob,))
    for number in range(1, 31):
        past = [dave.keyring.newest.id]
        epoch = Epoch(number * 1000, number.to_bytes(32, "big"))
        await takes(dave, carol.made(epoch, alice, bob, carol, dave, past=past), carol)
    assert dave.newest.number == 30_000
    assert await dave.epochs.catch_up(alice.me)
    assert alice.newest == bob.newest == dave.newest
    assert alice.members == {alice.me, bob.me, dave.me}


async def test_who_was_let_in_again_stays_for_who_was_away_meanwhile() -> None:
    alice, bob, carol, dave = await members_of_a_room(4)
    await alice.rotate(carol, told=(bob, dave))
    dave.is_off = True
    await bob.epochs.let_in(carol.me)
    await bob.rotate(told=(alice,))
    assert carol.me in bob.members
    dave.restart()
    assert await dave.epochs.catch_up(bob.me)
    assert dave.newest == bob.newest
    assert dave.members == {alice.me, bob.me, carol.me, dave.me}


async def test_who_is_told_but_follows_another_branch_does_not_count_as_told() -> None:
    alice, bob = await members_of_a_room(2)
    await takes(bob, bob.made(Epoch(7, b"7" * 32), alice, bob), alice)
    assert await alice.rotate(told=(bob,)) == set()
    assert alice.newest == bob.newest == Epoch(7, b"7" * 32)


# Being let in


async def test_who_shows_a_member_s_sponsorship_is_heard_from_then_on_and_after_a_restart() -> None:
    alice, bob = await members_of_a_room(2)
    sponsorship = encode_sponsorship(bob.lets_in(ZED))
    assert not await alice.epochs.heard(ZED.endpoint, ())
    assert not await alice.epochs.heard(ZED.endpoint, (b"nonsense",))
    assert not await alice.epochs.heard(NodeKey(b"y" * 32).endpoint, (sponsorship,))
    assert alice.counters["members_not_admitted"] == 1
    assert await alice.epochs.heard(ZED.endpoint, (sponsorship,))
    alice.restart()
    assert await alice.epochs.heard(ZED.endpoint, ())


async def test_what_a_removed_one_had_to_show_is_worth_nothing_in_the_next_epoch() -> None:
    alice, bob = await members_of_a_room(2)
    sponsorship = encode_sponsorship(bob.lets_in(ZED))
    await alice.rotate(bob)
    assert not await alice.epochs.heard(ZED.endpoint, (sponsorship,))
    assert not await alice.epochs.heard(ZED.endpoint, (encode_sponsorship(bob.lets_in(ZED)),))
    assert not await alice.epochs.heard(bob.me, ())


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
    await one.epochs.answer_take(giver.me, take)

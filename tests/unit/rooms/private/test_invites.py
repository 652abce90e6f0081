"""Whom an invite lets in: so many, so long, until the keys are changed, and nobody by chance."""

import asyncio
import math
from dataclasses import replace

import pytest

from buddies_core.errors import Busy, InvalidInput, NotAllowed, StoreError, Unreachable
from buddies_core.model.bodies import Presence
from buddies_core.model.ids import EndpointId, RoomId, RoomName
from buddies_core.model.private import (
    EPOCH_NUMBER_MAX,
    MEMBERS_MAX,
    Epoch,
    Founding,
    Invite,
    PrivateState,
    token_hash,
)
from buddies_core.pb.peer_pb2 import EpochReply, PeerRequest, Redeem
from buddies_core.rooms.claims import claim
from buddies_core.rooms.private.invites import EXPIRES_S, redeem
from buddies_core.rooms.room_changes import RoomChanges
from buddies_core.store.invites import INVITES_MAX
from buddies_core.store.records import RoomRecord
from buddies_core.wire.private import encode_sponsorship
from buddies_core.wire.tickets import decode_ticket, encode_invite
from tests.support.memories import a_memory, an_entry
from tests.support.worlds.private_members import (
    ROOM_ID,
    SECRET,
    Member,
    a_newcomer,
    members_of_a_room,
)


async def comes_by(invite: Invite, one: Member) -> PrivateState:
    return await redeem(invite, one.host, asyncio.get_running_loop().time() + 3)


async def test_an_invite_brings_the_secret_and_makes_its_bearer_a_member() -> None:
    alice, bob = await members_of_a_room(2)
    zoe = await a_newcomer(alice)
    await alice.rotate(told=(bob,))
    redeemed = await comes_by(await alice.invites.make(alice.room, 1, 60), zoe)
    state = alice.keyring.state
    assert (redeemed.epoch, redeemed.roster) == (state.epoch, state.roster)
    assert set(redeemed.members) == {alice.me, bob.me, zoe.me}
    assert zoe.me in alice.members
    alice.restart()
    assert zoe.me in alice.members


async def test_who_comes_again_costs_no_use_and_who_comes_after_the_last_use_is_refused() -> None:
    alice, bob = await members_of_a_room(2)
    zoe = await a_newcomer(alice)
    invite = await alice.invites.make(alice.room, 1, 60)
    for _ in range(3):
        await comes_by(invite, zoe)
    with pytest.raises(NotAllowed, match="ask for a new one"):
        await comes_by(invite, bob)
    assert alice.counters["invites_refused"] == 1


async def test_of_many_at_a_time_as_many_come_in_as_it_has_uses() -> None:
    alice, *others = await members_of_a_room(8)
    invite = await alice.invites.make(alice.room, 3, 60)
    outcomes: list[bool] = []

    async def come(one: Member) -> None:
        try:
            await comes_by(invite, one)
            outcomes.append(True)
        except NotAllowed:
            outcomes.append(False)

    async with asyncio.TaskGroup() as group:
        for one in others:
            group.create_task(come(one))
    assert sorted(outcomes) == [False] * 4 + [True] * 3


async def test_an_invite_ends_at_its_time_by_the_inviters_clock() -> None:
    alice, _ = await members_of_a_room(2)
    zoe = await a_newcomer(alice)
    invite = await alice.invites.make(alice.room, 5, 60)
    zoe.clock.unix_ms += 10**9  # Whoever redeems may have any clock.
    await comes_by(invite, zoe)
    alice.clock.unix_ms += 60_000
    with pytest.raises(NotAllowed, match="expired"):
        await comes_by(invite, zoe)


async def test_a_guess_brings_nothing_and_says_nothing_about_the_room() -> None:
    alice, _ = await members_of_a_room(2)
    zoe = await a_newcomer(alice)
    good = await alice.invites.make(alice.room, 1, 60)
    said = set()
    for guess in (
        replace(good, token=bytes(32)),
        replace(good, token=token_hash(good.token)),
        replace(good, token=good.token[:-1]),
        replace(good, founding=Founding(alice.me, b"?" * 32)),
        replace(good, room=RoomName("another")),
    ):
        with pytest.raises(NotAllowed) as refused:
            await comes_by(guess, zoe)
        said.add(str(refused.value))
    assert len(said) == 1
    assert zoe.me not in alice.members


async def test_new_keys_void_the_invites_of_who_changes_them_and_of_who_takes_them() -> None:
    alice, bob, carol = await members_of_a_room(3)
    invites = [await it.invites.make(it.room, 5, 60) for it in (alice, bob)]
    await comes_by(invites[1], carol)  # By this she might come again for nothing.
    await alice.rotate(carol, told=(bob,))
    for invite in invites:
        with pytest.raises(NotAllowed, match="changed since"):
            await comes_by(invite, carol)
    assert carol.me not in alice.members | bob.members


async def test_who_redeems_while_the_keys_change_is_not_handed_the_new_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The keys change after the token was found good, while the policy is looked at."""
    alice, bob, carol = await members_of_a_room(3)
    invite = await bob.invites.make(bob.room, 5, 60)
    check_caller = bob.host.gate.check_caller

    async def check_and_rotate(*caller: object) -> None:
        await check_caller(*caller)  # type: ignore[arg-type]
        await alice.rotate(carol, told=(bob,))

    monkeypatch.setattr(bob.host.gate, "check_caller", check_and_rotate)
    with pytest.raises(NotAllowed, match="ask for a new one"):
        await comes_by(invite, carol)
    assert bob.newest == alice.newest
    assert carol.me not in bob.members


async def test_an_invite_that_is_made_while_the_keys_are_changed_is_void(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alice, _, carol = await members_of_a_room(3)
    invites: list[Invite] = []
    put_room = alice.store.put_room

    async def invite_and_put(record: RoomRecord) -> None:
        invites.append(await alice.invites.make(alice.room, 5, 60))
        await put_room(record)

    monkeypatch.setattr(alice.store, "put_room", invite_and_put)
    await alice.rotate(carol)
    [invite] = invites
    with pytest.raises(NotAllowed, match="ask for a new one"):
        await comes_by(invite, carol)


async def test_a_use_is_spent_only_on_who_comes_in() -> None:
    alice, _ = await members_of_a_room(2)
    zoe = await a_newcomer(alice)
    invite = await alice.invites.make(alice.room, 1, 60)
    many = [EndpointId(number.to_bytes(32, "big")) for number in range(1, MEMBERS_MAX)]
    entries = [alice.lets_in_key(it) for it in many]
    await alice.room.line.keep(replace(alice.keyring.state, admitted=tuple(entries)))
    with pytest.raises(Unreachable, match="the room is full"):
        await comes_by(invite, zoe)
    [kept] = alice.store.invites.of_room(ROOM_ID)
    assert (kept.uses_left, kept.redeemed_by) == (1, ())


async def test_an_invite_brings_back_from_a_higher_epoch_of_ones_own() -> None:
    alice, bob, carol = await members_of_a_room(3)
    await alice.rotate(carol, told=(bob,))
    for _ in range(3):
        await carol.rotate()
    invite = await alice.invites.make(alice.room, 1, 60)
    await carol.epochs.take_invited(await comes_by(invite, carol))
    assert carol.newest == alice.newest
    assert alice.topic in carol.network.topics


async def test_nobody_is_let_in_whose_use_is_not_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    alice, _ = await members_of_a_room(2)
    zoe = await a_newcomer(alice)
    invite = await alice.invites.make(alice.room, 1, 60)

    async def refuse(*_: object) -> None:
        raise StoreError("the disk is full")

    for broken in (alice.store.invites, alice.store):
        method = "redeem" if broken is alice.store.invites else "put_room"
        with monkeypatch.context() as full:
            full.setattr(broken, method, refuse)
            with pytest.raises(StoreError):
                await alice.answer(zoe.me, _redeem(invite))
        assert zoe.me not in alice.members
    await comes_by(invite, zoe)


def _redeem(invite: Invite) -> PeerRequest:
    return PeerRequest(topic=invite.room_id, redeem=Redeem(token=invite.token))


async def test_a_join_makes_no_invite_and_tells_no_topic() -> None:
    alice, _ = await members_of_a_room(2)
    joined = await RoomChanges(alice.rooms, alice.host).join(SECRET, None, None)
    assert (joined.private, joined.ticket) == (True, "")
    assert alice.rooms.status(SECRET).topic == b""
    assert alice.store.invites.of_room(ROOM_ID) == ()


async def test_an_invite_is_for_one_unless_asked_otherwise() -> None:
    alice, _ = await members_of_a_room(2)
    report = await RoomChanges(alice.rooms, alice.host).ticket(SECRET)
    made = decode_ticket(report.ticket)
    assert isinstance(made, Invite)
    assert (made.uses, made.expires_at_s) == (1, alice.clock.wall_ms() // 1000 + EXPIRES_S)


async def test_a_machine_that_was_left_out_gives_out_no_invite_and_says_nothing_of_it() -> None:
    alice, bob, carol = await members_of_a_room(3)
    invite = await alice.invites.make(alice.room, 1, 60)
    await bob.rotate(alice, told=(alice, carol))
    assert alice.keyring.is_out
    with pytest.raises(NotAllowed, match="was left out of room 'secret'"):
        await alice.invites.make(alice.room, 1, 60)
    said = set()
    for token in (invite.token, bytes(32)):
        with pytest.raises(NotAllowed) as refused:
            await comes_by(replace(invite, token=token), await a_newcomer(alice))
        said.add(str(refused.value))
    assert len(said) == 1
    assert (await RoomChanges(alice.rooms, alice.host).join(SECRET, None, None)).ticket == ""


async def test_a_room_that_is_left_or_not_yet_entered_lets_nobody_in() -> None:
    alice, _ = await members_of_a_room(2)
    zoe = await a_newcomer(alice)
    invite = await alice.invites.make(alice.room, 5, 60)
    alice.room.line.entered = False
    with pytest.raises(NotAllowed, match="unknown here"):
        await comes_by(invite, zoe)
    alice.room.line.entered = True
    await alice.room.line.join()
    await RoomChanges(alice.rooms, alice.host).leave(SECRET, None, for_all=True)
    assert alice.store.invites.of_room(alice.room.room_id) == ()


async def test_a_removal_shows_and_can_take_along_whom_the_removed_one_had_brought_in() -> None:
    alice, bob = await members_of_a_room(2)
    zoe = await a_newcomer(alice)
    await alice.epochs.heard(zoe.me, (encode_sponsorship(bob.lets_in(zoe.key)),))
    changes = RoomChanges(alice.rooms, alice.host)
    bobs = bob.me.hex()[:10]
    shown = await changes.rotate(SECRET, [bobs], preview=True)
    assert ([it.endpoint for it in shown.brought], alice.newest.number) == ([zoe.me], 0)
    along = await changes.rotate(SECRET, [bobs], along=True)
    assert {it.endpoint for it in along.removed} == {bob.me, zoe.me}
    assert (along.brought, alice.members) == ((), {alice.me})


@pytest.mark.parametrize(
    ("uses", "expires_s"),
    [
        (0, 60),
        (65, 60),
        (-1, 60),
        (1, 0),
        (1, 31 * 24 * 3600),
        (1, 0.5),
        (1, math.nan),
        (1, math.inf),
    ],
)
async def test_an_invite_of_no_use_or_too_much_is_not_made(uses: int, expires_s: float) -> None:
    alice, _ = await members_of_a_room(2)
    with pytest.raises(InvalidInput):
        await alice.invites.make(alice.room, uses, expires_s)
    assert alice.store.invites.of_room(alice.room.room_id) == ()


async def test_so_many_invites_are_out_at_most() -> None:
    alice, _ = await members_of_a_room(2)
    for _ in range(INVITES_MAX):
        await alice.invites.make(alice.room, 1, 60)
    with pytest.raises(Busy, match="room rotate"):
        await alice.invites.make(alice.room, 1, 60)
    alice.clock.unix_ms += 60_000
    await alice.invites.make(alice.room, 1, 60)
    await alice.rotate()
    assert alice.store.invites.of_room(alice.room.room_id) == ()


def nonsense(alice: Member) -> list[EpochReply]:
    good = alice.made(Epoch(1, b"1" * 32), alice)
    return [
        EpochReply(),
        EpochReply(epoch=1, secret=b"1" * 31),
        EpochReply(epoch=1, secret=b"1" * 32, roster=b"x"),
        EpochReply(epoch=2, secret=good.secret, roster=good.roster),
        EpochReply(epoch=1, secret=b"2" * 32, roster=good.roster),
        EpochReply(epoch=EPOCH_NUMBER_MAX, secret=good.secret, roster=good.roster),
    ]


@pytest.mark.parametrize("number", range(6))
async def test_an_inviter_that_answers_nonsense_is_named_and_not_believed(number: int) -> None:
    alice, _ = await members_of_a_room(2)
    zoe = await a_newcomer(alice)
    invite = await alice.invites.make(alice.room, 1, 60)
    alice.lies = lambda _: nonsense(alice)[number]
    with pytest.raises(Unreachable, match=f"{alice.me.hex()[:10]} handed over what makes no sense"):
        await comes_by(invite, zoe)


async def test_the_next_inviter_is_asked_if_one_is_off_but_not_if_one_refuses() -> None:
    alice, bob = await members_of_a_room(2)
    zoe = await a_newcomer(alice)
    invite = await alice.invites.make(alice.room, 1, 60)
    both = replace(invite, endpoints=(bob.network.address(), alice.network.address()))
    with pytest.raises(NotAllowed):
        await comes_by(both, zoe)
    bob.is_off = True
    assert alice.me in (await comes_by(both, zoe)).members
    with pytest.raises(Unreachable, match="it names nobody"):
        await comes_by(replace(invite, endpoints=()), zoe)


async def test_a_presence_that_is_none_keeps_nobody_out() -> None:
    alice, _ = await members_of_a_room(2)
    zoe = await a_newcomer(alice)
    invite = await alice.invites.make(alice.room, 3, 60)
    elsewhere = await zoe.host.composer.compose(b"?" * 32, Presence("zoe", ()))  # type: ignore[arg-type]
    for presence in (b"", b"nonsense", elsewhere):
        request = _redeem(invite)
        request.redeem.presence = presence
        assert (await alice.answer(zoe.me, request)).secret == alice.newest.secret


async def test_no_token_is_kept_or_shown() -> None:
    alice, _ = await members_of_a_room(2)
    invite = await alice.invites.make(alice.room, 1, 60)
    [kept] = alice.store.invites.of_room(invite.room_id)
    assert kept.token_hash == token_hash(invite.token)
    assert all(
        repr(octets)[2:-1] not in repr(thing)
        for octets in (invite.token, alice.newest.secret)
        for thing in (kept, invite, alice.room.line.record(), alice.keyring.state)
    )


async def test_an_invite_that_a_name_keeps_out_costs_no_use() -> None:
    alice, _ = await members_of_a_room(2)
    zoe = await a_newcomer(alice)
    invite = await alice.invites.make(alice.room, 1, 60)
    await claim(SECRET, RoomId(b"another".ljust(32)), zoe.store)
    await zoe.store.put_memory(a_memory(an_entry(room=SECRET)))
    await zoe.rooms.remove(zoe.room)
    with pytest.raises(InvalidInput, match="choose another name"):
        await RoomChanges(zoe.rooms, zoe.host).join(SECRET, encode_invite(invite), None)
    [kept] = alice.store.invites.of_room(invite.room_id)
    assert kept.uses_left == 1

"""Hostile members of private rooms against whole daemons: theirs alone say what they like."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from buddies_core.errors import BuddiesError, NotAllowed, NotFound
from buddies_core.identity.node_key import NodeKey
from buddies_core.model.bodies import StatusUpdate
from buddies_core.model.ids import EndpointId, EpochId, RoomName, topic_of
from buddies_core.model.private import Epoch, Invite, Roster, Sponsorship
from buddies_core.pb.peer_pb2 import CatchUp, PeerRequest, TakeEpoch
from buddies_core.rooms import room, room_changes
from buddies_core.rooms.private.epochs import Epochs
from buddies_core.rooms.private.sponsors import all_sponsors, sponsorships_of
from buddies_core.wire.private import (
    encode_roster,
    encode_sponsorship,
    sign_roster,
    sign_sponsorship,
)
from buddies_core.wire.tickets import decode_ticket, encode_invite
from tests.support.eventually import until
from tests.support.worlds.meeting import eventually
from tests.support.worlds.private_team import SECRET, Someone, people

LOBBY = RoomName("lobby")
FRESH = NodeKey(b"fresh key of carol's".ljust(32))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for those that are missing more often, and give up a join sooner."""
    monkeypatch.setattr(room, "REUNITE_EVERY_S", 0.5)
    monkeypatch.setattr(room_changes, "JOIN_DEADLINE_S", 3.0)


def epochs(one: Someone) -> Epochs:
    found = one.room().epochs
    assert found is not None
    return found


def endpoint(one: Someone) -> EndpointId:
    return one.on.parts.inbound.network.endpoint


@dataclass
class Hostile:
    """A member whose daemon is used by the test: with its key and its connections."""

    one: Someone

    def sponsors(self, key: NodeKey) -> Sponsorship:
        """Let in a key, in the epoch that this machine is in."""
        seat = epochs(self.one).keyring.seat
        during = epochs(self.one).keyring.newest.id
        return sign_sponsorship(seat.room_id, during, key.endpoint, seat.me, seat.sign)

    def roster(self, epoch: Epoch, key: NodeKey | None, *without: Someone) -> Roster:
        """Sign a roster, by this machine's key or by another that it has let in."""
        keyring = epochs(self.one).keyring
        known = sponsorships_of(keyring.state)
        if key:
            known |= {key.endpoint: self.sponsors(key)}
        members = frozenset(known) - {endpoint(it) for it in without}
        signer, sign = (key.endpoint, key.sign) if key else (keyring.seat.me, keyring.seat.sign)
        return sign_roster(
            keyring.room_id,
            epoch,
            [known[it] for it in members],
            signer,
            sign,
            gone=[known[it] for it in all_sponsors(members, known) - members],
        )

    async def hands(
        self, victim: EndpointId, epoch: Epoch, roster: Roster, past: tuple[EpochId, ...] = ()
    ) -> None:
        take = TakeEpoch(
            epoch=epoch.number,
            secret=epoch.secret,
            roster=encode_roster(roster),
            past=b"".join(past),
        )
        network = self.one.on.parts.inbound.network
        request = PeerRequest(topic=roster.room_id, take_epoch=take)
        await network.ask(victim, request, 3)


@pytest.fixture
async def four() -> AsyncIterator[tuple[Someone, Someone, Someone, Someone]]:
    """Alice, Bob and Dave, and Carol, who is hostile; all know each other."""
    async with people("alice", "bob", "carol", "dave") as (alice, bob, carol, dave):
        invite = await alice.opens()
        for other in (bob, carol, dave):
            await other.join(invite)
        for one in (alice, bob, carol, dave):
            await one.sees(*({"alice", "bob", "carol", "dave"} - {one.name}))
        yield alice, bob, carol, dave


async def removed_while_dave_is_away(
    alice: Someone, bob: Someone, carol: Someone, dave: Someone
) -> None:
    await dave.stop()
    await alice.on.client.rotate_room(SECRET, ["carol"])
    await until(lambda: bob.number() == 1)
    await alice.stop()
    await bob.stop()
    await dave.start()
    await eventually(
        lambda: dave.on.client.room_status(SECRET),
        lambda status: "carol" in {member.name for member in status.members},
    )


@pytest.mark.parametrize("goes_on", [False, True], ids=["followed", "rotated by him"])
async def test_a_removed_member_does_not_come_back_by_a_fresh_key(
    four: tuple[Someone, Someone, Someone, Someone], goes_on: bool
) -> None:
    alice, bob, carol, dave = four
    await removed_while_dave_is_away(alice, bob, carol, dave)
    hostile, rogue = Hostile(carol), Epoch(2, b"r" * 32)
    with_fresh = hostile.roster(rogue, FRESH)
    await hostile.hands(endpoint(dave), rogue, with_fresh, (epochs(carol).keyring.newest.id,))
    assert FRESH.endpoint in epochs(dave).keyring.members
    if goes_on:
        await dave.on.client.rotate_room(SECRET, ["carol"])

    await alice.start()
    await bob.start()

    await alice.sees("bob", "dave")
    await dave.sees("alice", "bob")
    team = {endpoint(it) for it in (alice, bob, dave)}
    for one in (alice, bob, dave):
        await until(lambda one=one: epochs(one).keyring.members == team)  # type: ignore[misc]
    assert len({epochs(one).keyring.epoch for one in (alice, bob, dave)}) == 1
    assert epochs(alice).keyring.epoch != rogue
    await alice.stores("without them")
    await dave.hears("without them")
    assert await carol.contents() == []


async def test_however_many_epochs_a_removed_member_makes_there_is_a_way_back(
    four: tuple[Someone, Someone, Someone, Someone],
) -> None:
    alice, bob, carol, dave = four
    await removed_while_dave_is_away(alice, bob, carol, dave)
    hostile = Hostile(carol)
    for step in range(1, 21):
        epoch = Epoch(step * 1000, step.to_bytes(32, "big"))
        past = (epochs(dave).keyring.newest.id,)
        await hostile.hands(endpoint(dave), epoch, hostile.roster(epoch, None), past)
    assert dave.number() == 20_000

    await alice.start()
    await bob.start()

    await dave.sees("alice", "bob")
    assert await carol.contents() == []
    await dave.stores("back again")
    await alice.hears("back again")


async def test_a_liar_makes_nobody_believe_that_it_was_left_out(
    four: tuple[Someone, Someone, Someone, Someone], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, _, carol, dave = four

    def not_in_that_room(*_: object) -> None:
        raise NotFound("this node is not in that room")

    monkeypatch.setattr(carol.on.parts.inbound.rooms, "asked", not_in_that_room)
    hostile, made = Hostile(carol), Epoch(5, b"5" * 32)
    take = TakeEpoch(epoch=5, roster=encode_roster(hostile.roster(made, None, alice)))
    request = PeerRequest(topic=alice.room().room_id, take_epoch=take)
    await carol.on.parts.inbound.network.ask(endpoint(alice), request, 15)
    await alice.on.client.search_memory("what does Carol say?")

    assert not epochs(alice).keyring.is_out
    assert (await alice.on.client.room_status(SECRET)).warnings == ()
    async with people("erin") as (erin,):
        await erin.join((await alice.on.client.room_ticket(SECRET)).ticket)
        await dave.sees("alice", "bob", "carol", "erin")


async def test_what_is_true_of_one_room_is_of_no_use_in_another(
    four: tuple[Someone, Someone, Someone, Someone],
) -> None:
    """Neither an invite under another name, nor what was said in private and is said openly."""
    alice, bob, carol, _ = four
    good = decode_ticket((await alice.on.client.room_ticket(SECRET)).ticket)
    assert isinstance(good, Invite)
    other = encode_invite(replace(good, room=RoomName("other")))
    async with people("erin") as (erin,):
        with pytest.raises(NotAllowed, match="lets nobody in"):
            await erin.join(other, room=RoomName("other"))
        assert await erin.on.client.list_rooms() == ()

    ticket = (await alice.join(room=LOBBY)).ticket
    for one in (bob, carol):
        await one.join(ticket, room=LOBBY)
    await carol.sees("alice", "bob", room=LOBBY)
    private = await bob.room().line.compose(StatusUpdate(endpoint(bob).hex(), "in private"))
    await carol.on.parts.inbound.network.broadcast(topic_of(LOBBY), private)
    await eventually(alice.on.counters, lambda it: it["rejected_bad_signature"] == 1)


async def test_a_hostile_member_fills_its_own_share_of_the_room_alone(
    four: tuple[Someone, Someone, Someone, Someone],
) -> None:
    alice, _, carol, _ = four
    hostile = Hostile(carol)
    keys = [NodeKey(number.to_bytes(32, "big")) for number in range(1, 201)]
    for key in keys:
        sponsorship = hostile.sponsors(key)
        await epochs(alice).heard(key.endpoint, [encode_sponsorship(sponsorship)])
    made_up = epochs(alice).keyring.members & {key.endpoint for key in keys}
    assert len(made_up) == 125
    async with people("erin") as (erin,):
        await erin.join((await alice.on.client.room_ticket(SECRET)).ticket)
    shown = await alice.on.client.rotate_room(SECRET, ["carol"], preview=True)
    assert {it.endpoint for it in shown.brought} == made_up
    await alice.on.client.rotate_room(SECRET, ["carol"], along=True)
    assert made_up.isdisjoint(epochs(alice).keyring.members)


async def test_a_removed_member_is_told_what_a_stranger_is_told(
    four: tuple[Someone, Someone, Someone, Someone],
) -> None:
    alice, bob, carol, _ = four
    await alice.on.client.rotate_room(SECRET, ["carol"])
    await until(lambda: bob.number() == 1)
    said = set()
    async with people("eve") as (eve,):
        room_id, asked = alice.room().room_id, endpoint(alice)
        for asker in (carol, eve):
            network = asker.on.parts.inbound.network
            network.learn(alice.on.parts.inbound.network.address())
            for request in (
                PeerRequest(topic=room_id, take_epoch=TakeEpoch(epoch=3, secret=bytes(32))),
                PeerRequest(topic=room_id, catch_up=CatchUp()),
            ):
                with pytest.raises(BuddiesError) as refused:
                    await network.ask(asked, request, 3)
                said.add((type(refused.value), str(refused.value)))
    assert len(said) == 1

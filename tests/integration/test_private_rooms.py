"""Private rooms between whole daemons: who gets in, who is left out, and who learns nothing."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from buddies_core.errors import InvalidInput, NotAllowed, NotFound, Unreachable
from buddies_core.gossip.messages import CONTENT_BYTES_MAX
from buddies_core.model.bodies import MemoryDeleted, StatusUpdate
from buddies_core.model.ids import TopicId, topic_of
from buddies_core.model.memory import verified_key
from buddies_core.model.private import Invite
from buddies_core.net.driver import NeighborCameUp
from buddies_core.pb.peer_pb2 import (
    CatchUp,
    FetchMemory,
    Hello,
    PeerRequest,
    Redeem,
    Search,
    TakeEpoch,
)
from buddies_core.rooms import room, room_changes
from buddies_core.trust.admitted import Rejected
from buddies_core.wire.private import encode_roster
from buddies_core.wire.tickets import decode_ticket, encode_invite
from tests.support.eventually import until
from tests.support.worlds.meeting import eventually
from tests.support.worlds.networks import a_network, wait_delivery
from tests.support.worlds.private_team import SECRET, Someone, people


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for those that are missing more often, and give up a join sooner."""
    monkeypatch.setattr(room, "REUNITE_EVERY_S", 0.5)
    monkeypatch.setattr(room_changes, "JOIN_DEADLINE_S", 3.0)


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Someone, Someone]]:
    """Alice and Bob, who are in a private room."""
    async with people("alice", "bob") as (alice, bob):
        invite = await alice.opens()
        await bob.join(invite)
        await alice.sees("bob")
        yield alice, bob


async def test_by_an_invite_one_comes_in_and_hears_what_is_said(
    pair: tuple[Someone, Someone],
) -> None:
    alice, bob = pair
    await alice.stores("the launch is on Friday")
    await bob.hears("the launch is on Friday")
    long = "a long plan " * 1000
    await bob.stores(long)
    await eventually(alice.contents, lambda kept: len(kept) == 2)
    [found, *_] = (await alice.on.client.search_memory("when is the launch?")).results
    assert found.content == "the launch is on Friday"
    status = await bob.on.client.room_status(SECRET)
    assert (status.private, {it.name for it in status.members}) == (True, {"alice", "bob"})
    assert (await bob.join()).already_joined


async def test_who_knows_only_the_name_gets_nothing() -> None:
    async with people("alice", "bob", "eve") as (alice, bob, eve):
        invite = await alice.opens()
        await bob.join(invite)
        joined = await eve.join()
        await alice.stores("the launch is on Friday")
        await bob.hears("the launch is on Friday")
        assert not joined.private
        assert eve.room().line.topic != alice.room().line.topic
        network = eve.on.parts.inbound.network
        network.learn(alice.on.parts.inbound.network.address())
        asked = alice.on.parts.inbound.network.endpoint
        for ask in everything_there_is_to_ask():
            for topic in (topic_of(SECRET), alice.room().room_id):
                request = PeerRequest(topic=topic)
                request.MergeFrom(ask)
                with pytest.raises((NotFound, NotAllowed)) as refused:
                    await network.ask(asked, request, 3)
                assert "secret" not in str(refused.value)
        assert (await alice.on.counters())["requests_for_no_room"] > 0
        assert await eve.contents() == []
        assert (await eve.on.client.search_memory("launch")).results == ()


async def test_who_has_learnt_the_topic_can_neither_ask_nor_speak(
    pair: tuple[Someone, Someone],
) -> None:
    alice, bob = pair
    topic = alice.room().line.topic
    address = alice.on.parts.inbound.network.address()
    async with a_network(666) as eve:
        await eve.reach(address, 5)
        await eve.join(topic, (address.endpoint,))
        await wait_delivery(eve, NeighborCameUp(topic, address.endpoint))
        for ask in everything_there_is_to_ask():
            request = PeerRequest(topic=topic, proof=bytes(32))
            request.MergeFrom(ask)
            with pytest.raises((NotFound, NotAllowed)):
                await eve.ask(address.endpoint, request, 3)
        in_the_open = await bob.room().line.compose(bob.room()._presence())
        await eve.broadcast(topic, in_the_open)
        await eventually(alice.on.counters, lambda it: it["rejected_unsealed"] == 1)


def everything_there_is_to_ask() -> tuple[PeerRequest, ...]:
    return (
        PeerRequest(hello=Hello()),
        PeerRequest(search=Search(query="launch")),
        PeerRequest(fetch_memory=FetchMemory(id=bytes(16))),
        PeerRequest(redeem=Redeem(token=bytes(32))),
        PeerRequest(take_epoch=TakeEpoch(epoch=1, secret=bytes(32))),
        PeerRequest(catch_up=CatchUp()),
    )


async def test_an_invite_lets_in_as_many_as_it_says() -> None:
    async with people("alice", "bob", "carol") as (alice, bob, carol):
        await alice.join(private=True)
        once = (await alice.on.client.room_ticket(SECRET, uses=1)).ticket
        await bob.join(once)
        await bob.on.client.leave_room(SECRET, for_all=True)
        await bob.join(once)  # The same machine again: it may not have heard the answer.
        with pytest.raises(NotAllowed, match="ask for a new one"):
            await carol.join(once)
        assert await carol.on.client.list_rooms() == ()
        forged = parsed(once)
        with pytest.raises(NotAllowed, match="ask for a new one"):
            await carol.join(encode_invite(replace(forged, token=bytes(32))))
        assert (await alice.on.counters())["invites_refused"] == 2
        with pytest.raises(InvalidInput, match="uses"):
            await alice.on.client.room_ticket(SECRET, uses=65)


async def test_uses_are_counted_over_restarts() -> None:
    async with people("alice", "bob", "carol") as (alice, bob, carol):
        await alice.join(private=True)
        once = (await alice.on.client.room_ticket(SECRET, uses=1)).ticket
        await bob.join(once)
        await alice.stop()
        with pytest.raises(Unreachable, match="Only who made an invite can let you in"):
            await carol.join(once)
        await alice.start()
        with pytest.raises(NotAllowed):
            await carol.join(once)
        await alice.sees("bob")


async def test_whom_a_rotation_leaves_out_reads_nothing_new() -> None:
    async with people("alice", "bob", "carol", "dave") as (alice, bob, carol, dave):
        invite = await alice.opens()
        for other in (bob, carol):
            await other.join(invite)
        await alice.sees("bob", "carol")
        await bob.sees("alice", "carol")
        await alice.stores("before")
        await carol.hears("before")
        of_carol = (await carol.on.client.room_ticket(SECRET)).ticket

        report = await alice.on.client.rotate_room(SECRET, ["carol"])

        assert [it.name for it in report.removed] == ["carol"]
        assert [it.name for it in report.told] == ["bob"]
        await alice.sees("bob")
        await bob.sees("alice")
        await bob.stores("after")
        await alice.hears("before", "after")
        await eventually(lambda: carol.on.client.room_status(SECRET), lambda it: bool(it.warnings))
        assert await carol.contents() == ["before"]
        newest = (await alice.on.client.list_memories()).results[0]
        with pytest.raises(NotFound):
            await carol.on.client.get_memory(str(newest.id))
        found = await carol.on.client.search_memory("after")
        assert "after" not in {it.content for it in found.results}
        with pytest.raises(NotAllowed, match="ask for a new one"):
            await carol.join(invite)
        assert (await carol.join()).ticket == ""
        with pytest.raises(NotAllowed, match="was left out of room 'secret'"):
            await carol.on.client.room_ticket(SECRET)
        with pytest.raises(NotAllowed, match="ask for a new one"):
            await dave.join(of_carol)


async def test_a_member_that_was_away_catches_up_with_any_member() -> None:
    async with people("alice", "bob", "carol") as (alice, bob, carol):
        invite = await alice.opens()
        for other in (bob, carol):
            await other.join(invite)
        await alice.sees("bob", "carol")
        await bob.sees("alice", "carol")
        await carol.sees("alice", "bob")
        await carol.stop()

        report = await alice.on.client.rotate_room(SECRET)
        assert [it.name for it in report.waiting] == ["carol"]
        await bob.stores("while she was away")
        await alice.hears("while she was away")
        await alice.stop()  # Who rotated is not needed.

        await carol.start()
        await carol.sees("bob")
        await carol.stores("back again")
        await bob.hears("while she was away", "back again")
        assert carol.number() == 1


async def test_two_rotations_at_a_time_end_as_one_that_leaves_out_both() -> None:
    async with people("alice", "bob", "carol", "dave") as (alice, bob, carol, dave):
        invite = await alice.opens()
        for other in (bob, carol, dave):
            await other.join(invite)
        await alice.sees("bob", "carol", "dave")
        await bob.sees("alice", "carol", "dave")
        async with asyncio.TaskGroup() as group:
            group.create_task(alice.on.client.rotate_room(SECRET, ["carol"]))
            group.create_task(bob.on.client.rotate_room(SECRET, ["dave"]))
        await alice.sees("bob")
        await bob.sees("alice")
        await alice.stores("only the two of us")
        await bob.hears("only the two of us")
        assert alice.room().line.topic == bob.room().line.topic
        assert await carol.contents() == await dave.contents() == []


async def test_invites_from_before_a_rotation_are_void_and_a_new_one_brings_back() -> None:
    async with people("alice", "bob", "carol") as (alice, bob, carol):
        old = await alice.opens()
        await bob.join(old)
        await alice.sees("bob")
        await alice.on.client.rotate_room(SECRET, ["bob"])
        await eventually(lambda: bob.on.client.room_status(SECRET), lambda it: bool(it.warnings))
        with pytest.raises(NotAllowed, match="the room's keys were changed since"):
            await bob.join(old)
        await bob.join((await alice.on.client.room_ticket(SECRET)).ticket)
        await bob.sees("alice")
        of_bob = (await bob.on.client.room_ticket(SECRET)).ticket
        await alice.on.client.rotate_room(SECRET)
        await until(lambda: bob.number() == 2)
        with pytest.raises(NotAllowed, match="ask for a new one"):
            await carol.join(of_bob)
        await alice.stores("welcome back")
        await bob.hears("welcome back")
        assert (await bob.on.client.room_status(SECRET)).warnings == ()


async def test_a_room_stays_what_it_is() -> None:
    async with people("alice", "bob") as (alice, bob):
        invite = await alice.opens()
        ticket = (await bob.join()).ticket
        for wrong in (bob.join(invite), bob.join(private=True), alice.join(ticket)):
            with pytest.raises(InvalidInput, match="leave it first"):
                await wrong
        with pytest.raises(InvalidInput, match="leave out --private"):
            await alice.join(ticket, private=True)
        with pytest.raises(InvalidInput, match="no keys"):
            await bob.on.client.rotate_room(SECRET)
        with pytest.raises(InvalidInput, match="does not expire"):
            await bob.on.client.room_ticket(SECRET, uses=1)
        with pytest.raises(InvalidInput, match="no member"):
            await alice.on.client.rotate_room(SECRET, ["nobody"])
        with pytest.raises(InvalidInput, match="this machine"):
            await alice.on.client.rotate_room(SECRET, ["alice"])
        founding = replace(parsed(invite).founding, nonce=b"x" * 32)
        other = encode_invite(replace(parsed(invite), founding=founding))
        with pytest.raises(InvalidInput, match="another private room"):
            await alice.join(other)
        assert alice.number() == 0


async def test_what_was_said_in_a_private_room_is_not_found_in_another_of_its_name(
    pair: tuple[Someone, Someone],
) -> None:
    alice, bob = pair
    await alice.stores("the launch is on Friday")
    await bob.hears("the launch is on Friday")
    await bob.on.client.leave_room(SECRET, for_all=True)
    async with people("eve") as (eve,):
        for ticket in ((await eve.join()).ticket, None):
            with pytest.raises(InvalidInput, match="choose another name"):
                await bob.join(ticket)
        with pytest.raises(InvalidInput, match="choose another name"):
            await bob.join(private=True)
        await eve.on.client.leave_room(SECRET, for_all=True)
        invite = await eve.opens()
        with pytest.raises(InvalidInput, match="choose another name"):
            await bob.join(invite)
    assert await bob.on.client.list_rooms() == ()
    await bob.join((await alice.on.client.room_ticket(SECRET)).ticket)  # The same room.
    await alice.sees("bob")


async def test_a_name_is_free_again_for_who_keeps_nothing_of_the_private_room() -> None:
    async with people("alice", "bob") as (alice, bob):
        await alice.join(private=True)
        await bob.join(private=True)  # Both, by mistake.
        await bob.on.client.leave_room(SECRET, for_all=True)
        await bob.join((await alice.on.client.room_ticket(SECRET)).ticket)
        await bob.sees("alice")
        await bob.on.client.leave_room(SECRET, for_all=True)
        assert not (await bob.join()).private
        await bob.stores("in the open")
        await bob.on.client.leave_room(SECRET, for_all=True)
        assert not (await bob.join()).already_joined
        await bob.on.client.leave_room(SECRET, for_all=True)
        assert (await bob.join(private=True)).private


async def test_who_was_left_out_gets_no_new_keys_by_offering_old_ones(
    pair: tuple[Someone, Someone],
) -> None:
    alice, bob = pair
    epochs = bob.room().epochs
    assert epochs is not None
    old = epochs.keyring.epoch
    await alice.on.client.rotate_room(SECRET, ["bob"])
    network, asked = bob.on.parts.inbound.network, alice.room()._host.endpoint
    roster = encode_roster(epochs.keyring.state.roster)
    for number in (0, 1, 2):
        request = PeerRequest(
            topic=bob.room().room_id,
            take_epoch=TakeEpoch(epoch=number, secret=old.secret, roster=roster),
        )
        with pytest.raises(NotFound):
            await network.ask(asked, request, 3)


async def test_who_is_let_in_again_by_one_member_is_heard_by_the_others() -> None:
    async with people("alice", "bob", "carol") as (alice, bob, carol):
        invite = await alice.opens()
        for other in (bob, carol):
            await other.join(invite)
        await alice.sees("bob", "carol")
        await bob.sees("alice", "carol")
        await alice.on.client.rotate_room(SECRET, ["carol"])
        await until(lambda: bob.number() == 1)
        # At once: it need not have noticed yet that it was left out.
        await carol.join((await bob.on.client.room_ticket(SECRET)).ticket)
        await alice.sees("bob", "carol")
        await alice.stores("welcome back")
        await carol.hears("welcome back")
        await alice.on.client.rotate_room(SECRET)
        await until(lambda: carol.number() == bob.number() == 2)


async def test_nobody_is_carried_off_by_whom_they_had_removed() -> None:
    async with people("alice", "bob", "carol", "dave") as (alice, bob, carol, dave):
        invite = await alice.opens()
        for other in (bob, carol, dave):
            await other.join(invite)
        for one in (alice, bob, carol, dave):
            await one.sees(*{"alice", "bob", "carol", "dave"} - {one.name})
        await dave.stop()
        await alice.on.client.rotate_room(SECRET, ["carol"])
        await until(lambda: bob.number() == 1)
        await alice.stop()
        await bob.stop()
        await dave.start()
        # He does not know that she was removed, and may think that the others are still there.
        await eventually(
            lambda: dave.on.client.room_status(SECRET),
            lambda status: "carol" in {member.name for member in status.members},
        )
        for _ in range(3):
            await carol.on.client.rotate_room(SECRET)
        await until(lambda: dave.number() == 3)

        await alice.start()
        await bob.start()

        await alice.sees("bob", "dave")
        await dave.sees("alice", "bob")
        await bob.stores("without her")
        await dave.hears("without her")
        assert await carol.contents() == []
        await eventually(lambda: carol.on.client.room_status(SECRET), lambda it: bool(it.warnings))


async def test_a_member_that_seals_again_what_another_said_before_is_not_heard(
    pair: tuple[Someone, Someone],
) -> None:
    """Bob keeps a status of Alice's, and seals it with the keys of two rotations later."""
    alice, bob = pair
    body = StatusUpdate(alice.room()._host.endpoint.hex(), "I agree")
    old = await alice.room().line.compose(body)
    for number in (1, 2):
        await alice.on.client.rotate_room(SECRET)
        await until(lambda number=number: bob.number() == number)  # type: ignore[misc]
    await alice.sees("bob")
    await bob.sees("alice")
    await bob.room().line.send(old)
    await eventually(alice.on.counters, lambda it: it["rejected_resealed"] == 1)


async def test_a_content_that_fits_an_open_broadcast_barely_is_shortened_for_a_sealed_one(
    pair: tuple[Someone, Someone],
) -> None:
    alice, bob = pair
    for size in range(CONTENT_BYTES_MAX - 400, CONTENT_BYTES_MAX, 57):
        await alice.stores("x" * size)
    await eventually(bob.contents, lambda kept: len(kept) == len(range(0, 400, 57)))
    assert await alice.on.counters() == {}


def parsed(text: str) -> Invite:
    invite = decode_ticket(text)
    assert isinstance(invite, Invite)
    assert TopicId(invite.room_id) != topic_of(invite.room)
    return invite


async def test_members_delete_their_own_and_what_a_removed_one_deletes_is_not_heard(
    pair: tuple[Someone, Someone],
) -> None:
    alice, bob = pair
    for content in ("the launch is on Friday", "the launch is on Monday"):
        await bob.stores(content)
    await alice.hears("the launch is on Friday", "the launch is on Monday")
    friday, monday = reversed((await bob.on.client.list_memories()).results)
    await bob.on.client.delete_memory(str(friday.id))
    await alice.hears("the launch is on Monday")

    line, endpoint = bob.room().line, bob.on.client.info.endpoint
    deletion = MemoryDeleted(verified_key(endpoint, monday.id), b"")
    before = line.seal(await line.compose(deletion))
    await alice.on.client.rotate_room(SECRET, ["bob"])
    with pytest.raises(Rejected, match="content of epoch 0 can't be opened in epoch 1"):
        await alice.room().hear(before, endpoint)
    assert await alice.contents() == ["the launch is on Monday"]

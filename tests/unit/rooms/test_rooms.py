import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from buddies_core.errors import Busy, InvalidInput, NotFound, Unreachable
from buddies_core.identity.binding import bind
from buddies_core.identity.node_key import NodeKey
from buddies_core.legacy.members import LegacyMembers, RoomOfLegacy
from buddies_core.model.address import AddressInfo, PeerAddress, SocketAddress
from buddies_core.model.bodies import (
    AgentPresence,
    Body,
    Join,
    Leave,
    Presence,
    StatusUpdate,
)
from buddies_core.model.contact import Contact, Path
from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId, RoomName, TopicId, open_room_id, topic_of
from buddies_core.model.room import AwayMember, DialAttempt, JoinReport, Ticket
from buddies_core.pb.peer_pb2 import Hello, HelloReply, PeerReply, PeerRequest, PresenceCopy
from buddies_core.rooms import joining, last_seen
from buddies_core.rooms import room as room_module
from buddies_core.rooms import room_changes as changes_module
from buddies_core.rooms import rooms as rooms_module
from buddies_core.rooms.composing import Composer
from buddies_core.rooms.ports import Host
from buddies_core.rooms.room_changes import RoomChanges
from buddies_core.rooms.rooms import Rooms
from buddies_core.store.keys import presence_mark
from buddies_core.store.records import PresenceRecord
from buddies_core.trust.admitted import Rejected
from buddies_core.wire.room_messages import (
    RoomMessage,
    encode_room_message,
    open_envelope,
)
from buddies_core.wire.tickets import decode_ticket, encode_ticket
from tests.support.eventually import until
from tests.support.fakes.clocks import ManualClock
from tests.support.fakes.host import a_host
from tests.support.fakes.network import FakeNetwork, refusing
from tests.support.in_memory.store import InMemoryStore
from tests.support.virtual_time import run_virtually
from tests.support.worlds.person import an_ed25519_signer

ALICE = NodeKey(b"a" * 32)
BOB = NodeKey(b"b" * 32)
CAROL = NodeKey(b"c" * 32)
DEMO = RoomName("demo")
TOPIC = topic_of(DEMO)
ALICES_SIGNER = an_ed25519_signer(b"1", "alice@home")
CLAUDE = UUID(int=1)
CURSOR = UUID(int=2)
ADDRESS = AddressInfo(None, (SocketAddress("127.0.0.1", 9),))


def old_peers_in(host: Host, room: RoomName = DEMO) -> RoomOfLegacy:
    """Return the 0.1.4 peers in a room that was entered."""
    assert isinstance(host.legacy, LegacyMembers)
    return host.legacy.of(open_room_id(room))


def network_of(host: Host) -> FakeNetwork:
    assert isinstance(host.network, FakeNetwork)
    return host.network


def said(host: Host) -> Iterator[Body]:
    for _, content in network_of(host).said:
        yield open_envelope(content).message.body


def ticket(*keys: NodeKey, room: RoomName = DEMO, topic: TopicId = TOPIC) -> str:
    return encode_ticket(
        Ticket(room, topic, tuple(PeerAddress(key.endpoint, ADDRESS) for key in keys))
    )


@asynccontextmanager
async def rooms_of(
    host: Host, *, let_in_by: tuple[EndpointId, ...] = ()
) -> AsyncIterator[tuple[Rooms, RoomChanges]]:
    async with Rooms.open(host) as rooms:
        network = network_of(host)

        def report(topic: TopicId, peer: EndpointId) -> None:
            room = rooms.by_topic(topic)
            if room is not None and peer in let_in_by:
                network.neighbors_of[topic] = (peer,)
                room.on_neighbor_up(peer)

        network.on_join = report
        yield rooms, RoomChanges(rooms, host)


async def presence_of(key: NodeKey, user: str, room: RoomName = DEMO) -> bytes:
    composer = Composer(key, InMemoryStore(), ManualClock())
    return await composer.compose(open_room_id(room), Presence(user, ()), address=AddressInfo())


async def test_a_member_is_shown_with_the_key_that_vouches_for_it() -> None:
    own = await bind(ALICES_SIGNER, ALICE.endpoint, 5)
    label = an_ed25519_signer(b"1").label  # without the comment, which anybody can choose
    alice, bob = a_host(ALICE, "alice", own=own), a_host(BOB, "bob")
    async with rooms_of(alice) as (theirs, their_changes), rooms_of(bob) as (ours, our_changes):
        await their_changes.join("demo", None, None)
        await our_changes.join("demo", None, None)
        (reply,) = await theirs.room(DEMO).answer_hello(Hello(), CAROL.endpoint)
        await ours.room(DEMO).answer_hello(Hello(presence=reply.presences[0].proof), ALICE.endpoint)
        shown = [(it.name, it.verified, it.signed_by) for it in ours.members(DEMO)]
        assert shown == [
            ("bob", Verified.PEER, ""),
            ("alice", Verified.SIGNER, label),
        ]
        (herself,) = theirs.members(DEMO)
        assert (herself.verified, herself.signed_by) == (Verified.SIGNER, label)


async def test_a_room_without_a_ticket_is_entered_at_once_and_its_ticket_leads_to_us() -> None:
    alice = a_host(ALICE, "alice")
    async with rooms_of(alice) as (rooms, changes):
        report = await changes.join("demo", None, CLAUDE)
        assert decode_ticket(report.ticket) == Ticket(DEMO, TOPIC, (alice.network.address(),))
        assert (report.already_joined, report.tried) == (False, ())
        assert rooms.joined() == (DEMO,)


async def test_joining_tells_old_peers_by_join_and_ours_by_presence() -> None:
    bob = a_host(BOB, "bob")
    network_of(bob).reachable.add(ALICE.endpoint)
    async with rooms_of(bob, let_in_by=(ALICE.endpoint,)) as (_, changes):
        await changes.join("demo", ticket(ALICE), None)
        await until(lambda: len(network_of(bob).said) >= 2)
        assert list(map(type, said(bob))) == [Join, Presence]


async def test_old_peers_hear_a_join_from_each_swarm_that_we_come_into() -> None:
    """They answer it by theirs, and it is all that tells us of them."""
    bob = a_host(BOB, "bob")
    async with rooms_of(bob) as (rooms, changes):
        await changes.join("demo", None, None)
        room = rooms.room("demo")
        for _ in range(2):
            room.on_neighbor_up(ALICE.endpoint)
            await until(lambda: any(isinstance(body, Join) for body in said(bob)))
            network_of(bob).said.clear()
            room.on_neighbor_down(ALICE.endpoint)


async def test_a_member_of_the_ticket_that_answers_lets_us_in_and_tells_who_is_there() -> None:
    bob = a_host(BOB, "bob")
    network = network_of(bob)
    network.reachable.add(ALICE.endpoint)
    alice_presence = await presence_of(ALICE, "alice")
    carol_presence = await presence_of(CAROL, "carol")

    def hello(request: PeerRequest) -> list[PeerReply]:
        copies = [
            PresenceCopy(proof=alice_presence),
            PresenceCopy(proof=carol_presence, age_ms=10_000),
        ]
        return [PeerReply(end=True, hello=HelloReply(presences=copies))]

    network.answers[ALICE.endpoint] = hello
    async with rooms_of(bob, let_in_by=(ALICE.endpoint,)) as (_, changes):
        report = await changes.join("demo", ticket(ALICE), None)
        assert [member.name for member in report.members] == ["bob", "alice", "carol"]
        assert report.tried == (DialAttempt(ALICE.endpoint, True, "was reached"),)


async def test_of_too_many_members_those_heard_last_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room_module, "COPIES_MAX", 2)
    alice = a_host(ALICE, "alice")
    async with rooms_of(alice) as (rooms, changes):
        await changes.join("demo", None, None)
        room = rooms.room("demo")
        for age_s, (key, name) in enumerate(((BOB, "bob"), (CAROL, "carol"))):
            await room.on_presence(
                await rooms.admit(DEMO, await presence_of(key, name)), age_s=age_s
            )
        [reply] = await room.answer_hello(Hello(), CAROL.endpoint)
        told = [open_envelope(copy.proof).message.body for copy in reply.presences]
        assert told == [Presence("alice", ()), Presence("bob", ())]


async def test_no_more_members_are_taken_from_an_answer_than_are_told_in_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room_module, "COPIES_MAX", 3)
    bob = a_host(BOB, "bob")
    network = network_of(bob)
    network.reachable.add(ALICE.endpoint)
    made_up = [NodeKey(bytes([number]) * 32) for number in range(1, 9)]
    copies = [PresenceCopy(proof=await presence_of(key, "ghost")) for key in made_up]
    network.answers[ALICE.endpoint] = lambda _: [
        PeerReply(end=True, hello=HelloReply(presences=copies))
    ]
    async with rooms_of(bob, let_in_by=(ALICE.endpoint,)) as (_, changes):
        report = await changes.join("demo", ticket(ALICE), None)
        assert [member.name for member in report.members] == ["bob", "ghost", "ghost", "ghost"]


async def test_a_ticket_names_the_members_that_are_trusted_most() -> None:
    alice = a_host(ALICE, "alice")
    async with rooms_of(alice) as (rooms, changes):
        await changes.join("demo", None, None)
        room = rooms.room("demo")

        async def hears_of(key: NodeKey, name: str, told_by: NodeKey) -> None:
            composer = Composer(key, InMemoryStore(), alice.clock)
            said = await composer.compose(room.room_id, Presence(name, ()), address=ADDRESS)
            await room.on_presence(await room.admit(said, told_by.endpoint))

        await hears_of(CAROL, "carol", told_by=CAROL)
        for number in range(1, 20):
            await hears_of(NodeKey(bytes([number]) * 32), "aaa", told_by=BOB)
        named = [peer.endpoint for peer in room.ticket().endpoints]
        assert named[:2] == [ALICE.endpoint, CAROL.endpoint]


async def test_a_presence_copied_from_another_room_is_not_believed() -> None:
    bob = a_host(BOB, "bob")
    network = network_of(bob)
    network.reachable.add(ALICE.endpoint)
    stolen = await presence_of(CAROL, "carol", RoomName("another"))
    network.answers[ALICE.endpoint] = lambda _: [
        PeerReply(end=True, hello=HelloReply(presences=[PresenceCopy(proof=stolen)]))
    ]
    async with rooms_of(bob, let_in_by=(ALICE.endpoint,)) as (_, changes):
        report = await changes.join("demo", ticket(ALICE), None)
        assert [member.name for member in report.members] == ["bob"]
        assert bob.counters == {"rejected_bad_signature": 1}


async def test_an_unreachable_ticket_is_an_error_that_names_each_peer_and_keeps_nothing() -> None:
    bob = a_host(BOB, "bob")
    async with rooms_of(bob) as (rooms, changes):
        with pytest.raises(Unreachable) as caught:
            await changes.join("demo", ticket(ALICE, CAROL), CLAUDE)
        for key in (ALICE, CAROL):
            assert f"peer {key.endpoint.hex()[:10]} did not answer" in str(caught.value)
        assert "buddies-cli ticket demo" in str(caught.value)
        assert rooms.joined() == ()
        assert bob.store.rooms() == ()
        assert network_of(bob).topics == {}


async def test_a_join_that_fails_forgets_the_members_it_was_told_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(changes_module, "JOIN_DEADLINE_S", 0.05)
    bob = a_host(BOB, "bob")
    network_of(bob).reachable.add(ALICE.endpoint)
    alice_presence = await presence_of(ALICE, "alice")
    network_of(bob).answers[ALICE.endpoint] = lambda _: [
        PeerReply(end=True, hello=HelloReply(presences=[PresenceCopy(proof=alice_presence)]))
    ]
    async with rooms_of(bob) as (_, changes):
        with pytest.raises(Unreachable, match="was reached, but did not let us in"):
            await changes.join("demo", ticket(ALICE), None)
        assert bob.store.presences(open_room_id(DEMO)) == ()


async def test_a_peer_that_is_not_in_the_room_is_told_from_one_that_is_off() -> None:
    bob = a_host(BOB, "bob")
    network_of(bob).reachable.add(ALICE.endpoint)
    network_of(bob).answers[ALICE.endpoint] = refusing(NotFound("not in that room"))
    async with rooms_of(bob) as (_, changes):
        with pytest.raises(Unreachable, match="was reached, but is not in this room"):
            await changes.join("demo", ticket(ALICE), None)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("", None, "room is empty"),
        ("de\u200bmo", None, r"room 'de\\u200bmo' contains ZERO WIDTH SPACE \(U\+200B\)"),
        ("x" * 257, None, "257 bytes long, 256 are allowed"),
        ("other", ticket(ALICE), "for room 'demo', not 'other'"),
        ("demo", ticket(ALICE, topic=TopicId(bytes(32))), "leads elsewhere"),
        ("demo", ticket(), "names nobody who is in room 'demo'"),
        ("demo", "no ticket at all", "ticket"),
    ],
)
async def test_a_name_or_ticket_that_cannot_be_is_refused(
    name: str, text: str | None, says: str
) -> None:
    async with rooms_of(a_host(BOB, "bob")) as (rooms, changes):
        with pytest.raises(InvalidInput, match=says):
            await changes.join(name, text, None)
        assert rooms.joined() == ()


async def test_a_room_where_nobody_else_was_names_those_that_look_like_it() -> None:
    bob = a_host(BOB, "bob")
    network = network_of(bob)
    network.reachable.add(ALICE.endpoint)
    presence = PresenceCopy(proof=await presence_of(ALICE, "alice"))
    network.answers[ALICE.endpoint] = lambda _: [
        PeerReply(end=True, hello=HelloReply(presences=[presence]))
    ]
    async with rooms_of(bob, let_in_by=(ALICE.endpoint,)) as (rooms, changes):
        first = await changes.join("demo", ticket(ALICE), None)
        other = await changes.join("ops", None, None)
        alone = await changes.join("Demo", None, None)
        told = (
            "nobody else is in room 'Demo', but this machine is also in 'demo' (others there: 1)."
            " If you mean that one, use its name, and leave 'Demo'"
        )
        assert (first.warnings, other.warnings, alone.warnings) == ((), (), (told,))
        assert rooms.status("Demo").warnings == (told,)
        assert rooms.status("demo").warnings == ()


NFC, NFD = RoomName("caf\u00e9"), RoomName("cafe\u0301")


async def test_a_name_is_joined_in_its_composed_form_and_found_by_every_form() -> None:
    async with rooms_of(a_host(BOB, "bob")) as (rooms, changes):
        joined = await changes.join(f" \ufeff{NFD}\u200b\n", None, None)
        assert (joined.room, rooms.joined()) == (NFC, (NFC,))
        assert rooms.room(NFC).room_id == open_room_id(NFC)
        assert [rooms.named(text) for text in (NFC, NFD, f"{NFD} ")] == [NFC] * 3
        assert rooms.named("e\u0301") == "\u00e9"


async def test_a_ticket_leads_to_the_room_of_its_own_spelling_which_every_form_then_means() -> None:
    bob = a_host(BOB, "bob")
    network_of(bob).reachable.add(ALICE.endpoint)
    text = ticket(ALICE, room=NFD, topic=topic_of(NFD))
    async with rooms_of(bob, let_in_by=(ALICE.endpoint,)) as (rooms, changes):
        assert (await changes.join(NFC, text, None)).room == NFD
        assert rooms.room(NFD).room_id == open_room_id(NFD)
        assert (await changes.join(NFC, None, None)).already_joined
        assert (await changes.join(NFD, text, None)).already_joined
    async with rooms_of(bob) as (rooms, changes):  # as one that an older version has kept
        assert [rooms.named(text) for text in (NFC, NFD)] == [NFD] * 2
        assert (await changes.leave(rooms.named(NFC), None, for_all=True)).room == NFD
        assert rooms.joined() == ()
        assert (await changes.join(NFD, None, None)).room == NFC


@pytest.mark.parametrize(("here", "there"), [(NFC, NFD), (NFD, NFC)])
async def test_no_two_rooms_are_joined_whose_names_look_the_same(
    here: RoomName, there: RoomName
) -> None:
    bob = a_host(BOB, "bob")
    network_of(bob).reachable.add(ALICE.endpoint)
    async with rooms_of(bob, let_in_by=(ALICE.endpoint,)) as (rooms, changes):
        await changes.join(NFC, ticket(ALICE, room=here, topic=topic_of(here)), None)
        with pytest.raises(InvalidInput, match="though their names look the same"):
            await changes.join(NFC, ticket(ALICE, room=there, topic=topic_of(there)), None)
        assert rooms.joined() == (here,)


async def test_a_ticket_of_a_name_that_only_looks_like_the_one_given_is_refused() -> None:
    async with rooms_of(a_host(BOB, "bob")) as (_, changes):
        for name in (RoomName("demo\u200b"), RoomName("d\u0435mo"), RoomName("demo ")):
            text = ticket(ALICE, room=name, topic=topic_of(name))
            with pytest.raises(InvalidInput, match="the ticket is for room"):
                await changes.join("demo", text, None)


async def test_joining_again_dials_the_new_ticket_and_says_who_did_not_answer() -> None:
    bob = a_host(BOB, "bob")
    async with rooms_of(bob) as (_, changes):
        await changes.join("demo", None, None)
        report = await changes.join("demo", ticket(ALICE), None)
        assert report.already_joined
        assert report.tried == (DialAttempt(ALICE.endpoint, False, "did not answer"),)
        assert "did not answer" in report.warnings[0]


async def test_joining_again_hardly_waits_for_the_tickets_other_peers_once_one_is_reached() -> None:
    bob = a_host(BOB, "bob")
    network = network_of(bob)
    network.reachable.add(CAROL.endpoint)
    network.silent.add(ALICE.endpoint)
    async with asyncio.timeout(8), rooms_of(bob) as (_, changes):
        await changes.join("demo", None, None)
        report = await changes.join("demo", ticket(ALICE, CAROL), None)
    assert report.tried == (
        DialAttempt(ALICE.endpoint, False, "had not answered yet"),
        DialAttempt(CAROL.endpoint, True, "was reached"),
    )


async def test_joining_again_tells_what_one_refuses_though_another_was_reached_first() -> None:
    bob = a_host(BOB, "bob")
    network = network_of(bob)
    network.reachable |= {ALICE.endpoint, CAROL.endpoint}
    network.refusing[ALICE.endpoint] = 0.05
    async with asyncio.timeout(8), rooms_of(bob) as (_, changes):
        await changes.join("demo", None, None)
        report = await changes.join("demo", ticket(ALICE, CAROL), None)
    assert "was reached, but refuses: not with me" in report.warnings[0]


async def test_joining_again_hardly_waits_for_a_silent_peer_where_there_are_neighbors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(joining, "MORE_PEERS_WITHIN_S", 0.01)
    bob = a_host(BOB, "bob")
    network = network_of(bob)
    network.reachable.add(ALICE.endpoint)
    network.silent.add(CAROL.endpoint)
    async with asyncio.timeout(8), rooms_of(bob, let_in_by=(ALICE.endpoint,)) as (_, changes):
        await changes.join("demo", ticket(ALICE), None)
        report = await changes.join("demo", ticket(CAROL), None)
    assert report.tried == (DialAttempt(CAROL.endpoint, False, "had not answered yet"),)


def test_who_waited_for_another_to_join_gives_up_no_later_than_alone() -> None:
    async def join_ten_times() -> float:
        bob = a_host(BOB, "bob")
        network_of(bob).silent.add(ALICE.endpoint)
        loop = asyncio.get_running_loop()
        async with rooms_of(bob) as (_, changes):
            began_s = loop.time()
            async with asyncio.TaskGroup() as group:
                for number in range(10):
                    join = changes.join("demo", ticket(ALICE), UUID(int=number))
                    group.create_task(_refused(join))
            return loop.time() - began_s

    assert run_virtually(join_ten_times()) == pytest.approx(joining.JOIN_DEADLINE_S, abs=0.1)


async def _refused(join: Coroutine[Any, Any, JoinReport]) -> None:
    with pytest.raises(Unreachable, match="had not answered yet"):
        await join


async def test_what_is_said_while_a_join_is_under_way_is_admitted() -> None:
    bob = a_host(BOB, "bob")
    network_of(bob).silent.add(ALICE.endpoint)
    async with rooms_of(bob) as (rooms, changes), asyncio.TaskGroup() as group:
        joins = group.create_task(changes.join("demo", ticket(ALICE), None))
        await until(lambda: rooms.by_topic(TOPIC) is not None)
        room = rooms.by_topic(TOPIC)
        assert room is not None
        assert (await room.admit(await presence_of(ALICE, "alice"))).message.body == Presence(
            "alice", ()
        )
        assert rooms.joined() == ()
        joins.cancel()


async def test_our_own_ticket_is_no_reason_to_dial() -> None:
    bob = a_host(BOB, "bob")
    async with rooms_of(bob) as (_, changes):
        report = await changes.join("demo", ticket(BOB), None)
        assert (report.tried, network_of(bob).dialled) == ((), [])


async def test_two_joins_at_once_join_once() -> None:
    alice = a_host(ALICE, "alice")
    async with rooms_of(alice) as (_, changes), asyncio.TaskGroup() as group:
        first = group.create_task(changes.join("demo", None, CLAUDE))
        second = group.create_task(changes.join("demo", None, CURSOR))
    assert sorted([first.result().already_joined, second.result().already_joined]) == [False, True]


async def test_the_node_stays_as_long_as_another_agent_has_joined() -> None:
    alice = a_host(ALICE, "alice")
    async with rooms_of(alice) as (rooms, changes):
        rooms.agents.agent_attached(CLAUDE, AgentPresence(name="claude"))
        rooms.agents.agent_attached(CURSOR, AgentPresence(name="cursor"))
        for agent in (CLAUDE, CURSOR):
            await changes.join("demo", None, agent)
        first = await changes.leave("demo", CLAUDE, for_all=False)
        assert (first.node_left, first.still_joined_by) == (False, ("cursor",))
        assert [agent.name for agent in rooms.status("demo").members[0].agents] == ["cursor"]
        second = await changes.leave("demo", CURSOR, for_all=False)
        assert (second.node_left, rooms.joined()) == (True, ())
        assert alice.store.rooms() == ()
        assert Leave("alice") in said(alice)


async def test_who_joins_while_another_agent_leaves_is_in_the_room_afterwards() -> None:
    alice = a_host(ALICE, "alice")
    async with rooms_of(alice) as (rooms, changes):
        rooms.agents.agent_attached(CURSOR, AgentPresence(name="cursor"))
        await changes.join("demo", None, CLAUDE)
        may_say = network_of(alice).may_say
        may_say.clear()
        async with asyncio.TaskGroup() as group:
            leaving = group.create_task(changes.leave("demo", CLAUDE, for_all=False))
            await until(lambda: alice.store.rooms() == ())
            joining = group.create_task(changes.join("demo", None, CURSOR))
            await asyncio.sleep(0)
            may_say.set()
        assert (leaving.result().node_left, joining.result().already_joined) == (True, False)
        assert (rooms.joined(), rooms.agents.rooms_of(CURSOR)) == ((DEMO,), (DEMO,))
        assert [record.name for record in alice.store.rooms()] == [DEMO]


async def test_a_room_is_left_though_nobody_can_be_told() -> None:
    alice = a_host(ALICE, "alice")
    async with rooms_of(alice) as (rooms, changes):
        await changes.join("demo", None, None)
        network_of(alice).failure = Busy("the network does not keep up")
        assert (await changes.leave("demo", None, for_all=True)).node_left
        assert (rooms.joined(), alice.store.rooms()) == ((), ())


async def test_leaving_for_all_names_who_was_still_in() -> None:
    alice = a_host(ALICE, "alice")
    async with rooms_of(alice) as (rooms, changes):
        rooms.agents.agent_attached(CLAUDE, AgentPresence(name="claude"))
        await changes.join("demo", None, CLAUDE)
        report = await changes.leave("demo", None, for_all=True)
        assert (report.node_left, report.still_joined_by) == (True, ("claude",))


async def test_an_agent_that_went_away_no_longer_keeps_the_node_in_the_room() -> None:
    alice = a_host(ALICE, "alice")
    async with rooms_of(alice) as (rooms, changes):
        rooms.agents.agent_attached(CLAUDE, AgentPresence(name="claude"))
        await changes.join("demo", None, CLAUDE)
        rooms.agents.agent_detached(CLAUDE)
        assert rooms.joined() == (DEMO,)
        assert (await changes.leave("demo", CURSOR, for_all=False)).node_left


async def test_an_agent_that_had_joined_before_a_restart_still_keeps_the_node_in_the_room() -> None:
    alice = a_host(ALICE, "alice")
    async with rooms_of(alice) as (rooms, changes):
        await changes.join("demo", None, None)
        rooms.agents.agent_attached(CLAUDE, AgentPresence(name="claude"), (DEMO, RoomName("gone")))
        rooms.agents.agent_attached(CURSOR, AgentPresence(name="cursor"))
        report = await changes.leave("demo", CURSOR, for_all=False)
        assert (report.node_left, report.still_joined_by) == (False, ("claude",))


async def test_leaving_a_room_one_is_not_in_says_what_to_do() -> None:
    async with rooms_of(a_host(ALICE, "alice")) as (_, changes):
        with pytest.raises(NotFound, match=r"not in room 'demo'.*join it first"):
            await changes.leave("demo", None, for_all=True)


async def test_a_status_is_broadcast_as_its_agents_and_shown_in_the_room() -> None:
    alice = a_host(ALICE, "alice")
    async with rooms_of(alice) as (rooms, changes):
        rooms.agents.agent_attached(CLAUDE, AgentPresence(name="claude", user="ann"))
        await changes.join("demo", None, CLAUDE)
        report = await rooms.notify("demo", "testing", CLAUDE)
        assert report.members == 0
        envelope = open_envelope(network_of(alice).said[-1][1])
        assert envelope.message.body == StatusUpdate(ALICE.endpoint.hex(), "testing")
        assert envelope.trailer is not None
        assert (envelope.trailer.agent, envelope.trailer.user) == ("claude", "ann")
        [agent] = rooms.status("demo").members[0].agents
        assert (agent.name, agent.status) == ("claude", "testing")


async def test_what_we_publish_is_admitted_as_ours() -> None:
    alice = a_host(ALICE, "alice")
    async with rooms_of(alice) as (rooms, changes):
        await changes.join("demo", None, None)
        proof = await rooms.publish(DEMO, StatusUpdate(ALICE.endpoint.hex(), "busy"), agent="x")
        admitted = await rooms.admit(DEMO, proof)
        assert (admitted.verified, admitted.raw) == (Verified.PEER, proof)


async def test_an_unsigned_message_in_our_own_name_is_rejected() -> None:
    alice = a_host(ALICE, "alice")
    async with rooms_of(alice) as (rooms, changes):
        await changes.join("demo", None, None)
        body = StatusUpdate(ALICE.endpoint.hex(), "forged")
        forged = encode_room_message(RoomMessage(nonce=bytes(16), body=body))
        with pytest.raises(Rejected, match="signs its messages"):
            await rooms.admit(DEMO, forged)


async def test_after_a_restart_the_node_is_in_its_rooms_and_dials_the_members_it_knew() -> None:
    store = InMemoryStore()
    before = a_host(BOB, "bob", store)
    async with rooms_of(before) as (rooms, changes):
        await changes.join("demo", None, None)
        admitted = await rooms.admit(DEMO, await presence_of(ALICE, "alice"))
        await rooms.room("demo").on_presence(admitted)
    after = a_host(BOB, "bob", store)
    network_of(after).reachable.add(ALICE.endpoint)
    async with rooms_of(after) as (rooms, changes):
        assert rooms.joined() == (DEMO,)
        await until(lambda: network_of(after).topics.get(TOPIC) == [ALICE.endpoint])


async def test_a_node_that_lost_its_last_neighbor_dials_members_it_heard_a_moment_ago(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room_module, "REUNITE_EVERY_S", 0.01)
    bob = a_host(BOB, "bob")
    network = network_of(bob)
    network.reachable.add(ALICE.endpoint)
    async with rooms_of(bob, let_in_by=(ALICE.endpoint,)) as (rooms, changes):
        await changes.join("demo", ticket(ALICE), None)
        room = rooms.room("demo")
        await room.on_presence(await rooms.admit(DEMO, await presence_of(ALICE, "alice")))
        network.neighbors_of[TOPIC] = ()
        room.on_neighbor_down(ALICE.endpoint)
        assert room.presences.has(ALICE.endpoint)
        await until(lambda: network.topics[TOPIC] == [ALICE.endpoint] * 2)


async def test_a_member_whose_record_is_damaged_hinders_nobody() -> None:
    store = InMemoryStore()
    before = a_host(BOB, "bob", store)
    async with rooms_of(before) as (_, changes):
        await changes.join("demo", None, None)
    now_ms = before.clock.wall_ms()
    for key, proof in ((ALICE, await presence_of(ALICE, "alice")), (CAROL, b"damaged")):
        await store.put_presence(
            PresenceRecord(
                room_id=open_room_id(DEMO),
                endpoint=key.endpoint,
                proof=proof,
                received_at_ms=now_ms,
            )
        )
    after = a_host(BOB, "bob", store)
    network_of(after).reachable.add(ALICE.endpoint)
    async with rooms_of(after):
        await until(lambda: network_of(after).topics.get(TOPIC) == [ALICE.endpoint])


async def test_a_node_that_stops_says_that_it_goes_but_stays_in_the_room() -> None:
    alice = a_host(ALICE, "alice")
    async with rooms_of(alice) as (_, changes):
        await changes.join("demo", None, None)
    assert list(said(alice))[-1] == Leave("alice")
    assert [record.name for record in alice.store.rooms()] == [DEMO]


async def test_a_node_that_stops_does_not_wait_long_for_a_network_that_is_stuck(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rooms_module, "GOODBYE_WITHIN_S", 0.01)
    alice = a_host(ALICE, "alice")
    async with asyncio.timeout(8), rooms_of(alice) as (_, changes):
        for name in ("demo", "ops"):
            await changes.join(name, None, None)
        network_of(alice).may_say.clear()
    assert Leave("alice") not in said(alice)


async def test_a_presence_older_than_a_leave_does_not_bring_a_member_back() -> None:
    alice = a_host(ALICE, "alice")
    async with rooms_of(alice) as (rooms, changes):
        await changes.join("demo", None, None)
        room = rooms.room("demo")
        admitted = await rooms.admit(DEMO, await presence_of(BOB, "bob"))
        await room.on_presence(admitted)
        assert admitted.trailer is not None
        await room.on_leave(BOB.endpoint, admitted.trailer.sent_at_ms + 1)
        await room.on_presence(admitted)
        assert [member.name for member in rooms.members(DEMO)] == ["alice"]


async def test_of_too_many_members_the_one_that_was_silent_for_longest_is_forgotten_on_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(last_seen, "MEMBERS_MAX", 1)
    alice = a_host(ALICE, "alice")
    async with rooms_of(alice) as (rooms, changes):
        await changes.join("demo", None, None)
        for key in (BOB, CAROL):
            admitted = await rooms.admit(DEMO, await presence_of(key, "somebody"))
            await rooms.room("demo").on_presence(admitted)
        assert [it.endpoint for it in alice.store.presences(open_room_id(DEMO))] == [CAROL.endpoint]


async def test_an_old_peer_is_shown_among_the_others_until_it_leaves() -> None:
    alice = a_host(ALICE, "alice")
    async with rooms_of(alice) as (rooms, changes):
        await changes.join("demo", None, None)
        room = rooms.room("demo")
        await room.on_presence(await rooms.admit(DEMO, await presence_of(CAROL, "Zoe")))
        old_peers_in(alice).heard(Join("olga", "cursor"), BOB.endpoint, is_author=True)
        shown = [(member.name, member.speaks_direct) for member in room.members()]
        assert shown == [("alice", True), ("olga", False), ("Zoe", True)]
        old_peers_in(alice).left("olga")
        assert [member.name for member in room.members()] == ["alice", "Zoe"]


async def test_without_old_peers_nobody_is_told_by_join() -> None:
    bob = replace(a_host(BOB, "bob"), legacy=None)
    network_of(bob).reachable.add(ALICE.endpoint)
    async with rooms_of(bob, let_in_by=(ALICE.endpoint,)) as (_, changes):
        await changes.join("demo", ticket(ALICE), None)
        await until(lambda: bool(network_of(bob).said))
        assert list(map(type, said(bob))) == [Presence]


async def test_the_leave_of_somebody_unknown_takes_no_place_on_disk() -> None:
    alice = a_host(ALICE, "alice")
    async with rooms_of(alice) as (rooms, changes):
        await changes.join("demo", None, None)
        await rooms.room("demo").on_leave(BOB.endpoint, 10)
        assert alice.store.watermark(presence_mark(open_room_id(DEMO), BOB.endpoint)) == 0


async def test_a_lost_member_is_shown_as_silent_and_one_that_left_as_away() -> None:
    alice = a_host(ALICE, "alice")
    clock, network = alice.clock, network_of(alice)
    async with rooms_of(alice) as (rooms, changes):
        await changes.join("demo", None, None)
        room = rooms.room("demo")
        for key, name in ((BOB, "bob"), (CAROL, "carol")):
            proof = await presence_of(key, name)
            await room.on_presence(await room.admit(proof, key.endpoint))
        network.contacts[BOB.endpoint] = Contact(
            heard_s=clock.now_s(), path=Path.DIRECT, round_trip_ms=2
        )
        network.contacts[CAROL.endpoint] = Contact(heard_s=clock.now_s(), lost_s=clock.now_s())
        [_, bob, carol] = rooms.status(DEMO).members
        assert (bob.silent_since_ms, bob.path, bob.round_trip_ms) == (0, Path.DIRECT, 2)
        assert abs(carol.silent_since_ms - clock.wall_ms()) <= 1
        assert carol.path is None

        await room.on_leave(CAROL.endpoint, clock.wall_ms() + 1)
        status = rooms.status(DEMO)
        assert [member.name for member in status.members] == ["alice", "bob"]
        assert status.away == (AwayMember(CAROL.endpoint, "carol", carol.heard_at_ms),)


async def test_in_another_network_absent_members_are_dialled_at_once_and_told_where_we_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pause after a failed dial grows to a minute, and the network may be back in a second."""
    monkeypatch.setattr(room_module, "REUNITE_EVERY_S", 3600)
    alice = a_host(ALICE, "alice")
    network = network_of(alice)
    async with rooms_of(alice) as (rooms, changes):
        await changes.join("demo", None, None)
        room = rooms.room("demo")
        await room.on_presence(await rooms.admit(DEMO, await presence_of(BOB, "bob")))
        for dials in (1, 2, 3):
            said_before = len(network.said)
            network.moved.set()
            await until(lambda dials=dials: network.dialled == [BOB.endpoint] * dials)  # type: ignore[misc]
            await until(lambda before=said_before: len(network.said) > before)  # type: ignore[misc]

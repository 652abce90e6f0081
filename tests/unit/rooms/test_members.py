"""Who is here and who was: strangers push out nobody, and old words bring nobody back."""

from dataclasses import replace

import pytest

from buddies_core.identity.binding import bind
from buddies_core.identity.node_key import NodeKey
from buddies_core.model.address import AddressInfo, PeerAddress, SocketAddress
from buddies_core.model.bodies import Presence
from buddies_core.model.contact import Contact
from buddies_core.model.identity import Binding
from buddies_core.model.ids import EndpointId, RoomName, open_room_id
from buddies_core.model.policy import Policy
from buddies_core.rooms.composing import Composer
from buddies_core.rooms.members import Members
from buddies_core.rooms.ports import Host
from buddies_core.rooms.presence import MEMBERS_PER_NEIGHBOR_MAX, PRESENCE_LASTS_S
from buddies_core.rooms.standing import CHOSEN
from buddies_core.store.records import PresenceRecord, RoomRecord
from buddies_core.trust import bindings as bindings_module
from tests.support.fakes.clocks import ManualClock
from tests.support.fakes.host import a_host
from tests.support.fakes.network import FakeNetwork
from tests.support.in_memory.store import InMemoryStore
from tests.support.worlds.person import an_ed25519_signer
from tests.support.worlds.private_members import FIRST, founders_state

ALICE, BOB, CAROL, MALLORY = (NodeKey(letter * 32) for letter in (b"a", b"b", b"c", b"m"))
DEMO = RoomName("demo")
ROOM_ID = open_room_id(DEMO)
RECORD = RoomRecord(name=DEMO, room_id=ROOM_ID, joined_at_ms=1, bootstrap=())
ADDRESS = AddressInfo(None, (SocketAddress("127.0.0.1", 9),))
MADE_UP = 4200


class RoomOfAlice:
    """Alice's room; what is said to it is signed and admitted as always."""

    def __init__(self, store: InMemoryStore | None = None, record: RoomRecord = RECORD) -> None:
        self.store = store or InMemoryStore()
        self.host: Host = a_host(ALICE, "alice", self.store)
        assert isinstance(self.host.clock, ManualClock)
        self.clock = self.host.clock
        self.members = Members(record, self.host)

    def restart(self, after_s: float = 0.0) -> "RoomOfAlice":
        """Return the node that goes on with what is on disk, so much later."""
        again = RoomOfAlice(self.store)
        again.clock.unix_ms = self.clock.unix_ms
        again.passes(after_s)
        return again

    def passes(self, seconds: float) -> None:
        self.clock.monotonic_s += seconds
        self.clock.unix_ms += int(seconds * 1000)

    async def hears(self, said: bytes, told_by: EndpointId, age_s: float = 0.0) -> None:
        admitted = await self.host.admission.admit(DEMO, ROOM_ID, said, told_by)
        await self.members.heard(admitted, age_s)

    async def hears_of(self, key: NodeKey, told_by: EndpointId) -> bytes:
        said = await presence(key, self.clock)
        await self.hears(said, told_by)
        return said

    def has(self, key: NodeKey) -> bool:
        return self.members.presences.has(key.endpoint)

    def on_disk(self) -> set[EndpointId]:
        return {it.endpoint for it in self.store.presences(ROOM_ID)}


async def presence(key: NodeKey, clock: ManualClock, binding: Binding | None = None) -> bytes:
    composer = Composer(key, InMemoryStore(), clock)
    return await composer.compose(ROOM_ID, Presence("x", (), binding), address=ADDRESS)


async def test_made_up_members_push_out_nobody_that_was_known_in_memory_or_on_disk() -> None:
    node = RoomOfAlice()
    await node.hears_of(BOB, told_by=BOB.endpoint)
    await node.hears_of(CAROL, told_by=BOB.endpoint)
    for number in range(MADE_UP):
        made_up = NodeKey(number.to_bytes(32, "big"))
        await node.hears_of(made_up, told_by=MALLORY.endpoint)
    known = {BOB.endpoint, CAROL.endpoint}
    assert (node.has(BOB), node.has(CAROL)) == (True, True)
    assert node.on_disk() >= known
    assert len(node.on_disk()) == len(node.members.last_seen.since(0))
    assert len(node.on_disk()) == 2 + MEMBERS_PER_NEIGHBOR_MAX
    again = node.restart(after_s=30 * 60)
    standing = again.members.last_seen.standing
    assert standing(BOB.endpoint) > max(standing(it) for it in node.on_disk() - known)


async def test_no_made_up_members_push_out_one_that_is_connected_whoever_brought_its_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bindings_module, "BINDINGS_PER_NEIGHBOR_MAX", 3)
    node, signer = RoomOfAlice(), an_ed25519_signer(b"1")
    network = node.host.network
    assert isinstance(network, FakeNetwork)
    network.contacts[BOB.endpoint] = Contact(heard_s=0.0)
    network.contacts[CAROL.endpoint] = Contact(heard_s=0.0, lost_s=1.0)
    made_up = [NodeKey(number.to_bytes(32, "big")) for number in range(4)]
    for key in (BOB, CAROL, *made_up):
        bound = await presence(key, node.clock, await bind(signer, key.endpoint, 5))
        await node.hears(bound, MALLORY.endpoint)
    vouched = [node.host.bindings.signer_of(it.endpoint) for it in (BOB, CAROL, *made_up)]
    assert vouched == [signer.identity, None, None, *[signer.identity] * 3]
    assert [node.members.last_seen.is_known(it.endpoint) for it in (BOB, CAROL)] == [True, False]


async def test_a_member_is_known_for_as_long_as_it_was_heard_over_restarts_too() -> None:
    node = RoomOfAlice()
    await node.hears_of(BOB, told_by=CAROL.endpoint)
    node.passes(3600)
    await node.hears_of(BOB, told_by=CAROL.endpoint)
    [kept] = node.store.presences(ROOM_ID)
    assert (kept.received_at_ms - kept.first_heard_at_ms, kept.met) == (3_600_000, False)
    seen = node.restart().members.last_seen.get(BOB.endpoint)
    assert seen == node.members.last_seen.get(BOB.endpoint)
    assert seen is not None
    assert seen.known_ms == 3_600_000


async def test_a_record_from_before_times_were_kept_counts_from_its_last_time_on() -> None:
    node = RoomOfAlice()
    said = await presence(BOB, node.clock)
    now_ms = node.clock.wall_ms()
    await node.store.put_presence(
        PresenceRecord(room_id=ROOM_ID, endpoint=BOB.endpoint, proof=said, received_at_ms=now_ms)
    )
    again = node.restart(after_s=120)
    assert again.members.last_seen.standing(BOB.endpoint) == 0
    await again.hears_of(BOB, told_by=CAROL.endpoint)
    seen = again.members.last_seen.get(BOB.endpoint)
    assert seen is not None
    assert seen.known_ms == 120_000


async def test_whom_the_user_has_named_stands_above_all_others() -> None:
    ticket = replace(RECORD, bootstrap=(PeerAddress(BOB.endpoint, ADDRESS),))
    node = RoomOfAlice(record=ticket)
    signer = an_ed25519_signer(b"1")
    await node.host.gate.policies.put(ROOM_ID, Policy((signer.identity,)))
    named = await presence(CAROL, node.clock, await bind(signer, CAROL.endpoint, 5))
    await node.hears(named, MALLORY.endpoint)
    standing = node.members.last_seen.standing
    assert [standing(it.endpoint) for it in (BOB, CAROL, MALLORY)] == [CHOSEN, CHOSEN, 0]


async def test_made_up_members_leave_no_more_marks_on_disk_than_there_are_members() -> None:
    node = RoomOfAlice()
    await node.hears_of(BOB, told_by=BOB.endpoint)
    for number in range(MADE_UP):
        await node.hears_of(NodeKey(number.to_bytes(32, "big")), told_by=MALLORY.endpoint)
    marked = {name.removeprefix(b"presence" + ROOM_ID) for name, _ in node.store.watermarks(b"pre")}
    assert marked == node.on_disk()
    assert len(marked) == 1 + MEMBERS_PER_NEIGHBOR_MAX


async def test_while_made_up_members_come_in_no_old_word_of_a_known_one_is_heard_again() -> None:
    node = RoomOfAlice()
    older = await node.hears_of(BOB, told_by=BOB.endpoint)
    node.passes(120)
    await node.hears_of(BOB, told_by=CAROL.endpoint)
    await node.members.left(BOB.endpoint, node.clock.wall_ms() + 1)
    for mallory in (b"m", b"n", b"o", b"p", b"q"):
        for number in range(MEMBERS_PER_NEIGHBOR_MAX):
            made_up = NodeKey(mallory * 16 + number.to_bytes(16, "big"))
            await node.hears_of(made_up, told_by=NodeKey(mallory * 32).endpoint)
    again = node.restart()
    await again.hears(older, MALLORY.endpoint)
    assert (again.has(BOB), BOB.endpoint in again.host.admission.speakers) == (False, True)


async def test_the_connections_of_members_are_ranked_by_standing_and_in_private_rooms_highest() -> (
    None
):
    node = RoomOfAlice()
    for minutes in (0, 10):
        node.passes(60 * minutes)
        await node.hears_of(BOB, told_by=BOB.endpoint)
    await node.hears_of(CAROL, told_by=MALLORY.endpoint)
    network = node.host.network
    assert isinstance(network, FakeNetwork)
    standing = node.members.last_seen.standing(BOB.endpoint)
    assert network.ranks == {BOB.endpoint: standing, CAROL.endpoint: 0}
    assert standing > 0

    inside = RoomOfAlice(record=replace(RECORD, private=founders_state(FIRST)))
    await inside.hears_of(BOB, told_by=CAROL.endpoint)
    network = inside.host.network
    assert isinstance(network, FakeNetwork)
    assert network.ranks == {BOB.endpoint: CHOSEN}


async def test_after_a_restart_the_last_presence_of_a_member_that_is_gone_is_not_heard() -> None:
    node = RoomOfAlice()
    said = await node.hears_of(BOB, told_by=BOB.endpoint)
    again = node.restart(after_s=PRESENCE_LASTS_S)
    await again.hears(said, MALLORY.endpoint)
    await again.hears(said, MALLORY.endpoint, age_s=1.0)
    assert not again.has(BOB)


async def test_the_presence_that_a_member_had_before_a_restart_counts_for_as_long_as_without() -> (
    None
):
    node = RoomOfAlice()
    said = await node.hears_of(BOB, told_by=BOB.endpoint)
    again = node.restart(after_s=20)
    await again.hears(said, CAROL.endpoint, age_s=15.0)  # as Carol's answer to a hello has it
    assert again.has(BOB)
    gone_at_s = again.clock.now_s() + PRESENCE_LASTS_S - 20
    assert again.members.presences.expire(gone_at_s - 0.1) == ()
    assert again.members.presences.expire(gone_at_s) == (BOB.endpoint,)


async def test_a_presence_older_than_the_last_one_heard_counts_for_nothing() -> None:
    node = RoomOfAlice()
    older = await node.hears_of(BOB, told_by=BOB.endpoint)
    node.passes(5)
    await node.hears_of(BOB, told_by=BOB.endpoint)
    again = node.restart()
    await again.hears(older, MALLORY.endpoint)
    assert not again.has(BOB)

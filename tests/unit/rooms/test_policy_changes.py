"""What people and agents see of policies, and what a change of one does at once."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from buddies_core.errors import InvalidInput, NotAllowed, NotFound
from buddies_core.identity.binding import bind
from buddies_core.identity.gpg import Gpg
from buddies_core.identity.node_key import NodeKey
from buddies_core.identity.resolving import Resolver
from buddies_core.model.address import AddressInfo
from buddies_core.model.bodies import Join, Presence
from buddies_core.model.ids import EndpointId, RoomName, open_room_id
from buddies_core.model.policy import IDENTITIES_MAX, AffectedMember, Policy, PolicyView
from buddies_core.model.provenance import Trust
from buddies_core.rooms.composing import Composer
from buddies_core.rooms.policy_changes import PolicyChanges
from buddies_core.rooms.room_changes import RoomChanges
from buddies_core.rooms.rooms import Rooms
from tests.support.fakes.clocks import ManualClock
from tests.support.fakes.host import a_host
from tests.support.in_memory.store import InMemoryStore
from tests.support.worlds.person import an_ed25519_signer
from tests.unit.rooms.test_rooms import DEMO, old_peers_in, rooms_of

ALICE, BOB, CAROL = (NodeKey(name * 32) for name in (b"a", b"b", b"c"))
OWN_KEY, ANNS_KEY, BENS_KEY = (an_ed25519_signer(seed) for seed in (b"0", b"1", b"2"))
OWN, ANN, BEN = (f"{key.label} some@comment" for key in (OWN_KEY, ANNS_KEY, BENS_KEY))
ROOM_ID = open_room_id(DEMO)


class BobsRooms:
    """Bob's, in the room demo with Alice, for whom Ann vouches, and Carol, for whom nobody does."""

    def __init__(self, rooms: Rooms, room_changes: RoomChanges) -> None:
        self.rooms = rooms
        self.room_changes = room_changes
        self.host = rooms._host
        self.policies = self.host.gate.policies
        self.changes = PolicyChanges(
            rooms,
            self.host.gate,
            self.host.bindings,
            Resolver(Gpg({"PATH": "/no"})),
            BOB.endpoint,
        )

    async def set(self, *labels: str, signed: bool = False, confirm: bool = False) -> None:
        await self.changes.set(DEMO, labels, require_signed=signed, confirm=confirm)

    async def meet(self, key: NodeKey, name: str, by: str = "") -> None:
        signer = {"ann": ANNS_KEY, "ben": BENS_KEY}.get(by)
        binding = await bind(signer, key.endpoint, 5) if signer else None
        composer = Composer(key, InMemoryStore(), ManualClock())
        said = await composer.compose(ROOM_ID, Presence(name, (), binding), address=AddressInfo())
        room = self.rooms.room(DEMO)
        await room.on_presence(await room.admit(said))

    def present(self) -> list[str]:
        return [m.name for m in self.rooms.members(DEMO) if not m.is_self]


@pytest.fixture
async def bob() -> AsyncIterator[BobsRooms]:
    own = await bind(OWN_KEY, BOB.endpoint, 5)
    async with rooms_of(a_host(BOB, "bob", own=own)) as (rooms, room_changes):
        await room_changes.join(DEMO, None, None)
        machine = BobsRooms(rooms, room_changes)
        await machine.meet(ALICE, "alice", by="ann")
        await machine.meet(CAROL, "carol")
        yield machine


@pytest.fixture
async def nobody() -> AsyncIterator[BobsRooms]:
    """Bob's machine, for which nobody vouches."""
    async with rooms_of(a_host(BOB, "bob")) as (rooms, room_changes):
        await room_changes.join(DEMO, None, None)
        yield BobsRooms(rooms, room_changes)


def affected(key: NodeKey, name: str, by: str = "", *, present: bool = True) -> AffectedMember:
    return AffectedMember(endpoint=key.endpoint, name=name, signed_by=by, present=present)


async def test_a_room_has_no_policy_at_first(bob: BobsRooms) -> None:
    assert bob.changes.get(DEMO) == PolicyView(
        room=DEMO, require_signed=False, identities=(), local_identity=OWN_KEY.label
    )


async def test_a_change_shuts_out_at_once_and_says_whom(bob: BobsRooms) -> None:
    report = await bob.changes.set(DEMO, [OWN, ANN], require_signed=False, confirm=False)
    assert report.view.identities == (OWN_KEY.label, ANNS_KEY.label)  # without the comments
    assert (report.shut_out, report.shut_out_total) == ((affected(CAROL, "carol"),), 1)
    assert (report.admitted, report.admitted_total) == ((), 0)
    assert bob.present() == ["alice"]
    assert bob.changes.get(DEMO) == report.view


async def test_who_is_away_is_told_of_too(bob: BobsRooms) -> None:
    bob.rooms.room(DEMO).presences.forget(CAROL.endpoint)
    report = await bob.changes.add(DEMO, OWN, confirm=False)
    assert report.shut_out == (
        affected(ALICE, "alice", ANNS_KEY.label),
        affected(CAROL, "carol", present=False),
    )


async def test_who_is_let_in_anew_is_told(bob: BobsRooms) -> None:
    await bob.set(OWN)
    report = await bob.changes.add(DEMO, ANN, confirm=False)
    assert report.admitted == (affected(ALICE, "alice", ANNS_KEY.label, present=False),)
    assert report.shut_out == (affected(CAROL, "carol", present=False),)
    report = await bob.changes.set(DEMO, [], require_signed=False, confirm=False)
    assert (report.admitted, report.shut_out) == ((affected(CAROL, "carol", present=False),), ())


async def test_a_0_1_4_member_that_signs_nothing_is_shut_out(bob: BobsRooms) -> None:
    old_peers_in(bob.host).heard(Join("old", "claude"), CAROL.endpoint, is_author=False)
    assert "old" in bob.present()
    report = await bob.changes.set(DEMO, [OWN, ANN], require_signed=False, confirm=False)
    assert [m.name for m in report.shut_out] == ["carol", "old"]
    assert bob.present() == ["alice"]


async def test_of_very_many_the_first_64_are_shown(bob: BobsRooms) -> None:
    for number in range(70):
        await bob.meet(NodeKey(bytes([number]) * 32), f"sybil {number:02}")
    report = await bob.changes.set(DEMO, [OWN, ANN], require_signed=False, confirm=False)
    assert (len(report.shut_out), report.shut_out_total) == (64, 71)


async def test_the_same_key_counts_once(bob: BobsRooms) -> None:
    await bob.set(OWN, ANN, ANNS_KEY.label, f"SSH:{ANN.removeprefix('ssh:')} again")
    await bob.changes.add(DEMO, ANN, confirm=False)
    assert bob.changes.get(DEMO).identities == (OWN_KEY.label, ANNS_KEY.label)


async def test_who_is_taken_off_the_list_is_not_heard(bob: BobsRooms) -> None:
    await bob.set(OWN, ANN)
    report = await bob.changes.remove(DEMO, f"{ANNS_KEY.label} whatever", confirm=False)
    assert report.view.identities == (OWN_KEY.label,)
    assert bob.present() == []
    with pytest.raises(InvalidInput, match="is not on the whitelist of room 'demo'"):
        await bob.changes.remove(DEMO, ANN, confirm=False)


async def test_a_change_that_locks_this_machine_out_is_made_when_it_is_confirmed(
    bob: BobsRooms,
) -> None:
    with pytest.raises(NotAllowed, match=r"lock out this machine's own identity.*confirm it"):
        await bob.set(ANN)
    assert bob.policies.of(ROOM_ID) == Policy()
    report = await bob.changes.set(DEMO, [ANN], require_signed=False, confirm=True)
    (warning,) = report.view.warnings
    assert "does not let in this machine's own identity" in warning
    assert bob.rooms.status(DEMO).warnings == (warning,)
    assert (await bob.room_changes.join(DEMO, None, None)).warnings == (warning,)

    await bob.changes.add(DEMO, OWN, confirm=False)
    assert bob.rooms.status(DEMO).warnings == ()
    with pytest.raises(NotAllowed, match="lock out"):
        await bob.changes.remove(DEMO, OWN, confirm=False)


@pytest.mark.parametrize("labels", [(), (ANN,)])
async def test_without_a_key_of_its_own_any_policy_locks_this_machine_out(
    nobody: BobsRooms, labels: tuple[str, ...]
) -> None:
    with pytest.raises(NotAllowed, match=r"no key vouches.*set BUDDIES_SIGNER"):
        await nobody.set(*labels, signed=True)
    await nobody.set(*labels, signed=True, confirm=True)
    assert nobody.changes.get(DEMO).require_signed


async def test_the_last_name_is_not_taken_off_the_list_unawares(bob: BobsRooms) -> None:
    await bob.set(OWN)
    with pytest.raises(NotAllowed, match="everybody who knows the room's name would be heard"):
        await bob.changes.remove(DEMO, OWN, confirm=False)
    report = await bob.changes.remove(DEMO, OWN, confirm=True)
    assert report.view.meaning.startswith("There is no policy")


async def test_a_key_that_is_not_in_the_keyring_is_warned_of(bob: BobsRooms) -> None:
    await bob.set(OWN)
    report = await bob.changes.add(DEMO, f"gpg:{'AB' * 20}", confirm=False)
    (warning,) = report.view.warnings
    assert f"gpg:{'AB' * 20} is not in this machine's keyring" in warning
    assert "gpg --import" in warning


async def test_a_whitelist_has_at_most_256_names(bob: BobsRooms) -> None:
    labels = [OWN, *(f"gpg:{number:040X}" for number in range(IDENTITIES_MAX))]
    with pytest.raises(InvalidInput, match=r"at most 256.*257"):
        await bob.set(*labels)
    await bob.set(*labels[:-1])
    with pytest.raises(InvalidInput, match="at most 256"):
        await bob.changes.add(DEMO, labels[-1], confirm=False)
    assert bob.policies.is_open(ROOM_ID) is False


@pytest.mark.parametrize("label", ["ssh:x", f"{ANN}\n{BEN}", "gpg:12345678", "nobody"])
async def test_what_names_no_key_changes_nothing(bob: BobsRooms, label: str) -> None:
    await bob.set(OWN)
    for change in (
        bob.changes.set(DEMO, [OWN, label], require_signed=False, confirm=True),
        bob.changes.add(DEMO, label, confirm=True),
        bob.changes.remove(DEMO, label, confirm=True),
    ):
        with pytest.raises(InvalidInput):
            await change
    assert bob.changes.get(DEMO).identities == (OWN_KEY.label,)


async def test_changes_at_the_same_time_all_count(bob: BobsRooms) -> None:
    await bob.set(OWN)
    async with asyncio.TaskGroup() as group:
        for label in (ANN, BEN):
            group.create_task(bob.changes.add(DEMO, label, confirm=False))
    assert set(bob.changes.get(DEMO).identities) == {OWN_KEY.label, ANNS_KEY.label, BENS_KEY.label}


async def test_only_a_room_that_was_joined_has_a_policy_to_change(bob: BobsRooms) -> None:
    with pytest.raises(NotFound):
        bob.changes.get("other")
    with pytest.raises(NotFound):
        await bob.changes.add("other", OWN, confirm=True)


async def test_who_comes_back_finds_the_room_as_guarded_as_it_was(bob: BobsRooms) -> None:
    await bob.set(OWN, ANN)
    await bob.room_changes.leave(DEMO, None, for_all=True)
    await bob.room_changes.join(DEMO, None, None)
    assert bob.changes.get(DEMO).identities == (OWN_KEY.label, ANNS_KEY.label)


async def test_votes_count_of_whom_the_room_hears(bob: BobsRooms) -> None:
    await bob.set(OWN, ANN)
    hears = {key: bob.rooms.hears(DEMO, EndpointId(key.endpoint)) for key in (ALICE, BOB, CAROL)}
    assert hears == {ALICE: True, BOB: True, CAROL: False}
    assert bob.rooms.hears(RoomName("other"), CAROL.endpoint)
    await bob.room_changes.leave(DEMO, None, for_all=True)
    assert not bob.rooms.hears(DEMO, CAROL.endpoint)


async def test_how_far_somebody_is_known_in_a_room(bob: BobsRooms) -> None:
    def trust(key: NodeKey, room: str = DEMO) -> Trust:
        return bob.rooms.trust(RoomName(room), EndpointId(key.endpoint))

    assert {key: trust(key) for key in (BOB, ALICE, CAROL, NodeKey(b"d" * 32))} == {
        BOB: Trust.NAMED,
        ALICE: Trust.VOUCHED,
        CAROL: Trust.MEMBER,
        NodeKey(b"d" * 32): Trust.STRANGER,
    }
    assert trust(CAROL, "other") is Trust.STRANGER
    bob.rooms.room(DEMO).presences.forget(EndpointId(CAROL.endpoint))
    assert trust(CAROL) is Trust.MEMBER  # It is remembered.

    revision = bob.rooms.policy_revision()
    await bob.set(OWN, ANN)
    assert trust(ALICE) is Trust.NAMED
    assert bob.rooms.policy_revision() != revision

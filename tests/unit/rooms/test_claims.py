"""Which room a name may stand for, so that nothing of a private one is found in another."""

import pytest

from buddies_core.errors import InvalidInput
from buddies_core.model.ids import RoomId, RoomName, open_room_id
from buddies_core.model.policy import Policy
from buddies_core.rooms.claims import claim
from tests.support.in_memory.store import InMemoryStore
from tests.support.memories import a_memory, an_entry
from tests.support.worlds.private_members import ROOM_ID, SECRET, members_of_a_room

TEAM = RoomName("team")
OPEN = open_room_id(TEAM)
OURS, THEIRS = RoomId(b"o" * 32), RoomId(b"t" * 32)


async def store_with_something_said_in(*claims: RoomId) -> InMemoryStore:
    store = InMemoryStore()
    for room_id in claims:
        await claim(TEAM, room_id, store)
    await store.put_memory(a_memory(an_entry(room=TEAM)))
    return store


@pytest.mark.parametrize("other", [OPEN, THEIRS])
async def test_what_a_private_room_left_behind_keeps_all_others_from_its_name(
    other: RoomId,
) -> None:
    store = await store_with_something_said_in(OURS)
    for _ in range(2):
        with pytest.raises(InvalidInput, match="choose another name"):
            await claim(TEAM, other, store)
        await claim(TEAM, OURS, store)
    await claim(RoomName("elsewhere"), other, store)


@pytest.mark.parametrize("before", [(), (OPEN,), (OURS, OPEN), (OURS, THEIRS, OPEN)])
async def test_what_an_open_room_left_behind_keeps_nobody_from_its_name(
    before: tuple[RoomId, ...],
) -> None:
    store = await store_with_something_said_in(*before)
    await claim(TEAM, OPEN, store)
    await claim(TEAM, OURS, store)
    with pytest.raises(InvalidInput):
        await claim(TEAM, OPEN, store)


async def test_where_nothing_is_kept_a_name_is_free_for_any_room() -> None:
    store = InMemoryStore()
    for room_id in (OURS, THEIRS, OPEN, OPEN, OURS, OPEN, THEIRS):
        await claim(TEAM, room_id, store)
    await store.put_memory(a_memory(an_entry(room=TEAM)))
    with pytest.raises(InvalidInput):
        await claim(TEAM, OURS, store)


async def test_the_policy_of_a_private_room_goes_on_after_it_was_left() -> None:
    """It was looked up as that of the open room of its name."""
    alice, bob = await members_of_a_room(2)
    await claim(SECRET, ROOM_ID, alice.store)
    policies = alice.host.gate.policies
    nobody = Policy(require_signed=True)
    for left, heard in ((open_room_id(SECRET), True), (ROOM_ID, False)):
        await policies.put(left, nobody)
        await alice.rooms.remove(alice.room)
        assert alice.rooms.hears(SECRET, bob.me) is heard

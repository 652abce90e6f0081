"""What a revoked identity has stored is nowhere to be seen, and back as soon as it is restored."""

from dataclasses import replace
from uuid import UUID

import pytest

from buddies_core.errors import NotFound
from buddies_core.model.bodies import MemoryCreated, SearchFilters, SearchRequest
from buddies_core.model.identity import SignerIdentity
from buddies_core.model.ids import EndpointId, RequestId
from buddies_core.model.memory import MemoryFilter
from buddies_core.model.revocation import ItemCounts, peer_label
from buddies_core.model.room import Member
from buddies_core.pb import peer_pb2
from buddies_core.wire.room_messages import (
    RoomMessage,
    encode_room_message,
    legacy_signed_payload,
)
from tests.support.memories import CAROL, DEMO, an_entry
from tests.support.worlds.person import an_ed25519_signer
from tests.support.worlds.team import Node, Team
from tests.unit.legacy.test_memory_searches import answering

EVERYTHING = MemoryFilter(room=DEMO)
STRANGER = EndpointId(b"x" * 32)
OLD_CAROL = Member(endpoint=CAROL, name="carol", speaks_direct=False)
ANN: SignerIdentity = an_ed25519_signer(b"1").identity


@pytest.fixture
def team() -> Team:
    return Team()


@pytest.fixture
def alice(team: Team) -> Node:
    return team.node("alice")


@pytest.fixture
def bob(team: Team, alice: Node) -> Node:
    return team.node("bob")


async def listed(node: Node, limit: int = 20) -> list[str]:
    found = await node.memories.list(EVERYTHING, limit)
    return sorted(view.content for view in found.results)


async def searched(node: Node, limit: int = 20) -> list[str]:
    found = await node.search.search("table", EVERYTHING, 3, limit)
    return sorted(view.content for view in found.results)


async def handed_on(node: Node) -> int:
    """Return how many memories a peer finds at this node."""
    return len((await node.search.answer(STRANGER, DEMO, peer_pb2.Search(query="table"))).found)


async def revoke(node: Node, label: str) -> ItemCounts:
    """Hide what came since now; let some time pass before and after."""
    node.clock.unix_ms += 1000
    view = await node.revocations.revoke(label, node.clock.unix_ms, own_too=False)
    node.clock.unix_ms += 1000
    return view.hidden


async def test_what_came_before_is_shown_and_what_comes_later_is_not(
    team: Team, alice: Node, bob: Node
) -> None:
    await alice.store_memory("old table")
    await team.deliver(alice)
    assert await revoke(bob, peer_label(alice.endpoint)) == ItemCounts()
    await alice.store_memory("new table")
    await bob.store_memory("bob's table")
    await team.deliver(alice)

    assert await listed(bob) == await searched(bob) == ["bob's table", "old table"]
    assert await handed_on(bob) == 2
    restored = await bob.revocations.restore(peer_label(alice.endpoint))
    assert restored.hidden == ItemCounts(memories=1)
    assert await listed(bob) == await searched(bob) == ["bob's table", "new table", "old table"]
    assert await handed_on(bob) == 3


async def test_to_read_it_by_its_id_says_why_not_and_what_to_do(
    team: Team, alice: Node, bob: Node
) -> None:
    stored = await alice.store_memory("a table")
    await team.deliver(alice)
    await bob.revocations.revoke(peer_label(alice.endpoint), 0, own_too=False)

    wrong = f"memory {stored.id} is hidden on this machine: .* buddies-cli identity restore 'peer:"
    with pytest.raises(NotFound, match=wrong):
        await bob.memories.get(stored.id, 0, 100)
    with pytest.raises(NotFound, match="that memory is not here"):
        await bob.memories.answer_fetch(STRANGER, DEMO, peer_pb2.FetchMemory(id=stored.id.bytes))
    await bob.revocations.restore(peer_label(alice.endpoint))
    assert (await bob.memories.get(stored.id, 0, 100)).memory.content == "a table"


async def test_what_members_alone_have_of_it_is_hidden_too(
    team: Team, alice: Node, bob: Node
) -> None:
    stored = await alice.store_memory("a table")
    found = await bob.search.search("table", EVERYTHING, 3, 20)
    assert [view.id for view in found.results] == [stored.id]  # Now it can be read, as well.
    await bob.revocations.revoke(peer_label(alice.endpoint), 0, own_too=False)

    again = await bob.search.search("table", EVERYTHING, 3, 20)
    assert (again.results, [answer.results for answer in again.answered]) == ((), [0])
    with pytest.raises(NotFound, match="is hidden on this machine"):
        await bob.memories.get(stored.id, 0, 100)
    await bob.revocations.restore(peer_label(alice.endpoint))
    assert (await bob.memories.get(stored.id, 0, 100)).memory.content == "a table"
    assert await searched(bob) == ["a table"]

    carol = team.node("carol")  # She has not searched, so a member is asked.
    await carol.revocations.revoke(peer_label(alice.endpoint), 0, own_too=False)
    for _ in range(2):
        with pytest.raises(NotFound, match="is hidden on this machine"):
            await carol.memories.get(stored.id, 0, 100)


async def test_a_member_that_hands_on_what_is_kept_and_shown_does_not_hide_it(
    team: Team, alice: Node, bob: Node
) -> None:
    await alice.store_memory("old table")
    await team.deliver(alice)
    await revoke(bob, peer_label(alice.endpoint))

    found = await bob.search.search("table", EVERYTHING, 3, 20)
    assert [view.content for view in found.results] == ["old table"]
    assert [answer.results for answer in found.answered] == [1]


async def test_a_signer_is_hidden_on_all_its_machines_even_if_it_is_bound_to_them_later(
    team: Team, alice: Node, bob: Node
) -> None:
    carol = team.node("carol")
    for node in (alice, carol):
        await node.store_memory(f"{node.name}'s table")
        await team.deliver(node)
    await bob.revocations.revoke(ANN.label, 0, own_too=False)
    assert await listed(bob) == ["alice's table", "carol's table"]

    bob.rooms.signers = {alice.endpoint: ANN}
    assert await listed(bob) == await searched(bob) == ["carol's table"]
    bob.rooms.signers[carol.endpoint] = ANN
    assert await listed(bob) == await searched(bob) == []


@pytest.mark.parametrize("limit", [1, 3, 20])
async def test_what_is_hidden_takes_no_place_of_a_search_or_a_list(
    team: Team, alice: Node, bob: Node, limit: int
) -> None:
    for number in range(300):
        await alice.store_memory(f"table of the user number {number}")
    await team.deliver(alice)
    for number in range(limit):
        await bob.store_memory(f"table {number}")
    alice.rooms.present[DEMO] = bob.rooms.present[DEMO] = []
    await bob.revocations.revoke(peer_label(alice.endpoint), 0, own_too=False)

    found = await bob.search.search("user table number", EVERYTHING, 3, limit)
    assert sorted(view.content for view in found.results) == await listed(bob, limit)
    assert len(found.results) == limit


async def test_a_0_1_4_member_is_neither_believed_nor_answered_with_what_is_hidden(
    team: Team, bob: Node
) -> None:
    bob.rooms.present[DEMO].append(OLD_CAROL)
    answering(bob, an_entry(author=CAROL, content="carol's table"))
    assert await searched(bob) == ["carol's table"]
    await bob.revocations.revoke(peer_label(CAROL), 0, own_too=False)
    assert await searched(bob) == []

    await bob.store_memory("bob's table")
    await bob.revocations.revoke(peer_label(bob.endpoint), 0, own_too=True)
    asked = SearchRequest(RequestId(UUID(int=5)), "table", SearchFilters())
    assert await bob.answers.to(asked, DEMO) is None
    await bob.revocations.restore(peer_label(bob.endpoint))
    assert await bob.answers.to(asked, DEMO) is not None


async def test_a_copy_without_proof_of_what_is_hidden_brings_it_back_neither_here_nor_there(
    team: Team, alice: Node, bob: Node
) -> None:
    stored = await alice.store_memory("a table")
    await team.deliver(alice)
    alice.rooms.present[DEMO] = []
    bob.rooms.present[DEMO] = [OLD_CAROL]
    answering(bob, an_entry(author=alice.endpoint, content="a table of Alice's"))
    await bob.revocations.revoke(peer_label(alice.endpoint), 0, own_too=False)

    assert await searched(bob) == []
    await bob.revocations.restore(peer_label(alice.endpoint))
    assert [view.id for view in (await bob.memories.list(EVERYTHING, 9)).results] == [stored.id]


async def test_what_a_revoked_key_has_signed_is_not_shown_unsigned_instead(bob: Node) -> None:
    signer = an_ed25519_signer(b"1", "ann@home")
    entry = replace(an_entry(content="ann's table"), author="ann")
    message = RoomMessage(nonce=bytes(16), body=MemoryCreated(entry), signed_by=signer.identity)
    signature = await signer.sign(legacy_signed_payload(message), "buddies")
    await bob.hear(DEMO, encode_room_message(replace(message, signature=signature)))
    bob.rooms.present[DEMO].append(OLD_CAROL)
    answering(bob, entry)
    assert await listed(bob) == await searched(bob) == ["ann's table"]

    assert (await bob.revocations.revoke(ANN.label, 0, own_too=False)).hidden.memories == 1
    assert await listed(bob) == await searched(bob) == []


async def test_an_own_identity_that_is_revoked_hides_what_is_stored_here(bob: Node) -> None:
    await bob.revocations.revoke(peer_label(bob.endpoint), 0, own_too=True)
    stored = await bob.store_memory("bob's table")
    assert stored.content == "bob's table"
    assert await listed(bob) == await searched(bob) == []
    assert await handed_on(bob) == 0

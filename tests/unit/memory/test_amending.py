"""Deleting, superseding and forgetting memories, among nodes that share a room."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from buddies_core.errors import InvalidInput, NotAllowed, NotFound
from buddies_core.memory import amending
from buddies_core.model.bodies import MemoryCreated, MemoryDeleted, MemorySuperseded
from buddies_core.model.ids import EndpointId, MemoryId, RoomName
from buddies_core.model.item import BEGIN, END
from buddies_core.model.memory import MemoryFilter, MemoryRef, verified_key
from buddies_core.model.views import DeletedMemory, Link, MemoryView, Relation
from buddies_core.pb import peer_pb2
from buddies_core.wire.room_messages import RoomMessage, encode_room_message, open_envelope
from tests.support.eventually import until
from tests.support.memories import CAROL, DEMO, an_entry, memory_id
from tests.support.worlds.person import an_ed25519_signer
from tests.support.worlds.team import Node, Team

OPS = RoomName("ops")
EVERYTHING = MemoryFilter(room=DEMO)
WITH_SUPERSEDED = MemoryFilter(room=DEMO, include_superseded=True)
STRANGER = EndpointId(b"x" * 32)
ANN = an_ed25519_signer(b"1").identity


@pytest.fixture
def team() -> Team:
    return Team()


@pytest.fixture
def alice(team: Team) -> Node:
    return team.node("alice", DEMO, OPS)


@pytest.fixture
def bob(team: Team, alice: Node) -> Node:
    return team.node("bob", DEMO, OPS)


async def listed(node: Node, filter: MemoryFilter = EVERYTHING) -> list[str]:
    return sorted(view.content for view in (await node.memories.list(filter, 20)).results)


async def searched(node: Node, filter: MemoryFilter = EVERYTHING) -> list[str]:
    found = await node.search.search("table", filter, 3, 20)
    return sorted(view.content for view in found.results)


async def handed_on(node: Node, *, include_superseded: bool = False) -> int:
    """Return how many memories a member finds at this node."""
    request = peer_pb2.Search(query="table", include_superseded=include_superseded)
    return len((await node.search.answer(STRANGER, DEMO, request)).found)


async def got(node: Node, id: MemoryId) -> MemoryView:
    return (await node.memories.get(id, 0, 100)).memory


async def delete(node: Node, id: MemoryId, reason: str = "", author: str = "") -> DeletedMemory:
    ref = MemoryRef(id, author)
    return await node.memories.amending.delete(ref, reason, agent="claude", user="")


def vouch(endpoint: EndpointId, *nodes: Node) -> None:
    """Have these nodes know that Ann's key vouches for an endpoint."""
    for node in nodes:
        node.rooms.signers[endpoint] = ANN


@asynccontextmanager
async def running(*nodes: Node) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(node.memories.run()) for node in nodes]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


# Deleting


async def test_a_deleted_memory_is_gone_here_and_at_all_who_hear_of_it(
    team: Team, alice: Node, bob: Node
) -> None:
    stored = await alice.store_memory("a table", title="Tables")
    await bob.store_memory("bob's table")
    for node in (alice, bob):
        await team.deliver(node)

    deleted = await delete(alice, stored.id, "outdated")
    assert deleted == DeletedMemory(stored.id, DEMO, "Tables")
    assert await listed(alice) == ["bob's table"]
    await team.deliver(alice)

    for node in (alice, bob):
        assert await listed(node) == await searched(node) == ["bob's table"]
        assert node.store.get_memory(verified_key(alice.endpoint, stored.id)) is None
        with pytest.raises(NotFound, match=r"was deleted by alice on 2023-.*room 'demo': outdated"):
            await got(node, stored.id)
    assert bob.index.noticed == 3  # two memories, and that one of them is to be erased


async def test_a_deletion_is_on_disk_before_it_is_told(alice: Node, bob: Node) -> None:
    stored = await alice.store_memory("a table")
    kept: list[int] = []
    alice.rooms.on_send = lambda _: kept.append(alice.store.count_memories())
    await delete(alice, stored.id)
    assert kept == [0]


async def test_a_copy_that_comes_later_is_refused_whoever_brings_it(
    team: Team, alice: Node, bob: Node
) -> None:
    stored = await alice.store_memory("a table")
    [(_, proof)] = alice.rooms.sent
    await team.deliver(alice)
    late = team.node("late", DEMO, OPS)
    await delete(alice, stored.id)
    await team.deliver(alice)

    for node in (alice, bob, late):
        await node.hear(DEMO, proof)
        assert await listed(node) == await searched(node) == []


async def test_a_search_shows_no_deleted_memory_that_a_member_still_has(
    team: Team, alice: Node, bob: Node
) -> None:
    stored = await alice.store_memory("a table")
    await team.deliver(alice)
    await delete(alice, stored.id)  # Bob does not hear of it.

    assert await handed_on(bob) == 1
    assert await searched(alice) == []
    with pytest.raises(NotFound, match="was deleted"):
        await got(alice, stored.id)


async def test_what_a_search_found_lately_is_not_read_any_more_once_it_is_deleted(
    team: Team, alice: Node, bob: Node
) -> None:
    stored = await alice.store_memory("a table")
    assert await searched(bob) == ["a table"]
    assert (await got(bob, stored.id)).content == "a table"
    await delete(alice, stored.id)
    await team.deliver(alice)
    with pytest.raises(NotFound, match="was deleted by alice"):
        await got(bob, stored.id)


async def test_nobody_deletes_another_s_memory(team: Team, alice: Node, bob: Node) -> None:
    stored = await alice.store_memory("a table")
    await team.deliver(alice)

    with pytest.raises(NotAllowed, match=r"is alice's: only its author .*forget_memory"):
        await delete(bob, stored.id)
    assert bob.rooms.sent == []

    key = verified_key(alice.endpoint, stored.id)
    await alice.hear(DEMO, await bob.rooms.compose(DEMO, MemoryDeleted(key, b"")))
    assert alice.counters["amendments_refused"] == 1
    assert await listed(alice) == await listed(bob) == ["a table"]


async def test_who_deletes_is_not_who_says_to_be_the_author(alice: Node, bob: Node) -> None:
    """The author stands in the key, the sender in the trailer: they are compared."""
    stored = await alice.store_memory("a table")
    key = verified_key(bob.endpoint, stored.id)
    await alice.hear(DEMO, await bob.rooms.compose(DEMO, MemoryDeleted(key, b"")))
    assert await listed(alice) == ["a table"]


async def test_a_forged_item_id_deletes_nothing_else(team: Team, alice: Node, bob: Node) -> None:
    await alice.store_memory("alice's table")
    own = await bob.store_memory("bob's table")
    for node in (alice, bob):
        await team.deliver(node)
    kept = alice.store.items(DEMO).list(BEGIN, END, 1)[0]
    forged = MemoryDeleted(verified_key(bob.endpoint, own.id), kept.id)
    await alice.hear(DEMO, await bob.rooms.compose(DEMO, forged))

    assert await listed(alice) == ["alice's table"]
    late = await alice.store_memory("another table")
    assert (await got(alice, late.id)).content == "another table"


async def test_another_machine_of_the_same_person_deletes_it_too(
    team: Team, alice: Node, bob: Node
) -> None:
    stored = await alice.store_memory("a table")
    carol = team.node("carol", DEMO, OPS)
    await team.deliver(alice)
    for endpoint in (alice.endpoint, bob.endpoint):
        vouch(endpoint, alice, bob, carol)

    await delete(bob, stored.id)
    await team.deliver(bob)
    assert [await listed(node) for node in (alice, bob, carol)] == [[], [], []]


async def test_a_deletion_is_done_once_its_sender_s_key_is_known(
    team: Team, alice: Node, bob: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amending, "DOUBTED_AGAIN_EVERY_S", 0.01)
    stored = await alice.store_memory("a table")
    await team.deliver(alice)
    key = verified_key(alice.endpoint, stored.id)
    await alice.hear(DEMO, await bob.rooms.compose(DEMO, MemoryDeleted(key, b"")))
    async with running(alice):
        vouch(bob.endpoint, alice)
        await asyncio.sleep(0)
        assert await listed(alice) == ["a table"]
        vouch(alice.endpoint, alice)
        await until(lambda: alice.store.count_memories() == 0)


async def test_the_doubted_deletions_that_are_kept_are_bounded(
    alice: Node, bob: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amending, "DOUBTED_PER_NEIGHBOR_MAX", 3)
    node = Team().node("victim")
    for number in range(9):
        change = MemoryDeleted(verified_key(CAROL, memory_id(number)), b"")
        raw = await bob.rooms.compose(DEMO, change)
        await node.memories.receive(await node.rooms.admit(DEMO, raw), bob.endpoint)
    assert len(node.memories.amending._doubted) == 3
    assert node.counters["amendments_refused"] == 9


async def test_a_deletion_that_was_said_in_another_room_is_refused(
    team: Team, alice: Node, bob: Node
) -> None:
    stored = await alice.store_memory("a table")
    await team.deliver(alice)
    key = verified_key(alice.endpoint, stored.id)
    await bob.hear(OPS, await alice.rooms.compose(OPS, MemoryDeleted(key, b"")))
    assert await listed(bob) == ["a table"]
    assert bob.counters["amendments_refused"] == 1


async def test_a_memory_without_a_proof_of_its_author_can_only_be_forgotten(alice: Node) -> None:
    entry = replace(an_entry(content="an old table"), author="old carol")
    raw = encode_room_message(RoomMessage(nonce=bytes(16), body=MemoryCreated(entry)))
    await alice.hear(DEMO, raw)
    with pytest.raises(NotAllowed, match=r"without a proof of who wrote it.*forget_memory"):
        await delete(alice, entry.id)


async def test_deletions_that_come_first_are_kept_up_to_a_bound(
    team: Team, alice: Node, bob: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amending, "EARLY_PER_AUTHOR_MAX", 2)
    proofs = []
    for number in range(3):
        stored = await alice.store_memory(f"table {number}")
        proofs.append(alice.rooms.sent.pop()[1])
        await delete(alice, stored.id)
    await team.deliver(alice)
    assert bob.counters["amendments_over_limit"] == 1
    for proof in proofs:
        await bob.hear(DEMO, proof)
    assert await listed(bob) == ["table 2"]


async def test_strangers_share_their_places_and_take_none_of_members(
    team: Team, alice: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amending, "EARLY_OF_STRANGERS_MAX", 3)
    monkeypatch.setattr(amending, "EARLY_PER_STRANGER_MAX", 2)
    strangers = [Team().node(name) for name in ("mallory", "trudy")]

    async def say(node: Node, number: int) -> None:
        change = MemoryDeleted(verified_key(node.endpoint, memory_id(number)), b"")
        await alice.hear(DEMO, await node.rooms.compose(DEMO, change))

    for stranger in strangers:
        for number in range(3):
            await say(stranger, number)
    assert alice.counters["amendments_over_limit"] == 3
    member = team.node("bob", DEMO, OPS)
    await say(member, 1)
    assert alice.counters["amendments_over_limit"] == 3


@pytest.mark.parametrize("reason", ["x" * 513, "ö" * 257])
async def test_a_reason_that_is_too_long_is_refused(alice: Node, reason: str) -> None:
    stored = await alice.store_memory("a table")
    with pytest.raises(InvalidInput, match=r"reason has .* at most 512 are allowed"):
        await delete(alice, stored.id, reason)
    assert await listed(alice) == ["a table"]


@pytest.mark.parametrize("later_s", [-3600, 0, 3600])
async def test_a_memory_with_the_id_of_another_takes_its_place_at_no_time_that_it_names(
    team: Team, alice: Node, bob: Node, later_s: int
) -> None:
    stored = await alice.store_memory("a table")
    [own] = (await alice.memories.list(MemoryFilter(room=DEMO), 9)).results
    entry = an_entry(
        author=bob.endpoint, content="bob's table", created_at_s=own.created_at_s + later_s
    )
    team.clock.unix_ms += 1
    same_id = MemoryCreated(replace(entry, id=stored.id))
    await alice.hear(DEMO, await bob.rooms.compose(DEMO, same_id))

    assert (await alice.memories.get(stored.id, 0, 99)).memory.content == "a table"


async def test_an_id_that_authors_share_is_refused_until_one_is_named(
    team: Team, alice: Node, bob: Node
) -> None:
    stored = await alice.store_memory("a table")
    entry = an_entry(author=bob.endpoint, content="bob's table")
    same_id = MemoryCreated(replace(entry, id=stored.id))
    await alice.hear(DEMO, await bob.rooms.compose(DEMO, same_id))

    with pytest.raises(InvalidInput, match="2 memories have the id") as refused:
        await delete(alice, stored.id)
    assert f"{stored.id}@{alice.endpoint.hex()[:16]} (by alice: a table)" in str(refused.value)
    with pytest.raises(InvalidInput, match="2 memories have the id"):
        await alice.store_memory("new", supersedes=stored.id)
    with pytest.raises(NotFound, match="is not on this machine"):
        await delete(alice, stored.id, author="ffff")

    await delete(alice, stored.id, author=alice.endpoint.hex()[:16])
    assert await listed(alice) == ["bob's table"]


async def test_a_deletion_that_cannot_be_told_is_kept_and_done_here(alice: Node) -> None:
    stored = await alice.store_memory("a table")

    def fail(_: bytes) -> None:
        raise NotFound("nobody is there")

    alice.rooms.on_send = fail
    await delete(alice, stored.id)
    assert await listed(alice) == []


# Superseding


async def test_the_author_s_new_memory_takes_the_old_one_s_place_at_all(
    team: Team, alice: Node, bob: Node
) -> None:
    old = await alice.store_memory("old table")
    new = await alice.store_memory("new table", supersedes=old.id, references=(memory_id(7),))
    assert (new.supersedes, new.references) == ((old.id,), (old.id, memory_id(7)))
    await team.deliver(alice)

    for node in (alice, bob):
        assert await listed(node) == await searched(node) == ["new table"]
        both = ["new table", "old table"]
        assert await listed(node, WITH_SUPERSEDED) == both
        assert await searched(node, WITH_SUPERSEDED) == both
        assert (await got(node, old.id)).superseded_by == (new.id,)
        assert (await handed_on(node), await handed_on(node, include_superseded=True)) == (1, 2)


async def test_0_1_4_sees_a_superseding_memory_as_one_that_refers_to_the_old_one(
    alice: Node,
) -> None:
    old = await alice.store_memory("old table")
    alice.rooms.sent.clear()
    new = await alice.store_memory("new table", supersedes=old.id)
    told, amended = (open_envelope(raw).message for _, raw in alice.rooms.sent)
    entry = told.body.entry if isinstance(told.body, MemoryCreated) else None
    assert entry is not None
    assert (entry.id, entry.content, entry.references) == (new.id, "new table", (old.id,))
    key = verified_key(alice.endpoint, old.id)
    assert amended.body == MemorySuperseded(new.id, key)


async def test_what_was_said_in_another_room_takes_nobody_s_place(
    team: Team, alice: Node, bob: Node
) -> None:
    old = await alice.store_memory("old table")
    new = await alice.store_memory("new table")
    await team.deliver(alice)
    change = MemorySuperseded(new.id, verified_key(alice.endpoint, old.id))
    await bob.hear(OPS, await alice.rooms.compose(OPS, change))
    assert await listed(bob) == ["new table", "old table"]


async def test_a_chain_is_shown_both_ways_from_each_of_its_members(
    team: Team, alice: Node, bob: Node
) -> None:
    first = await alice.store_memory("table 1")
    second = await alice.store_memory("table 2", supersedes=first.id)
    third = await alice.store_memory("table 3", supersedes=second.id)
    await team.deliver(alice)

    def link(relation: Relation, view: MemoryView) -> Link:
        return Link(relation, view.id, view.title, "alice")

    expected = {
        first.id: [link(Relation.SUPERSEDED_BY, second), link(Relation.SUPERSEDED_BY, third)],
        second.id: [link(Relation.SUPERSEDES, first), link(Relation.SUPERSEDED_BY, third)],
        third.id: [link(Relation.SUPERSEDES, second), link(Relation.SUPERSEDES, first)],
    }
    for node in (alice, bob):
        assert await listed(node) == ["table 3"]
        for id, links in expected.items():
            page = await node.memories.get(id, 0, 100)
            shown = [it for it in page.links if it.relation is not Relation.REFERRED_BY]
            assert shown == links


async def test_what_another_puts_in_its_place_is_a_proposal_and_both_are_shown(
    team: Team, alice: Node, bob: Node
) -> None:
    old = await alice.store_memory("old table")
    await team.deliver(alice)
    new = await bob.store_memory("new table", supersedes=old.id)
    assert (new.supersedes, new.proposed_for) == ((), (old.id,))
    await team.deliver(bob)

    for node in (alice, bob):
        assert await listed(node) == await searched(node) == ["new table", "old table"]
        assert (await got(node, old.id)).proposals == (new.id,)
        page = await node.memories.get(new.id, 0, 100)
        assert page.links == (Link(Relation.PROPOSED_FOR, old.id, "old table", "alice"),)


async def test_a_proposal_takes_the_place_once_one_person_is_known_to_stand_behind_both(
    team: Team, alice: Node, bob: Node
) -> None:
    old = await alice.store_memory("old table")
    await team.deliver(alice)
    await bob.store_memory("new table", supersedes=old.id)
    await team.deliver(bob)
    vouch(alice.endpoint, alice)
    assert await listed(alice) == ["new table", "old table"]
    vouch(bob.endpoint, alice)
    assert await listed(alice) == await searched(alice) == ["new table"]


async def test_the_links_may_come_before_the_memories(team: Team, alice: Node, bob: Node) -> None:
    old = await alice.store_memory("old table")
    await alice.store_memory("new table", supersedes=old.id)
    alice.rooms.sent.reverse()
    [succession, new, first] = alice.rooms.sent
    await bob.hear(*succession)
    await bob.hear(*first)
    assert await listed(bob) == ["old table"]  # There is nothing in its place yet.
    await bob.hear(*new)
    assert await listed(bob) == ["new table"]


async def test_a_member_s_hit_is_left_out_if_it_is_known_here_that_there_is_a_newer_one(
    team: Team, alice: Node, bob: Node
) -> None:
    old = await alice.store_memory("old table")
    await team.deliver(alice)
    await alice.store_memory("new table", supersedes=old.id)  # Bob does not hear of it.
    assert await handed_on(bob) == 1
    assert await searched(alice) == ["new table"]


async def test_the_old_one_is_shown_again_when_the_new_one_is_deleted_or_hidden(
    team: Team, alice: Node, bob: Node
) -> None:
    old = await alice.store_memory("old table")
    new = await alice.store_memory("new table", supersedes=old.id)
    await team.deliver(alice)
    await bob.memories.amending.forget(MemoryRef(new.id))
    assert await listed(bob) == await searched(bob) == ["old table"]
    await delete(alice, new.id)
    assert await listed(alice) == ["old table"]


async def test_memories_that_supersede_each_other_end_in_no_endless_chain(
    team: Team, alice: Node
) -> None:
    one = await alice.store_memory("table 1")
    two = await alice.store_memory("table 2", supersedes=one.id)
    back = MemorySuperseded(one.id, verified_key(alice.endpoint, two.id))
    await alice.hear(DEMO, await alice.rooms.compose(DEMO, back))
    page = await alice.memories.get(one.id, 0, 100)
    assert {(it.relation, it.id) for it in page.links} >= {
        (Relation.SUPERSEDES, two.id),
        (Relation.SUPERSEDED_BY, two.id),
    }


async def test_what_is_not_there_or_elsewhere_cannot_be_superseded_and_nothing_is_stored(
    team: Team, alice: Node, bob: Node
) -> None:
    in_ops = await alice.store_memory("ops table", room=OPS)
    with pytest.raises(InvalidInput, match="is in room 'ops', not in 'demo'"):
        await alice.store_memory("new table", supersedes=in_ops.id)
    with pytest.raises(NotFound, match="is not on this machine"):
        await alice.store_memory("new table", supersedes=memory_id(7))
    assert await listed(alice) == []


# References


async def test_what_refers_to_a_memory_and_what_it_refers_to_is_shown_with_it(
    team: Team, alice: Node, bob: Node
) -> None:
    base = await alice.store_memory("base", title="Base")
    missing = memory_id(9)
    await team.deliver(alice)
    top = await bob.store_memory("top", title="Top", references=(base.id, missing))
    page = await bob.memories.get(top.id, 0, 100)
    assert page.links == (
        Link(Relation.REFERS_TO, base.id, "Base", "alice"),
        Link(Relation.REFERS_TO, missing),
    )
    page = await bob.memories.get(base.id, 0, 100)
    assert page.links == (Link(Relation.REFERRED_BY, top.id, "Top", "bob"),)

    await bob.memories.amending.forget(MemoryRef(top.id))
    assert (await bob.memories.get(base.id, 0, 100)).links == ()


async def test_at_most_ten_of_each_relation_are_shown(alice: Node) -> None:
    base = await alice.store_memory("base")
    for number in range(15):
        await alice.store_memory(f"note {number}", references=(base.id,))
    links = (await alice.memories.get(base.id, 0, 100)).links
    assert [it.relation for it in links] == [Relation.REFERRED_BY] * 10


# Forgetting


async def test_a_forgotten_memory_is_hidden_on_this_machine_alone_until_that_is_undone(
    team: Team, alice: Node, bob: Node
) -> None:
    stored = await alice.store_memory("a table", title="Tables")
    [(_, proof)] = alice.rooms.sent
    await team.deliver(alice)

    assert await bob.memories.amending.forget(MemoryRef(stored.id)) == ("Tables",)
    await bob.hear(DEMO, proof)
    assert await listed(bob) == await searched(bob) == []
    assert await handed_on(bob) == 0
    with pytest.raises(NotFound, match=f"was forgotten.*memory forget --undo {stored.id}"):
        await got(bob, stored.id)
    with pytest.raises(NotFound, match="was forgotten"):
        await bob.memories.amending.forget(MemoryRef(stored.id))
    assert await listed(alice) == await searched(alice) == ["a table"]
    assert bob.rooms.sent == []

    assert await bob.memories.amending.remember(stored.id) == ("Tables",)
    assert await listed(bob) == await searched(bob) == ["a table"]
    with pytest.raises(InvalidInput, match="was not forgotten"):
        await bob.memories.amending.remember(stored.id)


async def test_a_memory_that_only_a_search_has_found_can_be_forgotten(
    alice: Node, bob: Node
) -> None:
    stored = await alice.store_memory("a table")
    assert await searched(bob) == ["a table"]
    await bob.memories.amending.forget(MemoryRef(stored.id))
    assert await searched(bob) == []


async def test_an_unproven_copy_is_no_other_memory(team: Team, alice: Node) -> None:
    stored = await alice.store_memory("a table")
    bob = team.node("bob", DEMO, OPS)
    [(_, proof)] = alice.rooms.sent
    body = open_envelope(proof).message.body
    await bob.hear(DEMO, encode_room_message(RoomMessage(nonce=bytes(16), body=body)))
    await bob.hear(DEMO, proof)
    assert bob.store.count_memories() == 2
    for node in (alice, bob):
        vouch(alice.endpoint, node)
        vouch(bob.endpoint, node)

    assert await bob.memories.amending.forget(MemoryRef(stored.id)) == ("a table",)
    assert await listed(bob) == await searched(bob) == []
    await bob.memories.amending.remember(stored.id)
    await delete(bob, stored.id)
    assert bob.store.count_memories() == 0


async def test_an_old_unsigned_memory_can_be_forgotten(alice: Node) -> None:
    entry = replace(an_entry(content="an old table"), author="old carol")
    raw = encode_room_message(RoomMessage(nonce=bytes(16), body=MemoryCreated(entry)))
    await alice.hear(DEMO, raw)
    await alice.memories.amending.forget(MemoryRef(entry.id))
    await alice.hear(DEMO, raw)
    assert await listed(alice) == []

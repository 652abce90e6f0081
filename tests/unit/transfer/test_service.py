"""A room that is written as lines, and read on another machine."""

import json
from dataclasses import replace

import pytest

from buddies_core.errors import InvalidInput, NotFound, StoreError
from buddies_core.model.ids import RoomName
from buddies_core.model.item import BEGIN, END
from buddies_core.model.memory import MemoryFilter, MemoryRef
from buddies_core.model.transfer import Exported, Imported, Refused
from buddies_core.transfer import service
from buddies_core.transfer.lines import proof_line
from buddies_core.transfer.service import LINES_MAX, Transfer
from tests.support.memories import DEMO
from tests.support.worlds.skill_team import FakeSigner, SkillNode, SkillTeam

OPS = RoomName("ops")
LONG = "größer\n" * 2000
NOW_S = 1_700_000_000


def transfer_of(node: SkillNode) -> Transfer:
    return Transfer(
        store=node.store,
        rooms=node.rooms,
        memories=node.memories,
        skills=node.skills,
        hidden=node.hidden,
        counters=node.counters,
    )


async def exported(node: SkillNode, room: RoomName = DEMO) -> list[bytes]:
    return [line async for part in transfer_of(node).export(room) for line in part.lines]


async def imported(node: SkillNode, lines: list[bytes], room: RoomName = DEMO) -> Imported:
    return await transfer_of(node).import_lines(room, lines, agent="codex", user="")


async def alice_with_something() -> tuple[SkillTeam, SkillNode]:
    """Return Alice's node with two memories, a skill and a vote in the room."""
    team = SkillTeam()
    alice = team.skilled("alice", signer=FakeSigner("alice"))
    await alice.store_memory("We use PostgreSQL", tags=("db",))
    await alice.store_memory(LONG)
    skill = await alice.publish(content=LONG)
    await alice.vote(skill.hash, 1)
    return team, alice


async def test_a_room_that_is_exported_and_imported_is_the_same() -> None:
    team, alice = await alice_with_something()
    lines = await exported(alice)
    bob = SkillTeam().skilled("bob")
    bob.clock = team.clock

    assert await imported(bob, lines) == Imported(imported=4, known=0, refused=())
    ours, theirs = bob.store.items(DEMO), alice.store.items(DEMO)
    assert ours.list(BEGIN, END, 9) == theirs.list(BEGIN, END, 9)
    listed, _ = await bob.store.list_memories(MemoryFilter(), 9)
    assert [bob.store.get_memory(it.key) for it in listed] == [
        replace(memory, received_at_ms=listed[at].received_at_ms)
        for at, it in enumerate(listed)
        if (memory := alice.store.get_memory(it.key))
    ]
    assert await exported(bob) == lines
    assert await imported(bob, lines) == Imported(imported=0, known=4, refused=())


async def test_deletions_and_successions_are_exported_and_undo_nothing_when_imported() -> None:
    _, alice = await alice_with_something()
    gone = await alice.store_memory("gone")
    old = await alice.store_memory("old")
    before = await exported(alice)
    await alice.store_memory("new", supersedes=old.id)
    await alice.memories.amending.delete(MemoryRef(gone.id), "", agent="", user="")
    bob = SkillTeam().skilled("bob")

    await imported(bob, before)
    done = await imported(bob, await exported(alice))
    assert (done.imported, done.refused) == (3, ())
    assert bob.store.items(DEMO).list(BEGIN, END, 9) == alice.store.items(DEMO).list(BEGIN, END, 9)
    again = await imported(bob, before)  # It holds what was deleted since.
    assert (again.imported, again.refused) == (0, ())
    shown = [view.content for view in (await bob.memories.list(MemoryFilter(), 9)).results]
    assert ("new" in shown, "old" in shown, "gone" in shown) == (True, False, False)


async def test_a_line_of_ones_own_that_was_deleted_is_not_stored_again() -> None:
    bob = SkillTeam().skilled("bob")
    line = b'{"content":"We use PostgreSQL"}'
    await imported(bob, [line])
    [view] = (await bob.memories.list(MemoryFilter(), 9)).results
    await bob.memories.amending.delete(MemoryRef(view.id), "", agent="", user="")
    done = await imported(bob, [line])
    assert done.imported == 0
    assert "was deleted" in done.refused[0].reason
    assert bob.store.count_memories() == 0


async def test_what_was_forgotten_here_is_not_exported() -> None:
    _, alice = await alice_with_something()
    [view] = (await alice.memories.list(MemoryFilter(tags=("db",)), 9)).results
    await alice.memories.amending.forget(MemoryRef(view.id))
    contents = [json.loads(line).get("content") for line in await exported(alice)]
    assert "We use PostgreSQL" not in contents


async def test_what_is_imported_is_not_broadcast() -> None:
    _, alice = await alice_with_something()
    lines = await exported(alice)
    bob = SkillTeam().skilled("bob")
    await imported(bob, [*lines, b'{"content":"ours"}'])
    assert bob.rooms.sent == []


async def test_an_import_in_another_order_gives_the_same() -> None:
    _, alice = await alice_with_something()
    lines = await exported(alice)
    bob = SkillTeam().skilled("bob")
    for line in reversed(lines):
        await imported(bob, [line])
    again = await imported(bob, lines)  # A vote that came before its skill waits in memory.
    assert again.refused == ()
    assert bob.store.items(DEMO).fingerprint(BEGIN, END) == alice.store.items(DEMO).fingerprint(
        BEGIN, END
    )


async def test_what_its_author_did_not_say_in_this_room_is_refused_line_by_line() -> None:
    _, alice = await alice_with_something()
    lines = await exported(alice)
    fields = json.loads(lines[0])
    altered = json.dumps({**fields, "proof": "AAAA" + fields["proof"][4:]}).encode()
    bob = SkillTeam().skilled("bob", DEMO, OPS)

    done = await imported(bob, [altered, b"nonsense", lines[0], proof_line(b"x")])
    assert (done.imported, done.known) == (1, 0)
    assert [it.line for it in done.refused] == [0, 1, 3]
    assert done.refused[1] == Refused(1, "it is not a line of JSON")
    elsewhere = await imported(bob, [lines[0]], OPS)
    assert [it.line for it in elsewhere.refused] == [0]
    assert bob.store.count_memories() == 1


async def test_a_content_that_the_author_did_not_announce_is_not_taken_in() -> None:
    _, alice = await alice_with_something()
    lines = [json.loads(line) for line in await exported(alice)]
    [long] = [it for it in lines if it["type"] == "memory" and len(it["content"]) > 4096]
    bob = SkillTeam().skilled("bob")

    done = await imported(bob, [json.dumps({**long, "content": LONG + "!"}).encode()])
    assert (done.imported, done.known, bob.store.count_memories()) == (0, 1, 0)
    assert bob.counters["memories_rejected"] == 1


async def test_lines_without_a_proof_become_the_importers_own_once() -> None:
    bob = SkillTeam().skilled("bob")
    lines = [
        b'{"content":"We use PostgreSQL","kind":"decision","created_at_s":1600000000}',
        b'{"content":"later","created_at_s":9000000000}',
        b'{"content":""}',
    ]
    done = await imported(bob, lines)
    assert (done.imported, [it.line for it in done.refused]) == (2, [2])
    assert await imported(bob, lines[:2]) == Imported(imported=0, known=2, refused=())
    listed, _ = await bob.store.list_memories(MemoryFilter(), 9)
    shown = [(it.entry.content, it.at_s, it.entry.author, it.agent) for it in listed]
    assert shown == [
        ("later", NOW_S, bob.endpoint.hex(), "codex"),
        ("We use PostgreSQL", 1_600_000_000, bob.endpoint.hex(), "codex"),
    ]


async def test_what_is_hidden_here_is_not_exported() -> None:
    _, alice = await alice_with_something()
    await alice.revocations.revoke(f"peer:{alice.endpoint.hex()}", 0, own_too=True)
    shown = [json.loads(line)["type"] for line in await exported(alice)]
    assert "memory" not in shown


async def test_an_export_comes_in_parts_and_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "RECORDS_AT_ONCE", 3)
    _, alice = await alice_with_something()
    parts = [part async for part in transfer_of(alice).export(DEMO)]
    assert [(it.done, it.total, len(it.lines)) for it in parts] == [(3, 4, 3), (4, 4, 1)]

    monkeypatch.setattr(service, "BATCH_BYTES", 10)
    parts = [part async for part in transfer_of(alice).export(DEMO)]
    assert [line for part in parts for line in part.lines] == await exported(alice)
    assert max(len(part.lines) for part in parts) == 1


async def test_a_room_that_is_not_known_can_be_neither_exported_nor_imported_into() -> None:
    bob = SkillTeam().skilled("bob")
    with pytest.raises(NotFound, match="nothing of a room 'ops' is on this machine"):
        await exported(bob, OPS)
    with pytest.raises(NotFound, match="is not in room 'ops'; join it first"):
        await imported(bob, [], OPS)
    assert [part async for part in transfer_of(bob).export(DEMO)] == list[Exported]()
    with pytest.raises(InvalidInput, match="1001 lines at once; 1000 are the limit"):
        await imported(bob, [b""] * (LINES_MAX + 1))


async def test_an_import_that_the_disk_refuses_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    _, alice = await alice_with_something()
    lines = await exported(alice)
    bob = SkillTeam().skilled("bob")

    async def refuse(_: object) -> bool:
        raise StoreError("the disk is full")

    monkeypatch.setattr(bob.store, "put_memory", refuse)
    with pytest.raises(StoreError, match="the disk is full"):
        await imported(bob, lines)

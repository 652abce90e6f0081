"""Searching for memories, at home and at members; what all searches share is in unit/asking."""

from dataclasses import replace
from uuid import UUID

import pytest

from buddies_core.errors import InvalidInput, StoreError
from buddies_core.model.bodies import (
    SearchFilters,
)
from buddies_core.model.excerpt import Why
from buddies_core.model.ids import EndpointId, RequestId, RoomName
from buddies_core.model.memory import MemoryFilter, MemoryKind
from buddies_core.model.room import Member
from buddies_core.model.views import PeerAnswer, SearchResult
from buddies_core.pb import peer_pb2
from tests.support.matches import a_match
from tests.support.memories import DEMO
from tests.support.worlds.team import Node, Team

OPS = RoomName("ops")
EVERYTHING = MemoryFilter()
NO_FILTERS = SearchFilters()
REQUEST_ID = RequestId(UUID(int=5))
OLD_CAROL = Member(endpoint=EndpointId(b""), name="carol", speaks_direct=False)


@pytest.fixture
def team() -> Team:
    return Team()


@pytest.fixture
def alice(team: Team) -> Node:
    return team.node("alice", DEMO, OPS)


@pytest.fixture
def bob(team: Team, alice: Node) -> Node:
    return team.node("bob")


async def search(
    node: Node,
    query: str,
    filter: MemoryFilter = EVERYTHING,
    timeout_s: float = 5,
    limit: int = 20,
) -> SearchResult:
    return await node.search.search(query, filter, timeout_s, limit)


def contents(result: SearchResult) -> list[str]:
    return [view.content for view in result.results]


# Asking members


async def test_what_a_member_has_is_found_and_said_to_be_its_author_s(
    alice: Node, bob: Node
) -> None:
    stored = await alice.store_memory("PostgreSQL for the user table")

    found = await search(bob, "user table?")

    [view] = (await search(bob, "the table")).results
    assert view == replace(
        stored,
        match=a_match(1.0, why=Why.BOTH, age="just now", passage=(0, 29), marks=((24, 29),)),
    )
    assert found.answered == (
        PeerAnswer(endpoint=alice.endpoint, name="alice", results=1, elapsed_ms=0),
    )
    assert (found.unanswered, found.method, found.notes) == ((), "hybrid", ())


async def test_every_filter_goes_to_the_members(alice: Node, bob: Node) -> None:
    filter = MemoryFilter(
        room=DEMO,
        kind=MemoryKind.SKILL,
        tags=("a", "b"),
        author="Ann",
        agent="Codex",
        since_ms=5000,
    )
    await search(bob, " the table ", filter, limit=70)

    assert bob.network.asked == [
        (
            alice.endpoint,
            peer_pb2.PeerRequest(
                search=peer_pb2.Search(
                    query="the table",
                    vector=bob.embedder.vector.tobytes(),
                    model=b"m" * 32,
                    limit=50,
                    kind="skill",
                    tags=["a", "b"],
                    author="Ann",
                    agent="Codex",
                    since_ms=5000,
                ),
            ),
        )
    ]


async def test_a_member_that_ignores_the_filter_is_not_believed(
    team: Team, alice: Node, bob: Node
) -> None:
    await alice.store_memory("table", tags=("db",))
    reply = await alice.search.answer(bob.endpoint, DEMO, peer_pb2.Search(query="table"))
    team.answers[alice.endpoint] = lambda _: [peer_pb2.PeerReply(search=reply)]

    assert contents(await search(bob, "table", MemoryFilter(tags=("db",)))) == ["table"]
    assert contents(await search(bob, "table", MemoryFilter(tags=("ops",)))) == []
    assert contents(await search(bob, "table", MemoryFilter(agent="nobody"))) == []


# What is found


async def test_results_are_not_stored_and_can_be_read_whole(
    team: Team, alice: Node, bob: Node
) -> None:
    long = "a table " * 3000
    await alice.store_memory(long)

    [view] = (await search(bob, "table")).results
    assert (view.content, view.truncated, view.size) == (long[:999], True, len(long))
    assert bob.store.count_memories() == 0

    page = await bob.memories.get(view.id, 0, 100_000)
    assert page.memory.content == long
    assert bob.store.count_memories() == 0


async def test_what_is_here_is_shown_whole_though_a_member_has_only_the_beginning(
    alice: Node, bob: Node
) -> None:
    await alice.store_memory("a table " * 3000)
    await bob.hear(DEMO, alice.rooms.sent[0][1])

    [view] = (await search(alice, "table")).results
    page = await alice.memories.get(view.id, 0, 100_000)
    assert page.next_offset is None
    assert alice.network.asked[1:] == []  # The search alone.


async def test_damaged_records_are_skipped_and_counted(
    bob: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bob.store_memory("a table")

    def damaged(_: object) -> None:
        raise StoreError("damaged")

    monkeypatch.setattr(bob.store, "get_memory", damaged)
    assert (await search(bob, "table")).notes == ("1 damaged records of demo were skipped",)


# Answering members


async def ask(node: Node, request: peer_pb2.Search, room: RoomName = DEMO) -> peer_pb2.SearchReply:
    return await node.search.answer(EndpointId(b"x" * 32), room, request)


async def test_a_member_is_answered_with_fifty_at_most(alice: Node) -> None:
    for number in range(60):
        await alice.store_memory(f"table {number}")

    assert len((await ask(alice, peer_pb2.Search(query="table"))).found) == 50
    assert len((await ask(alice, peer_pb2.Search(query="table", limit=99))).found) == 50
    reply = await ask(alice, peer_pb2.Search(query="table", limit=2))
    assert len(reply.found) == 2
    full = await ask(alice, peer_pb2.Search(query="table"))
    assert full.ByteSize() < 256 << 10


async def test_a_question_for_a_kind_that_is_unknown_is_refused(alice: Node) -> None:
    with pytest.raises(InvalidInput, match="'tea' is unknown here"):
        await ask(alice, peer_pb2.Search(query="x", kind="tea"))


async def test_a_member_asks_for_as_many_tags_as_a_memory_can_have(alice: Node) -> None:
    await alice.store_memory("table", tags=("31",))
    tags = [str(number) for number in range(40_000)]
    assert len((await ask(alice, peer_pb2.Search(query="table", tags=tags[:32]))).found) == 1
    with pytest.raises(InvalidInput, match="40000 tags are asked for, and at most 32"):
        await ask(alice, peer_pb2.Search(query="table", tags=tags))

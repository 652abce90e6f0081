"""Searching for memories among members of which some speak 0.1.4."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest

from buddies_core.gossip.messages import CONTENT_BYTES_MAX as BROADCAST_BYTES_MAX
from buddies_core.legacy.asking import ANSWERS_MAX, ANSWERS_PER_NEIGHBOR_MAX, Replies
from buddies_core.model.bodies import (
    Leave,
    SearchFilters,
    SearchRequest,
    SearchResponse,
)
from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId, RequestId, RoomName
from buddies_core.model.memory import MemoryEntry, MemoryFilter, MemoryKind
from buddies_core.model.room import Member
from buddies_core.model.views import PeerAnswer, SearchResult
from buddies_core.trust.admitted import Admitted
from buddies_core.wire.room_messages import open_envelope
from tests.support.memories import CAROL, DEMO, an_entry
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


# Asking them


def answering(node: Node, *entries: MemoryEntry, name: str = "carol") -> Callable[[bytes], None]:
    """Have a 0.1.4 member answer the node's broadcast questions."""

    def on_send(raw: bytes) -> None:
        body = open_envelope(raw).message.body
        if isinstance(body, SearchRequest):
            node.questions.answered(SearchResponse(body.request_id, entries, name), CAROL)

    node.rooms.on_send = on_send
    return on_send


async def test_members_of_0_1_4_are_asked_by_broadcast_and_believed_as_far_as_possible(
    alice: Node,
) -> None:
    alice.rooms.present[DEMO].append(OLD_CAROL)
    entry = replace(an_entry(content="carol's table", room=OPS), author="carol's endpoint")
    answering(alice, entry)

    result = await search(alice, "table", MemoryFilter(room=DEMO, kind=MemoryKind.DECISION))

    [(room, question)] = alice.rooms.published
    assert isinstance(question, SearchRequest)
    assert (room, question.query, question.filters) == (
        DEMO,
        "table",
        SearchFilters(room=DEMO, kind="decision"),
    )
    [view] = result.results
    assert (view.content, view.verified, view.room) == ("carol's table", Verified.UNVERIFIED, DEMO)
    assert result.answered == (
        PeerAnswer(endpoint=EndpointId(b""), name="carol", results=1, elapsed_ms=0),
    )


async def test_members_of_0_1_4_are_waited_for_half_a_second_after_the_others(
    alice: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buddies_core.legacy.asking.PATIENCE_S", 0.05)
    alice.rooms.present[DEMO] += [OLD_CAROL, replace(OLD_CAROL, name="dora")]
    answering(alice, replace(an_entry(content="a table"), author="carol"))

    result = await search(alice, "table", MemoryFilter(room=DEMO))

    assert [answer.name for answer in result.answered] == ["carol"]
    assert [(silence.name, silence.reason) for silence in result.unanswered] == [
        ("dora", "it speaks buddies 0.1.4 and did not answer, as when it finds nothing")
    ]
    assert contents(result) == ["a table"]


async def test_an_answer_that_has_come_counts_when_no_time_is_left_to_wait_for_more(
    alice: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buddies_core.legacy.asking.PATIENCE_S", 0.0)
    alice.rooms.present[OPS].append(OLD_CAROL)
    admit = alice.rooms.admit

    async def admit_later(
        room: RoomName, proof: bytes, source: EndpointId | None = None
    ) -> Admitted:
        await asyncio.sleep(0)
        return await admit(room, proof, source)

    def carol_answers(raw: bytes) -> None:
        body = open_envelope(raw).message.body
        if isinstance(body, SearchRequest) and body.filters.room == OPS:
            entry = an_entry(content="carol's table", room=OPS)
            alice.questions.answered(SearchResponse(body.request_id, (entry,), "carol"), CAROL)

    monkeypatch.setattr(alice.rooms, "admit", admit_later)
    alice.rooms.on_send = carol_answers

    result = await search(alice, "table")

    assert contents(result) == ["carol's table"]
    assert [answer.name for answer in result.answered] == ["carol"]


async def test_a_short_query_is_never_broadcast(alice: Node) -> None:
    alice.rooms.present[DEMO].append(OLD_CAROL)

    result = await search(alice, "db", MemoryFilter(room=DEMO))

    assert alice.rooms.published == []
    [silence] = result.unanswered
    assert silence.reason.startswith("not_asked: it speaks buddies 0.1.4")


async def test_nothing_is_broadcast_where_all_can_be_asked_directly(alice: Node, bob: Node) -> None:
    await search(alice, "table")
    assert alice.rooms.published == []


async def test_an_unproven_copy_of_a_memory_whose_proof_is_known_counts_as_that_memory(
    team: Team, alice: Node, bob: Node
) -> None:
    stored = await alice.store_memory("a table")
    await team.deliver(alice)
    own = await bob.store_memory("bob's table")
    bob.rooms.present[DEMO].append(OLD_CAROL)
    echoed = an_entry(author=alice.endpoint, content="a table, forged")
    answering(
        bob, replace(echoed, id=stored.id), replace(echoed, id=own.id, author=bob.endpoint.hex())
    )

    result = await search(bob, "table")

    assert sorted((view.content, view.verified) for view in result.results) == [
        ("a table", Verified.PEER),
        ("bob's table", Verified.PEER),
    ]


async def test_an_unproven_memory_in_the_name_of_one_who_signs_is_dropped(
    alice: Node, bob: Node
) -> None:
    await bob.rooms.admit(DEMO, await alice.rooms.compose(DEMO, Leave("alice")))
    bob.rooms.present[DEMO].append(OLD_CAROL)
    answering(bob, an_entry(author=alice.endpoint, content="a forged table"))

    assert (await search(bob, "table")).results == ()
    assert bob.counters["rejected_impersonation"] == 1


# Answering them


def legacy(query: str, filters: SearchFilters = NO_FILTERS) -> SearchRequest:
    return SearchRequest(REQUEST_ID, query, filters)


async def test_a_0_1_4_member_gets_the_best_that_fits_into_a_broadcast(alice: Node) -> None:
    for number in range(30):
        await alice.store_memory(f"table {number} " * 40, title="t")
    await alice.store_memory("best table " + "x" * 2000, title="t")

    response = await alice.answers.to(legacy("best table"), DEMO)

    assert response is not None
    assert len(await alice.rooms.publish(DEMO, response)) <= BROADCAST_BYTES_MAX
    assert response.request_id == REQUEST_ID
    assert response.peer_name == "alice"
    assert response.results[0].content == "best table " + "x" * 989 + "…"
    assert 4 <= len(response.results) <= 20


async def test_a_name_of_any_length_leaves_an_answer_that_fits(team: Team) -> None:
    node = team.node("n" * 32)
    node.name = "ü" * 500
    for number in range(30):
        await node.store_memory(f"table {number:02}")

    response = await node.answers.to(legacy("table"), DEMO)

    assert response is not None
    size = len(await node.rooms.publish(DEMO, response))
    assert BROADCAST_BYTES_MAX - 400 < size <= BROADCAST_BYTES_MAX


@pytest.mark.parametrize(
    "request_",
    [
        legacy("chair"),
        legacy("ta"),
        legacy("  ta  "),
        legacy("table", SearchFilters(room=OPS)),
        legacy("table", SearchFilters(kind="tea")),
        legacy("table", SearchFilters(tags=("x",))),
    ],
)
async def test_a_0_1_4_member_gets_no_answer_where_there_is_nothing_to_say(
    alice: Node, request_: SearchRequest
) -> None:
    await alice.store_memory("a table")
    await alice.store_memory("a table", room=OPS)

    assert await alice.answers.to(request_, DEMO) is None


async def test_a_0_1_4_member_s_filters_are_heeded(alice: Node) -> None:
    await alice.store_memory("table one", tags=("x",))
    await alice.store_memory("table two")
    filters = SearchFilters(room=DEMO, kind="Decision", tags=("x", "y"))

    response = await alice.answers.to(legacy("table", filters), DEMO)

    assert response is not None
    assert [entry.content for entry in response.results] == ["table one"]


async def test_a_search_without_old_peers_asks_the_others_and_broadcasts_nothing(
    alice: Node, bob: Node
) -> None:
    await bob.store_memory("bob's table")
    alice.rooms.present[DEMO].append(OLD_CAROL)
    alice.search._searching._legacy = None

    result = await search(alice, "table", MemoryFilter(room=DEMO))

    assert contents(result) == ["bob's table"]
    assert alice.rooms.published == []
    assert result.unanswered == ()


async def test_one_neighbor_can_fill_half_of_the_places_for_answers(alice: Node) -> None:
    replies: Replies[SearchResponse] = Replies()
    answer = SearchResponse(REQUEST_ID, (), "carol")
    with replies.expect(REQUEST_ID):
        taken = [replies.offer(answer, CAROL) for _ in range(ANSWERS_MAX)]
        assert taken == [True] * ANSWERS_PER_NEIGHBOR_MAX + [False] * (
            ANSWERS_MAX - ANSWERS_PER_NEIGHBOR_MAX
        )
        assert replies.offer(answer, alice.endpoint)
    assert not replies.offer(answer, alice.endpoint)

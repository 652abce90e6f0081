"""Searching at home and at every member, among nodes that share rooms: what all searches share.

They search for memories; a search for skills goes the same way.
"""

import asyncio
from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest

from buddies_core.asking import patience
from buddies_core.asking.patience import AFTER_OTHERS_S
from buddies_core.errors import InvalidInput, NotFound, StoreError
from buddies_core.finding.embedder import DIMENSIONS, ModelUnavailable
from buddies_core.memory.findings import MemoryFindings
from buddies_core.model.bodies import (
    MemoryCreated,
    SearchFilters,
    SearchResponse,
)
from buddies_core.model.ids import EndpointId, RequestId, RoomName
from buddies_core.model.memory import MemoryFilter
from buddies_core.model.room import Member
from buddies_core.model.views import PeerSilence, SearchResult
from buddies_core.pb import peer_pb2
from buddies_core.trust.admitted import Admitted, Rejected
from tests.support.eventually import until
from tests.support.matches import a_match
from tests.support.memories import DEMO, an_entry
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


async def test_what_several_have_is_shown_once(team: Team, alice: Node, bob: Node) -> None:
    team.node("carol")
    for number in range(3):
        await alice.store_memory(f"table {number}")
    await team.deliver(alice)

    result = await search(bob, "table")

    assert sorted(contents(result)) == ["table 0", "table 1", "table 2"]
    assert [(answer.name, answer.results) for answer in result.answered] == [
        ("alice", 3),
        ("carol", 3),
    ]


async def test_the_answer_that_only_its_author_has_comes_before_what_all_have(
    team: Team, alice: Node, bob: Node
) -> None:
    team.node("carol")
    for number in range(30):
        await alice.store_memory(f"table {number}")
    await team.deliver(alice)
    await alice.store_memory("PostgreSQL for the user table")

    result = await search(bob, "the user table", limit=5)

    assert contents(result)[0] == "PostgreSQL for the user table"
    assert len(result.results) == 5


async def test_a_silent_member_is_named_and_does_not_hold_up_the_others_beyond_the_deadline(
    team: Team, alice: Node, bob: Node
) -> None:
    await alice.store_memory("a table")
    carol = team.node("carol")
    team.silent.add(carol.endpoint)
    loop = asyncio.get_running_loop()
    begun_s = loop.time()

    result = await search(bob, "table", timeout_s=0.2)

    assert 0.2 <= loop.time() - begun_s < 2
    assert contents(result) == ["a table"]
    assert [answer.name for answer in result.answered] == ["alice"]
    assert result.unanswered == (
        PeerSilence(endpoint=carol.endpoint, name="carol", reason="no answer within 0.2 s"),
    )


async def test_a_member_that_can_not_be_reached_is_named_with_the_reason(
    team: Team, alice: Node, bob: Node
) -> None:
    del team.nodes[alice.endpoint]

    assert (await search(bob, "table")).unanswered == (
        PeerSilence(endpoint=alice.endpoint, name="alice", reason="connection refused"),
    )


async def test_sixty_four_members_are_asked_and_the_rest_is_reported(team: Team, bob: Node) -> None:
    others = [team.node(f"peer {number:02}") for number in range(64)]  # Alice is there too.

    result = await search(bob, "table")

    assert len(result.answered) == 64
    assert result.unanswered == (
        PeerSilence(
            endpoint=others[-1].endpoint,
            name="peer 63",
            reason="not_asked: a search asks 64 members at most",
        ),
    )


async def test_what_a_member_says_of_a_match_is_worked_out_here_but_for_the_score(
    team: Team, bob: Node
) -> None:
    mallory = team.node("mallory")
    entry = an_entry(author=mallory.endpoint, content="The pooler pgbouncer listens on 6432.")
    proof = await mallory.rooms.compose(DEMO, MemoryCreated(entry))
    found = peer_pb2.Found(proof=proof, score=99, passage=2**32 - 1)
    reply = peer_pb2.PeerReply(search=peer_pb2.SearchReply(found=[found]))
    team.answers[mallory.endpoint] = lambda _: [reply]

    [view] = (await search(bob, "which port has pgbouncer")).results

    assert (view.content, view.match) == (
        entry.content,
        a_match(1.5, age="just now", passage=(0, 37), marks=((11, 20),)),
    )


async def test_a_member_is_asked_in_every_room_in_common_however_many_there_are(
    team: Team,
) -> None:
    rooms = [RoomName(f"room {number:02}") for number in range(70)]
    alice, bob = team.node("alice", *rooms), team.node("bob", *rooms)
    await alice.store_memory("the last table", room=rooms[-1])

    result = await search(bob, "table")

    assert contents(result) == ["the last table"]
    assert [(answer.name, answer.results) for answer in result.answered] == [("alice", 1)]
    assert result.unanswered == ()
    assert [(peer, len(request.more)) for peer, request in bob.network.asked] == [
        (alice.endpoint, 69)
    ]


async def test_a_member_that_knows_no_requests_about_several_rooms_is_asked_about_each(
    team: Team,
) -> None:
    rooms = [RoomName(f"room {number}") for number in range(5)]
    alice, bob = team.node("alice", *rooms), team.node("bob", *rooms)
    team.old.add(alice.endpoint)
    for room in rooms:
        await alice.store_memory(f"a table of {room}", room=room)

    result = await search(bob, "table")

    assert sorted(contents(result)) == [f"a table of {room}" for room in rooms]
    assert [(answer.name, answer.results) for answer in result.answered] == [("alice", 5)]
    assert [len(request.more) for _, request in bob.network.asked] == [4, 0, 0, 0, 0]


async def test_a_room_that_a_member_is_not_in_any_more_is_named_and_hides_nothing_of_the_others(
    team: Team, alice: Node
) -> None:
    dora = team.node("dora", DEMO, OPS)
    await alice.store_memory("table in demo")
    del alice.rooms.present[OPS]

    result = await search(dora, "table")

    assert contents(result) == ["table in demo"]
    assert [(it.name, it.reason) for it in result.unanswered] == [
        ("alice", "this node is not in that room")
    ]


async def test_a_room_that_can_not_be_named_beside_others_is_asked_about_by_itself(
    team: Team, alice: Node
) -> None:
    dora = team.node("dora", DEMO, OPS)
    team.unnamed.add(OPS)
    await alice.store_memory("table in ops", room=OPS)

    assert contents(await search(dora, "table")) == ["table in ops"]


async def test_a_member_that_claims_a_room_for_what_was_said_in_another_is_not_believed(
    team: Team, alice: Node, bob: Node
) -> None:
    """What is found is checked against the room it is said to be in, whoever says so."""
    dora = team.node("dora", DEMO, OPS)
    await alice.store_memory("a table", room=OPS)
    [(_, proof)] = alice.rooms.sent
    found = [peer_pb2.Found(proof=proof, score=1, room=number) for number in (0, 7)]
    reply = peer_pb2.PeerReply(search=peer_pb2.SearchReply(found=found, rooms=[1, 9]))
    team.answers[bob.endpoint] = lambda _: [reply]
    team.answers[alice.endpoint] = lambda _: [peer_pb2.PeerReply(search=peer_pb2.SearchReply())]

    result = await search(dora, "table")

    assert contents(result) == []
    assert dora.counters["search_copies_rejected"] == 1


async def test_a_room_that_is_left_while_the_model_loads_is_left_out(
    team: Team, alice: Node
) -> None:
    dora = team.node("dora", DEMO, OPS)
    await alice.store_memory("table in demo")
    await alice.store_memory("table in ops", room=OPS)
    dora.embedder.ready.clear()
    async with asyncio.TaskGroup() as group:
        all_rooms = group.create_task(search(dora, "table"))
        that_room = group.create_task(search(dora, "table", MemoryFilter(room=OPS)))
        await asyncio.sleep(0)
        del dora.rooms.present[OPS]
        dora.embedder.ready.set()

    assert contents(all_rooms.result()) == ["table in demo"]
    assert that_room.result().results == ()


async def test_all_rooms_are_searched_unless_one_is_named(
    team: Team, alice: Node, bob: Node
) -> None:
    dora = team.node("dora", DEMO, OPS)
    await alice.store_memory("table in demo")
    await alice.store_memory("table in ops", room=OPS)

    both = await search(dora, "table")
    one = await search(dora, "table", MemoryFilter(room=OPS))

    assert sorted(contents(both)) == ["table in demo", "table in ops"]
    assert {answer.name: answer.results for answer in both.answered} == {"alice": 2, "bob": 0}
    assert contents(one) == ["table in ops"]
    assert {answer.name: answer.results for answer in one.answered} == {"alice": 1}


async def test_forged_copies_are_dropped_and_counted(team: Team, alice: Node, bob: Node) -> None:
    mallory = team.node("mallory")
    await alice.store_memory("a table", room=OPS)
    [(_, in_ops)] = alice.rooms.sent
    entry = an_entry(author=alice.endpoint, content="a table")
    as_alice = await mallory.rooms.compose(DEMO, MemoryCreated(entry))
    altered = bytearray(await alice.rooms.compose(DEMO, MemoryCreated(entry)))
    altered[60] ^= 1
    no_memory = await mallory.rooms.compose(DEMO, SearchResponse(REQUEST_ID, (), "m"))
    too_long = await alice.rooms.compose(DEMO, MemoryCreated(replace(entry, title="t" * 600)))
    proofs = [in_ops, as_alice, bytes(altered), no_memory, too_long, b"", b"\xff" * 99]
    found = [peer_pb2.Found(proof=proof, score=1) for proof in proofs]
    reply = peer_pb2.PeerReply(search=peer_pb2.SearchReply(found=found))
    team.answers[mallory.endpoint] = lambda _: [reply]

    result = await search(bob, "table")

    assert result.results == ()
    assert bob.counters["search_copies_rejected"] == len(proofs)
    assert [(answer.name, answer.results) for answer in result.answered] == [
        ("alice", 0),
        ("mallory", 0),
    ]


async def test_of_an_answer_no_more_is_checked_than_was_asked_for(
    team: Team, bob: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    mallory = team.node("mallory")
    proofs = [
        await mallory.rooms.compose(DEMO, MemoryCreated(an_entry(n, author=mallory.endpoint)))
        for n in range(60)
    ]
    found = [peer_pb2.Found(proof=proof, score=1) for proof in proofs]
    reply = peer_pb2.PeerReply(search=peer_pb2.SearchReply(found=found))
    team.answers[mallory.endpoint] = lambda _: [reply]
    checked: list[bytes] = []
    admit = bob.rooms.admit

    async def admitted(room: RoomName, proof: bytes, source: EndpointId | None = None) -> Admitted:
        checked.append(proof)
        return await admit(room, proof, source)

    monkeypatch.setattr(bob.rooms, "admit", admitted)
    assert len((await search(bob, "table", limit=20)).results) == 20
    assert checked == proofs[:20]


async def test_others_get_a_turn_while_an_answer_is_checked(team: Team, bob: Node) -> None:
    mallory = team.node("mallory")
    proof = await mallory.rooms.compose(DEMO, MemoryCreated(an_entry(author=mallory.endpoint)))
    findings = MemoryFindings(
        EVERYTHING, bob.store, bob.rooms, bob.hidden, bob.links, bob.clock, bob.counters
    )
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(others())
        await findings.take(DEMO, mallory.endpoint, [peer_pb2.Found(proof=proof)] * 50)
        task.cancel()
    assert turns >= 3


async def test_a_copy_that_one_member_cannot_vouch_for_is_believed_from_another(
    team: Team, alice: Node, bob: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    carol = team.node("carol")
    await alice.store_memory("a table")
    await carol.hear(DEMO, alice.rooms.sent[0][1])
    admit = bob.rooms.admit

    async def only_by_carol(
        room: RoomName, proof: bytes, source: EndpointId | None = None
    ) -> Admitted:
        if source != carol.endpoint:
            raise Rejected("policy", "nobody says who vouches for it")
        return await admit(room, proof, source)

    monkeypatch.setattr(bob.rooms, "admit", only_by_carol)

    result = await search(bob, "table")

    assert contents(result) == ["a table"]
    assert [(it.name, it.results) for it in result.answered] == [("alice", 0), ("carol", 1)]


async def test_a_copy_that_the_disk_fails_to_admit_costs_the_answer_no_more_than_itself(
    alice: Node, bob: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    await alice.store_memory("table one")
    await alice.store_memory("table two")
    admit = bob.rooms.admit
    admitted = 0

    async def fails_once(
        room: RoomName, proof: bytes, source: EndpointId | None = None
    ) -> Admitted:
        nonlocal admitted
        admitted += 1
        if admitted == 1:
            raise StoreError("the disk is full")
        return await admit(room, proof, source)

    monkeypatch.setattr(bob.rooms, "admit", fails_once)

    result = await search(bob, "table")

    assert len(result.results) == 1
    assert [(it.name, it.results) for it in result.answered] == [("alice", 1)]
    assert bob.counters == {"search_copies_rejected": 1}


async def test_each_copy_is_checked_once_however_many_members_send_it(
    team: Team, alice: Node, bob: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("carol", "dora", "eve"):
        team.node(name)
    for number in range(5):
        await alice.store_memory(f"table {number}")
    sent = [proof for _, proof in alice.rooms.sent]
    await team.deliver(alice)
    checked: list[bytes] = []
    admit = bob.rooms.admit

    async def noted(room: RoomName, proof: bytes, source: EndpointId | None = None) -> Admitted:
        checked.append(proof)
        return await admit(room, proof, source)

    monkeypatch.setattr(bob.rooms, "admit", noted)
    result = await search(bob, "table")

    assert [it.results for it in result.answered] == [5] * 4
    assert sorted(checked) == sorted(sent)


async def test_a_copy_in_the_wrong_room_does_not_hide_the_one_in_the_right_room(
    team: Team, alice: Node
) -> None:
    dora = team.node("dora", DEMO, OPS)
    mallory = team.node("mallory")
    await alice.store_memory("a table", room=OPS)
    found = [peer_pb2.Found(proof=alice.rooms.sent[0][1], score=1)]
    reply = peer_pb2.PeerReply(search=peer_pb2.SearchReply(found=found))
    team.answers[mallory.endpoint] = lambda _: [reply]

    assert contents(await search(dora, "table")) == ["a table"]


@pytest.mark.parametrize("query", ["", " \n", "x" * 20_000])
async def test_a_query_that_can_not_be_asked_is_an_error(bob: Node, query: str) -> None:
    with pytest.raises(InvalidInput, match="query is"):
        await search(bob, query)


async def test_searching_where_one_is_not_says_how_to_join(bob: Node) -> None:
    with pytest.raises(NotFound, match="room 'ops' is not joined; join it first"):
        await search(bob, "x", MemoryFilter(room=OPS))
    bob.rooms.present.clear()
    with pytest.raises(NotFound, match="no room is joined"):
        await search(bob, "x")


async def test_a_broken_index_here_does_not_keep_the_members_answers_away(
    alice: Node, bob: Node
) -> None:
    await alice.store_memory("a table")
    bob.index.failure = StoreError("it is damaged")

    result = await search(bob, "table")

    assert contents(result) == ["a table"]
    assert result.notes == (
        "this machine's own memories of demo could not be searched: it is damaged",
    )


# The model


async def test_a_search_waits_for_the_model_to_load(alice: Node, bob: Node) -> None:
    bob.embedder.ready.clear()
    async with asyncio.TaskGroup() as group:
        searching = group.create_task(search(bob, "table"))
        await asyncio.sleep(0)
        bob.embedder.ready.set()

    assert searching.result().method == "hybrid"
    assert [vector is not None for vector in (*bob.index.vectors, *alice.index.vectors)] == [
        True,
        True,
    ]


async def test_a_model_that_is_not_there_in_time_leaves_time_to_ask_by_words(
    team: Team, alice: Node, bob: Node
) -> None:
    await alice.store_memory("a table")
    bob.embedder.ready.clear()
    found = [peer_pb2.Found(proof=alice.rooms.sent[0][1])]
    reply = peer_pb2.PeerReply(search=peer_pb2.SearchReply(found=found, lexical_only=True))
    team.answers[alice.endpoint] = lambda _: [reply]

    result = await search(bob, "table", timeout_s=0.15)

    assert contents(result) == ["a table"]
    assert (result.method, result.notes) == (
        "lexical",
        (
            "the embedding model was not ready in time, so this went by words alone",
            "alice searched by words alone",
        ),
    )


async def test_a_model_that_can_not_be_used_says_why(bob: Node) -> None:
    bob.embedder.failure = ModelUnavailable("the weights are not there")

    result = await search(bob, "table")

    assert (result.method, result.notes) == ("lexical", ("the weights are not there",))
    assert bob.index.vectors == [None]
    assert bob.network.asked[0][1].search.vector == b""


# What is not indexed yet


async def test_a_search_says_what_is_not_indexed_yet_here_and_at_members(
    alice: Node, bob: Node
) -> None:
    for number in range(3):
        await alice.store_memory(f"table {number}")
    await bob.store_memory("another table")
    assert (await search(bob, "table")).notes == ()
    alice.index.missing, bob.index.missing = 2, 1

    result = await search(bob, "table")

    assert result.notes == ("this machine: 0 of 1 indexed", "alice: 1 of 3 indexed")


async def test_a_member_is_told_of_the_index_only_while_something_is_missing(alice: Node) -> None:
    await alice.store_memory("a table")
    assert not (await ask(alice, peer_pb2.Search(query="table"))).HasField("progress")
    alice.index.missing = 1
    assert (await ask(alice, peer_pb2.Search(query="table"))).progress == peer_pb2.IndexProgress(
        stored=1
    )


# Answering members


async def ask(node: Node, request: peer_pb2.Search, room: RoomName = DEMO) -> peer_pb2.SearchReply:
    return await node.search.answer(EndpointId(b"x" * 32), room, request)


async def test_a_member_is_answered_from_the_room_it_asks_in_alone(alice: Node) -> None:
    await alice.store_memory("table in ops", room=OPS)
    await alice.store_memory("table in demo")
    [_, (_, proof)] = alice.rooms.sent

    assert await ask(alice, peer_pb2.Search(query="table")) == peer_pb2.SearchReply(
        found=[peer_pb2.Found(proof=proof, score=1, passage=0)]
    )
    elsewhere = await ask(alice, peer_pb2.Search(query="table"), RoomName("elsewhere"))
    assert not elsewhere.found


async def test_the_asker_s_vector_is_used_if_it_is_of_our_model(alice: Node) -> None:
    theirs = np.zeros(DIMENSIONS, np.float32)
    theirs[7] = 3.0
    asked = peer_pb2.Search(query="table", vector=theirs.tobytes(), model=b"m" * 32)
    await ask(alice, asked)
    assert alice.embedder.embedded == []
    assert np.array_equal(alice.index.vectors[0], theirs / 3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("vector", "model"),
    [
        (np.ones(DIMENSIONS, np.float32), b"other"),
        (np.ones(3, np.float32), b"m" * 32),
        (np.zeros(DIMENSIONS, np.float32), b"m" * 32),
        (np.full(DIMENSIONS, np.nan, np.float32), b"m" * 32),
    ],
)
async def test_a_vector_that_can_not_be_compared_is_made_anew(
    alice: Node, vector: np.ndarray[tuple[int], np.dtype[np.float32]], model: bytes
) -> None:
    asked = peer_pb2.Search(query="table", vector=vector.tobytes(), model=model)
    reply = await ask(alice, asked)

    assert alice.embedder.embedded == ["table"]
    assert reply.lexical_only is False


async def test_a_member_asking_without_a_model_here_gets_an_answer_by_words(alice: Node) -> None:
    alice.embedder.failure = ModelUnavailable("gone")
    assert (await ask(alice, peer_pb2.Search(query="table"))).lexical_only is True


@pytest.mark.parametrize("query", [" ", "x" * 20_000])
async def test_a_question_that_makes_no_sense_is_refused(alice: Node, query: str) -> None:
    with pytest.raises(InvalidInput):
        await ask(alice, peer_pb2.Search(query=query))


async def timed_search(node: Node, query: str = "table") -> tuple[SearchResult, float]:
    loop = asyncio.get_running_loop()
    begun_s = loop.time()
    return await search(node, query), loop.time() - begun_s


async def test_a_member_that_died_holds_up_one_search_a_quarter_second_and_the_next_hardly(
    team: Team, alice: Node, bob: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than the quarter second, so that a busy machine is not taken for a wait.
    monkeypatch.setattr(patience, "AFTER_OTHERS_S", 1.0)
    await alice.store_memory("a table")
    carol = team.node("carol")
    await search(bob, "chair")
    team.silent.add(carol.endpoint)

    first, first_s = await timed_search(bob)
    second, second_s = await timed_search(bob)

    for result in (first, second):
        assert contents(result) == ["a table"]
        assert [it.name for it in result.answered] == ["alice"]
        [silent] = result.unanswered
        assert (silent.name, silent.reason[:17]) == ("carol", "no answer within ")
    assert 1.0 <= first_s < 2.5
    assert second_s < 1.0


async def test_what_a_slow_member_answers_late_is_there_when_the_same_is_asked_again(
    team: Team, alice: Node, bob: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "ALONE_S", AFTER_OTHERS_S)
    await alice.store_memory("a table")
    await search(bob, "chair")
    team.slow_s[alice.endpoint] = 0.4

    first, _ = await timed_search(bob)
    assert (contents(first), [it.name for it in first.unanswered]) == ([], ["alice"])
    late = bob.search._searching._everyone._late
    await until(lambda: bool(late._kept))
    team.slow_s[alice.endpoint] = 3.0
    again, _ = await timed_search(bob)

    assert (contents(again), again.unanswered) == (["a table"], ())
    assert again.notes == ("alice: its answer to the last time this was asked, which came late",)
    bob.search.close()


async def test_a_member_that_is_slow_but_answers_is_given_twice_the_time_it_took(
    team: Team, alice: Node, bob: Node
) -> None:
    await alice.store_memory("a table")
    team.slow_s[alice.endpoint] = 0.4
    await search(bob, "chair")
    patience = bob.search._searching._everyone._patience
    await until(lambda: alice.endpoint not in patience._given_up_at_ms)
    patience._took_s[alice.endpoint] = 0.4  # the team's clock stands still

    result, _ = await timed_search(bob)

    assert (contents(result), result.unanswered) == (["a table"], ())


async def test_a_search_that_is_cancelled_leaves_no_request_beyond_its_deadline(
    team: Team, alice: Node, bob: Node
) -> None:
    team.silent.add(alice.endpoint)
    running = bob.search._searching._everyone._late._running
    async with asyncio.TaskGroup() as group:
        searching = group.create_task(search(bob, "table", timeout_s=0.2))
        await until(lambda: bool(running))
        searching.cancel()
    await until(lambda: not running)

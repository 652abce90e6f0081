"""Search for skills, here and at members, and what votes do to the order."""

from pathlib import Path
from uuid import UUID

import pytest

from buddies_core.errors import InvalidInput
from buddies_core.finding.document import scope
from buddies_core.finding.index import Index
from buddies_core.identity.node_key import NodeKey
from buddies_core.model.bodies import (
    Body,
    SkillPublished,
    SkillVoteCast,
)
from buddies_core.model.ids import EndpointId, RequestId, RoomName, open_room_id
from buddies_core.model.room import Member
from buddies_core.model.skill_views import SkillSearchResult, Tally
from buddies_core.model.views import PeerAnswer
from buddies_core.pb.peer_pb2 import Found, PeerReply, SearchReply
from buddies_core.skills.documents import SkillDocuments
from buddies_core.skills.findings import VOTES_IN_ANSWER_MAX, VOTES_MAX
from buddies_core.trust.admitted import Admitted
from buddies_core.wire.room_messages import RoomMessage, Trailer, encode_room_message, seal
from tests.support.fakes.embedder import ToyEmbedder
from tests.support.in_memory.skills import InMemorySkills
from tests.support.memories import CAROL, DEMO
from tests.support.skills import a_skill, a_skill_entry
from tests.support.worlds.skill_team import FakeSigner, SkillNode, SkillTeam

ID = RequestId(UUID(int=7))
OLD = Member(endpoint=CAROL, name="carol", speaks_direct=False)


async def find(node: SkillNode, query: str, *tags: str, limit: int = 20) -> SkillSearchResult:
    return await node.skill_search.search(query, None, tags, 3.0, limit)


def said(body: Body, key: NodeKey) -> bytes:
    """Return what the holder of this key has said in the demo room."""
    message = encode_room_message(RoomMessage(nonce=bytes(16), body=body))
    return seal(message, Trailer(sender=key.endpoint, sent_at_ms=5), open_room_id(DEMO), key.sign)


def titles(result: SkillSearchResult) -> list[str]:
    return [skill.title for skill in result.results]


async def test_what_a_member_has_is_found_with_who_said_it() -> None:
    team = SkillTeam()
    alice, bob = team.skilled("alice", signer=FakeSigner("alice")), team.skilled("bob")
    published = await alice.publish("make the release")

    found = await find(bob, "release")

    [skill] = found.results
    assert (skill.hash, skill.signed_by, skill.author_name) == (
        published.hash,
        FakeSigner("alice").identity.label,
        "alice",
    )
    assert found.answered == (
        PeerAnswer(endpoint=alice.endpoint, name="alice", results=1, elapsed_ms=0),
    )
    assert bob.kept.find_skills(published.hash) == ()


async def test_votes_move_a_skill_among_those_that_are_as_relevant() -> None:
    alice = SkillTeam().skilled("alice")
    liked, disliked = (
        await alice.publish("release a", title="liked"),
        await alice.publish("release b", title="disliked"),
    )
    await alice.publish("release c", title="between")
    await alice.publish("release now please", title="apt")
    await alice.vote(liked.hash, 1)
    await alice.vote(disliked.hash, -1)

    found = await find(alice, "release now please")
    assert titles(found) == ["apt", "liked", "between", "disliked"]


async def test_votes_on_what_is_elsewhere_come_with_it_and_are_not_summed() -> None:
    team = SkillTeam()
    alice, bob = team.skilled("alice"), team.skilled("bob")
    carol = team.skilled("carol")
    hash = (await alice.publish("make the release")).hash
    await team.deliver(alice)
    bob.kept = InMemorySkills()
    await carol.vote(hash, 1)
    await team.deliver(carol)
    dave = team.skilled("dave")

    [skill] = (await find(dave, "release")).results
    assert skill.votes == Tally(1, 0)


async def test_votes_found_on_a_skill_that_is_here_are_kept() -> None:
    team = SkillTeam()
    alice, bob = team.skilled("alice"), team.skilled("bob")
    hash = (await alice.publish("make the release")).hash
    await team.deliver(alice)
    await alice.vote(hash, 1)  # Bob does not hear it.

    [skill] = (await find(bob, "release")).results
    assert skill.votes == Tally(1, 0)
    team.goes(alice)
    assert (await bob.shown(hash)).votes == Tally(1, 0)


async def test_a_forged_copy_and_a_forged_vote_are_left_out() -> None:
    team = SkillTeam()
    alice, bob = team.skilled("alice"), team.skilled("bob")
    await alice.publish("make the release")
    proof = alice.rooms.sent[0][1]
    altered = proof.replace(b"release", b"rel3ase")
    lies = [
        Found(proof=altered, score=9.0),
        Found(proof=proof, score=float("nan"), votes=[proof, b"junk"]),
    ]
    team.answers[alice.endpoint] = lambda _: [PeerReply(skills_found=SearchReply(found=lies))]

    found = await find(bob, "release")
    assert [(s.votes, s.match and s.match.score) for s in found.results] == [(Tally(), 0.0)]
    assert bob.counters["search_copies_rejected"] == 1


async def checked_of(
    answer: list[Found], voters: list[NodeKey], monkeypatch: pytest.MonkeyPatch, limit: int
) -> int:
    """Return how many signatures Bob checks in this answer, in a room with these voters."""
    team = SkillTeam()
    mallory, bob = team.skilled("mallory"), team.skilled("bob")
    bob.rooms.remembered |= {voter.endpoint for voter in voters}
    team.answers[mallory.endpoint] = lambda _: [PeerReply(skills_found=SearchReply(found=answer))]
    checked = 0
    admit = bob.rooms.admit

    async def admitted(room: RoomName, proof: bytes, source: EndpointId | None = None) -> Admitted:
        nonlocal checked
        checked += 1
        return await admit(room, proof, source)

    monkeypatch.setattr(bob.rooms, "admit", admitted)
    await find(bob, "release", limit=limit)
    return checked


def hostile_answer(skills: int, voters: list[NodeKey]) -> list[Found]:
    entries = [a_skill_entry(f"release {n}", author=voters[0].endpoint) for n in range(skills)]
    return [
        Found(
            proof=said(SkillPublished(entry), voters[0]),
            score=1.0,
            votes=[said(SkillVoteCast(entry.hash, it.endpoint.hex(), 1), it) for it in voters],
        )
        for entry in entries
    ]


VOTERS = [NodeKey(bytes([n]) * 32) for n in range(1, 41)]


async def test_of_an_answer_so_many_skills_and_votes_are_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = hostile_answer(12, VOTERS)
    assert await checked_of(answer, VOTERS, monkeypatch, limit=2) == 2 + 2 * VOTES_MAX
    assert await checked_of(answer, VOTERS, monkeypatch, limit=12) == 12 + VOTES_IN_ANSWER_MAX


async def test_votes_of_unknown_keys_in_an_answer_are_not_even_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = hostile_answer(2, VOTERS)
    assert await checked_of(answer, VOTERS[:3], monkeypatch, limit=20) == 2 + 2 * 3


async def test_a_claimed_hash_earns_no_votes_before_it_was_checked() -> None:
    team = SkillTeam()
    alice, bob = team.skilled("alice"), team.skilled("bob")
    long = await alice.publish("release " * 2000)
    await alice.vote(long.hash, 1)

    [skill] = (await find(bob, "release")).results
    assert (skill.truncated, skill.votes) == (True, Tally())
    await bob.skills.get(long.hash, 0, 10)
    [skill] = (await find(bob, "release")).results
    assert skill.votes == Tally(1, 0)


async def test_tags_limit_what_is_found_here_and_there() -> None:
    team = SkillTeam()
    alice, bob = team.skilled("alice"), team.skilled("bob")
    await alice.publish("release one", title="A", tags=("ci",))
    await alice.publish("release two", title="B", tags=("manual",))
    await bob.publish("release three", title="C", tags=("ci",))
    await bob.publish("release four", title="D")

    assert sorted(titles(await find(bob, "release", "ci"))) == ["A", "C"]


async def test_a_member_that_ignores_the_tags_is_not_believed() -> None:
    team = SkillTeam()
    alice, bob = team.skilled("alice"), team.skilled("bob")
    await alice.publish("release one", tags=("manual",))
    found = SearchReply(found=[Found(proof=alice.rooms.sent[0][1], score=1)])
    team.answers[alice.endpoint] = lambda _: [PeerReply(skills_found=found)]

    assert titles(await find(bob, "release", "ci")) == []
    assert titles(await find(bob, "release", "manual")) == ["Release"]


async def test_only_the_room_that_is_asked_about_is_searched() -> None:
    team = SkillTeam()
    ops = RoomName("ops")
    alice, bob = team.skilled("alice", DEMO, ops), team.skilled("bob", DEMO)
    await alice.publish("release secretly", room=ops)

    assert (await find(bob, "release")).results == ()
    with pytest.raises(InvalidInput, match="list_skills shows the newest"):
        await find(bob, "  ")


async def test_many_answers_come_in_frames_that_fit() -> None:
    team = SkillTeam()
    alice, bob = team.skilled("alice"), team.skilled("bob")
    for number in range(25):
        await alice.publish(f"release {number} " + "x" * 3000, title=f"{number}")

    assert len((await find(bob, "release", limit=50)).results) == 20


# The engine


async def test_the_engine_of_memories_finds_skills_by_words_and_meaning(tmp_path: Path) -> None:
    store, embedder = InMemorySkills(), ToyEmbedder()
    skills = [
        a_skill(a_skill_entry("how we deploy", tags=("ci",))),
        a_skill(a_skill_entry("the buttons are blue", title="Colours")),
    ]
    for skill in skills:
        await store.put_skill(skill)
    async with Index.open(tmp_path, SkillDocuments(store), embedder) as index:
        assert await index.catch_up(60)
        in_demo = scope(room=DEMO)
        by_words = await index.search("buttons", None, in_demo, 5)
        by_meaning = await index.search("release", embedder.vector("release"), in_demo, 1)
        tagged = await index.search("deploy", None, scope(room=DEMO, tags=("ci",)), 5)

    assert [hit.key for hit in by_words] == [skills[1].key]
    assert [hit.key for hit in by_meaning] == [skills[0].key]
    assert [hit.key for hit in tagged] == [skills[0].key]

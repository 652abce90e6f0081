"""Searching for skills among members of which some speak 0.1.4."""

from dataclasses import replace
from uuid import UUID

import pytest

from buddies_core.gossip.messages import CONTENT_BYTES_MAX
from buddies_core.model.bodies import (
    Body,
    SkillSearchFilters,
    SkillSearchRequest,
    SkillSearchResponse,
)
from buddies_core.model.ids import RequestId, RoomName
from buddies_core.model.room import Member
from buddies_core.model.skill import RankedSkill
from buddies_core.model.skill_views import SkillSearchResult, Tally
from buddies_core.wire.bodies import encode_body
from tests.support.memories import CAROL, DEMO
from tests.support.skills import a_skill_entry
from tests.support.worlds.skill_team import SkillNode, SkillTeam

ID = RequestId(UUID(int=7))
OLD = Member(endpoint=CAROL, name="carol", speaks_direct=False)


async def find(node: SkillNode, query: str, *tags: str, limit: int = 20) -> SkillSearchResult:
    return await node.skill_search.search(query, None, tags, 3.0, limit)


async def test_a_0_1_4_member_is_asked_by_broadcast_and_its_answer_checked() -> None:
    bob = SkillTeam().skilled("bob")
    bob.rooms.present[DEMO].append(OLD)
    good = a_skill_entry("release it", author=CAROL)
    tampered = replace(a_skill_entry("release this", author=CAROL), content="evil")
    publish = bob.rooms.publish

    async def answered(room: RoomName, body: Body) -> bytes:
        assert isinstance(body, SkillSearchRequest)
        results = (RankedSkill(good, 1000), RankedSkill(tampered, 99))
        bob.skill_questions.answered(SkillSearchResponse(body.request_id, results, "carol"), CAROL)
        return await publish(room, body)

    bob.rooms.publish = answered  # type: ignore[method-assign]
    found = await find(bob, "release")

    [skill] = found.results
    assert (skill.hash, skill.votes, skill.uncounted) == (good.hash, Tally(), Tally())
    assert [(a.name, a.results) for a in found.answered] == [("carol", 1)]
    assert bob.counters["skills_rejected_hash"] == 1


async def test_a_0_1_4_member_gets_what_fits_whole_with_our_count_of_votes() -> None:
    alice = SkillTeam().skilled("alice")
    short = await alice.publish("release short", title="S")
    await alice.publish("release long " * 500, title="L")
    await alice.vote(short.hash, -1)
    request = SkillSearchRequest(ID, "release", SkillSearchFilters(room=DEMO))

    response = await alice.skill_answers.to(request, DEMO)

    assert response is not None
    assert [(r.entry.hash, r.rank) for r in response.results] == [(short.hash, -1)]
    assert len(encode_body(response)) < CONTENT_BYTES_MAX


@pytest.mark.parametrize(
    ("query", "filters"),
    [
        ("re", SkillSearchFilters()),
        ("release", SkillSearchFilters(room=RoomName("ops"))),
        ("release", SkillSearchFilters(tags=("none",))),
        ("nothing", SkillSearchFilters()),
    ],
)
async def test_a_0_1_4_member_gets_no_answer_where_there_is_none(
    query: str, filters: SkillSearchFilters
) -> None:
    alice = SkillTeam().skilled("alice")
    await alice.publish("release")
    request = SkillSearchRequest(ID, query, filters)
    assert await alice.skill_answers.to(request, DEMO) is None


async def test_a_search_without_old_peers_asks_the_others_and_broadcasts_nothing() -> None:
    team = SkillTeam()
    alice, bob = team.skilled("alice"), team.skilled("bob")
    published = await alice.publish("release it")
    bob.rooms.present[DEMO].append(OLD)
    bob.skill_search._searching._legacy = None

    found = await find(bob, "release")

    assert [skill.hash for skill in found.results] == [published.hash]
    assert (bob.rooms.published, found.unanswered) == ([], ())

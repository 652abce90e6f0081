"""What every store promises about skills: the real one, and the one that stands in for it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from buddies_core.errors import StoreError
from buddies_core.model.identity import GpgIdentity, SshIdentity, Verified
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.provenance import Origin
from buddies_core.model.skill import Skill
from buddies_core.store.database import Database
from buddies_core.store.skill_keys import announcement_id
from buddies_core.store.skills import RocksSkills, SkillStore
from buddies_core.store.succession import OWN, SUCCESSORS_MAX, SUCCESSORS_PER_NEIGHBOR_MAX
from tests.support.in_memory.skills import InMemorySkills
from tests.support.memories import ALICE, BOB
from tests.support.skills import a_skill, a_skill_entry, a_vote, announced, heads

OPS = RoomName("ops")


@pytest.fixture(params=["in memory", "rocks"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SkillStore]:
    if request.param == "in memory":
        yield InMemorySkills()
    else:
        async with Database.open(tmp_path / "store") as database:
            yield RocksSkills(database)


@pytest.mark.parametrize("signer", [None, SshIdentity("ssh-ed25519 AAAA"), GpgIdentity("ABC")])
async def test_a_skill_comes_back_with_every_field(
    store: SkillStore, signer: SshIdentity | GpgIdentity | None
) -> None:
    entry = a_skill_entry(
        "日本語", tags=("a", "b"), version=3, parent_hash="ab" * 32,
        signed_by=signer, signature=b"s" if signer else None,
    )  # fmt: skip
    skill = a_skill(entry, verified=Verified.SIGNER)

    assert await store.put_skill(skill) is True
    assert store.get_skill(skill.key) == skill
    assert store.find_skills(entry.hash) == (skill,)
    assert await store.list_skills(None, (), 10) == (heads(skill), 0)
    assert await store.skills_since(0, 10) == ((1, skill),)
    assert await store.heads_since(0, 10) == ((1, *heads(skill)),)
    assert await store.heads_since(1, 10) == ()
    assert store.last_skill_sequence() == 1
    assert [store.skill_key_at(number) for number in range(3)] == [None, skill.key, None]


async def test_a_better_verified_copy_keeps_the_time_only_of_the_same_publication(
    store: SkillStore,
) -> None:
    signed = a_skill_entry(signed_by=GpgIdentity("ABC"), signature=b"s")
    early = replace(a_skill(signed, verified=Verified.UNVERIFIED), received_at_ms=5)
    await store.put_skill(early)
    await store.put_skill(replace(early, verified=Verified.PEER, received_at_ms=9))
    assert store.get_skill(early.key) == replace(early, verified=Verified.PEER)

    # Somebody's signature of today under a content of long ago is of today.
    other = replace(
        a_skill(replace(signed, signature=b"t"), verified=Verified.SIGNER), received_at_ms=9
    )
    await store.put_skill(other)
    assert store.get_skill(other.key) == other


async def test_what_is_hidden_takes_no_place_in_a_list(store: SkillStore) -> None:
    skills = [a_skill(a_skill_entry(f"step {number}")) for number in range(6)]
    for skill in skills:
        await store.put_skill(skill)

    hidden = heads(*skills[2:5])
    listed = await store.list_skills(None, (), 2, lambda head: head in hidden)
    assert listed == (heads(skills[5], skills[1]), 0)


@pytest.mark.parametrize("content", ["short", "ä" * 2049, "日本" * 100_000])
async def test_a_list_holds_the_beginning_and_the_size_of_a_content(
    store: SkillStore, content: str
) -> None:
    skill = a_skill(a_skill_entry(content))
    await store.put_skill(skill)

    head = store.get_head(skill.key)
    assert head is not None
    assert (head.entry.content, head.size) == (content[:1000], len(content.encode()))
    assert (await store.list_skills(None, (), 9))[0] == (head,)
    assert store.get_skill(skill.key) == skill


async def test_an_empty_store_has_no_skill(store: SkillStore) -> None:
    assert store.get_skill(a_skill().key) is None
    assert store.find_skills("ab" * 32) == ()
    assert await store.list_skills(None, (), 10) == ((), 0)
    assert await store.skills_since(0, 10) == ()
    assert store.last_skill_sequence() == 0
    assert store.announcements() == ()
    assert store.votes(a_skill().key) == ()


@pytest.mark.parametrize(
    ("kept", "new", "replaces"),
    [
        (Verified.UNVERIFIED, Verified.PEER, True),
        (Verified.PEER, Verified.SIGNER, True),
        (Verified.PEER, Verified.PEER, False),
        (Verified.SIGNER, Verified.SIGNER, False),
        (Verified.SIGNER, Verified.PEER, False),
        (Verified.SIGNER, Verified.UNVERIFIED, False),
    ],
)
async def test_only_a_better_verified_copy_replaces_a_skill(
    store: SkillStore, kept: Verified, new: Verified, replaces: bool
) -> None:
    first = a_skill(a_skill_entry(author=ALICE), verified=kept)
    second = a_skill(a_skill_entry(author=BOB), verified=new)
    await store.put_skill(first)

    assert await store.put_skill(second) is replaces
    assert store.get_skill(first.key) == (second if replaces else first)
    assert [skill for _, skill in await store.skills_since(0, 10)] == [
        second if replaces else first
    ]


async def test_one_content_in_two_rooms_is_two_skills(store: SkillStore) -> None:
    demo, ops = a_skill(), a_skill(a_skill_entry(room=OPS))
    assert (await store.put_skill(demo), await store.put_skill(ops)) == (True, True)

    assert store.find_skills(demo.entry.hash) == (demo, ops)
    assert await store.list_skills(OPS, (), 10) == (heads(ops), 0)


async def test_a_list_begins_with_the_latest_and_filters_by_tag(store: SkillStore) -> None:
    tagged = [a_skill(a_skill_entry(str(n), tags=(("odd", "even")[n % 2 == 0],))) for n in range(5)]
    for skill in tagged:
        await store.put_skill(skill)

    assert await store.list_skills(None, ("odd", "none"), 10) == (heads(tagged[3], tagged[1]), 0)
    assert await store.list_skills(None, (), 2) == (heads(tagged[4], tagged[3]), 0)


async def test_successors_are_those_of_the_same_room(store: SkillStore) -> None:
    parent = a_skill()
    child = a_skill(a_skill_entry("next", parent_hash=parent.entry.hash))
    elsewhere = a_skill(a_skill_entry("other", room=OPS, parent_hash=parent.entry.hash))
    for skill in (parent, child, elsewhere):
        await store.put_skill(skill)

    assert store.successors(parent.key) == (child.key,)
    assert store.successors(child.key) == ()


async def test_a_skill_that_is_replaced_is_its_new_parents_successor_only(
    store: SkillStore,
) -> None:
    one, other = a_skill(a_skill_entry("1")), a_skill(a_skill_entry("2"))
    of_one = a_skill(a_skill_entry("c", parent_hash=one.entry.hash))
    of_other = a_skill(a_skill_entry("c", parent_hash=other.entry.hash), verified=Verified.SIGNER)
    for skill in (of_one, of_other):
        await store.put_skill(skill)

    assert store.successors(one.key) == ()
    assert store.successors(other.key) == (of_other.key,)


async def test_an_announcement_is_forgotten_when_its_skill_is_here(store: SkillStore) -> None:
    skill = a_skill()
    honest = announced(skill)
    forged = replace(announced(skill, 3), proof=b"another claim")
    other = announced(a_skill(a_skill_entry("something else")))
    for announcement in (honest, forged, other):
        await store.put_announcement(announcement)
    assert len(store.announcements()) == 3
    assert store.get_skill(skill.key) is None

    await store.put_skill(skill)
    assert store.announcements() == (other,)
    assert store.get_announcement(announcement_id(other)) == other
    await store.drop_announcement(announcement_id(other))
    assert (store.announcements(), store.get_announcement(announcement_id(other))) == ((), None)


async def test_the_newest_vote_of_an_endpoint_counts(store: SkillStore) -> None:
    skill = a_skill()
    votes = [a_vote(skill, score=score, sent_at_ms=at) for score, at in ((1, 5), (-1, 7), (1, 6))]

    assert [await store.put_vote(vote) for vote in votes] == [True, True, False]
    assert await store.put_vote(votes[1]) is False
    assert store.votes(skill.key) == (votes[1],)


async def test_a_claimed_vote_stands_beside_the_endpoints_own(store: SkillStore) -> None:
    skill = a_skill()
    own, claimed = a_vote(skill, BOB), a_vote(skill, BOB.hex(), score=-1)
    await store.put_vote(own)
    await store.put_vote(claimed)

    assert set(store.votes(skill.key)) == {own, claimed}


async def test_a_vote_is_kept_with_who_brought_it_in_and_others_go_for_it(
    store: SkillStore,
) -> None:
    skill = a_skill()
    one, other, third = (a_vote(skill, EndpointId(bytes([n]) * 32)) for n in range(3))
    assert await store.put_vote(one, ALICE) is True
    assert await store.put_vote(other, BOB, (one,)) is True
    assert await store.put_vote(third, BOB, (third,)) is False
    assert store.ballots(skill.key) == ((other, BOB),)


def successors_of(parent: Skill, count: int) -> list[Skill]:
    return [a_skill(a_skill_entry(f"{n}", parent_hash=parent.entry.hash)) for n in range(count)]


async def test_successors_come_best_known_first_then_the_latest(store: SkillStore) -> None:
    parent = a_skill()
    unknown, own, member, late = successors_of(parent, 4)
    for skill, rank in ((unknown, 0), (own, OWN), (member, 1), (late, 1)):
        await store.put_skill(skill, Origin(rank))
    assert store.successors(parent.key) == (own.key, late.key, member.key, unknown.key)

    await store.rank_successor(unknown.head(), Origin(OWN))
    assert store.successors(parent.key) == (own.key, unknown.key, late.key, member.key)


async def test_what_strangers_publish_after_a_skill_takes_no_place_of_those_known_better(
    store: SkillStore,
) -> None:
    parent = a_skill()
    skills = successors_of(parent, 500)
    for n, skill in enumerate(skills):
        if n == 250:
            await store.put_skill(skill, Origin(1, BOB))
        else:
            await store.put_skill(skill, Origin(0, BOB if n % 2 else ALICE))

    linked = store.successors(parent.key)
    assert linked[0] == skills[250].key
    assert len(linked) == 2 * SUCCESSORS_PER_NEIGHBOR_MAX


async def test_a_skill_has_only_so_many_successors_whoever_brought_them(store: SkillStore) -> None:
    parent = a_skill()
    for skill in successors_of(parent, SUCCESSORS_MAX + 9):
        await store.put_skill(skill)
    assert len(store.successors(parent.key)) == SUCCESSORS_MAX


async def test_a_damaged_skill_is_named_by_get_and_skipped_by_lists(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "store") as database:
        store = RocksSkills(database)
        bad, good = a_skill(a_skill_entry("bad")), a_skill(a_skill_entry("good"))
        for skill in (bad, good):
            await store.put_skill(skill)
        await database.commit(lambda _: (None, {b"s" + bad.key: b"\xff"}))

        with pytest.raises(StoreError, match=bad.entry.hash):
            store.get_skill(bad.key)
        assert await store.list_skills(None, (), 10) == (heads(good), 1)
        assert await store.skills_since(0, 10) == ((2, good),)
        assert await store.put_skill(bad) is True
        assert store.get_skill(bad.key) == bad


async def test_a_list_goes_on_behind_a_skill_whatever_has_come_since(store: SkillStore) -> None:
    skills = [a_skill(a_skill_entry(f"step {number}")) for number in range(6)]
    for skill in skills[:5]:
        await store.put_skill(skill)

    first, _ = await store.list_skills(None, (), 2)
    await store.put_skill(skills[5])
    rest, _ = await store.list_skills(None, (), 9, after=first[-1].key)

    assert (*first, *rest) == heads(*skills[4::-1])
    assert await store.list_skills(OPS, (), 9, after=first[-1].key) == ((), 0)

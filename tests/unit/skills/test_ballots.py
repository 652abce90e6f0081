"""Which votes are kept, and when they are counted."""

from collections import Counter
from dataclasses import dataclass, field

import pytest

from buddies_core.errors import StoreError
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.provenance import Trust
from buddies_core.model.skill import Skill, Vote
from buddies_core.model.skill_views import Tally
from buddies_core.skills.ballot_box import VOTES_MAX, VOTES_PER_NEIGHBOR_MAX
from buddies_core.skills.ballots import EARLY_PER_NEIGHBOR_MAX, RECOUNT_AFTER_S, Ballots
from buddies_core.skills.votes import Standing
from tests.support.fakes.clocks import ManualClock
from tests.support.in_memory.skills import InMemorySkills
from tests.support.memories import ALICE, BOB, CAROL
from tests.support.skills import a_skill, a_skill_entry, a_vote

SKILL = a_skill()


@dataclass
class Known:
    """A room of which the test says who is known there, and who may vote."""

    trusted: dict[EndpointId, Trust] = field(default_factory=dict)
    barred: set[EndpointId] = field(default_factory=set)
    policies_changed: int = 0
    looked_at: int = 0

    def voter(self, room: RoomName, endpoint: EndpointId) -> str:
        self.looked_at += 1
        return endpoint.hex()

    def may_vote(self, room: RoomName, endpoint: EndpointId) -> bool:
        return self.trust(room, endpoint) > Trust.STRANGER and endpoint not in self.barred

    def trust(self, room: RoomName, endpoint: EndpointId) -> Trust:
        return self.trusted.get(endpoint, Trust.STRANGER)

    def revision(self) -> int:
        return self.policies_changed


class Hidden:
    """Hides nothing."""

    revision = 0

    def hides(self, item: object) -> bool:
        return False

    def hiding(self, item: object) -> None:
        return None


@dataclass
class Station:
    """A node that counts the votes on one skill that it has."""

    known: Known = field(default_factory=Known)
    store: InMemorySkills = field(default_factory=InMemorySkills)
    clock: ManualClock = field(default_factory=ManualClock)
    counters: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.ballots = self.begun_anew()

    def begun_anew(self) -> Ballots:
        return Ballots(self.store, self.known, ALICE, Hidden(), self.clock, self.counters)

    def standing(self) -> Standing:
        return self.ballots.standing(SKILL.key)


@pytest.fixture
async def station() -> Station:
    station = Station()
    await station.store.put_skill(SKILL)
    return station


def sybil(number: int, skill: Skill = SKILL) -> Vote:
    return a_vote(skill, EndpointId(number.to_bytes(32, "big")), score=-1)


async def test_ten_thousand_made_up_voters_move_no_rank_and_push_out_nobody(
    station: Station,
) -> None:
    station.known.trusted = {BOB: Trust.MEMBER, CAROL: Trust.VOUCHED}
    await station.ballots.take(a_vote(SKILL, BOB), BOB)
    await station.ballots.take(a_vote(SKILL, CAROL), BOB)
    for number in range(10_000):
        await station.ballots.take(sybil(number), BOB)

    kept = VOTES_PER_NEIGHBOR_MAX
    assert station.standing() == Standing(Tally(2, 0), Tally(0, kept - 2))
    assert len(station.store.votes(SKILL.key)) == kept
    station.ballots = station.begun_anew()
    assert station.standing() == Standing(Tally(2, 0), Tally(0, kept - 2))


async def test_many_neighbors_together_bring_in_only_so_many(station: Station) -> None:
    for number in range(1000):
        await station.ballots.take(sybil(number), EndpointId((number % 50).to_bytes(32, "big")))
    assert len(station.store.votes(SKILL.key)) == VOTES_MAX

    station.known.trusted = {BOB: Trust.MEMBER}
    assert await station.ballots.take(a_vote(SKILL, BOB), CAROL) is True
    assert station.standing().votes == Tally(1, 0)


async def test_a_vote_counts_once_its_voter_is_known(station: Station) -> None:
    await station.ballots.take(a_vote(SKILL, BOB), BOB)
    assert station.standing() == Standing(Tally(), Tally(1, 0))

    station.known.trusted = {BOB: Trust.MEMBER}
    station.clock.monotonic_s += RECOUNT_AFTER_S
    assert station.standing() == Standing(Tally(1, 0), Tally())


async def test_a_voter_that_has_become_known_is_not_pushed_out(station: Station) -> None:
    await station.ballots.take(a_vote(SKILL, BOB), CAROL)
    station.known.trusted = {BOB: Trust.MEMBER}
    station.clock.monotonic_s += RECOUNT_AFTER_S + 1
    for number in range(1000):
        await station.ballots.take(sybil(number), CAROL)
    assert station.standing().votes == Tally(1, 0)


async def test_votes_are_counted_once_for_many_snippets(station: Station) -> None:
    station.known.trusted = {BOB: Trust.MEMBER}
    await station.ballots.take(a_vote(SKILL, BOB), BOB)
    for _ in range(100):
        station.standing()
    assert station.known.looked_at == 1


async def test_a_policy_that_changes_counts_at_once(station: Station) -> None:
    station.known.trusted = {BOB: Trust.MEMBER}
    await station.ballots.take(a_vote(SKILL, BOB), BOB)
    assert station.standing() == Standing(Tally(1, 0), Tally())

    station.known.barred = {BOB}
    station.known.policies_changed += 1
    assert station.standing() == Standing(Tally(), Tally(1, 0))


async def test_what_the_disk_refuses_does_not_count(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    station.known.trusted = {BOB: Trust.MEMBER}

    async def refuse(*_: object) -> bool:
        raise StoreError("the disk is full")

    monkeypatch.setattr(station.store, "put_vote", refuse)
    with pytest.raises(StoreError):
        await station.ballots.take(a_vote(SKILL, BOB), BOB)
    assert station.standing() == Standing(Tally(), Tally())


async def test_votes_of_known_voters_are_handed_on_first_whatever_the_others_are_dated(
    station: Station,
) -> None:
    station.known.trusted = {BOB: Trust.MEMBER}
    bobs = a_vote(SKILL, BOB)
    await station.ballots.take(bobs, BOB)
    for number in range(50):
        ahead = EndpointId(number.to_bytes(32, "big"))
        await station.ballots.take(a_vote(SKILL, ahead, sent_at_ms=253_402_300_799_000), CAROL)
    assert station.ballots.to_hand_on(SKILL.key, 3)[0] == bobs.proof


async def test_votes_before_their_skill_are_bounded_by_who_brings_them(station: Station) -> None:
    later = a_skill(a_skill_entry("later"))
    station.known.trusted = {BOB: Trust.MEMBER}
    await station.ballots.take(a_vote(later, BOB), CAROL)
    for number in range(2000):
        await station.ballots.take(
            sybil(number, a_skill(a_skill_entry(f"never {number % 7}"))), CAROL
        )
    assert station.counters["votes_forgotten"] == 2001 - EARLY_PER_NEIGHBOR_MAX

    await station.store.put_skill(later)
    await station.ballots.skill_came(later.key)
    assert station.ballots.standing(later.key).votes == Tally(1, 0)


async def test_what_an_older_buddies_has_kept_is_cut_with_the_next_vote(station: Station) -> None:
    for number in range(VOTES_MAX + 50):
        await station.store.put_vote(sybil(number))
    station.known.trusted = {BOB: Trust.MEMBER}
    await station.ballots.take(a_vote(SKILL, BOB), BOB)
    assert len(station.store.votes(SKILL.key)) == VOTES_MAX

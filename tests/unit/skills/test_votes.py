from dataclasses import dataclass, field

import pytest

from buddies_core.model.identity import SignerIdentity, SshIdentity
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.provenance import Trust
from buddies_core.model.skill_views import Tally
from buddies_core.skills.votes import EverybodyKnown, KnownAndHeard, Standing, standing, weighed
from tests.support.memories import ALICE, BOB, CAROL, DEMO
from tests.support.skills import a_skill, a_vote

SKILL = a_skill()


@dataclass
class Listed:
    """A room whose policy names who has a vote; some endpoints are bound to a signer."""

    admitted: set[str]
    bound: dict[EndpointId, str] = field(default_factory=dict)

    def voter(self, room: RoomName, endpoint: EndpointId) -> str:
        return self.bound.get(endpoint, endpoint.hex())

    def may_vote(self, room: RoomName, endpoint: EndpointId) -> bool:
        return self.voter(room, endpoint) in self.admitted

    def trust(self, room: RoomName, endpoint: EndpointId) -> Trust:
        return Trust.VOUCHED

    def revision(self) -> int:
        return 0


@dataclass
class Bound:
    signers: dict[EndpointId, SignerIdentity] = field(default_factory=dict)
    strangers: set[EndpointId] = field(default_factory=set)

    def signer_of(self, endpoint: EndpointId) -> SignerIdentity | None:
        return self.signers.get(endpoint)

    def trust(self, room: RoomName, endpoint: EndpointId) -> Trust:
        return Trust.STRANGER if endpoint in self.strangers else Trust.MEMBER


def test_each_member_has_a_vote_where_there_is_no_policy() -> None:
    votes = [a_vote(SKILL, ALICE), a_vote(SKILL, BOB), a_vote(SKILL, CAROL, score=-1)]
    assert standing(votes, DEMO, EverybodyKnown(Bound())) == Standing(Tally(2, 1), Tally())


def test_keys_that_nothing_is_known_of_move_no_rank() -> None:
    sybils = [EndpointId(n.to_bytes(32, "big")) for n in range(1000)]
    votes = [a_vote(SKILL, ALICE), *(a_vote(SKILL, it, score=-1) for it in sybils)]
    electorate = EverybodyKnown(Bound(strangers=set(sybils)))
    assert standing(votes, DEMO, electorate) == Standing(Tally(1, 0), Tally(0, 1000))


def test_a_signer_has_one_vote_also_where_there_is_no_policy() -> None:
    votes = [a_vote(SKILL, ALICE), a_vote(SKILL, BOB), a_vote(SKILL, CAROL, score=-1)]
    ann = SshIdentity("ssh-ed25519 AAAA")
    bound = Bound({ALICE: ann, BOB: ann})
    assert standing(votes, DEMO, EverybodyKnown(bound)) == Standing(Tally(1, 1), Tally())


def test_one_signer_with_two_endpoints_has_one_vote_its_newest() -> None:
    votes = [
        a_vote(SKILL, ALICE, score=1, sent_at_ms=7),
        a_vote(SKILL, BOB, score=-1, sent_at_ms=9),
        a_vote(SKILL, CAROL, score=1, sent_at_ms=8),
    ]
    electorate = Listed({"ssh:a", CAROL.hex()}, {ALICE: "ssh:a", BOB: "ssh:a"})
    assert standing(votes, DEMO, electorate) == Standing(Tally(1, 1), Tally())


def test_a_thousand_keys_outside_the_whitelist_move_no_rank() -> None:
    sybils = [a_vote(SKILL, EndpointId(n.to_bytes(32, "big")), score=-1) for n in range(1000)]
    votes = [a_vote(SKILL, ALICE), *sybils]

    found = standing(votes, DEMO, Listed({ALICE.hex()}))

    assert found == Standing(Tally(1, 0), Tally(0, 1000))
    assert found.votes.rank == 1


def test_unverified_votes_stand_apart_even_if_they_name_who_may_vote() -> None:
    votes = [a_vote(SKILL, ALICE.hex()), a_vote(SKILL, "ann", score=-1)]
    assert standing(votes, DEMO, Listed({ALICE.hex()})) == Standing(Tally(), Tally(1, 1))


def test_no_number_of_votes_adds_more_than_a_quarter() -> None:
    assert weighed(1.0, 0) == 1.0
    assert weighed(1.0, 3) == pytest.approx(1.125)
    assert weighed(1.0, 10**9) == pytest.approx(1.25)
    assert weighed(1.0, -(10**9)) == pytest.approx(0.75)
    assert weighed(0.0, 10**9) == 0.0


@dataclass
class Heard(Bound):
    heard: set[EndpointId] = field(default_factory=set)

    def hears(self, room: RoomName, endpoint: EndpointId) -> bool:
        return endpoint in self.heard

    def policy_revision(self) -> int:
        return 0


def test_who_is_not_heard_in_the_room_has_no_vote() -> None:
    votes = [a_vote(SKILL, ALICE), a_vote(SKILL, BOB), a_vote(SKILL, CAROL, score=-1)]
    ann = SshIdentity("ssh-ed25519 AAAA")
    heard = Heard({ALICE: ann, BOB: ann}, heard={ALICE, BOB})
    assert standing(votes, DEMO, KnownAndHeard(heard)) == Standing(Tally(1, 0), Tally(0, 1))

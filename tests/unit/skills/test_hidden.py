"""Skills and votes of a revoked identity: not shown, not counted, not handed on; and back again."""

from uuid import UUID

import pytest

from buddies_core.errors import NotFound
from buddies_core.model.bodies import SkillSearchFilters, SkillSearchRequest
from buddies_core.model.identity import SignerIdentity
from buddies_core.model.ids import EndpointId, RequestId
from buddies_core.model.revocation import ItemCounts, peer_label
from buddies_core.model.skill_views import Tally
from buddies_core.pb.peer_pb2 import FetchSkill, SearchSkills
from tests.support.memories import DEMO
from tests.support.worlds.skill_team import FakeSigner, SkillNode, SkillTeam

STRANGER = EndpointId(b"x" * 32)
ANN = FakeSigner("ann")
LEGACY = SkillSearchRequest(RequestId(UUID(int=7)), "release", SkillSearchFilters())


@pytest.fixture
def team() -> SkillTeam:
    return SkillTeam()


@pytest.fixture
def alice(team: SkillTeam) -> SkillNode:
    return team.skilled("alice", signer=ANN)


@pytest.fixture
def bob(team: SkillTeam, alice: SkillNode) -> SkillNode:
    return team.skilled("bob")


async def listed(node: SkillNode) -> set[str]:
    return {skill.title for skill in (await node.skills.list(DEMO, (), 20)).results}


async def searched(node: SkillNode) -> set[str]:
    found = await node.skill_search.search("release", DEMO, (), 3.0, 20)
    return {skill.title for skill in found.results}


async def handed_on(node: SkillNode) -> int:
    """Return how many skills a peer finds at this node."""
    replies = await node.skill_search.answer(STRANGER, DEMO, SearchSkills(query="release"))
    return sum(len(reply.skills_found.found) for reply in replies)


async def revoke(node: SkillNode, label: str, since_ms: int = 0) -> ItemCounts:
    return (await node.revocations.revoke(label, since_ms, own_too=False)).hidden


@pytest.mark.parametrize("by_signature", [True, False])
async def test_a_skill_is_hidden_by_its_signature_and_by_its_endpoint(
    team: SkillTeam, alice: SkillNode, bob: SkillNode, by_signature: bool
) -> None:
    label = ANN.identity.label if by_signature else peer_label(alice.endpoint)
    hash = (await alice.publish("release it", title="Ann's")).hash
    await bob.publish("release it otherwise", title="Bob's")
    await team.deliver(alice)

    assert await revoke(bob, label) == ItemCounts(skills=1)
    assert await listed(bob) == await searched(bob) == {"Bob's"}
    assert await handed_on(bob) == 1
    wrong = f"skill {hash} is hidden on this machine: .* buddies-cli identity restore '"
    with pytest.raises(NotFound, match=wrong):
        await bob.shown(hash)
    with pytest.raises(NotFound, match=wrong):
        await bob.vote(hash, 1)
    with pytest.raises(NotFound, match=wrong):
        await bob.publish("better", parent=hash)
    with pytest.raises(NotFound, match="that skill is not here"):
        bob.skills.answer_fetch(STRANGER, DEMO, FetchSkill(hash=bytes.fromhex(hash)))

    await bob.revocations.restore(label)
    assert await listed(bob) == await searched(bob) == {"Ann's", "Bob's"}
    assert await handed_on(bob) == 2
    assert (await bob.shown(hash)).signed_by == ANN.identity.label


async def test_what_a_member_alone_has_of_it_is_hidden_too(
    alice: SkillNode, bob: SkillNode
) -> None:
    hash = (await alice.publish("release it", title="Ann's")).hash
    await revoke(bob, ANN.identity.label)
    assert await searched(bob) == set()
    with pytest.raises(NotFound, match="is hidden on this machine"):
        await bob.shown(hash)
    await bob.revocations.restore(ANN.identity.label)
    assert (await bob.shown(hash)).title == "Ann's"


async def test_what_came_before_stays_though_a_member_hands_it_on_again(
    team: SkillTeam, alice: SkillNode, bob: SkillNode
) -> None:
    hash = (await alice.publish("release it", title="Ann's")).hash
    await team.deliver(alice)
    bob.clock.unix_ms += 1000
    assert await revoke(bob, ANN.identity.label, bob.clock.unix_ms) == ItemCounts()
    assert await listed(bob) == await searched(bob) == {"Ann's"}
    assert (await bob.shown(hash)).title == "Ann's"


async def test_a_version_of_it_is_not_in_the_line_of_another(
    team: SkillTeam, alice: SkillNode, bob: SkillNode
) -> None:
    first = (await bob.publish("release it")).hash
    await team.deliver(bob)
    second = (await alice.publish("release it better", parent=first)).hash
    await team.deliver(alice)
    assert len((await bob.skills.get(first, 0, 9)).chain) == 2
    await revoke(bob, ANN.identity.label)
    assert [one.hash for one in (await bob.skills.get(first, 0, 9)).chain] == [first]
    await bob.revocations.restore(ANN.identity.label)
    assert [one.hash for one in (await bob.skills.get(first, 0, 9)).chain] == [first, second]


async def test_its_votes_count_no_more_and_count_again_without_a_restart(
    team: SkillTeam, alice: SkillNode, bob: SkillNode
) -> None:
    carol = team.skilled("carol")
    hash = (await bob.publish("release it")).hash
    await team.deliver(bob)
    for node in (alice, carol):
        await node.vote(hash, 1)
        await team.deliver(node)
    assert (await bob.shown(hash)).votes == Tally(2, 0)
    assert len(bob.ballots.to_hand_on(bob.kept.find_skills(hash)[0].key, 9)) == 2

    assert await revoke(bob, peer_label(alice.endpoint)) == ItemCounts(votes=1)
    assert (await bob.shown(hash)).votes == Tally(1, 0)
    assert len(bob.ballots.to_hand_on(bob.kept.find_skills(hash)[0].key, 9)) == 1
    await alice.vote(hash, -1)
    await team.deliver(alice)
    assert (await bob.shown(hash)).votes == Tally(1, 0)
    await bob.revocations.restore(peer_label(alice.endpoint))
    assert (await bob.shown(hash)).votes == Tally(1, 1)


async def test_a_signers_votes_are_hidden_from_whichever_machine_they_came(
    team: SkillTeam, alice: SkillNode, bob: SkillNode
) -> None:
    identity: SignerIdentity = ANN.identity
    bob.rooms.signers = {alice.endpoint: identity}
    hash = (await bob.publish("release it")).hash
    await team.deliver(bob)
    await alice.vote(hash, 1)
    await team.deliver(alice)
    assert await revoke(bob, identity.label) == ItemCounts(votes=1)
    assert (await bob.shown(hash)).votes == Tally(0, 0)


async def test_a_vote_that_comes_with_a_members_answer_is_hidden_too(
    team: SkillTeam, alice: SkillNode, bob: SkillNode
) -> None:
    carol = team.skilled("carol")
    hash = (await carol.publish("release it")).hash
    await team.deliver(carol)
    await alice.vote(hash, 1)  # Nobody hears it; members bring it with what they find.
    await revoke(bob, peer_label(alice.endpoint))
    found = await bob.skill_search.search("release", DEMO, (), 3.0, 20)
    assert [skill.votes for skill in found.results] == [Tally(0, 0)]
    await bob.revocations.restore(peer_label(alice.endpoint))
    found = await bob.skill_search.search("release", DEMO, (), 3.0, 20)
    assert [skill.votes for skill in found.results] == [Tally(1, 0)]


async def test_publishing_what_is_hidden_already_says_so(
    team: SkillTeam, alice: SkillNode, bob: SkillNode
) -> None:
    await alice.publish("release it")
    await team.deliver(alice)
    await revoke(bob, ANN.identity.label)
    with pytest.raises(NotFound, match="is hidden on this machine"):
        await bob.publish("release it")


async def test_the_same_content_by_somebody_else_is_shown_as_theirs(
    team: SkillTeam, alice: SkillNode, bob: SkillNode
) -> None:
    await alice.publish("release it")
    await team.deliver(alice)
    team.goes(alice)
    carol = team.skilled("carol")  # She has never heard of it.
    await carol.publish("release it")
    await revoke(bob, ANN.identity.label)
    found = await bob.skill_search.search("release", DEMO, (), 3.0, 20)
    assert [skill.author_name for skill in found.results] == ["carol"]


async def test_a_0_1_4_member_is_not_answered_with_what_is_hidden(
    team: SkillTeam, alice: SkillNode, bob: SkillNode
) -> None:
    await alice.publish("release it")
    await team.deliver(alice)
    assert await bob.skill_answers.to(LEGACY, DEMO) is not None
    await revoke(bob, ANN.identity.label)
    assert await bob.skill_answers.to(LEGACY, DEMO) is None

"""Skills from node to node: published, believed or not, voted on, fetched, chained."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from buddies_core.errors import InvalidInput, NotFound, QuotaExceeded
from buddies_core.identity.node_key import NodeKey
from buddies_core.identity.verifying import Verdict, Verification
from buddies_core.model.bodies import Body, SkillPublished, SkillVoteCast
from buddies_core.model.identity import GpgIdentity, SignerIdentity, SshIdentity, Verified
from buddies_core.model.ids import EndpointId, RoomName, open_room_id
from buddies_core.model.listing import Listed
from buddies_core.model.memory import Whole
from buddies_core.model.provenance import Trust
from buddies_core.model.skill import SkillEntry, skill_key
from buddies_core.model.skill_views import (
    Publisher,
    SkillVersion,
    SkillView,
    Tally,
    VoteReport,
    newest_of_publisher,
)
from buddies_core.skills.ballot_box import VOTES_MAX
from buddies_core.skills.content import NAMESPACE, signing_payload, skill_hash
from buddies_core.skills.versions import CHAIN_MAX
from buddies_core.wire.room_messages import RoomMessage, Trailer, encode_room_message, seal
from tests.support.eventually import until
from tests.support.memories import DEMO, whole_of
from tests.support.skills import a_skill_entry
from tests.support.worlds.skill_team import FakeSigner, SkillNode, SkillTeam, check

OPS = RoomName("ops")
FINGERPRINT = "0123456789ABCDEF" * 2 + "01234567"
NOBODY = Publisher()
MALLORY = NodeKey(b"mallory".ljust(32, b"."))
LONG = "\n".join(f"{n}. step number {n}" for n in range(1000))


def said(
    body: Body, key: NodeKey = MALLORY, *, sent_at_ms: int = 5, whole: Whole | None = None
) -> bytes:
    """Return what a peer of its own mind broadcasts in the demo room."""
    message = encode_room_message(RoomMessage(nonce=bytes(16), body=body))
    trailer = Trailer(sender=key.endpoint, sent_at_ms=sent_at_ms, whole=whole)
    return seal(message, trailer, open_room_id(DEMO), key.sign)


def legacy(body: Body) -> bytes:
    """Return what a 0.1.4 peer broadcasts."""
    return encode_room_message(RoomMessage(nonce=bytes(16), body=body))


async def signed(entry: SkillEntry, signer: FakeSigner) -> SkillEntry:
    signature = await signer.sign(signing_payload(entry), NAMESPACE)
    return replace(entry, signed_by=signer.identity, signature=signature)


async def version_of(node: SkillNode, skill: SkillView) -> SkillVersion:
    """Return the skill as its line of versions shows it."""
    chain = (await node.skills.get(skill.hash, 0, 9)).chain
    return next(version for version in chain if version.hash == skill.hash)


async def followed(node: SkillNode, skill: SkillView, known: Publisher = NOBODY) -> str | None:
    """Return the hash of what the skill is brought up to date with."""
    chain = (await node.skills.get(skill.hash, 0, 9)).chain
    newest = newest_of_publisher(chain, skill.hash, known)
    return newest.hash if newest else None


async def views(node: SkillNode, hash: str) -> list[tuple[Verified, str]]:
    """Return whose a skill is, as each of the places shows it that show skills."""
    listed = (await node.skills.list(DEMO, (), 10)).results
    found = (await node.skill_search.search("release", DEMO, (), 3.0, 20)).results
    page = await node.skills.get(hash, 0, 9)
    shown: list[SkillView | SkillVersion] = [page.skill, *page.chain, *listed, *found]
    return [(one.verified, one.signed_by) for one in shown if one.hash == hash]


@asynccontextmanager
async def fetching(node: SkillNode) -> AsyncIterator[None]:
    """Have the node fetch what is announced."""
    async with asyncio.TaskGroup() as group:
        running = group.create_task(node.skills.run())
        yield
        running.cancel()


async def test_what_one_publishes_the_others_have() -> None:
    team = SkillTeam()
    alice, bob = team.skilled("alice", signer=FakeSigner("alice")), team.skilled("bob")

    published = await alice.publish(title=" Release ", tags=("ci", "ci"))
    await team.deliver(alice)

    assert await bob.shown(published.hash) == published
    assert published.hash == skill_hash("Release", published.content, ("ci",))
    assert (published.author, published.author_name) == (alice.endpoint.hex(), "alice")
    assert (published.verified, published.signed_by) == (
        Verified.SIGNER,
        FakeSigner("alice").identity.label,
    )
    assert (published.version, published.parent_hash) == (1, None)
    assert (bob.skill_index.noticed, bob.rejected()) == (1, Counter())


async def test_a_skill_over_a_quota_is_an_error_to_its_author_and_counted_at_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    team = SkillTeam()
    alice, bob = team.skilled("alice"), team.skilled("bob")

    async def refuse(*_: object) -> bool:
        raise QuotaExceeded("the room is full")

    monkeypatch.setattr(bob.kept, "put_skill", refuse)
    with pytest.raises(QuotaExceeded):
        await bob.publish()
    await alice.publish()
    await team.deliver(alice)
    assert bob.kept.last_skill_sequence() == 0
    assert bob.counters == {"skills_over_quota": 1}


async def test_without_a_signer_a_skill_is_its_peers_word() -> None:
    team = SkillTeam()
    alice, bob = team.skilled("alice"), team.skilled("bob")
    published = await alice.publish()
    await team.deliver(alice)

    shown = await bob.shown(published.hash)
    assert (shown.verified, shown.signed_by) == (Verified.PEER, "")


async def test_publishing_the_same_again_tells_nobody() -> None:
    alice = SkillTeam().skilled("alice")
    first = await alice.publish()
    alice.rooms.sent.clear()

    assert await alice.publish(version=7) == first
    assert alice.rooms.sent == []


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"title": ""}, InvalidInput, "title"),
        ({"content": ""}, InvalidInput, "content"),
        ({"room": OPS}, NotFound, "ops"),
        ({"parent": "ab" * 32}, NotFound, "ab" * 32),
    ],
)
async def test_what_can_t_be_published_changes_nothing(
    arguments: dict[str, str], error: type[Exception], text: str
) -> None:
    alice = SkillTeam().skilled("alice")
    with pytest.raises(error, match=text):
        await alice.publish(**{"content": "c"} | arguments)  # type: ignore[arg-type]
    assert (alice.rooms.sent, await alice.skills.list(None, (), 10)) == ([], Listed((), 0, ()))


# What is not believed


async def test_a_hash_that_is_not_that_of_the_content_is_refused() -> None:
    bob = SkillTeam().skilled("bob")
    entry = replace(a_skill_entry(author=MALLORY.endpoint), content="rm -rf /")

    await bob.hear(DEMO, said(SkillPublished(entry)))

    assert bob.kept.find_skills(entry.hash) == ()
    assert bob.rejected() == {"skills_rejected_hash": 1}


async def test_an_altered_skill_with_the_valid_signature_of_another_is_refused() -> None:
    bob = SkillTeam().skilled("bob")
    entry = await signed(a_skill_entry(author=MALLORY.endpoint), FakeSigner("alice"))
    altered = a_skill_entry("rm -rf /", author=MALLORY.endpoint)
    forged = replace(altered, signed_by=entry.signed_by, signature=entry.signature)

    await bob.hear(DEMO, said(SkillPublished(forged)))

    assert bob.kept.find_skills(forged.hash) == ()
    assert bob.rejected() == {"skills_rejected_signature": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"author": MALLORY.endpoint.hex()},
        {"version": 9},
        {"parent_hash": "cd" * 32},
        {"created_at_s": 1},
        {"signature": None},
        {"signature": b"other"},
        {"signed_by": SshIdentity("ssh-ed25519 mallory")},
    ],
)
async def test_a_signature_is_over_all_that_it_should_be(change: dict[str, object]) -> None:
    bob = SkillTeam().skilled("bob")
    entry = await signed(a_skill_entry(author=EndpointId(b"x" * 32)), FakeSigner("alice"))

    await bob.hear(DEMO, legacy(SkillPublished(replace(entry, **change))))  # type: ignore[arg-type]
    assert bob.kept.find_skills(entry.hash) == ()
    await bob.hear(DEMO, legacy(SkillPublished(entry)))
    assert bob.kept.find_skills(entry.hash) != ()


async def test_a_signed_skill_replayed_in_another_room_is_refused() -> None:
    bob = SkillTeam().skilled("bob", DEMO, OPS)
    entry = await signed(a_skill_entry(room=OPS), FakeSigner("alice"))

    await bob.hear(DEMO, legacy(SkillPublished(entry)))

    assert bob.rejected() == {"skills_rejected_signature": 1}


async def test_what_can_t_be_checked_here_counts_as_unsigned() -> None:
    bob = SkillTeam().skilled("bob")
    entry = a_skill_entry(
        author=MALLORY.endpoint, signed_by=GpgIdentity("A" * 40), signature=b"unknown"
    )

    await bob.hear(DEMO, said(SkillPublished(entry)))

    shown = await bob.shown(entry.hash)
    assert (shown.verified, shown.signed_by) == (Verified.PEER, "")
    assert bob.counters["skills_signer_unknown"] == 1


async def test_an_unsigned_copy_never_replaces_a_signed_one() -> None:
    team = SkillTeam()
    alice, bob = team.skilled("alice", signer=FakeSigner("alice")), team.skilled("bob")
    published = await alice.publish()
    await team.deliver(alice)
    copy = a_skill_entry(author=MALLORY.endpoint, version=9)
    assert copy.hash == published.hash

    await bob.hear(DEMO, said(SkillPublished(copy)))
    await bob.hear(DEMO, legacy(SkillPublished(replace(copy, author="ann"))))

    assert await bob.shown(published.hash) == published


async def test_another_peer_does_not_take_over_an_unsigned_skill() -> None:
    team = SkillTeam()
    alice, bob = team.skilled("alice"), team.skilled("bob")
    published = await alice.publish()
    await team.deliver(alice)

    await bob.hear(DEMO, said(SkillPublished(a_skill_entry(author=MALLORY.endpoint))))

    assert (await bob.shown(published.hash)).author == alice.endpoint.hex()


async def test_a_signed_copy_replaces_an_unsigned_one() -> None:
    bob = SkillTeam().skilled("bob")
    entry = a_skill_entry(author=EndpointId(b"x" * 32))
    await bob.hear(DEMO, legacy(SkillPublished(entry)))
    assert (await bob.shown(entry.hash)).verified is Verified.UNVERIFIED

    await bob.hear(DEMO, legacy(SkillPublished(await signed(entry, FakeSigner("alice")))))
    assert (await bob.shown(entry.hash)).verified is Verified.SIGNER


# Votes


async def test_a_vote_counts_everywhere_and_the_newest_one_wins() -> None:
    team = SkillTeam()
    alice, bob = team.skilled("alice"), team.skilled("bob")
    hash = (await alice.publish()).hash
    await team.deliver(alice)

    assert await bob.vote(hash, 1) == VoteReport(hash=hash, score=1, rank=1, counted=True)
    assert await bob.vote(hash, -1) == VoteReport(hash=hash, score=-1, rank=-1, counted=True)
    bob.rooms.sent.reverse()  # They overtake each other.
    await team.deliver(bob)

    assert ((await alice.shown(hash)).votes, (await alice.shown(hash)).your_score) == (
        Tally(0, 1),
        None,
    )
    assert (await bob.shown(hash)).your_score == -1


async def test_a_vote_may_come_before_its_skill() -> None:
    team = SkillTeam()
    alice, bob = team.skilled("alice"), team.skilled("bob")
    hash = (await alice.publish()).hash
    await alice.vote(hash, 1)
    alice.rooms.sent.reverse()
    await team.deliver(alice)

    assert (await bob.shown(hash)).votes == Tally(1, 0)


@pytest.mark.parametrize(
    ("vote", "reason"),
    [
        (SkillVoteCast("HASH", MALLORY.endpoint.hex(), 127), "votes_rejected_score"),
        (SkillVoteCast("HASH", MALLORY.endpoint.hex(), 0), "votes_rejected_score"),
        (SkillVoteCast("nothing", MALLORY.endpoint.hex(), 1), "votes_rejected_form"),
    ],
)
async def test_a_vote_that_is_none_is_refused_and_counted(vote: SkillVoteCast, reason: str) -> None:
    bob = SkillTeam().skilled("bob")
    hash = (await bob.publish()).hash

    await bob.hear(DEMO, said(replace(vote, skill_hash=vote.skill_hash.replace("HASH", hash))))

    assert (await bob.shown(hash)).votes == Tally()
    assert bob.rejected() == {reason: 1}


async def test_the_votes_of_0_1_4_peers_stand_apart() -> None:
    bob = SkillTeam().skilled("bob")
    hash = (await bob.publish()).hash
    for voter in ("ann", "ann", "joe"):
        await bob.hear(DEMO, legacy(SkillVoteCast(hash, voter, -1)))

    shown = await bob.shown(hash)
    assert (shown.votes, shown.uncounted) == (Tally(), Tally(0, 2))


async def test_a_thousand_keys_outside_the_whitelist_move_no_rank() -> None:
    class Whitelist:
        def voter(self, room: RoomName, endpoint: EndpointId) -> str:
            return endpoint.hex()

        def may_vote(self, room: RoomName, endpoint: EndpointId) -> bool:
            return endpoint == alice.endpoint

        def trust(self, room: RoomName, endpoint: EndpointId) -> Trust:
            return Trust.NAMED if endpoint == alice.endpoint else Trust.STRANGER

        def revision(self) -> int:
            return 0

    team = SkillTeam()
    alice = team.skilled("alice", electorate=Whitelist())
    hash = (await alice.publish()).hash
    await alice.vote(hash, 1)
    for number in range(1000):
        key = NodeKey(number.to_bytes(32, "big"))
        await alice.hear(DEMO, said(SkillVoteCast(hash, key.endpoint.hex(), -1), key))

    shown = await alice.shown(hash)
    assert (shown.votes, shown.uncounted) == (Tally(1, 0), Tally(0, VOTES_MAX - 1))
    assert len(alice.kept.votes(skill_key(hash, DEMO))) == VOTES_MAX


async def test_who_may_not_vote_is_told_so() -> None:
    class Nobody:
        def voter(self, room: RoomName, endpoint: EndpointId) -> str:
            return endpoint.hex()

        def may_vote(self, room: RoomName, endpoint: EndpointId) -> bool:
            return False

        def trust(self, room: RoomName, endpoint: EndpointId) -> Trust:
            return Trust.NAMED

        def revision(self) -> int:
            return 0

    alice = SkillTeam().skilled("alice", electorate=Nobody())
    hash = (await alice.publish()).hash
    assert await alice.vote(hash, 1) == VoteReport(hash=hash, score=1, rank=0, counted=False)


@pytest.mark.parametrize("score", [0, 2, -127])
async def test_scores_other_than_one_are_no_votes(score: int) -> None:
    alice = SkillTeam().skilled("alice")
    with pytest.raises(InvalidInput, match="score"):
        await alice.vote((await alice.publish()).hash, score)


# Long ones, and those that are elsewhere


async def test_a_long_skill_is_shown_once_its_content_was_fetched_and_checked() -> None:
    team = SkillTeam()
    alice, bob = team.skilled("alice", signer=FakeSigner("alice")), team.skilled("bob")
    published = await alice.publish(LONG)
    await team.deliver(alice)
    assert bob.kept.find_skills(published.hash) == ()

    async with fetching(bob):
        await until(lambda: bool(bob.kept.find_skills(published.hash)))
    page = await bob.skills.get(published.hash, 0, len(LONG))
    assert (page.skill.content, page.skill.verified) == (LONG, Verified.SIGNER)
    assert bob.kept.announcements() == ()


async def test_a_long_skill_comes_from_whoever_has_it_and_keeps_its_signature() -> None:
    team = SkillTeam()
    alice, bob = team.skilled("alice", signer=FakeSigner("alice")), team.skilled("bob")
    carol = team.skilled("carol")
    published = await alice.publish(LONG)
    announcement = alice.rooms.sent[0][1]
    await carol.publish(LONG)  # The same content, unsigned.
    alice.rooms.sent.clear()
    carol.rooms.sent.clear()
    team.goes(alice)
    await bob.hear(DEMO, announcement)

    async with fetching(bob):
        await until(lambda: bool(bob.kept.find_skills(published.hash)))
    shown = await bob.shown(published.hash)
    assert (shown.author_name, shown.verified) == ("alice", Verified.SIGNER)


async def test_an_announcement_that_lies_about_its_hash_is_forgotten_when_the_truth_comes() -> None:
    team = SkillTeam()
    alice, bob = team.skilled("alice"), team.skilled("bob")
    published = await alice.publish(LONG)
    lie = replace(a_skill_entry("junk", author=MALLORY.endpoint, title="Junk"), hash=published.hash)
    await bob.hear(DEMO, said(SkillPublished(lie), whole=whole_of("j" * 9000)))
    assert len(bob.kept.announcements()) == 1

    async with fetching(bob):
        await until(lambda: bool(bob.kept.find_skills(published.hash)))
    assert (await bob.shown(published.hash)).title == "Release"
    assert bob.kept.announcements() == ()


async def test_what_is_elsewhere_is_fetched_with_its_votes_and_kept() -> None:
    team = SkillTeam()
    alice, bob = team.skilled("alice"), team.skilled("bob")
    published = await alice.publish(LONG)
    await alice.vote(published.hash, 1)
    await alice.hear(DEMO, legacy(SkillVoteCast(published.hash, "ann", -1)))

    page = await bob.skills.get(published.hash, 10, 20)
    assert (page.skill.content, page.offset, page.next_offset, page.total) == (
        LONG[10:30],
        10,
        30,
        len(LONG),
    )
    assert (page.skill.votes, page.skill.uncounted) == (Tally(1, 0), Tally())
    team.goes(alice)
    assert (await bob.shown(published.hash)).votes == Tally(1, 0)


async def test_a_peer_that_gives_another_skill_is_not_believed() -> None:
    team = SkillTeam()
    alice, bob = team.skilled("alice"), team.skilled("bob")
    other = await alice.publish("another")
    parts = alice.skills.answer_fetch
    team.answers[alice.endpoint] = lambda request: parts(
        bob.endpoint,
        DEMO,
        type(request.fetch_skill)(hash=bytes.fromhex(other.hash)),
    )

    with pytest.raises(NotFound, match="alice: it gave another skill"):
        await bob.skills.get("ab" * 32, 0, 10)
    assert bob.kept.find_skills(other.hash) == ()


async def test_a_skill_of_another_room_is_not_handed_on() -> None:
    team = SkillTeam()
    alice, bob = team.skilled("alice", DEMO, OPS), team.skilled("bob", DEMO)
    secret = await alice.publish(room=OPS)

    with pytest.raises(NotFound):
        await bob.skills.get(secret.hash, 0, 10)


# Versions


async def test_versions_are_chained_and_show_what_they_change() -> None:
    alice = SkillTeam().skilled("alice")
    first = await alice.publish("1. build\n2. ship\n")
    second = await alice.publish("1. build\n2. test\n3. ship\n", parent=first.hash)
    third = await alice.publish("1. build\n2. test twice\n3. ship\n", parent=second.hash)

    page = await alice.skills.get(second.hash, 0, 100)
    assert [one.hash for one in page.chain] == [first.hash, second.hash, third.hash]
    assert [one.version for one in page.chain] == [1, 2, 3]
    assert page.diff is not None
    assert page.diff.splitlines()[2:] == [
        "@@ -1,4 +1,5 @@", " Release", " ", " 1. build", "-2. ship", "+2. test", "+3. ship",
    ]  # fmt: skip
    assert (await alice.skills.get(first.hash, 0, 100)).diff is None
    later = await alice.skills.get(second.hash, 1, 9)
    assert (later.chain, later.diff) == ((), None), "they come with the first page alone"


async def test_a_ring_of_parents_is_named_once() -> None:
    bob = SkillTeam().skilled("bob")
    one, other = a_skill_entry("one"), a_skill_entry("other")
    for entry, parent in ((one, other), (other, one)):
        await bob.hear(
            DEMO, legacy(SkillPublished(replace(entry, parent_hash=parent.hash, author="x")))
        )

    page = await bob.skills.get(one.hash, 0, 100)
    assert sorted(v.hash for v in page.chain) == sorted([one.hash, other.hash])


async def test_a_long_chain_is_cut() -> None:
    alice = SkillTeam().skilled("alice")
    shown = [await alice.publish("0")]
    for number in range(1, CHAIN_MAX + 10):
        shown.append(await alice.publish(str(number), parent=shown[-1].hash))

    assert len((await alice.skills.get(shown[-1].hash, 0, 9)).chain) == CHAIN_MAX + 1
    assert len((await alice.skills.get(shown[0].hash, 0, 9)).chain) == CHAIN_MAX + 1


@pytest.mark.parametrize("publisher_is_known", [True, False])
@pytest.mark.parametrize(
    "order", ["first updates junk", "first junk updates", "updates first junk"]
)
async def test_junk_successors_hide_no_update_however_their_hashes_lie(
    order: str, publisher_is_known: bool
) -> None:
    team = SkillTeam()
    alice, bob = team.skilled("alice"), team.skilled("bob")
    if not publisher_is_known:
        bob.rooms.present[DEMO] = []
    first = await alice.publish("1. build\n")
    second = await alice.publish("1. build\n2. ship\n", parent=first.hash)
    third = await alice.publish("1. build\n2. test\n3. ship\n", parent=second.hash)
    junk = []
    for number in range(1000):
        entry = a_skill_entry(f"junk {number}", author=MALLORY.endpoint, parent_hash=first.hash)
        if entry.hash < second.hash:
            junk.append(said(SkillPublished(entry)))
    assert len(junk) > 64
    one, *updates = (raw for _, raw in alice.rooms.sent)
    parts = {"first": [one], "updates": updates, "junk": junk}
    for raw in (raw for part in order.split() for raw in parts[part]):
        await bob.hear(DEMO, raw)

    page = await bob.skills.get(first.hash, 0, 10)
    newest = newest_of_publisher(page.chain, first.hash, Publisher())
    assert newest is not None
    assert newest.hash == third.hash


async def test_the_successor_of_another_publisher_is_no_update() -> None:
    team = SkillTeam()
    alice, bob = team.skilled("alice", signer=FakeSigner("alice")), team.skilled("bob")
    first = await alice.publish("1")
    second = await alice.publish("2", parent=first.hash)
    await team.deliver(alice)
    hijack = await bob.publish("evil", parent=second.hash, version=99)

    chain = (await bob.skills.get(first.hash, 0, 9)).chain
    assert hijack.hash in [version.hash for version in chain]
    assert await followed(bob, first) == second.hash


def successor(of: SkillView, content: str, author: EndpointId, version: int = 2) -> SkillEntry:
    """Return the entry of what is said to be a newer version."""
    return a_skill_entry(content, author=author, version=version, parent_hash=of.hash)


async def test_who_signs_in_the_name_of_an_endpoint_that_never_did_makes_no_update_of_its() -> None:
    team = SkillTeam()
    xena, bob = team.skilled("xena"), team.skilled("bob")
    first = await xena.publish("1")
    evil = await signed(successor(first, "evil", xena.endpoint, 9), FakeSigner("mallory"))
    await bob.hear(DEMO, legacy(SkillPublished(evil)))
    await team.deliver(xena)

    assert (await bob.shown(evil.hash)).signed_by == FakeSigner("mallory").identity.label
    assert await followed(bob, first) == first.hash


async def test_what_an_endpoint_said_is_updated_by_what_it_says_and_signs_later() -> None:
    team = SkillTeam()
    bob = team.skilled("bob")
    xena = NodeKey(b"xena".ljust(32, b"."))
    entry = a_skill_entry("1", author=xena.endpoint)
    await bob.hear(DEMO, said(SkillPublished(entry), xena))
    first = await bob.shown(entry.hash)
    better = await signed(successor(first, "2", xena.endpoint), FakeSigner("xena"))
    await bob.hear(DEMO, said(SkillPublished(better), xena, sent_at_ms=6))

    assert (first.verified, (await bob.shown(better.hash)).verified) == (
        Verified.PEER,
        Verified.SIGNER,
    )
    assert await followed(bob, first) == better.hash


async def test_a_signed_copy_of_a_skill_does_not_make_its_signer_the_one_to_follow() -> None:
    team = SkillTeam()
    xena, bob = team.skilled("xena"), team.skilled("bob")
    first = await xena.publish("1")
    await team.deliver(xena)
    installed = await version_of(bob, first)
    copy = await signed(a_skill_entry("1", author=MALLORY.endpoint), FakeSigner("mallory"))
    evil = await signed(successor(first, "evil", MALLORY.endpoint, 9), FakeSigner("mallory"))
    for entry in (copy, evil):
        await bob.hear(DEMO, said(SkillPublished(entry)))
    second = await xena.publish("2", parent=first.hash)
    await team.deliver(xena)

    assert (await bob.shown(first.hash)).signed_by == FakeSigner("mallory").identity.label
    assert await followed(bob, first, installed.publisher) == second.hash


async def test_a_signer_is_followed_from_one_endpoint_to_another() -> None:
    team, ann = SkillTeam(), FakeSigner("ann")
    alice, laptop, bob = team.skilled("alice"), team.skilled("laptop"), team.skilled("bob")
    first = await alice.publish("1")
    await team.deliver(alice)
    second = await laptop.publish("2", parent=first.hash)
    await team.deliver(laptop)
    assert await followed(bob, first) == first.hash

    bob.rooms.signers = dict.fromkeys((alice.endpoint, laptop.endpoint), ann.identity)
    assert await followed(bob, first) == second.hash


# Who signed it is known later


async def test_a_skill_is_its_signers_as_soon_as_a_key_vouches_for_its_endpoint() -> None:
    team, ann = SkillTeam(), FakeSigner("ann")
    alice, bob = team.skilled("alice"), team.skilled("bob")
    hash = (await alice.publish()).hash
    await team.deliver(alice)
    assert await views(bob, hash) == [(Verified.PEER, "")] * 4

    bob.rooms.signers = {alice.endpoint: ann.identity}
    assert await views(bob, hash) == [(Verified.SIGNER, ann.identity.label)] * 4
    assert (await bob.revocations.revoke(ann.identity.label, 0, own_too=False)).hidden.skills == 1
    assert await bob.skills.list(DEMO, (), 10) == Listed((), 0, ())


async def test_a_key_that_vouches_for_an_endpoint_does_not_for_who_only_names_it() -> None:
    team = SkillTeam()
    bob, alice = team.skilled("bob"), NodeKey(b"alice".ljust(32, b"."))
    entry = a_skill_entry(author=alice.endpoint)
    await bob.hear(DEMO, legacy(SkillPublished(entry)))
    bob.rooms.signers = {alice.endpoint: FakeSigner("ann").identity}
    assert await views(bob, entry.hash) == [(Verified.UNVERIFIED, "")] * 4


async def test_a_skill_is_its_signers_once_the_key_is_there_when_it_or_its_line_is_read() -> None:
    keyring: set[str] = set()

    async def verify(
        identity: SignerIdentity,
        payload: bytes,
        signature: bytes,
        namespace: str,
        told_by: EndpointId | None = None,
    ) -> Verification:
        if isinstance(identity, GpgIdentity) and identity.key_id in keyring:
            return Verification(Verdict.GOOD, signer=GpgIdentity(FINGERPRINT))
        return await check(identity, payload, signature, namespace)

    team = SkillTeam()
    bob = team.skilled("bob", verify=verify)
    first = a_skill_entry("1", author=MALLORY.endpoint)
    second = a_skill_entry("2", author=MALLORY.endpoint, version=2, parent_hash=first.hash)
    for entry in (first, second):
        claimed = replace(entry, signed_by=GpgIdentity(FINGERPRINT[-16:]), signature=b"gpg's")
        await bob.hear(DEMO, legacy(SkillPublished(claimed)))
    assert await views(bob, first.hash) == [(Verified.UNVERIFIED, "")] * 4
    came_at_ms = bob.kept.find_skills(first.hash)[0].received_at_ms

    keyring.add(FINGERPRINT[-16:])
    bob.clock.unix_ms += 60_000
    label = f"gpg:{FINGERPRINT}"
    assert (await bob.shown(first.hash)).signed_by == label
    for hash in (first.hash, second.hash):
        assert await views(bob, hash) == [(Verified.SIGNER, label)] * 4
    assert bob.kept.find_skills(first.hash)[0].received_at_ms == came_at_ms
    assert await followed(bob, await bob.shown(first.hash)) == second.hash

    assert (await bob.revocations.revoke(label, 0, own_too=False)).hidden.skills == 2
    assert await bob.skills.list(DEMO, (), 10) == Listed((), 0, ())


async def test_the_list_of_a_room_that_is_unknown_says_so() -> None:
    alice = SkillTeam().skilled("alice")
    published = await alice.publish(tags=("ci",))

    assert (await alice.skills.list(DEMO, ("ci",), 10)).results == (published,)
    with pytest.raises(NotFound, match="ops"):
        await alice.skills.list(OPS, (), 10)
    assert skill_key(published.hash, DEMO) == alice.kept.find_skills(published.hash)[0].key

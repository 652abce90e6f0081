"""What a hostile peer can say: each is refused, counted by its reason, and leaves nothing behind.

A whole daemon, with its store on disk and the real gpg, hears it from a neighbor on loopback.
"""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from buddies_core.identity.binding import NAMESPACE, bind, binding_payload
from buddies_core.identity.node_key import NodeKey
from buddies_core.memory import amending
from buddies_core.model.bodies import (
    Body,
    Leave,
    MemoryCreated,
    MemoryDeleted,
    MemorySuperseded,
    Presence,
    SkillPublished,
    SkillVoteCast,
    StatusUpdate,
    UnknownBody,
)
from buddies_core.model.identity import Binding, Verified
from buddies_core.model.ids import EndpointId, MemoryId, RoomName
from buddies_core.model.memory import verified_key
from buddies_core.skills.content import skill_hash
from buddies_core.store import amendment_keys
from buddies_core.store import keys as keys_of_store
from buddies_core.trust.speakers import spoke_key
from buddies_core.wire.amendments import encode_amendment
from tests.support.eventually import until
from tests.support.forgers import ForgersKeys, forgers_keys, signed_entry
from tests.support.memories import DEMO, an_entry, memory_id
from tests.support.skills import a_skill_entry
from tests.support.worlds.meeting import eventually
from tests.support.worlds.person import an_ed25519_signer, needs, some_person
from tests.support.worlds.whole_daemon import (
    Stranger,
    WholeDaemon,
    a_stranger_among,
    a_whole_daemon,
    sealed,
    signed_as_0_1_4,
    unsigned,
)

pytestmark = [needs("gpg"), needs("ssh-keygen")]

BOB = NodeKey(b"b" * 32)
BENS_KEY = an_ed25519_signer(b"2")
"""It vouches for Bob's endpoint."""
OTHER_ROOM = RoomName("other")
LATER_MS = 1 << 42


@dataclass(frozen=True)
class Scene:
    """Alice's daemon, which has heard of Bob and has things of his, and Mallory, its neighbor."""

    alice: WholeDaemon
    mallory: Stranger
    keys: ForgersKeys

    async def refuses(self, what: str, raw: bytes, counted: str) -> None:
        """Assert that a message is counted under this reason alone, and changes nothing on disk."""
        kept = self.alice.store()
        await self.counts(what, raw, counted)
        assert (what, self.alice.store()) == (what, kept)

    async def counts(self, what: str, raw: bytes, counted: str) -> None:
        """Assert that a message makes this counter go up, and no other."""
        before = await self.alice.counters()
        await self.mallory.says(raw)
        after = await eventually(self.alice.counters, lambda now: now != before, timeout_s=5)
        assert (what, after - before) == (what, Counter({counted: 1}))
        await self.alice.has_settled()

    async def members(self) -> dict[EndpointId, tuple[str, Verified]]:
        """Return how Alice's agents see the others."""
        status = await self.alice.client.room_status(DEMO)
        return {it.endpoint: (it.name, it.verified) for it in status.members if not it.is_self}


async def what_bob_said() -> tuple[Body, ...]:
    """Return that he is there, a memory, a signed skill and his vote on it."""
    skill = await signed_entry(a_skill_entry(author=BOB.endpoint), BENS_KEY)
    return (
        Presence("bob", (), await bind(BENS_KEY, BOB.endpoint, 1)),
        MemoryCreated(an_entry(1, author=BOB.endpoint)),
        SkillPublished(skill),
        SkillVoteCast(skill.hash, BOB.endpoint.hex(), 1),
    )


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    with some_person() as owner, some_person() as forger:
        keys = forgers_keys(forger, owner)
        async with a_whole_daemon(owner.home, owner.environ) as alice:
            client = alice.client
            await client.join_room(DEMO)
            async with a_stranger_among(alice) as mallory:
                scene = Scene(alice, mallory, keys)
                me = mallory.key.endpoint
                await mallory.says(sealed(mallory.key, StatusUpdate(me.hex(), "just looking")))
                await until(lambda: keys_of_store.watermark(spoke_key(me)) in alice.store())
                for number, body in enumerate(await what_bob_said()):
                    await mallory.says(sealed(BOB, body, sent_at_ms=number))
                there = {BOB.endpoint: ("bob", Verified.SIGNER)}
                await eventually(scene.members, lambda it: it == there)
                await eventually(client.list_memories, lambda it: len(it.results) == 1)
                await eventually(
                    client.list_skills, lambda it: [s.votes.up for s in it.results] == [1]
                )
                assert await alice.counters() == {}
                yield scene


def in_bobs_name() -> tuple[tuple[str, Body], ...]:
    bob = BOB.endpoint
    return (
        ("a memory", MemoryCreated(an_entry(2, author=bob))),
        ("his own memory, altered", MemoryCreated(an_entry(1, author=bob, content="MongoDB"))),
        ("a skill", SkillPublished(a_skill_entry("rm -rf /", author=bob))),
        ("a status", StatusUpdate(bob.hex(), "on holiday")),
        ("a vote", SkillVoteCast(a_skill_entry().hash, bob.hex(), -1)),
    )


async def test_nobody_is_believed_who_speaks_in_anothers_name(scene: Scene) -> None:
    mallory = scene.mallory.key
    for what, body in in_bobs_name():
        await scene.refuses(what, sealed(mallory, body), "rejected_author_is_not_sender")
        as_bob = sealed(mallory, body, claimed=BOB.endpoint)
        await scene.refuses(what, as_bob, "rejected_bad_signature")
        await scene.refuses(what, unsigned(body), "rejected_impersonation")
        by_a_person = await signed_as_0_1_4(body, scene.keys.ssh)
        await scene.refuses(what, by_a_person, "rejected_impersonation")


async def test_nobody_deletes_what_another_has_said(scene: Scene) -> None:
    mallory, key = scene.mallory.key, verified_key(BOB.endpoint, memory_id(1))
    deletion = MemoryDeleted(key, b"", "mine now")
    await scene.refuses("by another", sealed(mallory, deletion), "amendments_refused")
    in_his_name = sealed(mallory, deletion, claimed=BOB.endpoint)
    await scene.refuses("in his name", in_his_name, "rejected_bad_signature")
    await scene.refuses("by nobody", unsigned(deletion), "rejected_unsigned")
    by_a_person = await signed_as_0_1_4(deletion, scene.keys.ssh)
    await scene.refuses("by a person's key", by_a_person, "rejected_unsigned")
    elsewhere = sealed(BOB, deletion, room=OTHER_ROOM)
    await scene.refuses("of another room", elsewhere, "rejected_bad_signature")
    own = await scene.alice.client.store_memory(room=DEMO, content="Alice's own")
    bound = await bind(scene.keys.ssh, mallory.endpoint, 1)
    await scene.mallory.says(sealed(mallory, Presence("mallory", (), bound), sent_at_ms=LATER_MS))
    there = ("mallory", Verified.SIGNER)
    await eventually(scene.members, lambda it: it.get(mallory.endpoint) == there)
    await scene.alice.has_settled()  # She is shown before her presence is on disk.
    for memory in (key, verified_key(scene.alice.client.info.endpoint, own.id)):
        vouched_for = sealed(mallory, MemoryDeleted(memory, b""), sent_at_ms=LATER_MS + 1)
        await scene.refuses("by somebody else's person", vouched_for, "amendments_refused")
    assert len((await scene.alice.client.list_memories()).results) == 2


async def test_a_proposal_hides_nothing_and_half_an_amendment_changes_nothing(
    scene: Scene,
) -> None:
    mallory, key = scene.mallory.key, verified_key(BOB.endpoint, memory_id(1))
    own = MemoryCreated(an_entry(7, author=mallory.endpoint, content="MongoDB"))
    await scene.mallory.says(sealed(mallory, own, sent_at_ms=LATER_MS))
    succession = MemorySuperseded(memory_id(7), key)
    await scene.mallory.says(sealed(mallory, succession, sent_at_ms=LATER_MS + 1))

    async def listed() -> dict[str, tuple[MemoryId, ...]]:
        results = (await scene.alice.client.list_memories()).results
        return {it.content: it.proposals for it in results}

    note = an_entry(1).content
    await eventually(listed, lambda it: it == {note: (memory_id(7),), "MongoDB": ()})
    whole = encode_amendment(succession)
    half = sealed(mallory, UnknownBody(14, whole[:-1]), sent_at_ms=LATER_MS + 2)
    await scene.refuses("half of it", half, "rejected_undecodable")


async def test_deletions_of_a_stranger_s_own_memories_that_are_not_here_are_bounded(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amending, "EARLY_PER_STRANGER_MAX", 3)
    stranger = NodeKey(b"s" * 32)
    for number in range(3):
        change = MemoryDeleted(verified_key(stranger.endpoint, memory_id(number)), b"")
        await scene.mallory.says(sealed(stranger, change, sent_at_ms=LATER_MS + number))
    deletions = amendment_keys.DELETIONS + b"v" + stranger.endpoint
    await until(lambda: sum(key.startswith(deletions) for key in scene.alice.store()) == 3)
    fourth = MemoryDeleted(verified_key(stranger.endpoint, memory_id(3)), b"")
    await scene.refuses("one more", sealed(stranger, fourth), "amendments_over_limit")


async def test_what_was_said_in_another_room_or_altered_is_refused(scene: Scene) -> None:
    for what, body in (*in_bobs_name(), ("a leave", Leave("bob"))):
        elsewhere = sealed(BOB, body, room=OTHER_ROOM, sent_at_ms=LATER_MS)
        await scene.refuses(what, elsewhere, "rejected_bad_signature")
        here = sealed(BOB, body, sent_at_ms=LATER_MS)
        altered = here[:20] + bytes([here[20] ^ 1]) + here[21:]
        await scene.refuses(what, altered, "rejected_bad_signature")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"content": "rm -rf /"}, id="content"),
        pytest.param({"title": "Cleaning up"}, id="title"),
        pytest.param({"tags": ("safe",)}, id="tags"),
    ],
)
async def test_a_skill_that_was_altered_after_signing_is_refused(
    scene: Scene, changes: dict[str, str]
) -> None:
    carols = await signed_entry(replace(a_skill_entry("new"), author="carol"), BENS_KEY)
    altered = replace(carols, **changes)  # type: ignore[arg-type] # one field, whatever its type
    await scene.refuses("altered", unsigned(SkillPublished(altered)), "skills_rejected_hash")
    rehashed = replace(altered, hash=skill_hash(altered.title, altered.content, altered.tags))
    await scene.refuses(
        "hashed anew", unsigned(SkillPublished(rehashed)), "skills_rejected_signature"
    )
    as_own = replace(carols, author=scene.mallory.key.endpoint.hex())
    await scene.refuses(
        "with another author",
        sealed(scene.mallory.key, SkillPublished(as_own)),
        "skills_rejected_signature",
    )


async def test_a_signed_skill_of_another_room_is_refused_from_a_0_1_4_peer(scene: Scene) -> None:
    entry = replace(a_skill_entry("new", room=OTHER_ROOM), author="carol")
    elsewhere = unsigned(SkillPublished(await signed_entry(entry, BENS_KEY)))
    await scene.refuses("a skill", elsewhere, "skills_rejected_signature")


async def test_a_signature_that_is_not_its_signers_or_no_longer_in_force_is_refused(
    scene: Scene,
) -> None:
    for what, signer, claimed in scene.keys.wrong(BENS_KEY.identity):
        memory = MemoryCreated(replace(an_entry(3), author="carol"))
        message = await signed_as_0_1_4(memory, signer, claimed)
        await scene.refuses(f"a message by {what}", message, "rejected_signer")
        own = a_skill_entry("new", author=scene.mallory.key.endpoint)
        skill = SkillPublished(await signed_entry(own, signer, claimed))
        counted = "skills_rejected_signature"
        await scene.refuses(f"a skill by {what}", sealed(scene.mallory.key, skill), counted)


async def test_a_binding_by_a_wrong_key_binds_nobody(scene: Scene) -> None:
    wrong = scene.keys.wrong(BENS_KEY.identity)
    for number, (what, signer, claimed) in enumerate(wrong, start=1):
        key, kept = NodeKey(bytes([number]) * 32), scene.alice.store()
        signature = await signer.sign(binding_payload(key.endpoint, 1), NAMESPACE)
        binding = Binding(claimed or signer.identity, 1, signature)
        await scene.counts(what, sealed(key, Presence("nn", (), binding)), "bindings_rejected")
        assert (await scene.members())[key.endpoint] == ("nn", Verified.PEER)
        # The presence is its own endpoint's word, and stays; nobody vouches for it.
        new = scene.alice.store().items() - kept.items()
        assert {at[:1] for at, _ in new} == {b"p", b"w"}


@pytest.mark.parametrize("score", [127, -128, 2, 0])
async def test_a_vote_for_another_score_than_one_is_refused(scene: Scene, score: int) -> None:
    mallory = scene.mallory.key
    vote = SkillVoteCast(a_skill_entry().hash, mallory.endpoint.hex(), score)
    await scene.refuses("a vote", sealed(mallory, vote), "votes_rejected_score")
    by_name = SkillVoteCast(a_skill_entry().hash, "carol", score)
    await scene.refuses("0.1.4's", unsigned(by_name), "votes_rejected_score")


async def test_a_vote_for_what_is_no_hash_is_refused(scene: Scene) -> None:
    vote = SkillVoteCast("release", scene.mallory.key.endpoint.hex(), 1)
    await scene.refuses("a vote", sealed(scene.mallory.key, vote), "votes_rejected_form")


async def test_a_strangers_leave_takes_nobody_else_away(scene: Scene) -> None:
    leave, there = Leave("bob"), await scene.members()
    forged = sealed(scene.mallory.key, leave, claimed=BOB.endpoint, sent_at_ms=LATER_MS)
    await scene.refuses("in his name", forged, "rejected_bad_signature")
    # Of these the sender alone would go: the name in them means nothing.
    for what, raw in (
        ("by herself", sealed(scene.mallory.key, leave, sent_at_ms=LATER_MS)),
        ("by nobody", unsigned(leave)),
        ("by somebody's key", await signed_as_0_1_4(leave, scene.keys.ssh)),
    ):
        await scene.refuses(what, raw, "leaves_of_strangers")
        assert await scene.members() == there

"""What buddies 0.1.4 was observed to get wrong about who said something, and that we don't.

Each defect is named by its docstring, and its absence shown with whole daemons on loopback,
a forger beside them, and the real gpg and ssh-keygen.
"""

import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import uuid4

import pytest

from buddies_core.errors import InvalidInput
from buddies_core.identity.binding import bind
from buddies_core.identity.labels import canonical
from buddies_core.identity.node_key import NodeKey
from buddies_core.model.bodies import (
    Leave,
    MemoryCreated,
    Presence,
    SearchFilters,
    SearchRequest,
    SearchResponse,
    SkillPublished,
    SkillVoteCast,
    StatusUpdate,
    TaskResponse,
)
from buddies_core.model.identity import SshIdentity, Verified
from buddies_core.model.ids import EndpointId, RequestId, RoomName, TaskId, topic_of
from buddies_core.model.skill_views import Tally
from buddies_core.model.task import TaskState, TaskSucceeded
from buddies_core.net.driver import ContentDelivered
from buddies_core.pb.peer_pb2 import Found, Hello, PeerReply, PeerRequest, SearchReply
from buddies_core.wire.room_messages import open_envelope
from buddies_core.wire.tickets import decode_ticket
from tests.support.eventually import until
from tests.support.forgers import GpgProgram, signed_entry
from tests.support.memories import DEMO, an_entry
from tests.support.skills import a_skill_entry
from tests.support.worlds.hostile_room import HostileRoom, a_world, members
from tests.support.worlds.meeting import eventually
from tests.support.worlds.person import an_ed25519_signer, needs
from tests.support.worlds.whole_daemon import (
    Stranger,
    sealed,
    signed_as_0_1_4,
    unsigned,
)

BOB, CAROL = NodeKey(b"b" * 32), NodeKey(b"c" * 32)
BENS_KEY = an_ed25519_signer(b"2", "ben@home")
SECRET = RoomName("secret")


async def a_node_is_the_same_after_a_restart(world: HostileRoom) -> None:
    """Each start makes a new key: tickets lead nowhere, and whoever restarts votes again."""
    async with world.second() as bob:
        skill = await bob.client.publish_skill(room=DEMO, title="Release", content="tag it")
        await bob.client.vote_skill(room=DEMO, hash=skill.hash, score=1)
        ticket = decode_ticket((await bob.client.room_ticket(DEMO)).ticket)
    async with world.second() as bob:
        assert decode_ticket((await bob.client.room_ticket(DEMO)).ticket) == ticket
        await bob.client.vote_skill(room=DEMO, hash=skill.hash, score=1)
        voted = await eventually(
            lambda: world.alice.client.get_skill(skill.hash), lambda it: it.skill.votes.up > 0
        )
        assert voted.skill.votes == Tally(up=1)


async def a_gpg_signature_counts_for_its_own_key_in_force_alone(world: HostileRoom) -> None:
    """Any key in the keyring vouches for any gpg identity, an expired one too, and who signs by a
    key that is not in it is not heard at all.
    """

    def memory(content: str) -> MemoryCreated:
        return MemoryCreated(replace(an_entry(content=content), author="carol"))

    unknown = GpgProgram(world.other, world.other.gpg_key())
    await world.hears(
        *[
            await signed_as_0_1_4(memory(what), signer, claimed)
            for what, signer, claimed in world.keys.wrong(BENS_KEY.identity)
        ],
        await signed_as_0_1_4(memory("good"), world.keys.gpg),
        await signed_as_0_1_4(memory("unknown"), unknown),
    )
    heard = await eventually(world.memories, lambda it: len(it) >= 2)
    assert heard == {
        "good": (Verified.SIGNER, f"gpg:{world.keys.gpg.fingerprint}"),
        "unknown": (Verified.UNVERIFIED, ""),
    }


async def who_comes_and_goes_says_so_itself(world: HostileRoom) -> None:
    """Nobody signs that they come or go, so anybody says it for others."""
    mallory, leave = world.mallory.key, Leave("ben")
    async with world.second(BUDDIES_SIGNER="generated") as bob:
        newcomer = {bob.client.info.endpoint: ("bob", Verified.SIGNER)}
        assert await members(world.alice) == newcomer
        there = newcomer | {BOB.endpoint: ("ben", Verified.PEER)}
        await world.hears(
            sealed(BOB, Presence("ben", ()), sent_at_ms=1),
            sealed(mallory, leave, claimed=BOB.endpoint, sent_at_ms=2),
            sealed(mallory, leave, sent_at_ms=2),
            unsigned(leave),
        )
        assert await members(world.alice) == there
        await world.hears(sealed(BOB, leave, sent_at_ms=2))
        assert await members(world.alice) == newcomer


async def a_signature_binds_room_time_and_endpoint(world: HostileRoom) -> None:
    """A signature is good in each room, at any time, and whatever author is named."""
    here = sealed(BOB, Presence("bob", ()), sent_at_ms=1)
    elsewhere = sealed(BOB, Presence("bob", ()), sent_at_ms=2, room=SECRET)
    await world.hears(here, elsewhere, sealed(BOB, Leave("bob"), sent_at_ms=3))
    # A broadcast is not heard twice, but a copy may be handed on at any time.
    replayed = Hello(presence=here)
    request = PeerRequest(topic=topic_of(DEMO), hello=replayed)
    await world.mallory.network.ask(world.alice.client.info.endpoint, request, 5)
    assert await members(world.alice) == {}
    mallory = world.mallory.key
    await world.hears(
        sealed(mallory, MemoryCreated(an_entry(author=BOB.endpoint))),
        sealed(mallory, StatusUpdate(BOB.endpoint.hex(), "on holiday")),
        sealed(mallory, SkillVoteCast("ab" * 32, BOB.endpoint.hex(), 1)),
    )
    counted = await world.alice.counters()
    assert (counted["rejected_bad_signature"], counted["rejected_author_is_not_sender"]) == (1, 3)


async def a_room_is_searched_and_written_to_from_within_alone(world: HostileRoom) -> None:
    """A search gives what is in other rooms, and a memory may be put into any of them."""
    client = world.alice.client
    await client.join_room(SECRET)
    await client.store_memory(room=SECRET, content="the launch code is 0000")
    await client.store_memory(room=DEMO, content="the launch is on Friday")
    elsewhere, anywhere = (
        SearchRequest(RequestId(uuid4()), "launch", SearchFilters(room=room))
        for room in (SECRET, None)
    )
    await world.mallory.says(unsigned(elsewhere))
    await world.mallory.says(unsigned(anywhere))
    answer = await next_search_response(world.mallory)
    assert answer.request_id == anywhere.request_id
    assert [entry.content for entry in answer.results] == ["the launch is on Friday"]

    await world.hears(unsigned(MemoryCreated(an_entry(room=SECRET, content="forged"))))
    assert [m.content for m in (await client.list_memories(room=SECRET)).results] == [
        "the launch code is 0000"
    ]


async def next_search_response(stranger: Stranger) -> SearchResponse:
    while True:
        delivery = await stranger.network.next_delivery()
        if isinstance(delivery, ContentDelivered):
            body = open_envelope(delivery.content).message.body
            if isinstance(body, SearchResponse):
                return body


async def nobody_overwrites_what_another_has_said(world: HostileRoom) -> None:
    """A memory replaces another's of the same id, and an unsigned skill a signed one."""
    client, mallory = world.alice.client, world.mallory.key
    own = await client.store_memory(room=DEMO, content="We use PostgreSQL")
    skill = await signed_entry(a_skill_entry(author=BOB.endpoint), BENS_KEY)
    forged = replace(an_entry(content="We use MongoDB", author=mallory.endpoint), id=own.id)
    await world.hears(
        sealed(BOB, SkillPublished(skill)),
        sealed(mallory, MemoryCreated(forged)),
        unsigned(MemoryCreated(replace(forged, author="alice"))),
        unsigned(SkillPublished(replace(a_skill_entry(), author="mallory"))),
        sealed(mallory, SkillPublished(a_skill_entry(author=mallory.endpoint))),
    )
    assert (await client.get_memory(str(own.id))).memory.content == "We use PostgreSQL"
    shown = (await client.get_skill(skill.hash)).skill
    assert (shown.author, shown.verified) == (BOB.endpoint.hex(), Verified.SIGNER)


async def a_skill_is_what_its_hash_and_its_signature_say(world: HostileRoom) -> None:
    """A skill's hash is never computed, so a signed one can be altered, and what a search brings
    is not verified.
    """
    mallory = world.mallory.key
    entry = await signed_entry(a_skill_entry(author=mallory.endpoint), BENS_KEY)
    altered = replace(entry, content="rm -rf / to release")
    newer = replace(entry, version=9)
    await world.hears(
        sealed(mallory, Presence("mallory", ())), sealed(mallory, SkillPublished(altered))
    )
    # And where it is an answer to a search:
    copies = [sealed(mallory, SkillPublished(it), sent_at_ms=9) for it in (altered, newer)]
    found = [Found(proof=copy, score=1.0) for copy in copies]
    world.mallory.answers.append(PeerReply(skills_found=SearchReply(found=found)))
    result = await world.alice.client.search_skills("release")
    assert ([peer.name for peer in result.answered], result.results) == (["mallory"], ())
    assert (await world.alice.client.list_skills()).results == ()


async def a_vote_is_for_or_against_and_its_voters_own(world: HostileRoom) -> None:
    """A vote has any score, in anybody's name, on anything."""
    client, mallory = world.alice.client, world.mallory.key
    skill = await client.publish_skill(room=DEMO, title="Release", content="tag it")
    await world.hears(sealed(mallory, StatusUpdate(mallory.endpoint.hex(), "just looking")))
    kept = world.alice.store()
    await world.hears(
        *(
            sealed(mallory, SkillVoteCast(skill.hash, mallory.endpoint.hex(), score))
            for score in (127, -128, 2, 0)
        ),
        sealed(mallory, SkillVoteCast(skill.hash, BOB.endpoint.hex(), -1)),
        sealed(mallory, SkillVoteCast("ab" * 32, mallory.endpoint.hex(), 1)),
    )
    assert world.alice.store() == kept
    await world.hears(*(unsigned(SkillVoteCast(skill.hash, f"{n}", -1)) for n in range(9)))
    shown = (await client.get_skill(skill.hash)).skill
    assert (shown.votes, shown.uncounted) == (Tally(), Tally(down=9))


async def an_ssh_key_is_known_by_the_key_alone(world: HostileRoom) -> None:
    """An SSH key with another comment is another identity, and a second line in one is another key
    that may sign.
    """
    line = BENS_KEY.identity.public_key
    bare = line.rpartition(" ")[0]
    for number, (node, key) in enumerate(((BOB, line), (CAROL, f"{bare} ben@work"))):
        binding = await bind(replace(BENS_KEY, identity=SshIdentity(key)), node.endpoint, 1)
        await world.hears(sealed(node, Presence(f"{number}", (), binding)))
    status = await world.alice.client.room_status(DEMO)
    shown = [it.signed_by for it in status.members if not it.is_self]
    assert shown == [f"ssh:{bare}"] * 2

    two_lines = SshIdentity(f"{bare}\nbuddies {world.keys.ssh_line}")
    with pytest.raises(InvalidInput, match="one line"):
        canonical(two_lines)
    memory = MemoryCreated(replace(an_entry(), author="ben"))
    await world.hears(await signed_as_0_1_4(memory, world.keys.ssh, two_lines))
    assert await world.memories() == {}


async def a_signer_that_cannot_work_is_never_passed_over(world: HostileRoom) -> None:
    """A key that can't sign is passed over in silence, and nothing is signed."""
    with pytest.raises(InvalidInput, match="BUDDIES_SIGNER is 'pgp'"):
        async with world.second(BUDDIES_SIGNER="pgp"):
            pass
    person = world.other
    person.run("git", "config", "--global", "gpg.format", "ssh")
    person.run("git", "config", "--global", "user.signingkey", "~/id_ed25519")
    async with world.second() as bob:
        (warning,) = (await bob.client.status()).warnings
        assert f"there is no SSH key {person.home}/id_ed25519" in warning
        with pytest.raises(InvalidInput, match="can't work"):
            await bob.client.publish_skill(room=DEMO, title="Release", content="tag it")
    line = person.public_line(person.ssh_key())
    async with world.second() as bob:
        assert bob.client.info.identity == f"ssh:{line}"
    key = person.ssh_key(phrase="secret", name="locked")
    person.run("git", "config", "--global", "user.signingkey", person.public_line(key))
    with person.agent_with(key, "secret") as socket:
        async with world.second(SSH_AUTH_SOCK=socket) as bob:
            assert bob.client.info.identity == f"ssh:{person.public_line(key)}"


async def checking_a_signature_shows_nothing_and_stops_nothing(world: HostileRoom) -> None:
    """What is signed lies about for all to read, and the node stands still meanwhile."""
    bin, tmp, fifo = (world.other.home / name for name in ("bin", "tmp", "fifo"))
    bin.mkdir()
    tmp.mkdir()
    os.mkfifo(fifo)
    word = "confidential"
    program = bin / "gpg"
    program.write_text(
        "#!/bin/sh\n"
        'case "$*" in *--verify*)\n'
        f"  find {tmp} -type f -perm /077 > {bin}/readable\n"
        f"  grep -rl {word} {tmp} > {bin}/leaked\n"
        f"  touch {bin}/waiting; read go < {fifo};;\n"
        "esac\n"
        f'exec {shutil.which("gpg")} "$@"\n'
    )
    program.chmod(0o700)
    world.other.trusts(world.forger)
    path = f"{bin}:{os.environ['PATH']}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp))
        async with world.second(PATH=path) as bob:
            slow = MemoryCreated(replace(an_entry(1, content=word), author="carol"))
            await world.mallory.says(await signed_as_0_1_4(slow, world.keys.gpg))
            await until((bin / "waiting").exists)
            # gpg hangs, as it does while it asks for a passphrase; the daemon goes on.
            other = MemoryCreated(an_entry(2, content="other", author=BOB.endpoint))
            await world.mallory.says(sealed(BOB, other))
            heard = await eventually(bob.client.list_memories, lambda it: len(it.results) > 0)
            assert [it.content for it in heard.results] == ["other"]
            fifo.write_text("go\n")
            await eventually(bob.client.list_memories, lambda it: len(it.results) == 2)
    assert ((bin / "readable").read_text(), (bin / "leaked").read_text()) == ("", "")


async def a_task_is_one_workers_and_its_answer_alone_counts(world: HostileRoom) -> None:
    """Every peer does a task, and the first answer is taken from whomever it comes."""
    async with world.second() as bob, world.second(world.forger, BUDDIES_USER="carol") as carol:
        await bob.client.attach("codex", "bob")
        await carol.client.attach("gemini", "carol")
        task = await world.alice.client.delegate_task(DEMO, "run the tests", retryable=True)
        (claimed,) = await bob.client.poll_tasks(timeout_s=30)
        assert claimed.id == task.id
        assert await carol.client.poll_tasks(timeout_s=0) == ()
        forged = TaskResponse(TaskId(task.id), TaskSucceeded("rm -rf /"), "bob")
        await world.hears(unsigned(forged), sealed(world.mallory.key, forged))
        assert (await world.alice.client.task_after(str(task.id), 0.1)).state is TaskState.WORKING
        await bob.client.submit_task_result(str(task.id), success=True, output="2 failures")
        done = await world.alice.client.task_after(str(task.id), 5)
        assert (done.result, done.worker) == (
            TaskSucceeded("2 failures"),
            bob.client.info.endpoint,
        )


async def a_status_is_shown_with_whose_it_is(world: HostileRoom) -> None:
    """A status is kept under another name than its peer and never shown."""
    async with world.second() as bob:
        await bob.client.attach("codex", "bob")
        await bob.client.notify(DEMO, "writing docs")

        async def statuses() -> dict[EndpointId, list[str]]:
            status = await world.alice.client.room_status(DEMO)
            return {it.endpoint: [agent.status for agent in it.agents] for it in status.members}

        shown = await eventually(statuses, lambda it: ["writing docs"] in it.values())
        assert shown[bob.client.info.endpoint] == ["writing docs"]


async def two_of_one_name_are_two_and_work_for_each_other(world: HostileRoom) -> None:
    """Two of the same name are one, and neither works for the other."""
    async with world.second(BUDDIES_USER="alice") as other:
        assert await members(world.alice) == {other.client.info.endpoint: ("alice", Verified.PEER)}
        await other.client.attach("codex", "alice")
        task = await world.alice.client.delegate_task(DEMO, "run the tests")
        assert [it.id for it in await other.client.poll_tasks(timeout_s=30)] == [task.id]


async def a_vote_counts_once_however_many_peers_hold_it(world: HostileRoom) -> None:
    """A vote counts once for each peer that holds it."""
    async with world.second() as bob, world.second(world.forger, BUDDIES_USER="carol") as carol:
        skill = await world.alice.client.publish_skill(room=DEMO, title="Release", content="tag it")
        for daemon in (bob, carol):
            await eventually(daemon.client.list_skills, lambda it: len(it.results) == 1)
        await bob.client.vote_skill(room=DEMO, hash=skill.hash, score=1)
        for daemon in (world.alice, carol):
            await eventually(
                daemon.client.list_skills, lambda it: it.results[0].votes == Tally(up=1)
            )
        result = await eventually(
            lambda: carol.client.search_skills("release"),
            lambda it: {peer.name for peer in it.answered} == {"alice", "bob"},
        )
        assert [(it.hash, it.votes) for it in result.results] == [(skill.hash, Tally(up=1))]


DEFECTS: dict[int, Callable[[HostileRoom], Awaitable[None]]] = {
    5: a_node_is_the_same_after_a_restart,
    8: a_gpg_signature_counts_for_its_own_key_in_force_alone,
    9: who_comes_and_goes_says_so_itself,
    10: a_signature_binds_room_time_and_endpoint,
    11: a_room_is_searched_and_written_to_from_within_alone,
    12: nobody_overwrites_what_another_has_said,
    13: a_skill_is_what_its_hash_and_its_signature_say,
    14: a_vote_is_for_or_against_and_its_voters_own,
    15: an_ssh_key_is_known_by_the_key_alone,
    16: a_signer_that_cannot_work_is_never_passed_over,
    17: checking_a_signature_shows_nothing_and_stops_nothing,
    18: a_task_is_one_workers_and_its_answer_alone_counts,
    19: a_status_is_shown_with_whose_it_is,
    20: two_of_one_name_are_two_and_work_for_each_other,
    24: a_vote_counts_once_however_many_peers_hold_it,
}
"""By number, what shows that we don't have it; its docstring says what was observed in 0.1.4."""


@needs("gpg")
@needs("ssh-keygen")
@needs("git")
@pytest.mark.parametrize(
    "is_absent", [pytest.param(shown, id=f"{n}: {shown.__name__}") for n, shown in DEFECTS.items()]
)
async def test_a_defect_of_0_1_4_is_not_ours(
    is_absent: Callable[[HostileRoom], Awaitable[None]],
) -> None:
    async with a_world() as world:
        await is_absent(world)

"""Skills signed by real keys, from the signing to the shown signer."""

from dataclasses import replace
from pathlib import Path

from buddies_core.clock import SystemClock
from buddies_core.identity.choosing import open_signer
from buddies_core.identity.verifying import UNKNOWN_LASTS_S, Verifier
from buddies_core.model.bodies import SkillPublished
from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId
from buddies_core.wire.room_messages import RoomMessage, encode_room_message
from tests.support.memories import DEMO
from tests.support.worlds.person import needs, some_person
from tests.support.worlds.skill_team import SkillNode, SkillTeam


async def two_nodes(home: Path) -> tuple[SkillTeam, SkillNode, SkillNode]:
    """Return Alice, whose key was just generated, and Bob, who has none."""
    team, environ = SkillTeam(), {"HOME": str(home), "BUDDIES_SIGNER": "generated"}
    signer = (await open_signer(environ, home, EndpointId(bytes(32)))).signer
    verify = Verifier(environ, SystemClock()).verify
    return (
        team,
        team.skilled("alice", signer=signer, verify=verify),
        team.skilled("bob", verify=verify),
    )


async def test_a_signed_skill_is_shown_as_its_signers(tmp_path: Path) -> None:
    team, alice, bob = await two_nodes(tmp_path)
    published = await alice.publish()
    await team.deliver(alice)

    shown = await bob.shown(published.hash)
    assert shown == published
    assert shown.verified is Verified.SIGNER
    assert shown.signed_by.startswith("ssh:ssh-ed25519 ")
    assert "buddies-generated" not in shown.signed_by


@needs("gpg")
async def test_a_skill_is_its_signers_once_the_gpg_key_was_imported() -> None:
    with some_person() as ann, some_person() as ben:
        signer = ann.gpg_signer(ann.gpg_key())
        team = SkillTeam()
        bob_verifies = Verifier(ben.environ, team.clock).verify
        alice, bob = team.skilled("alice", signer=signer), team.skilled("bob", verify=bob_verifies)
        published = await alice.publish()
        await team.deliver(alice)
        assert (await bob.shown(published.hash)).verified is Verified.PEER

        ben.trusts(ann)
        team.clock.monotonic_s += UNKNOWN_LASTS_S
        assert await bob.shown(published.hash) == published
        assert (await bob.skills.list(DEMO, (), 10)).results == (published,)


async def test_a_skill_that_was_altered_after_signing_is_refused(tmp_path: Path) -> None:
    _, alice, bob = await two_nodes(tmp_path)
    hash = (await alice.publish()).hash
    entry = alice.kept.find_skills(hash)[0].entry
    altered = (
        replace(entry, version=2),
        replace(entry, author="mallory"),
        replace(entry, content="rm -rf /"),
    )
    for body in map(SkillPublished, altered):
        await bob.hear(DEMO, encode_room_message(RoomMessage(nonce=bytes(16), body=body)))

    assert bob.kept.find_skills(hash) == ()
    assert bob.rejected() == {"skills_rejected_signature": 2, "skills_rejected_hash": 1}

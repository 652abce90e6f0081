"""Every kind of key, against the real ssh-keygen and gpg: what we sign they take, and back."""

import asyncio
import os
import shutil
from collections import Counter

import pytest

from buddies_core.clock import SystemClock
from buddies_core.errors import InvalidInput
from buddies_core.identity import gpg as gpg_module
from buddies_core.identity.choosing import SignerKind, SignerState, open_signer
from buddies_core.identity.signers import Ed25519Signer, GpgSigner, Signer, SshProgramSigner
from buddies_core.identity.ssh_key_files import user_path
from buddies_core.identity.verifying import GPG_PER_NEIGHBOR_MAX, Verdict, Verifier
from buddies_core.model.identity import GpgIdentity, SshIdentity
from buddies_core.model.ids import EndpointId
from tests.support.worlds.person import Person, needs

ENDPOINT = EndpointId(b"e" * 32)
PAYLOAD = b"what was said"
SSH_KINDS = ["ed25519", "rsa", "ecdsa"]
GPG_KINDS = ["ed25519", "rsa2048", "nistp256"]

pytestmark = [needs("ssh-keygen"), needs("gpg"), needs("git")]


async def state_of(person: Person, **environ: str) -> SignerState:
    return await open_signer(person.environ | environ, person.home, ENDPOINT)


async def signer_of(person: Person, **environ: str) -> Signer:
    signer = (await state_of(person, **environ)).signer
    assert signer is not None
    return signer


def verifier(person: Person) -> Verifier:
    return Verifier(person.environ, SystemClock())


async def is_good(person: Person, signer: Signer, signature: bytes) -> bool:
    return await verifier(person).is_good(signer.identity, PAYLOAD, signature, "buddies")


# SSH


@pytest.mark.parametrize("kind", SSH_KINDS)
async def test_ssh_keygen_takes_what_we_sign(ann: Person, kind: str) -> None:
    key = ann.ssh_key(kind)
    signer = await signer_of(ann, BUDDIES_SIGNER="ssh", BUDDIES_SSH_PRIVATE_KEY=str(key))
    signature = await signer.sign(PAYLOAD, "buddies")

    assert signer.identity == SshIdentity(ann.public_line(key))
    assert ann.ssh_verifies(signer.identity, PAYLOAD, signature, "buddies")
    assert not ann.ssh_verifies(signer.identity, PAYLOAD, signature, "buddies-endpoint")
    assert not ann.ssh_verifies(signer.identity, b"something else", signature, "buddies")


@pytest.mark.parametrize("kind", SSH_KINDS)
async def test_we_take_what_ssh_keygen_signs(ann: Person, kind: str) -> None:
    key = ann.ssh_key(kind)
    sign = ("ssh-keygen", "-q", "-Y", "sign", "-n", "buddies", "-f", str(key))
    signature = ann.run(*sign, given=PAYLOAD)
    identity = SshIdentity(ann.public_line(key))

    check = verifier(ann).is_good
    assert await check(identity, PAYLOAD, signature, "buddies")
    assert not await check(identity, PAYLOAD, signature, "buddies-endpoint")
    assert not await check(identity, b"something else", signature, "buddies")
    other = SshIdentity(ann.public_line(ann.ssh_key(kind, name="other")))
    assert not await check(other, PAYLOAD, signature, "buddies")


async def test_an_ed25519_signature_is_ssh_keygens_own_byte_for_byte(ann: Person) -> None:
    key = ann.ssh_key()
    signer = await signer_of(ann, BUDDIES_SIGNER="ssh", BUDDIES_SSH_PRIVATE_KEY=str(key))
    sign = ("ssh-keygen", "-q", "-Y", "sign", "-n", "buddies", "-f", str(key))
    assert isinstance(signer, Ed25519Signer)
    assert await signer.sign(PAYLOAD, "buddies") == ann.run(*sign, given=PAYLOAD)


async def test_a_signature_by_sha256_is_taken_as_well(ann: Person) -> None:
    key = ann.ssh_key()
    sign = ("ssh-keygen", "-q", "-Y", "sign", "-O", "hashalg=sha256", "-n", "buddies")
    signature = ann.run(*sign, "-f", str(key), given=PAYLOAD)
    identity = SshIdentity(ann.public_line(key))
    assert await verifier(ann).is_good(identity, PAYLOAD, signature, "buddies")


async def test_the_comment_of_an_ssh_key_means_nothing(ann: Person) -> None:
    key = ann.ssh_key()
    signer = await signer_of(ann, BUDDIES_SIGNER="ssh", BUDDIES_SSH_PRIVATE_KEY=str(key))
    signature = await signer.sign(PAYLOAD, "buddies")
    assert isinstance(signer.identity, SshIdentity)
    bare = " ".join(signer.identity.public_key.split()[:2])
    for line in (bare, f"{bare} someone else"):
        found = await verifier(ann).verify(SshIdentity(line), PAYLOAD, signature, "buddies")
        assert found.signer == SshIdentity(bare)


async def test_a_second_line_in_a_public_key_is_refused(ann: Person) -> None:
    mine = await signer_of(
        ann, BUDDIES_SIGNER="ssh", BUDDIES_SSH_PRIVATE_KEY=str(ann.ssh_key(name="mine"))
    )
    theirs = ann.public_line(ann.ssh_key(name="theirs"))
    signature = await mine.sign(PAYLOAD, "buddies")
    assert isinstance(mine.identity, SshIdentity)
    two = SshIdentity(f"{theirs}\nbuddies {mine.identity.public_key}")
    found = await verifier(ann).verify(two, PAYLOAD, signature, "buddies")
    assert (found.verdict, found.signer) == (Verdict.WRONG, None)


@pytest.mark.parametrize("kind", SSH_KINDS)
async def test_a_key_with_a_passphrase_signs_through_the_agent(ann: Person, kind: str) -> None:
    key = ann.ssh_key(kind, phrase="secret")
    with ann.agent_with(key, "secret") as socket:
        signer = await signer_of(
            ann,
            BUDDIES_SIGNER="ssh",
            BUDDIES_SSH_PRIVATE_KEY=str(key),
            SSH_AUTH_SOCK=socket,
        )
        signature = await signer.sign(PAYLOAD, "buddies")
    assert isinstance(signer, SshProgramSigner)
    assert ann.ssh_verifies(signer.identity, PAYLOAD, signature, "buddies")
    assert await is_good(ann, signer, signature)


async def test_a_key_with_a_passphrase_and_no_agent_says_what_to_do(ann: Person) -> None:
    key = ann.ssh_key(phrase="secret")
    with pytest.raises(InvalidInput, match=r"can't work.*ssh-add"):
        await state_of(ann, BUDDIES_SIGNER="ssh", BUDDIES_SSH_PRIVATE_KEY=str(key))


async def test_a_private_key_without_its_public_half_is_enough(ann: Person) -> None:
    key = ann.ssh_key()
    line = ann.public_line(key)
    key.with_name("id_ed25519.pub").unlink()
    signer = await signer_of(ann, BUDDIES_SIGNER="ssh", BUDDIES_SSH_PRIVATE_KEY=str(key))
    assert signer.identity == SshIdentity(line)


async def test_the_public_key_may_be_given_as_text_or_as_a_path(ann: Person) -> None:
    key = ann.ssh_key()
    path = ann.home / "elsewhere"
    line = ann.public_line(key)
    key.with_name("id_ed25519.pub").rename(path)
    for public in (line, str(path), "~/elsewhere"):
        signer = await signer_of(
            ann,
            BUDDIES_SIGNER="ssh",
            BUDDIES_SSH_PRIVATE_KEY="~/id_ed25519",
            BUDDIES_SSH_PUBLIC_KEY=public,
        )
        assert signer.identity == SshIdentity(line)


@pytest.mark.parametrize("kind", SSH_KINDS)
async def test_a_public_key_of_somebody_else_is_refused(ann: Person, kind: str) -> None:
    other = ann.ssh_key(kind, name="other")
    with pytest.raises(InvalidInput, match=r"does not belong|do not fit|can't sign"):
        await state_of(
            ann,
            BUDDIES_SIGNER="ssh",
            BUDDIES_SSH_PRIVATE_KEY=str(ann.ssh_key(kind)),
            BUDDIES_SSH_PUBLIC_KEY=f"{other}.pub",
        )


async def test_a_generated_key_is_made_once_and_for_its_owner_alone(ann: Person) -> None:
    first = await signer_of(ann, BUDDIES_SIGNER="generated")
    second = await signer_of(ann, BUDDIES_SIGNER="generated")
    path = ann.home / "identity_ed25519"
    assert first.identity == second.identity
    assert first.label.endswith(" buddies-generated")
    assert path.stat().st_mode & 0o777 == 0o600
    signature = await first.sign(PAYLOAD, "buddies")
    assert ann.ssh_verifies(first.identity, PAYLOAD, signature, "buddies")
    # ssh-keygen reads it, too, as that of 0.1.4 is read here.
    assert (
        ann.run("ssh-keygen", "-y", "-f", str(path)).split()[:2]
        == (first.label.removeprefix("ssh:").encode().split()[:2])
    )


# OpenPGP


@pytest.mark.parametrize("kind", GPG_KINDS)
async def test_gpg_takes_what_we_sign_and_we_take_it_by_its_fingerprint_alone(
    ann: Person, ben: Person, kind: str
) -> None:
    ann.gpg_key("ed25519", "Another <another@here>")
    fingerprint = ann.gpg_key(kind)
    signer = await signer_of(ann, BUDDIES_SIGNER="gpg", BUDDIES_GPG_KEY_ID=fingerprint)
    signature = await signer.sign(PAYLOAD, "buddies")
    assert isinstance(signer, GpgSigner)
    assert signer.identity == GpgIdentity(fingerprint)

    ben.trusts(ann)
    (ben.home / "signature").write_bytes(signature)
    ben.run("gpg", "--batch", "--verify", "signature", "-", given=PAYLOAD)
    check = verifier(ben).verify
    found = await check(GpgIdentity(fingerprint[-16:]), PAYLOAD, signature, "buddies")
    assert (found.verdict, found.signer) == (Verdict.GOOD, GpgIdentity(fingerprint))
    for claimed in (ben.fingerprints()[0], fingerprint[-8:], "me@here", "-x", ""):
        found = await check(GpgIdentity(claimed), PAYLOAD, signature, "buddies")
        assert (claimed, found.verdict) == (claimed, Verdict.WRONG)
    found = await check(GpgIdentity(fingerprint), b"else", signature, "buddies")
    assert found.verdict == Verdict.WRONG


async def test_we_take_what_gpg_signs(ann: Person) -> None:
    fingerprint = ann.gpg_key()
    sign = ("gpg", "--batch", "--yes", "--local-user", fingerprint, "--detach-sign")
    signature = ann.run(*sign, given=PAYLOAD)
    identity = GpgIdentity(fingerprint)
    assert await verifier(ann).is_good(identity, PAYLOAD, signature, "buddies")


async def test_two_signatures_in_one_are_refused(ann: Person) -> None:
    mine, theirs = ann.gpg_key(), ann.gpg_key(user="They <they@here>")
    sign = ("gpg", "--batch", "--detach-sign", "--local-user")
    both = ann.run(*sign, mine, given=PAYLOAD) + ann.run(*sign, theirs, given=PAYLOAD)
    for claimed in (mine, theirs):
        found = await verifier(ann).verify(GpgIdentity(claimed), PAYLOAD, both, "buddies")
        assert found.verdict == Verdict.WRONG


async def test_a_signature_by_a_key_that_is_not_here_is_neither_good_nor_wrong(
    ann: Person, ben: Person
) -> None:
    fingerprint = ann.gpg_key()
    signature = ann.run("gpg", "--batch", "--detach-sign", given=PAYLOAD)
    check = verifier(ben).verify
    found = await check(GpgIdentity(fingerprint), PAYLOAD, signature, "buddies")
    assert (found.verdict, found.signer) == (Verdict.UNKNOWN, None)
    assert "not in this machine's keyring" in found.reason


async def test_a_key_that_was_revoked_is_refused(ann: Person, ben: Person) -> None:
    fingerprint = ann.gpg_key()
    signature = ann.run("gpg", "--batch", "--detach-sign", given=PAYLOAD)
    revocation = (ann.home / f"gnupg/openpgp-revocs.d/{fingerprint}.rev").read_bytes()
    ann.run("gpg", "--batch", "--import", given=revocation.replace(b":-----BEGIN", b"-----BEGIN"))
    ben.trusts(ann)
    identity = GpgIdentity(fingerprint)
    found = await verifier(ben).verify(identity, PAYLOAD, signature, "buddies")
    assert (found.verdict, found.reason) == (
        Verdict.WRONG,
        "gpg says: signing key was revoked",
    )
    with pytest.raises(InvalidInput, match="is revoked; renew it"):
        await state_of(ann, BUDDIES_SIGNER="gpg", BUDDIES_GPG_KEY_ID=fingerprint)


async def test_a_key_that_has_expired_is_refused(ann: Person) -> None:
    past = ("gpg", "--batch", "--passphrase", "", "--faked-system-time", "20200101T000000")
    ann.run(*past, "--quick-gen-key", "Me <me@here>", "ed25519", "sign", "20200201T000000")
    (fingerprint,) = ann.fingerprints()
    signature = ann.run(*past, "--detach-sign", given=PAYLOAD)
    identity = GpgIdentity(fingerprint)
    found = await verifier(ann).verify(identity, PAYLOAD, signature, "buddies")
    assert (found.verdict, found.reason) == (
        Verdict.WRONG,
        "gpg says: signing key has expired",
    )
    with pytest.raises(InvalidInput, match="is expired; renew it"):
        await state_of(ann, BUDDIES_SIGNER="gpg", BUDDIES_GPG_KEY_ID=fingerprint)


async def test_a_gpg_name_that_fits_several_keys_is_refused(ann: Person) -> None:
    fingerprints = [ann.gpg_key(user="One <me@here>"), ann.gpg_key(user="Two <me@here>")]
    with pytest.raises(InvalidInput, match=f"several gpg keys.*{fingerprints[0]}"):
        await state_of(ann, BUDDIES_SIGNER="gpg", BUDDIES_GPG_KEY_ID="me@here")


# Choosing


async def test_none_signs_nothing(ann: Person) -> None:
    ann.gpg_key()
    ann.run("git", "config", "--global", "user.signingkey", "me@here")
    assert await state_of(ann, BUDDIES_SIGNER="none") == SignerState(None, SignerKind.NONE)


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({"BUDDIES_SIGNER": "pgp"}, "must be one of git, none, gpg, ssh, generated"),
        ({"BUDDIES_SIGNER": "gpg"}, "set BUDDIES_GPG_KEY_ID"),
        ({"BUDDIES_SIGNER": "ssh"}, "set BUDDIES_SSH_PRIVATE_KEY"),
        ({"BUDDIES_SIGNER": "gpg", "BUDDIES_SIGNING_KEY": "ABCD"}, "has no secret key 'ABCD'"),
        ({"BUDDIES_SIGNER": "gpg", "BUDDIES_SIGNING_KEY": "--version"}, "names no gpg key"),
        ({"BUDDIES_SIGNER": "gpg", "BUDDIES_GPG_KEY_ID": "A", "PATH": "/no"}, "install GnuPG"),
        ({"BUDDIES_SIGNER": "ssh", "BUDDIES_SIGNING_KEY": "/no/key"}, "no SSH key /no/key"),
    ],
)
async def test_a_choice_that_cannot_work_says_why(
    ann: Person, environ: dict[str, str], why: str
) -> None:
    with pytest.raises(InvalidInput, match=why):
        await state_of(ann, **environ)


async def test_the_signing_key_stands_in_for_either_kind(ann: Person) -> None:
    fingerprint, key = ann.gpg_key(), ann.ssh_key()
    gpg = await signer_of(ann, BUDDIES_SIGNER="gpg", BUDDIES_SIGNING_KEY=fingerprint)
    ssh = await signer_of(ann, BUDDIES_SIGNER="ssh", BUDDIES_SIGNING_KEY=str(key))
    assert gpg.identity == GpgIdentity(fingerprint)
    assert isinstance(ssh.identity, SshIdentity)


async def test_a_signature_is_checked_once(ann: Person) -> None:
    fingerprint = ann.gpg_key()
    signature = ann.run("gpg", "--batch", "--detach-sign", given=PAYLOAD)
    check = verifier(ann)
    args = (GpgIdentity(fingerprint), PAYLOAD, signature, "buddies")
    first = await check.verify(*args)
    (ann.home / "gnupg").rename(ann.home / "away")  # now gpg would not know the key
    assert await check.verify(*args) is first
    assert first.good


async def test_gpg_that_is_busy_or_stuck_is_not_taken_for_a_missing_key(
    ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What gpg did not get to is looked at again at once; a missing key only after a minute."""
    fingerprint = ann.gpg_key()
    signature = ann.run("gpg", "--batch", "--detach-sign", given=PAYLOAD)
    check = verifier(ann).verify
    of_it = (GpgIdentity(fingerprint), PAYLOAD, signature, "buddies")
    with monkeypatch.context() as full:
        full.setattr(gpg_module, "WAITING_MAX", 0)
        assert (await check(*of_it)).verdict is Verdict.BUSY
    assert (await check(*of_it)).verdict is Verdict.GOOD

    stuck = ann.home / "bin" / "gpg"
    stuck.parent.mkdir()
    real = shutil.which("gpg")
    stuck.write_text(
        f'#!/bin/sh\ncase "$*" in *--verify*) exec sleep 60;; esac\nexec {real} "$@"\n'
    )
    stuck.chmod(0o755)
    monkeypatch.setattr(gpg_module, "VERIFY_DEADLINE_S", 0.3)
    path = f"{stuck.parent}:{os.environ['PATH']}"
    found = await Verifier(ann.environ | {"PATH": path}, SystemClock()).verify(*of_it)
    assert (found.verdict, found.reason) == (Verdict.BUSY, "gpg was not done within 0.3 s")


async def test_one_neighbor_can_have_so_many_signatures_wait_for_gpg(
    ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprint = ann.gpg_key()
    signature = ann.run("gpg", "--batch", "--detach-sign", given=PAYLOAD)
    mallory, carol = EndpointId(b"m" * 32), EndpointId(b"c" * 32)
    check = verifier(ann)
    made_up = [b"%d" % number for number in range(2 * GPG_PER_NEIGHBOR_MAX)]
    async with asyncio.TaskGroup() as group:
        flood = [
            group.create_task(
                check.verify(GpgIdentity(fingerprint), it, signature, "buddies", mallory)
            )
            for it in made_up
        ]
        honest = group.create_task(
            check.verify(GpgIdentity(fingerprint), PAYLOAD, signature, "buddies", carol)
        )
    assert honest.result().verdict is Verdict.GOOD
    found = Counter(it.result().verdict for it in flood)
    half = GPG_PER_NEIGHBOR_MAX
    assert found == {Verdict.WRONG: half, Verdict.BUSY: half}


async def test_a_path_below_a_home_that_is_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a container that runs under an arbitrary user id, without HOME."""

    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    with pytest.raises(InvalidInput, match=r"~/\.ssh/a leads nowhere: .*; give an absolute path"):
        user_path("~/.ssh/a", {})


async def test_a_binding_is_later_than_all_that_this_node_has_ever_said(ann: Person) -> None:
    """Peers believe the latest one; the clock may have been ahead before."""
    years_ahead_ms = 5_000_000_000_000
    state = await open_signer(
        ann.environ | {"BUDDIES_SIGNER": "generated"}, ann.home, ENDPOINT, years_ahead_ms
    )
    assert state.binding is not None
    assert state.binding.signed_at_ms == years_ahead_ms + 1

"""git's own signing set-up: the key that signs here is the one that `git commit -S` signs with."""

import re
import shlex
from pathlib import Path

import pytest

from buddies_core.clock import SystemClock
from buddies_core.errors import BuddiesError, InvalidInput
from buddies_core.identity.choosing import SignerKind, SignerState, open_signer
from buddies_core.identity.labels import canonical
from buddies_core.identity.signers import Ed25519Signer, Signer
from buddies_core.identity.ssh_keys import KINDS, SshKey, strings
from buddies_core.identity.sshsig import _parse
from buddies_core.identity.verifying import Verifier
from buddies_core.model.identity import GpgIdentity, SignerIdentity, SshIdentity
from buddies_core.model.ids import EndpointId
from tests.support.worlds.person import Person, needs

ENDPOINT = EndpointId(b"e" * 32)
PAYLOAD = b"what was said"
SWITCHED_ON = {"commit.gpgsign": "true"}
BY_SSH = {"gpg.format": "ssh"}

pytestmark = [needs("ssh-keygen"), needs("gpg"), needs("git")]


def git_is_set(person: Person, settings: dict[str, str]) -> None:
    for name, value in settings.items():
        person.run("git", "config", "--global", name, value)


async def state_of(person: Person, **environ: str) -> SignerState:
    return await open_signer(person.environ | environ, person.home, ENDPOINT)


async def signer_of(person: Person, **environ: str) -> Signer:
    state = await state_of(person, **environ)
    assert state.signer is not None, state.problem
    return state.signer


async def signs_like_git(person: Person, **environ: str) -> SignerIdentity:
    """Return the key that signs, once `git commit -S` has been seen to sign with the same one."""
    signer = await signer_of(person, **environ)
    signature = await signer.sign(PAYLOAD, "buddies")
    check = Verifier(person.environ, SystemClock()).is_good
    assert await check(signer.identity, PAYLOAD, signature, "buddies")
    assert canonical(signer.identity) == signer_of_a_commit(person, **environ)
    return signer.identity


def signer_of_a_commit(person: Person, **environ: str) -> SignerIdentity:
    """Return the key that git signs a commit with."""
    repository = str(person.home / "repository")
    person.run("git", "init", "-q", repository)
    person.run(
        "git", "-C", repository, "commit", "-qS", "--allow-empty", "-m", "x", given=b"", **environ
    )
    commit = person.run("git", "-C", repository, "cat-file", "commit", "HEAD").decode()
    found = re.search(r"^gpgsig (.*(?:\n .*)*)", commit, re.MULTILINE)
    assert found is not None
    armored = found[1].replace("\n ", "\n").encode()
    if b"SSH" in armored.splitlines()[0]:
        blob = _parse(armored).public_key
        (kind,), _ = strings(blob, 1)
        return SshIdentity(SshKey(kind.decode(), blob).line)
    stock = ("git", "-C", repository, "-c", "gpg.program=gpg", "-c", "gpg.openpgp.program=gpg")
    return GpgIdentity(person.run(*stock, "log", "-1", "--format=%GP").decode().strip())


def program(person: Person, script: str, *, shebang: str = "#!/bin/sh\n") -> Path:
    """Make a program that appends each call to the file `calls`."""
    path = person.home / "program"
    log = shlex.quote(str(person.home / "calls"))
    path.write_text(f'{shebang}printf "%s\\n" "$*" >> {log}\n{script}\n')
    path.chmod(0o700)
    return path


def calls(person: Person) -> list[str]:
    return (person.home / "calls").read_text().splitlines()


def an_ssh_program(person: Person, key: Path, *, shebang: str = "#!/bin/sh\n") -> Path:
    """Make a program that takes git's call alone, and signs with a key that only it knows of."""
    return program(
        person,
        'if [ $# = 8 ] && [ "$7" = -U ]; then file=$8; elif [ $# = 7 ]; then file=$7; '
        "else exit 64; fi\n"
        '[ "$1 $2 $3 $5" = "-Y sign -n -f" ] && [ -f "$6" ] && [ -f "$file" ] || exit 64\n'
        f'exec ssh-keygen -q -Y sign -n "$4" -f {key} "$file"',
        shebang=shebang,
    )


def a_gpg_program(person: Person, fingerprint: str) -> Path:
    """Make a program that takes git's call alone, and calls this key by a name of its own."""
    return program(
        person,
        '[ $# = 3 ] && [ "$1 $2 $3" = "--status-fd=2 -bsau work" ] || exit 64\n'
        f"exec gpg --status-fd=2 -bsau {fingerprint}",
    )


# Asked or not


async def test_without_a_key_and_a_switch_git_signs_nothing_and_nothing_is_wrong(
    ann: Person,
) -> None:
    ann.gpg_key()
    assert await state_of(ann) == SignerState(None, SignerKind.GIT)
    git_is_set(ann, {"user.email": "me@here", "commit.gpgsign": "off", "gpg.program": "/no/gpg"})
    assert await state_of(ann) == SignerState(None, SignerKind.GIT)


@pytest.mark.parametrize("switch", ["commit.gpgsign", "tag.gpgsign"])
@pytest.mark.parametrize("on", ["true", "yes", "1", "ON"])
async def test_a_switch_alone_has_gpg_pick_the_committers_key(
    ann: Person, switch: str, on: str
) -> None:
    ann.gpg_key(user="Other <other@here>")
    fingerprint = ann.gpg_key(user="Ann B <ann@here>")
    ann.gpg_key(user="Third <third@here>")
    git_is_set(ann, {"user.name": "Ann B", "user.email": "ann@here", switch: on})
    assert await signs_like_git(ann) == GpgIdentity(fingerprint)


async def test_a_switch_without_a_value_is_on_as_git_reads_it(ann: Person) -> None:
    fingerprint = ann.gpg_key()
    (ann.home / ".gitconfig").write_text("[commit]\ngpgSign\n[user]\nname=Me\nemail=me@here\n")
    assert await signs_like_git(ann) == GpgIdentity(fingerprint)


async def test_an_included_file_counts(ann: Person) -> None:
    fingerprint = ann.gpg_key()
    (ann.home / "included").write_text(f"[user]\nsigningkey={fingerprint}\n")
    names = {"user.name": "Me", "user.email": "me@here"}
    git_is_set(ann, names | {"include.path": "~/included"})
    assert await signs_like_git(ann) == GpgIdentity(fingerprint)


async def test_the_committer_may_stand_in_the_environment(ann: Person) -> None:
    ann.gpg_key(user="Ann B <ann@here>")
    fingerprint = ann.gpg_key(user="Ann <ann@work>")
    names = {"user.name": "Ann B", "user.email": "ann@here"}
    git_is_set(ann, names | SWITCHED_ON)
    environ = {"GIT_COMMITTER_NAME": "Ann", "GIT_COMMITTER_EMAIL": "ann@work"}
    assert await signs_like_git(ann, **environ) == GpgIdentity(fingerprint)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (SWITCHED_ON, "git var GIT_COMMITTER_IDENT"),
        (
            SWITCHED_ON | {"user.name": "Ann", "user.email": "ann@here"},
            "gpg has no secret key 'Ann <ann@here>'",
        ),
        (SWITCHED_ON | BY_SSH, r"set user\.signingkey or gpg\.ssh\.defaultKeyCommand"),
        (SWITCHED_ON | {"gpg.format": "x509"}, "'x509', and only openpgp and ssh are supported"),
        ({"commit.gpgsign": "perhaps"}, "bad boolean config value 'perhaps'"),
        (SWITCHED_ON | {"gpg.program": "/no/gpg", "user.signingkey": "A"}, "/no/gpg can't be run"),
    ],
)
async def test_a_switch_without_a_key_that_works_is_a_problem_and_not_silence(
    ann: Person, settings: dict[str, str], why: str
) -> None:
    git_is_set(ann, settings | {"user.useConfigOnly": "true"})
    state = await state_of(ann)
    assert (state.signer, state.binding) == (None, None)
    assert re.search(why, state.problem)
    assert state.for_signing is not None
    with pytest.raises(BuddiesError, match="git is set up to sign, but that can't work here"):
        await state.for_signing.sign(PAYLOAD, "buddies")
    with pytest.raises(AssertionError):
        signer_of_a_commit(ann)  # git refuses, too


async def test_a_set_up_that_no_git_can_read_is_a_problem_and_not_silence(
    ann: Person, tmp_path: Path
) -> None:
    nowhere = {"PATH": str(tmp_path)}
    assert await state_of(ann, **nowhere) == SignerState(None, SignerKind.GIT)
    git_is_set(ann, {"user.email": "ann@here"})
    assert await state_of(ann, **nowhere) == SignerState(None, SignerKind.GIT)
    git_is_set(ann, SWITCHED_ON)
    assert "put git on the PATH" in (await state_of(ann, **nowhere)).problem


async def test_what_one_repository_or_one_command_sets_does_not_count(ann: Person) -> None:
    fingerprint = ann.gpg_key()
    repository = ann.home / "repository"
    ann.run("git", "init", "-q", str(repository))
    ann.run("git", "-C", str(repository), "config", "user.signingkey", fingerprint)
    environ = {
        "GIT_DIR": str(repository / ".git"),
        "GIT_CONFIG_PARAMETERS": f"'user.signingkey={fingerprint}'",
    }
    assert "user.signingkey" in ann.run("git", "config", "--list", given=b"", **environ).decode()
    assert await state_of(ann, **environ) == SignerState(None, SignerKind.GIT)


# OpenPGP


async def test_a_name_that_fits_several_keys_means_the_one_that_gpg_picks(ann: Person) -> None:
    keys = {ann.gpg_key(user="One <me@here>"), ann.gpg_key(user="Two <me@here>")}
    git_is_set(ann, {"user.name": "Me", "user.email": "me@here", "user.signingkey": "me@here"})
    identity = await signs_like_git(ann)
    assert isinstance(identity, GpgIdentity)
    assert identity.key_id in keys


async def test_a_subkey_signs_and_its_primary_is_the_identity(ann: Person) -> None:
    primary = ann.gpg_key()
    ann.run("gpg", "--batch", "--passphrase", "", "--quick-add-key", primary, "ed25519", "sign")
    rows = ann.run("gpg", "--batch", "--with-colons", "--list-keys").decode().splitlines()
    (subkey,) = {row.split(":")[9] for row in rows if row.startswith("fpr")} - {primary}
    names = {"user.name": "Me", "user.email": "me@here"}
    git_is_set(ann, names | {"user.signingkey": f"{subkey}!"})
    assert await signs_like_git(ann) == GpgIdentity(primary)


@pytest.mark.parametrize("name", ["gpg.program", "gpg.openpgp.program"])
async def test_a_gpg_program_gets_gits_call_and_no_other(ann: Person, name: str) -> None:
    ann.gpg_key(user="Other <other@here>")
    fingerprint = ann.gpg_key()
    path = a_gpg_program(ann, fingerprint)
    names = {"user.name": "Me", "user.email": "me@here", "user.signingkey": "work"}
    git_is_set(ann, names | {name: str(path)})
    assert await signs_like_git(ann) == GpgIdentity(fingerprint)
    # One for the endpoint, one for the payload, and git's own.
    assert calls(ann) == ["--status-fd=2 -bsau work"] * 3


@pytest.mark.parametrize("last", ["gpg.program", "gpg.openpgp.program"])
async def test_of_the_two_names_of_gpgs_program_the_last_one_counts(ann: Person, last: str) -> None:
    fingerprint = ann.gpg_key()
    path = a_gpg_program(ann, fingerprint)
    (first,) = {"gpg.program", "gpg.openpgp.program"} - {last}
    names = {"user.name": "Me", "user.email": "me@here", "user.signingkey": "work"}
    git_is_set(ann, names | {first: "/no/gpg", last: str(path)})
    assert await signs_like_git(ann) == GpgIdentity(fingerprint)


async def test_a_gpg_program_that_says_less_than_gpg_is_enough(ann: Person) -> None:
    """git wants a status that begins with SIG_CREATED, and some programs write no more."""
    fingerprint = ann.gpg_key()
    path = program(ann, 'gpg -bsau me@here 2>/dev/null; echo "[GNUPG:] SIG_CREATED " >&2')
    names = {"user.name": "Me", "user.email": "me@here", "user.signingkey": "work"}
    git_is_set(ann, names | {"gpg.program": str(path)})
    assert await signs_like_git(ann) == GpgIdentity(fingerprint)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo nonsense; echo '[GNUPG:] SIG_CREATED ' >&2", "signature can't be used"),
        ("exit 0", "it does not say why"),
        ("echo no card >&2; exit 2", "no card"),
        ("gpg -bsau me@here 2>/dev/null", "it does not say why"),
    ],
)
async def test_a_gpg_program_that_does_not_sign_is_a_problem(
    ann: Person, script: str, why: str
) -> None:
    ann.gpg_key()
    git_is_set(ann, {"user.signingkey": "work", "gpg.program": str(program(ann, script))})
    assert why in (await state_of(ann)).problem


async def test_a_key_that_gpg_has_no_public_half_of_says_what_to_do(
    ann: Person, ben: Person
) -> None:
    fingerprint = ben.gpg_key()
    script = f"GNUPGHOME={ben.home}/gnupg exec gpg --status-fd=2 -bsau {fingerprint}"
    git_is_set(ann, {"user.signingkey": "work", "gpg.program": str(program(ann, script))})
    problem = (await state_of(ann)).problem
    assert f"key {fingerprint[-16:]} is not in this machine's keyring" in problem
    assert "gpg --import" in problem


async def test_a_program_that_turns_to_another_key_is_refused(ann: Person) -> None:
    first, second = ann.gpg_key(user="One <1@here>"), ann.gpg_key(user="Two <2@here>")
    git_is_set(ann, {"user.signingkey": "work", "gpg.program": str(a_gpg_program(ann, first))})
    signer = await signer_of(ann)
    a_gpg_program(ann, second)
    with pytest.raises(InvalidInput, match=f"now signs with key {second}.*daemon restart"):
        await signer.sign(PAYLOAD, "buddies")


# SSH


def by_ssh(person: Person, key: str, **more: str) -> None:
    names = {"user.name": "Me", "user.email": "me@here"}
    git_is_set(person, names | BY_SSH | ({"user.signingkey": key} if key else {}) | more)


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
@pytest.mark.parametrize("form", ["~/id_{}", "~/id_{}.pub", "{home}/id_{}.pub"])
async def test_an_ssh_key_may_be_the_path_of_either_half(ann: Person, kind: str, form: str) -> None:
    line = ann.public_line(ann.ssh_key(kind))
    by_ssh(ann, form.format(kind, home=ann.home))
    assert await signs_like_git(ann) == SshIdentity(line)


async def test_an_ed25519_key_without_passphrase_signs_without_a_process(ann: Person) -> None:
    by_ssh(ann, str(ann.ssh_key()))
    assert isinstance(await signer_of(ann), Ed25519Signer)


@pytest.mark.parametrize("form", ["{line}", "key::{line}", "{bare}", "~/id.pub", "~/public"])
async def test_an_ssh_key_whose_private_half_the_agent_has_may_be_its_public_half(
    ann: Person, form: str
) -> None:
    key = ann.ssh_key(phrase="secret", name="elsewhere")
    line = ann.public_line(key)
    (ann.home / "id.pub").write_text(line)
    (ann.home / "public").write_text(line)
    by_ssh(ann, form.format(line=line, bare=" ".join(line.split()[:2])))
    with ann.agent_with(key, "secret") as socket:
        assert canonical(await signs_like_git(ann, SSH_AUTH_SOCK=socket)) == canonical(
            SshIdentity(line)
        )


async def test_a_private_key_with_a_passphrase_and_no_public_half_beside_it_signs_by_the_agent(
    ann: Person,
) -> None:
    key = ann.ssh_key(phrase="secret")
    line = ann.public_line(key)
    with ann.agent_with(key, "secret") as socket:
        key.with_name("id_ed25519.pub").unlink()
        by_ssh(ann, str(key))
        assert await signs_like_git(ann, SSH_AUTH_SOCK=socket) == canonical(SshIdentity(line))


@pytest.mark.parametrize("half", ["", ".pub"])
async def test_of_two_halves_that_are_not_of_one_key_the_public_one_counts(
    ann: Person, half: str
) -> None:
    """ssh-keygen reads the public half beside the private one, and asks the agent for that."""
    one, two = ann.ssh_key(name="one"), ann.ssh_key(name="two", phrase="secret")
    line = ann.public_line(two)
    one.with_name("one.pub").write_text(line)
    by_ssh(ann, f"{one}{half}")
    with ann.agent_with(two, "secret") as socket:
        identity = await signs_like_git(ann, SSH_AUTH_SOCK=socket)
    assert canonical(identity) == canonical(SshIdentity(line))


@pytest.mark.parametrize("printed", ["{line}", "key::{line}", "{line}\n{other}"])
async def test_a_key_command_names_the_key_in_its_first_line(ann: Person, printed: str) -> None:
    key = ann.ssh_key(phrase="secret")
    line, other = ann.public_line(key), ann.public_line(ann.ssh_key(name="other"))
    (ann.home / "printed").write_text(printed.format(line=line, other=other))
    by_ssh(ann, "", **{"gpg.ssh.defaultKeyCommand": f"cat '{ann.home}/printed'"})
    with ann.agent_with(key, "secret") as socket:
        assert await signs_like_git(ann, SSH_AUTH_SOCK=socket) == SshIdentity(line)


async def test_the_first_key_of_the_agent_may_be_the_default(ann: Person) -> None:
    key = ann.ssh_key(phrase="secret")
    by_ssh(ann, "", **{"gpg.ssh.defaultKeyCommand": "ssh-add -L"})
    with ann.agent_with(key, "secret") as socket:
        identity = await signs_like_git(ann, SSH_AUTH_SOCK=socket)
    assert canonical(identity) == canonical(SshIdentity(ann.public_line(key)))


async def test_a_key_that_is_set_goes_before_the_key_command(ann: Person) -> None:
    line = ann.public_line(ann.ssh_key())
    by_ssh(ann, "~/id_ed25519", **{"gpg.ssh.defaultKeyCommand": "false"})
    assert await signs_like_git(ann) == SshIdentity(line)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("echo no agent >&2; false", "printed no key"),
        ("sh -c 'echo no agent >&2; exit 3'", "failed: no agent"),
        ("false", "failed: exit code 1"),
        ("true", "printed no key"),
        ("echo Enter your PIN", "first line must be an SSH public key.*'Enter your PIN'"),
        ("echo key::nonsense", "no kind of SSH key"),
        ("/no/command", "/no/command can't be run"),
        ("cat 'unclosed", "malformed"),
        ("sleep 60", "was not done within 2 s"),
    ],
)
async def test_a_key_command_that_gives_no_key_is_a_problem_and_not_silence(
    ann: Person, command: str, why: str
) -> None:
    by_ssh(ann, "", **{"gpg.ssh.defaultKeyCommand": command})
    state = await state_of(ann)
    assert state.signer is None
    assert re.search(why, state.problem), state.problem


@pytest.mark.parametrize("form", ["~/shown.pub", "{line}", "key::{line}"])
@pytest.mark.parametrize("shebang", ["#!/bin/sh\n", ""])
async def test_an_ssh_program_gets_gits_call_and_no_other(
    ann: Person, form: str, shebang: str
) -> None:
    key = ann.ssh_key(name="hidden")
    line = ann.public_line(key)
    (ann.home / "shown.pub").write_text(line)
    path = an_ssh_program(ann, key, shebang=shebang)
    by_ssh(ann, form.format(line=line), **{"gpg.ssh.program": str(path)})
    assert await signs_like_git(ann) == SshIdentity(line)
    named = re.escape(f"{ann.home}/shown.pub") if form == "~/shown.pub" else "[^ ]+"
    namespaces = [
        match[1]
        for call in calls(ann)
        if (match := re.fullmatch(rf"-Y sign -n ([a-z-]+) -f {named} [^ ]+", call))
    ]
    assert namespaces == ["buddies-endpoint", "buddies", "git"]
    assert len(calls(ann)) == 3


async def test_an_ssh_program_is_asked_even_where_the_private_half_is_here(ann: Person) -> None:
    key = ann.ssh_key()
    by_ssh(ann, str(key), **{"gpg.ssh.program": str(an_ssh_program(ann, key))})
    assert await signs_like_git(ann) == SshIdentity(ann.public_line(key))
    assert len(calls(ann)) == 3


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_key_may_be_a_literal(ann: Person, kind: str) -> None:
    """A security key's, too: that the agent does not have it comes later."""
    by_ssh(ann, f"{kind} AAAA")
    assert "the SSH public key is damaged" in (await state_of(ann)).problem


async def test_a_program_that_signs_with_another_key_is_a_problem(ann: Person) -> None:
    line = ann.public_line(ann.ssh_key(name="shown"))
    path = an_ssh_program(ann, ann.ssh_key(name="hidden"))
    by_ssh(ann, line, **{"gpg.ssh.program": str(path)})
    assert "another key" in (await state_of(ann)).problem


@pytest.mark.parametrize(
    ("form", "key", "why"),
    [
        ("ssh", "~/missing", "there is no SSH key"),
        ("ssh", "key::ssh-ed25519 AAAA", "damaged"),
        ("openpgp", "nobody@here", "gpg has no secret key"),
        ("x509", "me", "openpgp and ssh are supported"),
    ],
)
async def test_a_key_of_git_that_cannot_work_is_a_problem_and_refuses_to_sign(
    ann: Person, form: str, key: str, why: str
) -> None:
    git_is_set(ann, {"gpg.format": form, "user.signingkey": key})
    state = await state_of(ann)
    assert state.signer is None
    assert why in state.problem
    assert state.for_signing is not None
    with pytest.raises(BuddiesError, match="can't work"):
        await state.for_signing.sign(PAYLOAD, "buddies")
    with pytest.raises(InvalidInput, match="the signer git can't work"):
        await state_of(ann, BUDDIES_SIGNER="git")


async def test_a_broken_git_configuration_is_a_problem_and_not_silence(ann: Person) -> None:
    (ann.home / ".gitconfig").write_text("[user\n")
    assert "git config" in (await state_of(ann)).problem

"""Choose the key that vouches for this node, from the environment; once, when the daemon starts."""

import asyncio
import os
import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from nacl.signing import SigningKey

from buddies_core.clock import SystemClock
from buddies_core.errors import BuddiesError, InvalidInput, StoreError, TimedOut
from buddies_core.identity.binding import NAMESPACE, bind, binding_of, binding_payload
from buddies_core.identity.git_calls import GpgCall
from buddies_core.identity.git_config import GitSigning, committer, read_git_signing
from buddies_core.identity.gpg import Gpg
from buddies_core.identity.programs import PROGRAM_DEADLINE_S, run_program
from buddies_core.identity.signers import (
    Ed25519Signer,
    GpgSigner,
    RefusingSigner,
    Signer,
    signed_by,
)
from buddies_core.identity.ssh_key_files import open_ssh, open_ssh_line, read_ed25519, user_path
from buddies_core.identity.verifying import Verifier
from buddies_core.model.identity import Binding, GpgIdentity, SshIdentity
from buddies_core.model.ids import EndpointId

BIND_DEADLINE_S = 5.0
"""The start of the daemon may take 10 s."""
GENERATED_NAME = "identity_ed25519"
GENERATED_COMMENT = "buddies-generated"
_LITERAL = "key::"
_LITERAL_KINDS = ("ssh-", "ecdsa-", "sk-")


class SignerKind(StrEnum):
    """The values of BUDDIES_SIGNER."""

    GIT = "git"
    NONE = "none"
    GPG = "gpg"
    SSH = "ssh"
    GENERATED = "generated"


@dataclass(frozen=True, slots=True)
class SignerState:
    """The signer that vouches for this node, if there is one."""

    signer: Signer | None
    kind: SignerKind
    binding: Binding | None = None
    """The signer's binding for this node's endpoint."""
    problem: str = ""
    """Why a configured key can't sign, and what to do."""

    @property
    def for_signing(self) -> Signer | None:
        """The signer; one that refuses if its key can't work; None if none is wanted."""
        return RefusingSigner(self.problem) if self.problem else self.signer


async def open_signer(
    environ: Mapping[str, str], data_dir: Path, endpoint: EndpointId, after_ms: int = 0
) -> SignerState:
    """Return the signer that the environment chooses, after it has proven that it works.

    Without a choice, git's own configuration decides. If git would sign and that key can't work
    here, the state has a problem in place of a signer.

    `after_ms` is the latest time that this node has ever used. The binding is later than that, as
    peers believe the latest one: otherwise, if the clock was once ahead, peers would ignore a new
    key for as long as that.

    Raises:
        InvalidInput: the choice in BUDDIES_SIGNER can't work; the text says why, and what to do.
    """
    chosen = environ.get("BUDDIES_SIGNER", "").strip().lower()
    try:
        kind = SignerKind("generated" if chosen == "ephemeral" else chosen or "git")
    except ValueError:
        raise InvalidInput(
            f"BUDDIES_SIGNER is {chosen!r}; it must be one of {', '.join(SignerKind)}, or not set"
        ) from None
    now_ms = max(SystemClock().wall_ms(), after_ms + 1)
    try:
        match await _open(kind, environ, data_dir):
            case None:
                return SignerState(None, kind)
            case GpgCall() as call:
                return await _prove_gpg(kind, call, environ, endpoint, now_ms)
            case signer:
                return await _prove(kind, signer, environ, endpoint, now_ms)
    except BuddiesError as error:
        if chosen:
            raise InvalidInput(
                f"the signer {chosen} can't work: {error}. Fix that, or sign nothing: "
                "buddies-cli config set signer none, or BUDDIES_SIGNER=none"
            ) from error
        problem = (
            f"git is set up to sign, but that can't work here: {error}. Fix that, or sign nothing: "
            "buddies-cli config set signer none; then: buddies-cli daemon restart"
        )
        return SignerState(None, kind, problem=problem)


async def _prove(
    kind: SignerKind,
    signer: Signer,
    environ: Mapping[str, str],
    endpoint: EndpointId,
    now_ms: int,
) -> SignerState:
    """Make the signer vouch for the endpoint, which proves that it can sign.

    The signature is verified: a public key may belong to another private key.
    """
    try:
        async with asyncio.timeout(BIND_DEADLINE_S):
            binding = await bind(signer, endpoint, now_ms)
    except TimeoutError:
        raise _too_slow(signer.label) from None
    payload = binding_payload(endpoint, binding.signed_at_ms)
    verification = await Verifier(environ, SystemClock()).verify(
        binding.signer, payload, binding.signature, NAMESPACE
    )
    if not verification.good:
        raise InvalidInput(f"its signatures do not fit {signer.label}: {verification.reason}")
    return SignerState(signer, kind, binding)


async def _prove_gpg(
    kind: SignerKind,
    call: GpgCall,
    environ: Mapping[str, str],
    endpoint: EndpointId,
    now_ms: int,
) -> SignerState:
    """Make gpg vouch for the endpoint, and learn the key from the signature.

    Only gpg decides which key a name or an address means.
    """
    payload = binding_payload(endpoint, now_ms)
    try:
        async with asyncio.timeout(BIND_DEADLINE_S):
            signature = await call.sign(payload)
    except TimeoutError:
        raise _too_slow(f"gpg key {call.key!r}") from None
    gpg = Gpg(environ)
    identity = GpgIdentity(await signed_by(gpg, payload, signature))
    binding = binding_of(identity, now_ms, signature)
    return SignerState(GpgSigner(identity, call, gpg), kind, binding)


def _too_slow(key: str) -> TimedOut:
    return TimedOut(
        f"{key} had not signed after {BIND_DEADLINE_S:g} s; if it asked for its passphrase, "
        "have its agent remember it (ssh-add, or gpg --sign once) and start again"
    )


async def _open(
    kind: SignerKind, environ: Mapping[str, str], data_dir: Path
) -> Signer | GpgCall | None:
    key = environ.get("BUDDIES_SIGNING_KEY", "").strip()
    match kind:
        case SignerKind.NONE:
            return None
        case SignerKind.GIT:
            git = await read_git_signing(environ)
            return None if git is None else await _open_git(git, environ)
        case SignerKind.GPG:
            id = environ.get("BUDDIES_GPG_KEY_ID", "").strip() or key
            if not id:
                raise InvalidInput("set BUDDIES_GPG_KEY_ID to the key's fingerprint")
            return GpgCall(await Gpg(environ).secret_key(id), environ)
        case SignerKind.SSH:
            private = environ.get("BUDDIES_SSH_PRIVATE_KEY", "").strip() or key
            public = environ.get("BUDDIES_SSH_PUBLIC_KEY", "").strip()
            if not private and not public:
                raise InvalidInput("set BUDDIES_SSH_PRIVATE_KEY to the path of the private key")
            return await open_ssh(private, public, environ)
        case SignerKind.GENERATED:
            return _open_generated(data_dir)


async def _open_git(git: GitSigning, environ: Mapping[str, str]) -> Signer | GpgCall:
    """Return the same signer that `git commit -S` uses outside any repository."""
    program = str(user_path(git.program, environ)) if git.program.startswith("~") else git.program
    match git.format:
        case "openpgp":
            return GpgCall(git.key or await committer(environ), environ, program or "gpg")
        case "ssh":
            key = git.key or await _default_ssh_key(git.key_command, environ)
            if key.startswith((_LITERAL, *_LITERAL_KINDS)):
                return open_ssh_line(key.removeprefix(_LITERAL).strip(), environ, program)
            return await open_ssh(key, "", environ, program)
        case _:
            raise InvalidInput(
                f"git's gpg.format is {git.format!r}, and only openpgp and ssh are supported here; "
                "choose a key for buddies alone with BUDDIES_SIGNER=ssh, gpg or generated"
            )


async def _default_ssh_key(command: str, environ: Mapping[str, str]) -> str:
    """Return the key that gpg.ssh.defaultKeyCommand prints: its first line, as git takes it."""
    if not command.strip():
        raise InvalidInput(
            "git is told to sign with an SSH key, but not with which: set user.signingkey or "
            "gpg.ssh.defaultKeyCommand"
        )
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InvalidInput(f"gpg.ssh.defaultKeyCommand is malformed: {error}") from error
    words[0] = str(user_path(words[0], environ)) if words[0].startswith("~") else words[0]
    finished = await run_program(words, environ, PROGRAM_DEADLINE_S)
    if finished.code != 0:
        raise InvalidInput(
            f"gpg.ssh.defaultKeyCommand ({command}) failed: "
            f"{finished.complaint or f'exit code {finished.code}'}"
        )
    key = finished.output.decode(errors="replace").partition("\n")[0].strip()
    if not key.startswith((_LITERAL, *_LITERAL_KINDS)):
        raise InvalidInput(
            f"gpg.ssh.defaultKeyCommand ({command}) printed no key: its first line must be an SSH "
            f"public key, such as `key::ssh-ed25519 AAAA…`, but is {key[:60]!r}"
        )
    return key


def _open_generated(data_dir: Path) -> Signer:
    """Return the signer of the data directory's own key, made now if there is none."""
    path = data_dir / GENERATED_NAME
    if not path.exists():
        made = Ed25519PrivateKey.generate()
        _write(path, made.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    key = read_ed25519(path)
    if key is None:
        raise StoreError(f"{path} is damaged; restore it, or move it away to become someone else")
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    identity = SshIdentity(f"{line} {GENERATED_COMMENT}")
    return Ed25519Signer(identity, SigningKey(key.private_bytes_raw()))


def _write(path: Path, data: bytes) -> None:
    """Write a file for its owner alone, whole or not at all."""
    try:
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")  # mode 0600
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError as error:
        raise StoreError(f"{path} can't be written: {error.strerror}") from error

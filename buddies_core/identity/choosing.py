"""Which key vouches for this node, from the environment; found once, when the daemon starts."""

import asyncio
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)
from nacl.signing import SigningKey

from buddies_core.clock import SystemClock
from buddies_core.errors import BuddiesError, InvalidInput, NotFound, StoreError, TimedOut
from buddies_core.identity.binding import NAMESPACE, bind, binding_payload
from buddies_core.identity.gpg import Gpg
from buddies_core.identity.programs import run_program
from buddies_core.identity.signers import (
    Ed25519Signer,
    GpgSigner,
    RefusingSigner,
    Signer,
    SshKeygenSigner,
)
from buddies_core.identity.ssh_keys import KINDS, parse_ssh_key
from buddies_core.identity.verifying import Verifier
from buddies_core.model.identity import Binding, GpgIdentity, SshIdentity
from buddies_core.model.ids import EndpointId

PROGRAM_DEADLINE_S = 2.0
BIND_DEADLINE_S = 5.0
"""Whoever starts the daemon waits for 10 s."""
GENERATED_NAME = "identity_ed25519"
GENERATED_COMMENT = "buddies-generated"
INLINE_NAME = "signing_key.pub"
_GIT_HAS_NONE = 1


class SignerKind(StrEnum):
    """What BUDDIES_SIGNER can be."""

    GIT = "git"
    NONE = "none"
    GPG = "gpg"
    SSH = "ssh"
    GENERATED = "generated"


@dataclass(frozen=True, slots=True)
class SignerState:
    """Who vouches for this node, if anybody does."""

    signer: Signer | None
    kind: SignerKind
    binding: Binding | None = None
    """Its word for this node's endpoint."""
    problem: str = ""
    """Why a key that is configured can't sign, and the way out."""

    @property
    def for_signing(self) -> Signer | None:
        """The signer; where its key can't work one that refuses; None where none is wanted."""
        return RefusingSigner(self.problem) if self.problem else self.signer


async def open_signer(
    environ: Mapping[str, str], data_dir: Path, endpoint: EndpointId
) -> SignerState:
    """Return the signer that the environment chooses, which has just proven that it works.

    Without a choice it is git's, if git has one configured; if that can't work, the state has a
    problem in place of a signer.

    Raises:
        InvalidInput: what BUDDIES_SIGNER chooses can't work; the text says why, and the way out.
    """
    chosen = environ.get("BUDDIES_SIGNER", "").strip().lower()
    try:
        kind = SignerKind("generated" if chosen == "ephemeral" else chosen or "git")
    except ValueError:
        raise InvalidInput(
            f"BUDDIES_SIGNER is {chosen!r}; it must be one of {', '.join(SignerKind)}, or not set"
        ) from None
    try:
        signer = await _open(kind, environ, data_dir)
        binding = None if signer is None else await _bind(signer, environ, endpoint)
    except BuddiesError as error:
        if chosen:
            raise InvalidInput(
                f"BUDDIES_SIGNER={chosen} can't work: {error}. Mend that, or set "
                "BUDDIES_SIGNER=none to sign nothing"
            ) from error
        problem = (
            f"the signing key that git has configured can't work: {error}. Mend that, or set "
            "BUDDIES_SIGNER=none; then: buddies-cli daemon restart"
        )
        return SignerState(None, kind, problem=problem)
    return SignerState(signer, kind, binding)


async def _bind(signer: Signer, environ: Mapping[str, str], endpoint: EndpointId) -> Binding:
    """Return the signer's word for the endpoint, which also proves that it can sign.

    The signature is verified: a public key may belong to another private one.
    """
    clock = SystemClock()
    try:
        async with asyncio.timeout(BIND_DEADLINE_S):
            binding = await bind(signer, endpoint, clock.wall_ms())
    except TimeoutError:
        raise TimedOut(
            f"{signer.label} had not signed after {BIND_DEADLINE_S:g} s; if its passphrase was "
            "asked for, have its agent remember it (ssh-add, or gpg --sign once) and start again"
        ) from None
    payload = binding_payload(endpoint, binding.signed_at_ms)
    verification = await Verifier(environ, clock).verify(
        binding.signer, payload, binding.signature, NAMESPACE
    )
    if not verification.good:
        raise InvalidInput(f"its signatures do not fit {signer.label}: {verification.reason}")
    return binding


async def _open(kind: SignerKind, environ: Mapping[str, str], data_dir: Path) -> Signer | None:
    key = environ.get("BUDDIES_SIGNING_KEY", "").strip()
    match kind:
        case SignerKind.NONE:
            return None
        case SignerKind.GIT:
            return await _open_git(environ, data_dir)
        case SignerKind.GPG:
            id = environ.get("BUDDIES_GPG_KEY_ID", "").strip() or key
            if not id:
                raise InvalidInput("set BUDDIES_GPG_KEY_ID to the key's fingerprint")
            return await _open_gpg(id, environ)
        case SignerKind.SSH:
            private = environ.get("BUDDIES_SSH_PRIVATE_KEY", "").strip() or key
            public = environ.get("BUDDIES_SSH_PUBLIC_KEY", "").strip()
            if not private and not public:
                raise InvalidInput("set BUDDIES_SSH_PRIVATE_KEY to the path of the private key")
            return await _open_ssh(private, public, environ, data_dir)
        case SignerKind.GENERATED:
            return _open_generated(data_dir)


async def _open_git(environ: Mapping[str, str], data_dir: Path) -> Signer | None:
    try:
        key = await _git_config("user.signingkey", environ)
    except NotFound:
        return None  # Without git there is no key that git has configured.
    if not key:
        return None
    form = await _git_config("gpg.format", environ) or "openpgp"
    program = await _git_config(f"gpg.{form}.program", environ)
    match form:
        case "openpgp":
            program = program or await _git_config("gpg.program", environ)
            return await _open_gpg(key, environ, program or "gpg")
        case "ssh":
            literal = key.removeprefix("key::")
            if literal != key or key.startswith(("ssh-", "ecdsa-", "sk-")):
                return await _open_ssh("", literal, environ, data_dir, program or "ssh-keygen")
            return await _open_ssh(key, "", environ, data_dir, program or "ssh-keygen")
        case _:
            raise InvalidInput(f"git's gpg.format is {form!r}; openpgp and ssh are supported")


async def _git_config(name: str, environ: Mapping[str, str]) -> str:
    """Return what git has configured for this user, with `~` expanded; empty if nothing.

    Not for the repository that the daemon happens to be started in: it outlives that.
    """
    outside = {key: value for key, value in environ.items() if key != "GIT_DIR"}
    command = ["git", "config", "--type=path", "--get", name]
    finished = await run_program(command, outside, PROGRAM_DEADLINE_S)
    if finished.code == _GIT_HAS_NONE:
        return ""
    if finished.code != 0:
        raise InvalidInput(f"git config --get {name}: {finished.errors}")
    return finished.output.decode(errors="replace").strip()


async def _open_gpg(id: str, environ: Mapping[str, str], program: str = "gpg") -> Signer:
    gpg = Gpg(environ, program)
    return GpgSigner(GpgIdentity(await gpg.secret_key(id)), gpg)


async def _open_ssh(
    private: str,
    public: str,
    environ: Mapping[str, str],
    data_dir: Path,
    program: str = "ssh-keygen",
) -> Signer:
    """Return the signer of a private key's path, a public key's text or path, or of both."""
    key_file = _path(private, environ) if private else None
    if key_file is not None and not key_file.is_file():
        raise NotFound(f"there is no SSH key {key_file}; make one with ssh-keygen, or name another")
    if key_file is not None and key_file.suffix == ".pub":
        public = public or str(key_file)
        beside = key_file.with_suffix("")
        # Otherwise the agent has it: ssh-keygen looks there.
        key_file = beside if beside.is_file() else key_file
    secret = _read_ed25519(key_file) if key_file is not None else None
    line = await _public_line(public, key_file, environ)
    identity = SshIdentity(line)
    key = parse_ssh_key(line)
    if secret is not None:
        own = secret.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        if own != key.line:
            raise InvalidInput(f"the public key does not belong to {key_file}")
        return Ed25519Signer(identity, SigningKey(secret.private_bytes_raw()))
    if key_file is None:
        # The agent is asked for it by its public key, which ssh-keygen wants in a file.
        key_file = data_dir / INLINE_NAME
        _write(key_file, f"{line}\n".encode())
    return SshKeygenSigner(identity, key_file, environ, program)


async def _public_line(public: str, key_file: Path | None, environ: Mapping[str, str]) -> str:
    """Return the public key's line, given as text or path, or beside the private key, or in it."""
    if public.startswith(KINDS):
        parse_ssh_key(public)
        return public
    if public:
        return _read_line(_path(public, environ))
    assert key_file is not None, "one of both is given"
    beside = key_file.with_name(f"{key_file.name}.pub")
    if beside.is_file():
        return _read_line(beside)
    command = ["ssh-keygen", "-y", "-P", "", "-f", str(key_file)]
    finished = await run_program(command, environ, PROGRAM_DEADLINE_S)
    if finished.code != 0:
        raise InvalidInput(
            f"{beside} is missing, and {key_file} can't be read without it "
            f"({finished.errors or 'it has a passphrase'}): ssh-keygen -y -f {key_file} > {beside}"
        )
    return finished.output.decode(errors="replace").strip()


def _path(text: str, environ: Mapping[str, str]) -> Path:
    home = environ.get("HOME")
    if home and (text == "~" or text.startswith("~/")):
        return Path(home, text[2:])
    return Path(text).expanduser().absolute()


def _read_line(path: Path) -> str:
    try:
        line = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(f"the public key {path} can't be read: {error}") from error
    parse_ssh_key(line)
    return line


def _read_ed25519(path: Path) -> Ed25519PrivateKey | None:
    """Return the key, if it is an Ed25519 one without passphrase: the only kind that we hold."""
    try:
        key = load_ssh_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise NotFound(f"the private key {path} can't be read: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None  # ssh-keygen may know better, or the agent.
    return key if isinstance(key, Ed25519PrivateKey) else None


def _open_generated(data_dir: Path) -> Signer:
    """Return the signer of the data directory's own key, made now if there is none."""
    path = data_dir / GENERATED_NAME
    if not path.exists():
        made = Ed25519PrivateKey.generate()
        _write(path, made.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    key = _read_ed25519(path)
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

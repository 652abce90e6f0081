"""A person's keys, as what can be signed with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from nacl.signing import SigningKey

from buddies_core.errors import InvalidInput
from buddies_core.identity.gpg import Gpg
from buddies_core.identity.programs import run_program
from buddies_core.identity.sshsig import sign_ed25519
from buddies_core.model.identity import GpgIdentity, SignerIdentity, SshIdentity

SIGN_DEADLINE_S = 10.0
"""Also for a touch of a security key."""


class Signer(Protocol):
    """Who vouches for what this node says."""

    @property
    def identity(self) -> SignerIdentity:
        """Whose signature it is."""

    @property
    def label(self) -> str:
        """The identity as text."""

    async def sign(self, payload: bytes, namespace: str) -> bytes:
        """Return the signature; OpenPGP has no namespace.

        Raises:
            BuddiesError: there can be none; the text says why, and the way out.
        """


@dataclass(frozen=True, slots=True)
class Ed25519Signer:
    """An SSH key that is held in memory."""

    identity: SshIdentity
    _key: SigningKey = field(repr=False)

    @property
    def label(self) -> str:
        """The identity as text."""
        return self.identity.label

    async def sign(self, payload: bytes, namespace: str) -> bytes:
        """Return the signature as `ssh-keygen -Y sign` makes it; takes some 50 µs."""
        return sign_ed25519(self._key, payload, namespace)


@dataclass(frozen=True, slots=True)
class SshKeygenSigner:
    """An SSH key that ssh-keygen reads from its file, or asks the agent or a security key for."""

    identity: SshIdentity
    key_file: Path
    """Of the private key, or of the public one where the agent has the other."""
    environ: Mapping[str, str] = field(repr=False)
    program: str = "ssh-keygen"

    @property
    def label(self) -> str:
        """The identity as text."""
        return self.identity.label

    async def sign(self, payload: bytes, namespace: str) -> bytes:
        """Return the signature; a process each, some 10 ms.

        Raises:
            InvalidInput: ssh-keygen can't sign; the text says what it said.
            TimedOut: it was not done by the deadline.
            NotFound: it is not installed.
        """
        command = [self.program, "-q", "-Y", "sign", "-n", namespace, "-f", str(self.key_file)]
        finished = await run_program(command, self.environ, SIGN_DEADLINE_S, payload)
        if finished.code != 0 or not finished.output:
            raise InvalidInput(
                f"{self.program} can't sign by {self.key_file}: {finished.errors or 'no reason'}; "
                "if the key has a passphrase, have the SSH agent hold it (ssh-add), with "
                "SSH_AUTH_SOCK set where the daemon starts"
            )
        return finished.output


@dataclass(frozen=True, slots=True)
class GpgSigner:
    """An OpenPGP key in the user's keyring."""

    identity: GpgIdentity
    _gpg: Gpg = field(repr=False)

    @property
    def label(self) -> str:
        """The identity as text."""
        return self.identity.label

    async def sign(self, payload: bytes, namespace: str) -> bytes:
        """Return the detached signature, binary; a process each, some 20 ms.

        Raises:
            InvalidInput: gpg can't sign by this key.
            TimedOut: it was not done by the deadline.
            NotFound: it is not installed.
        """
        return await self._gpg.sign(self.identity.key_id, payload)


@dataclass(frozen=True, slots=True)
class RefusingSigner:
    """What stands for a key that can't work: nothing goes out unsigned in its place."""

    problem: str

    @property
    def identity(self) -> SignerIdentity:
        """There is none.

        Raises:
            InvalidInput: always, with what is wrong with the key.
        """
        raise InvalidInput(self.problem)

    @property
    def label(self) -> str:
        """No text."""
        return ""

    async def sign(self, payload: bytes, namespace: str) -> bytes:
        """Refuse.

        Raises:
            InvalidInput: always, with what is wrong with the key.
        """
        raise InvalidInput(self.problem)

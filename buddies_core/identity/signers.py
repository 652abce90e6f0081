"""Signers, each with a key of a person."""

from dataclasses import dataclass, field
from typing import Protocol

from nacl.signing import SigningKey

from buddies_core.errors import InvalidInput
from buddies_core.identity.git_calls import GpgCall, SshCall
from buddies_core.identity.gpg import CannotCheck, Gpg
from buddies_core.identity.sshsig import WrongSignature, sign_ed25519
from buddies_core.model.identity import GpgIdentity, SignerIdentity, SshIdentity


class Signer(Protocol):
    """The signer that vouches for this node."""

    @property
    def identity(self) -> SignerIdentity:
        """The identity that signs."""

    @property
    def label(self) -> str:
        """The identity as text."""

    async def sign(self, payload: bytes, namespace: str) -> bytes:
        """Return the signature; OpenPGP has no namespace.

        Raises:
            BuddiesError: it can't sign; the text says why, and what to do.
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
class SshProgramSigner:
    """An SSH key that a program signs with: from its file, the agent or a security key."""

    identity: SshIdentity
    call: SshCall

    @property
    def label(self) -> str:
        """The identity as text."""
        return self.identity.label

    async def sign(self, payload: bytes, namespace: str) -> bytes:
        """Return the signature; starts a process.

        Raises:
            InvalidInput: the program can't sign; the text repeats its reason.
            TimedOut: it had not signed by the deadline.
            NotFound: it is not installed.
        """
        return await self.call.sign(payload, namespace)


@dataclass(frozen=True, slots=True)
class GpgSigner:
    """An OpenPGP key that gpg, or a program in its place, signs with."""

    identity: GpgIdentity
    """The fingerprint of the primary key."""
    call: GpgCall
    _gpg: Gpg = field(repr=False)

    @property
    def label(self) -> str:
        """The identity as text."""
        return self.identity.label

    async def sign(self, payload: bytes, namespace: str) -> bytes:
        """Return the detached signature, binary; starts two processes, some 20 ms.

        Raises:
            InvalidInput: gpg can't sign with this key, or now signs with another one.
            TimedOut: it had not signed by the deadline.
            NotFound: it is not installed.
        """
        signature = await self.call.sign(payload)
        # A name may match another key by now, and a user's program decides for itself.
        primary = await signed_by(self._gpg, payload, signature)
        if primary != self.identity.key_id:
            raise InvalidInput(
                f"{self.call.program} now signs with key {primary}, but {self.identity.key_id} "
                "vouches for this machine; have it vouch anew: buddies-cli daemon restart"
            )
        return signature


async def signed_by(gpg: Gpg, payload: bytes, signature: bytes) -> str:
    """Return the fingerprint of the primary key of a signature that was just made.

    Raises:
        InvalidInput: it is not good, or its public key is not in the keyring.
    """
    try:
        return (await gpg.signed_by(payload, signature)).primary
    except (WrongSignature, CannotCheck) as error:
        raise InvalidInput(f"its signature can't be used: {error}") from error


@dataclass(frozen=True, slots=True)
class RefusingSigner:
    """Replaces a key that can't work, so that no message is sent unsigned."""

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
        """An empty text."""
        return ""

    async def sign(self, payload: bytes, namespace: str) -> bytes:
        """Refuse.

        Raises:
            InvalidInput: always, with what is wrong with the key.
        """
        raise InvalidInput(self.problem)

"""The identities that vouch for messages."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class GpgIdentity:
    """An OpenPGP key by its key id or fingerprint."""

    key_id: str

    @property
    def label(self) -> str:
        """The form in which the identity is written in policies and shown to people."""
        return f"gpg:{self.key_id}"


@dataclass(frozen=True, slots=True)
class SshIdentity:
    """An SSH key by its public key line."""

    public_key: str

    @property
    def label(self) -> str:
        """The form in which the identity is written in policies and shown to people."""
        return f"ssh:{self.public_key}"


SignerIdentity: TypeAlias = GpgIdentity | SshIdentity


@dataclass(frozen=True, slots=True)
class Binding:
    """A signer's statement that it vouches for an endpoint. The value itself is not verified."""

    signer: SignerIdentity
    signed_at_ms: int
    signature: bytes

    @property
    def size(self) -> int:
        """An upper bound of its bytes on the wire."""
        return len(self.signer.label.encode()) + len(self.signature) + 24


class Verified(StrEnum):
    """How the author of an item is known."""

    SIGNER = "signer"
    """A person's key vouches for the endpoint that sent it."""
    PEER = "peer"
    """The endpoint itself signed it."""
    UNVERIFIED = "unverified"
    """It came without a trailer, from a 0.1.4 peer: anybody may have sent it."""

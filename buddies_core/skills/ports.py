"""What skills need from the layers below, beside `asking.ports`."""

from typing import Protocol

from buddies_core.model.identity import SignerIdentity
from buddies_core.model.revocation import Revocation
from buddies_core.model.skill import Skill, SkillHead, Vote


class Signer(Protocol):
    """This node's key of a person; see `identity`."""

    @property
    def identity(self) -> SignerIdentity:
        """The identity that signs."""

    async def sign(self, payload: bytes, namespace: str) -> bytes:
        """Return the signature; raises BuddiesError, with the way out, if there can be none."""


class HiddenPort(Protocol):
    """The items that a person has hidden; see `trust.revocations.Revocations`."""

    @property
    def revision(self) -> int:
        """A number that changes with each revocation."""

    def hides(self, item: Skill | SkillHead | Vote) -> bool:
        """Return whether this must not be shown, handed on or counted."""

    def hiding(self, item: Skill | SkillHead | Vote) -> Revocation | None:
        """Return the revocation that hides this, if any."""


class IndexPort(Protocol):
    """The search index of skills; see `finding.index.Index`."""

    def notice(self) -> None:
        """Have newly stored skills indexed soon."""

"""What skills need from the layers below, beside `asking.ports`."""

from typing import Protocol

from buddies_core.model.identity import SignerIdentity
from buddies_core.model.revocation import Revocation
from buddies_core.model.skill import Skill, SkillHead, Vote


class Signer(Protocol):
    """The person's key of this node; see `identity`."""

    @property
    def identity(self) -> SignerIdentity:
        """Who signs."""

    async def sign(self, payload: bytes, namespace: str) -> bytes:
        """Return the signature; raises BuddiesError, with the way out, if there can be none."""


class HiddenPort(Protocol):
    """What a person has had hidden; see `trust.revocations.Revocations`."""

    @property
    def revision(self) -> int:
        """A number that changes with each revocation."""

    def hides(self, item: Skill | SkillHead | Vote) -> bool:
        """Return whether this is not to be shown, nor to be handed on, nor to count."""

    def hiding(self, item: Skill | SkillHead | Vote) -> Revocation | None:
        """Return why, if it is not to be."""


class IndexPort(Protocol):
    """The search index of skills; see `finding.index.Index`."""

    def notice(self) -> None:
        """Have what was just stored indexed soon."""

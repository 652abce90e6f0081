"""Whom this machine hears in a room. Pure.

A policy is a machine's own: it decides what this one takes in, and nothing of what others do.
"""

from dataclasses import dataclass, replace

from buddies_core.model.identity import SignerIdentity
from buddies_core.model.ids import EndpointId, RoomName

IDENTITIES_MAX = 256
"""In one whitelist."""
MEMBERS_SHOWN_MAX = 64
"""Of those whom a change shuts out or lets in; the others are counted."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Whose messages are let in. As in 0.1.4, a whitelist wants a signature of itself."""

    whitelist: tuple[SignerIdentity, ...] = ()
    """In the form of `identity.labels.canonical`, each once; empty where anybody may sign."""
    require_signed: bool = False

    @property
    def is_open(self) -> bool:
        """Whether everybody is let in."""
        return not self.whitelist and not self.require_signed

    def allows(self, signer: SignerIdentity | None) -> bool:
        """Return whether what this signer vouches for is let in; None for nobody's."""
        if self.whitelist:
            return signer in self.whitelist
        return signer is not None or not self.require_signed

    def with_identity(self, identity: SignerIdentity) -> "Policy":
        """Return the policy that lets in this signer too; the same one if it is on the list."""
        if identity in self.whitelist:
            return self
        return replace(self, whitelist=(*self.whitelist, identity))

    def without_identity(self, identity: SignerIdentity) -> "Policy":
        """Return the policy with this signer off the list."""
        return replace(self, whitelist=tuple(it for it in self.whitelist if it != identity))


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyView:
    """A room's policy as it is shown."""

    room: RoomName
    require_signed: bool
    identities: tuple[str, ...]
    """Labels of those on the whitelist."""
    left_out: int = 0
    """Identities on the whitelist that are not in this view, which did not hold them all."""
    next_cursor: str | None = None
    """Gives the rest of the whitelist; None at its end."""
    local_identity: str
    """The label of this machine's own signer, written as on a whitelist; empty without one."""
    private: bool = False
    """Whether members are let into the room one by one; else knowing its name is enough."""
    warnings: tuple[str, ...] = ()

    @property
    def meaning(self) -> str:
        """Whom it lets in, in a sentence."""
        if total := len(self.identities) + self.left_out:
            if total == 1:
                return "Only what the one identity on the whitelist signs is heard."
            return f"Only what the {total} identities on the whitelist sign is heard."
        if self.require_signed:
            return "Whatever a person's key vouches for is heard, whoever's key it is."
        if self.private:
            return "There is no policy: every member of this private room is heard."
        return "There is no policy: everybody who knows the room's name is heard."


@dataclass(frozen=True, slots=True, kw_only=True)
class AffectedMember:
    """A member, present or not, whom a change of policy concerns."""

    name: str
    endpoint: EndpointId
    """Empty for a 0.1.4 peer that has not been heard directly."""
    signed_by: str
    """The label of the signer that vouches for it, as far as this machine knows."""
    present: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyReport:
    """What a change of policy does."""

    view: PolicyView
    shut_out: tuple[AffectedMember, ...]
    """Known members that are not heard under it, at most 64, those present first."""
    shut_out_total: int
    admitted: tuple[AffectedMember, ...]
    """Known members that were not heard before, at most 64."""
    admitted_total: int

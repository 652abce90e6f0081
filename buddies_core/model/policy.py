"""Policies: whose messages this machine accepts in a room. Pure.

Each machine has its own policies: they decide what it accepts, and do not affect other machines.
"""

from dataclasses import dataclass, replace

from buddies_core.model.identity import SignerIdentity
from buddies_core.model.ids import EndpointId, RoomName

IDENTITIES_MAX = 256
"""The most identities on one whitelist."""
MEMBERS_SHOWN_MAX = 64
"""The most members shown that a change shuts out or lets in; any more are only counted."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The signers whose messages are accepted. As in 0.1.4, a whitelist implies signatures."""

    whitelist: tuple[SignerIdentity, ...] = ()
    """In the form of `identity.labels.canonical`, each once; empty if anybody may sign."""
    require_signed: bool = False

    @property
    def is_open(self) -> bool:
        """Whether everybody is let in."""
        return not self.whitelist and not self.require_signed

    def allows(self, signer: SignerIdentity | None) -> bool:
        """Return whether messages that this signer vouches for are accepted; None is no signer."""
        if self.whitelist:
            return signer in self.whitelist
        return signer is not None or not self.require_signed

    def with_identity(self, identity: SignerIdentity) -> "Policy":
        """Return the policy with this signer added; unchanged if it is already on the list."""
        if identity in self.whitelist:
            return self
        return replace(self, whitelist=(*self.whitelist, identity))

    def without_identity(self, identity: SignerIdentity) -> "Policy":
        """Return the policy with this signer removed from the list."""
        return replace(self, whitelist=tuple(it for it in self.whitelist if it != identity))


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyView:
    """A room's policy as it is shown."""

    room: RoomName
    require_signed: bool
    identities: tuple[str, ...]
    """Labels of the identities on the whitelist."""
    left_out: int = 0
    """How many identities on the whitelist did not fit into this view."""
    next_cursor: str | None = None
    """Gives the rest of the whitelist; None at its end."""
    local_identity: str
    """The label of this machine's own signer, written as on a whitelist; empty without one."""
    private: bool = False
    """Whether members are let into the room one by one; else knowing its name is enough."""
    warnings: tuple[str, ...] = ()

    @property
    def meaning(self) -> str:
        """A sentence that says whose messages are accepted."""
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
    """A member, present or not, that a change of policy affects."""

    name: str
    endpoint: EndpointId
    """Empty for a 0.1.4 peer that has not been heard directly."""
    signed_by: str
    """The label of the signer that vouches for it, as far as this machine knows."""
    present: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyReport:
    """The effects of a change of policy."""

    view: PolicyView
    shut_out: tuple[AffectedMember, ...]
    """Known members that it shuts out, at most 64, those present first."""
    shut_out_total: int
    admitted: tuple[AffectedMember, ...]
    """Known members that were shut out before, at most 64."""
    admitted_total: int

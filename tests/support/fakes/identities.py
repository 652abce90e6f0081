"""Revoked identities, behind the socket and in front of it: always the same two."""

from dataclasses import dataclass, field

from buddies_core.errors import NotAllowed, NotFound
from buddies_core.model.revocation import ItemCounts, Revocation, RevocationView
from tests.support.fakes.client import FakeClient

ANN = "ssh:ssh-ed25519 AAAA"
OWN = "peer:" + "aa" * 32
NOBODY = "gpg:" + "AB" * 20
REVOKED = RevocationView(
    revocation=Revocation(label=ANN, since_ms=1_700_000_000_000, revoked_at_ms=1_700_000_900_000),
    hidden=ItemCounts(memories=3, skills=1, votes=1 << 33),
    shown=ItemCounts(memories=2),
    is_own=False,
)
REVOKED_OWN = RevocationView(
    revocation=Revocation(label=OWN, since_ms=0, revoked_at_ms=1_700_000_900_000),
    hidden=ItemCounts(votes=2),
    shown=ItemCounts(skills=1, votes=4),
    is_own=True,
)
REVOKED_NOBODY = RevocationView(
    revocation=Revocation(label=NOBODY, since_ms=0, revoked_at_ms=1_700_000_900_000),
    hidden=ItemCounts(),
    shown=ItemCounts(),
    is_own=False,
)
_VIEWS = {ANN: REVOKED, OWN: REVOKED_OWN, NOBODY: REVOKED_NOBODY}


def _revoke(label: str, *, own_too: bool) -> RevocationView:
    if label == OWN and not own_too:
        raise NotAllowed(f"{OWN} is this machine's own identity; if you mean it, add --yes")
    return _VIEWS[label]


@dataclass
class FakeRevocations:
    """Records what it was asked."""

    calls: list[tuple[object, ...]] = field(default_factory=list)

    async def revoke(self, text: str, since_ms: int, *, own_too: bool) -> RevocationView:
        self.calls.append(("revoke", text, since_ms, own_too))
        return _revoke(text, own_too=own_too)

    async def restore(self, text: str) -> RevocationView:
        self.calls.append(("restore", text))
        if text not in _VIEWS:
            raise NotFound(f"{text} is not revoked here")
        return _VIEWS[text]

    async def revoked(self) -> tuple[RevocationView, ...]:
        self.calls.append(("revoked",))
        return (REVOKED_OWN, REVOKED)


class IdentityClient(FakeClient):
    """A client that answers as FakeRevocations would."""

    def __init__(self) -> None:
        super().__init__()
        self.revoked: tuple[RevocationView, ...] = (REVOKED_OWN, REVOKED)

    async def revoke_identity(
        self, label: str, since_ms: int, *, own_too: bool = False
    ) -> RevocationView:
        await self._answer("revoke_identity", label, since_ms, own_too)
        return _revoke(label, own_too=own_too)

    async def restore_identity(self, label: str) -> RevocationView:
        await self._answer("restore_identity", label)
        return _VIEWS[label]

    async def revoked_identities(self) -> tuple[RevocationView, ...]:
        await self._answer("revoked_identities")
        return self.revoked

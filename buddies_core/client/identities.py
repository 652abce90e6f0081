"""The calls about identities: revoking and restoring them."""

from __future__ import annotations

from buddies_core.client.connection import Connection, sendable
from buddies_core.convert.codec import from_proto
from buddies_core.model.revocation import RevocationView
from buddies_core.pb import identity_pb2
from buddies_core.pb.identity_pb2_grpc import IdentitiesStub

COUNT_TIMEOUT_S = 60.0
"""Counting the hidden items reads everything on disk, and may ask gpg first."""


class IdentityCalls:
    """The part of DaemonClient that is about identities."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._identities = IdentitiesStub(connection.channel)

    async def revoke_identity(
        self, label: str, since_ms: int, *, own_too: bool = False
    ) -> RevocationView:
        """Hide this identity's items that came here since then; return what is hidden.

        Raises:
            InvalidInput: the label names no identity, or the time has not come yet.
            NotAllowed: it is this machine's own, and `own_too` is not given.
        """
        with sendable():
            request = identity_pb2.RevokeRequest(label=label, since_ms=since_ms, own_too=own_too)
        return from_proto(
            await self._connection.ask(self._identities.Revoke, request, COUNT_TIMEOUT_S),
            RevocationView,
        )

    async def restore_identity(self, label: str) -> RevocationView:
        """Show the items hidden by this identity's revocation again; return what they are.

        Raises:
            InvalidInput: the label names no identity.
            NotFound: it is not revoked.
        """
        with sendable():
            request = identity_pb2.RestoreRequest(label=label)
        return from_proto(
            await self._connection.ask(self._identities.Restore, request, COUNT_TIMEOUT_S),
            RevocationView,
        )

    async def revoked_identities(self) -> tuple[RevocationView, ...]:
        """Return the revoked identities, each with what it hides."""
        reply = await self._connection.ask(
            self._identities.List, identity_pb2.ListRequest(), COUNT_TIMEOUT_S
        )
        return tuple(from_proto(it, RevocationView) for it in reply.revoked)

"""The Identities service: revoke, restore, list."""

from __future__ import annotations

from typing import Any, Protocol

from grpc.aio import ServicerContext

from buddies_core.convert.codec import to_proto
from buddies_core.model.revocation import RevocationView
from buddies_core.pb import identity_pb2 as pb
from buddies_core.pb.identity_pb2_grpc import IdentitiesServicer


class RevocationsService(Protocol):
    """What this service asks of the revocations; see `trust.revocations.Revocations`."""

    async def revoke(self, text: str, since_ms: int, *, own_too: bool) -> RevocationView:
        """Hide what an identity has said, as far as it came since then."""

    async def restore(self, text: str) -> RevocationView:
        """Show it again."""

    async def revoked(self) -> tuple[RevocationView, ...]:
        """Return the revoked identities."""


class IdentitiesRpc(IdentitiesServicer):
    """The methods of the Identities service."""

    def __init__(self, revocations: RevocationsService) -> None:
        self._revocations = revocations

    async def Revoke(
        self, request: pb.RevokeRequest, context: ServicerContext[Any, Any]
    ) -> pb.RevocationView:
        """Return what is hidden from now on."""
        return to_proto(
            await self._revocations.revoke(
                request.label, request.since_ms, own_too=request.own_too
            ),
            pb.RevocationView,
        )

    async def Restore(
        self, request: pb.RestoreRequest, context: ServicerContext[Any, Any]
    ) -> pb.RevocationView:
        """Return what is shown again."""
        return to_proto(await self._revocations.restore(request.label), pb.RevocationView)

    async def List(
        self, request: pb.ListRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListReply:
        """Return the revoked identities, each with what it hides."""
        return pb.ListReply(
            revoked=(to_proto(it, pb.RevocationView) for it in await self._revocations.revoked())
        )

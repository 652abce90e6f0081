"""The Policies service: whom this machine hears in a room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from grpc.aio import ServicerContext

from buddies_core.convert.codec import to_proto
from buddies_core.model.policy import PolicyReport, PolicyView
from buddies_core.pb import policy_pb2 as pb
from buddies_core.pb.policy_pb2_grpc import PoliciesServicer
from buddies_core.rpc import fitting_rooms
from buddies_core.rpc.names import RoomNames


class PoliciesService(Protocol):
    """What this service asks of the policies; see `rooms.policy_changes.PolicyChanges`."""

    def get(self, room: str) -> PolicyView:
        """Return the policy of a room."""

    async def set(
        self, room: str, identities: Sequence[str], *, require_signed: bool, confirm: bool
    ) -> PolicyReport:
        """Give a room this policy."""

    async def add(self, room: str, identity: str, *, confirm: bool) -> PolicyReport:
        """Put an identity on a room's whitelist."""

    async def remove(self, room: str, identity: str, *, confirm: bool) -> PolicyReport:
        """Take an identity off a room's whitelist."""


class PoliciesRpc(PoliciesServicer):
    """The methods of the Policies service."""

    def __init__(self, policies: PoliciesService, names: RoomNames) -> None:
        self._policies = policies
        self._named = names.named

    async def Get(
        self, request: pb.GetRequest, context: ServicerContext[Any, Any]
    ) -> pb.PolicyView:
        """Return the policy of a room."""
        return to_proto(
            fitting_rooms.policy_view(
                self._policies.get(self._named(request.room)), request.cursor
            ),
            pb.PolicyView,
        )

    async def Set(
        self, request: pb.SetRequest, context: ServicerContext[Any, Any]
    ) -> pb.ChangeReply:
        """Return what the new policy does, once it is on disk and applies."""
        report = await self._policies.set(
            self._named(request.room),
            tuple(request.identities),
            require_signed=request.require_signed,
            confirm=request.confirm,
        )
        return to_proto(fitting_rooms.policy_report(report), pb.ChangeReply)

    async def Add(
        self, request: pb.AddRequest, context: ServicerContext[Any, Any]
    ) -> pb.ChangeReply:
        """Return what the longer whitelist does, once it is on disk and applies."""
        report = await self._policies.add(
            self._named(request.room), request.identity, confirm=request.confirm
        )
        return to_proto(fitting_rooms.policy_report(report), pb.ChangeReply)

    async def Remove(
        self, request: pb.RemoveRequest, context: ServicerContext[Any, Any]
    ) -> pb.ChangeReply:
        """Return what the shorter whitelist does, once it is on disk and applies."""
        report = await self._policies.remove(
            self._named(request.room), request.identity, confirm=request.confirm
        )
        return to_proto(fitting_rooms.policy_report(report), pb.ChangeReply)

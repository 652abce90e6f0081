"""The calls about policies, which decide the identities that this machine hears in a room."""

from __future__ import annotations

from collections.abc import Sequence

from buddies_core.client.as_asked import not_as_asked, not_as_narrow
from buddies_core.client.connection import Connection, sendable
from buddies_core.convert.codec import from_proto
from buddies_core.errors import VersionMismatch
from buddies_core.model.policy import PolicyReport, PolicyView
from buddies_core.pb import policy_pb2
from buddies_core.pb.policy_pb2_grpc import PoliciesStub

CHANGE_TIMEOUT_S = 30.0
"""gpg may be asked for each of many keys."""


class PolicyCalls:
    """The part of DaemonClient that is about policies."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._policies = PoliciesStub(connection.channel)

    async def get_policy(self, room: str, cursor: str = "") -> PolicyView:
        """Return the policy of a room, with as many identities as fit into an answer.

        Raises:
            NotFound: this machine is not in the room.
            InvalidInput: the cursor is not from this whitelist.
        """
        with sendable():
            request = policy_pb2.GetRequest(room=room, cursor=cursor)
        return from_proto(await self._connection.ask(self._policies.Get, request), PolicyView)

    async def set_policy(
        self,
        room: str,
        identities: Sequence[str] = (),
        *,
        require_signed: bool = False,
        confirm: bool = False,
    ) -> PolicyReport:
        """Give a room this policy, in place of the one it had, and return what that does.

        Raises:
            NotFound: this machine is not in the room.
            InvalidInput: an identity is not valid, or there are too many.
            NotAllowed: it locks this machine's own identity out, and `confirm` is not set.
        """
        with sendable():
            request = policy_pb2.SetRequest(
                room=room, identities=identities, require_signed=require_signed, confirm=confirm
            )
        reply = await self._connection.ask(self._policies.Set, request, CHANGE_TIMEOUT_S)
        self._check(reply, identities, require_signed=require_signed)
        return from_proto(reply, PolicyReport)

    async def add_to_policy(
        self, room: str, identity: str, *, confirm: bool = False
    ) -> PolicyReport:
        """Put an identity on a room's whitelist; raises as `set_policy` does."""
        with sendable():
            request = policy_pb2.AddRequest(room=room, identity=identity, confirm=confirm)
        reply = await self._connection.ask(self._policies.Add, request, CHANGE_TIMEOUT_S)
        self._check(reply, [identity])
        return from_proto(reply, PolicyReport)

    async def remove_from_policy(
        self, room: str, identity: str, *, confirm: bool = False
    ) -> PolicyReport:
        """Take an identity off a room's whitelist; raises as `set_policy` does.

        The last one, too, goes only if `confirm` is set: without it the room is open.
        """
        with sendable():
            request = policy_pb2.RemoveRequest(room=room, identity=identity, confirm=confirm)
        reply = await self._connection.ask(self._policies.Remove, request, CHANGE_TIMEOUT_S)
        return from_proto(reply, PolicyReport)

    def _check(
        self,
        reply: policy_pb2.ChangeReply,
        identities: Sequence[str],
        *,
        require_signed: bool = False,
    ) -> None:
        """Return if the policy is as narrow as was asked for."""
        if wrong := not_as_narrow(reply.view, identities, require_signed=require_signed):
            raise VersionMismatch(not_as_asked(self._connection.info, wrong))

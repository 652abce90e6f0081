"""The policies of rooms, whether this node is in them or not. One event loop owns this."""

from collections.abc import Iterable
from typing import Protocol

from buddies_core.errors import StoreError
from buddies_core.model.identity import GpgIdentity, SignerIdentity
from buddies_core.model.ids import RoomId
from buddies_core.model.policy import Policy
from buddies_core.store.policies import PolicyRecord, PolicyStore

_OPEN = Policy()


class StorePort(Protocol):
    """What is kept on disk; see `store.rocks.RocksStore`."""

    @property
    def policies(self) -> PolicyStore:
        """The policies."""


class Policies:
    """The policy of each room on this machine.

    Policies outlive leaving: a room that is joined again has the policy it had before.
    """

    def __init__(self, store: StorePort) -> None:
        self._store = store.policies
        self._policies: dict[RoomId, Policy | None] = _by_room(self._store.all())
        self.revision = 0
        """Changes when a policy changes."""

    def of(self, room_id: RoomId) -> Policy:
        """Return the policy of a room; the default is an open one.

        Raises:
            StoreError: its record is damaged, so no messages are accepted there.
        """
        policy = self._policies.get(room_id, _OPEN)
        if policy is None:
            raise StoreError(
                "the record of this room's policy is damaged, so nobody is heard in it; set the "
                "policy anew (set_identity_policy, or buddies-cli policy set)"
            )
        return policy

    def rooms(self) -> tuple[RoomId, ...]:
        """Return the rooms that were given a policy, including rooms that were left."""
        return tuple(self._policies)

    def allows(self, room_id: RoomId, signer: SignerIdentity | None) -> bool:
        """Return whether the room accepts this signer's endpoints; None means no signer."""
        policy = self._policies.get(room_id, _OPEN)
        return policy is not None and policy.allows(signer)

    def may_allow(self, room_id: RoomId, claimed: SignerIdentity) -> bool:
        """Return whether it can matter in the room if a claimed signer really is the signer.

        A check costs a process for each OpenPGP key, so a stranger's key is not checked.
        """
        policy = self._policies.get(room_id, _OPEN)
        if policy is None or not policy.whitelist or not isinstance(claimed, GpgIdentity):
            return policy is not None
        digits = claimed.key_id.upper().removeprefix("0X")  # It may be only the long id.
        listed = (it.key_id for it in policy.whitelist if isinstance(it, GpgIdentity))
        return any(digits and key_id.endswith(digits) for key_id in listed)

    def is_open(self, room_id: RoomId) -> bool:
        """Return whether messages are accepted in the room whatever their signer."""
        policy = self._policies.get(room_id, _OPEN)
        return policy is not None and policy.is_open

    def names(self, signer: SignerIdentity) -> bool:
        """Return whether any room's whitelist has this signer."""
        return any(policy and signer in policy.whitelist for policy in self._policies.values())

    async def put(self, room_id: RoomId, policy: Policy) -> None:
        """Give a room this policy. On return it is on disk and in force.

        Raises:
            StoreError: the disk refused; the room keeps its policy.
        """
        if policy.is_open:
            await self._store.delete(room_id)
            self._policies.pop(room_id, None)
        else:
            await self._store.put(room_id, policy)
            self._policies[room_id] = policy
        self.revision += 1


def _by_room(records: Iterable[PolicyRecord]) -> dict[RoomId, Policy | None]:
    return {record.room_id: record.policy for record in records}

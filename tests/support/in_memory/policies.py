"""The policies of rooms in a dict. Nothing outlives it."""

from buddies_core.model.ids import RoomId
from buddies_core.model.policy import Policy
from buddies_core.store.policies import PolicyRecord


class InMemoryPolicies:
    """Policies without a disk; see `PolicyStore`."""

    def __init__(self) -> None:
        self._policies: dict[RoomId, Policy] = {}

    async def put(self, room_id: RoomId, policy: Policy) -> None:
        """Remember a room's policy."""
        self._policies[room_id] = policy

    def all(self) -> tuple[PolicyRecord, ...]:
        """Return the policies of all rooms, by room id."""
        return tuple(PolicyRecord(*item) for item in sorted(self._policies.items()))

    async def delete(self, room_id: RoomId) -> None:
        """Forget a room's policy, if it has one."""
        self._policies.pop(room_id, None)

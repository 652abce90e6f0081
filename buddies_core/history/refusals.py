"""Items that are not asked for again for a while. Pure: time comes in with each call.

Two nodes may disagree for ever: one has an item that the other does not let in. Without this record
they would hand it over at each exchange.
"""

from typing import TypeAlias

from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.provenance import Provenance

FOR_S = 3600.0
REFUSED_MAX = 20_000
"""The most refusals kept for all rooms together; some 5 MB."""
REFUSED_PER_NEIGHBOR_MAX = 10_000

_Key: TypeAlias = tuple[RoomName, bytes, EndpointId | None]


class Refusals:
    """The items refused here, and those that certain members do not give or take."""

    def __init__(self) -> None:
        self._until_s: dict[_Key, float] = {}
        self._by_neighbor: Provenance[_Key] = Provenance(REFUSED_MAX, REFUSED_PER_NEIGHBOR_MAX)

    def add(
        self,
        room: RoomName,
        id: bytes,
        now_s: float,
        *,
        brought_by: EndpointId,
        only_of: EndpointId | None = None,
    ) -> None:
        """Do not request an item for an hour; with `only_of`, only from that member."""
        key = (room, id, only_of)
        for gone in self._by_neighbor.admit(key, 0, brought_by):
            self._until_s.pop(gone, None)
        if key in self._by_neighbor:
            self._until_s[key] = now_s + FOR_S

    def has(self, room: RoomName, id: bytes, peer: EndpointId, now_s: float) -> bool:
        """Return whether the item must not be requested from, or given to, this member now."""
        return self._holds((room, id, None), now_s) or self._holds((room, id, peer), now_s)

    def clear(self) -> None:
        """Forget all refusals: the rules that decide about items have changed."""
        self._until_s.clear()
        self._by_neighbor = Provenance(REFUSED_MAX, REFUSED_PER_NEIGHBOR_MAX)

    def _holds(self, key: _Key, now_s: float) -> bool:
        until_s = self._until_s.get(key)
        if until_s is None:
            return False
        if until_s > now_s:
            return True
        del self._until_s[key]
        self._by_neighbor.forget(key)
        return False

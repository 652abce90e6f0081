"""How many members have a memory, as far as this node knows: by comparing histories with them.

Nobody acknowledges a broadcast. But after a complete comparison, a member has all that this node
had before it, except the items that it was found to lack. The count never claims more than is
known: a member with which this node has not compared since the memory was stored does not count.
"""

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256

from buddies_core.clock import Clock
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.memory import Memory

COMPARED_MAX = 256
"""The most latest comparisons remembered, one for each room and member."""
BEING_STORED_MS = 10_000
"""A memory that came this shortly before a comparison may not have been on disk at its start."""
CLOCK_SET_BACK_MS = 1000


@dataclass(frozen=True, slots=True)
class Moment:
    """When a comparison began."""

    at_ms: int
    ahead_ms: float
    """How far the wall clock is ahead of the monotonic one."""


class Receipts:
    """The memories that members are known to have. One event loop owns this; none is on disk."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._compared: OrderedDict[tuple[RoomName, EndpointId], tuple[Moment, frozenset[bytes]]]
        self._compared = OrderedDict()

    def now(self) -> Moment:
        """Return the moment at which a comparison begins."""
        at_ms = self._clock.wall_ms()
        return Moment(at_ms, at_ms - self._clock.now_s() * 1000)

    def compared(
        self, room: RoomName, peer: EndpointId, began: Moment, lacking: frozenset[bytes]
    ) -> None:
        """Note that a member has all items that were here then, except those with these proofs."""
        self._compared.pop((room, peer), None)
        self._compared[room, peer] = began, lacking
        if len(self._compared) > COMPARED_MAX:
            self._compared.popitem(last=False)

    def compared_at_ms(self, room: RoomName, peer: EndpointId) -> int | None:
        """Return when this node last had all that a member had of a room; None if that is unknown.

        In ms of the wall clock, as it is set now.
        """
        began, _ = self._compared.get((room, peer), (None, None))
        return None if began is None else began.at_ms

    def held_by(self, memory: Memory) -> int:
        """Return how many other members are known to have a memory of this machine."""
        id, ahead_ms = sha256(memory.proof).digest(), self.now().ahead_ms
        return sum(
            room == memory.entry.room
            and memory.received_at_ms < began.at_ms - BEING_STORED_MS
            # Otherwise it is not known which of the two came first.
            and ahead_ms > began.ahead_ms - CLOCK_SET_BACK_MS
            and id not in lacking
            for (room, _), (began, lacking) in self._compared.items()
        )

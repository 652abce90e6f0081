"""Which known members to dial, so that a room becomes one swarm again. Pure.

HyParView repairs crashes, but it cannot reunite two halves once neither has the other in a view,
nor help a node that has lost all its contacts. But a room knows the names and addresses of its
members: it dials those that it does not hear, each with its own growing pause.

Anyone can make up members, so those of the highest standing come first. One more is picked at
random each time, so that no absent member is left out for ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from buddies_core.model.ids import EndpointId

FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 60.0
"""This also limits how long two halves need to find each other after the network has recovered."""
DIALS_WHEN_ALONE = 3
DIALS_WHEN_CONNECTED = 1
"""Simultaneous dials, besides the random one. A lost member is often just off; other members may be
dialling it too."""


@dataclass(slots=True)
class _Pause:
    length_s: float
    until_s: float


class Reunion:
    """Remembers for one room when each absent member was last tried."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._pauses: dict[EndpointId, _Pause] = {}

    def who_to_dial(
        self, absent: Mapping[EndpointId, int], *, alone: bool, now_s: float
    ) -> tuple[EndpointId, ...]:
        """Return the members to dial now, the most trusted first, and count each as tried.

        Args:
            absent: the standing of each known member that is not heard in the room.
            alone: whether this node has no neighbor in it.
            now_s: monotonic seconds.
        """
        self._pauses = {peer: self._pauses[peer] for peer in absent if peer in self._pauses}
        due = [
            peer
            for peer in absent
            if peer not in self._pauses or self._pauses[peer].until_s <= now_s
        ]
        self._rng.shuffle(due)
        due.sort(key=lambda peer: -absent[peer])
        count = DIALS_WHEN_ALONE if alone else DIALS_WHEN_CONNECTED
        chosen = due[:count]
        if due[count:]:
            chosen.append(self._rng.choice(due[count:]))
        for peer in chosen:
            before = self._pauses.get(peer)
            length_s = min(before.length_s * 2, LONGEST_PAUSE_S) if before else FIRST_PAUSE_S
            # Jitter: after a power cut, members should not all dial at once.
            until_s = now_s + length_s * self._rng.uniform(0.75, 1.25)
            self._pauses[peer] = _Pause(length_s, until_s)
        return tuple(chosen)

    def reset(self) -> None:
        """Try everybody again at once; for when the network has come back."""
        self._pauses.clear()

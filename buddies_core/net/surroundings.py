"""Notices that the ways out of this machine have changed: another network, a relay that is back.

What could not be reached before may be reached now, so nothing that waits for its turn to try again
should go on waiting. iroh's own way of watching the network is a busy loop, so we look.
"""

from buddies_core.clock import Clock
from buddies_core.model.address import AddressInfo
from buddies_core.net.endpoint import Endpoint

ASLEEP_AFTER_S = 8.0
"""Two looks are a second apart; what lies between them when they are further apart is sleep. The
monotonic clock of Linux stands still in it, the wall clock does not."""


class Surroundings:
    """What was seen at the last look."""

    def __init__(self, endpoint: Endpoint, clock: Clock) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self.info: AddressInfo = endpoint.address().info
        self._relays = endpoint.relays_connected()
        self._looked_s = clock.now_s()
        self._looked_ms = clock.wall_ms()

    def have_changed(self) -> bool:
        """Look, and return whether there are other ways out than at the last look."""
        info, relays = self._endpoint.address().info, self._endpoint.relays_connected()
        now_s, wall_ms = self._clock.now_s(), self._clock.wall_ms()
        passed_s = max(now_s - self._looked_s, (wall_ms - self._looked_ms) / 1000)
        changed = (
            info != self.info or (relays > 0 and self._relays <= 0) or passed_s > ASLEEP_AFTER_S
        )
        self.info, self._relays = info, relays
        self._looked_s, self._looked_ms = now_s, wall_ms
        return changed

"""Whether this machine's clock agrees with those of the peers that it hears directly.

Each message has its sender's time in its trailer. A presence that its sender delivers itself is
new, so its time tells how far the sender's clock is ahead. A slow delivery makes that less, never
more: the maximum of the last minutes counts, and among several peers the median.
"""

from statistics import median_low

from buddies_core.clock import Clock
from buddies_core.model.ids import EndpointId

REMEMBERED_S = 600.0
PEERS_MAX = 64
AHEAD_MS_MAX = 60_000
"""Lists and searches by time ignore a difference of a minute."""


class PeerClocks:
    """How far the clocks of neighbors are ahead of ours."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead: dict[EndpointId, tuple[float, int]] = {}

    def heard(self, sender: EndpointId, sent_at_ms: int) -> None:
        """Record a presence that its sender delivered to us itself."""
        now_s, ahead_ms = self._clock.now_s(), sent_at_ms - self._clock.wall_ms()
        known = self._ahead.get(sender)
        if known is None or ahead_ms >= known[1] or now_s - known[0] > REMEMBERED_S:
            self._ahead.pop(sender, None)
            self._ahead[sender] = now_s, ahead_ms
            if len(self._ahead) > PEERS_MAX:
                del self._ahead[next(iter(self._ahead))]

    def behind_ms(self, sender: EndpointId) -> int:
        """Return how far a neighbor's clock is behind ours; 0 if that is little, or not known."""
        at_s, ahead_ms = self._ahead.get(sender, (0.0, 0))
        lately = self._clock.now_s() - at_s <= REMEMBERED_S
        return -ahead_ms if lately and ahead_ms < -AHEAD_MS_MAX else 0

    def warnings(self) -> tuple[str, ...]:
        """Return what to do if the clocks of most recently heard peers differ from ours."""
        now_s = self._clock.now_s()
        found = [ahead for at_s, ahead in self._ahead.values() if now_s - at_s <= REMEMBERED_S]
        ahead_ms = median_low(found) if found else 0
        if abs(ahead_ms) <= AHEAD_MS_MAX:
            return ()
        way = "behind" if ahead_ms > 0 else "ahead of"
        whose = "that of a teammate" if len(found) == 1 else f"those of {len(found)} teammates"
        return (
            f"this machine's clock is {abs(ahead_ms) // 60_000} min {way} {whose}. Set it, or have "
            "them set theirs: times and the order of lists come from clocks",
        )

"""Whether another machine uses this node's key, for example after a copy of the data directory.

Each message has a time in its signed trailer, and this node uses no time twice. A message that has
our signature, and a time after our start that we did not use, was signed on another machine.

A replay raises no warning: the times of this run are remembered, and all earlier messages are older
than the start, even those that a restored backup lacks. Nobody without the key can raise a warning.
A twin that is silent, or whose clock is behind our start, is not found.
"""

import logging

from buddies_core.clock import Clock
from buddies_core.model.ids import EndpointId

TIMES_MAX = 8192
"""Times remembered; a message from before the oldest of them is not judged."""
WARNS_FOR_S = 600.0
"""A node speaks at least every 30 s, so the warning ends soon after the twin does."""
AHEAD_MS_MAX = 24 * 3600 * 1000
"""How far a twin's clock may be ahead of ours for us to follow it."""

log = logging.getLogger(__name__)


class Twin:
    """Tells our own messages from those that another machine has signed with our key."""

    def __init__(self, me: EndpointId, last_sent_at_ms: int, clock: Clock) -> None:
        """Begin a run that follows one whose last message had this time."""
        self._me = me
        self._clock = clock
        self._since_ms = max(last_sent_at_ms, clock.wall_ms())
        self._times: dict[int, None] = {}
        self._heard_s: float | None = None
        self.latest_ms = 0
        """The latest time that a twin has used. Peers drop older messages, so we go on from there:
        otherwise a twin whose clock is ahead of ours would never hear of us."""

    def said(self, sent_at_ms: int) -> None:
        """Record a message of ours; each has a later time than the one before."""
        self._times[sent_at_ms] = None
        if len(self._times) > TIMES_MAX:
            oldest = next(iter(self._times))
            del self._times[oldest]
            self._since_ms = max(self._since_ms, oldest)

    def heard(self, sender: EndpointId, sent_at_ms: int) -> None:
        """Record a message whose signature by its sender was verified."""
        if sender != self._me or sent_at_ms <= self._since_ms or sent_at_ms in self._times:
            return
        if self._heard_s is None:
            log.warning("own_key_elsewhere: another machine speaks with this node's key")
        self._heard_s = self._clock.now_s()
        if sent_at_ms <= self._clock.wall_ms() + AHEAD_MS_MAX:
            self.latest_ms = max(self.latest_ms, sent_at_ms)

    def warnings(self) -> tuple[str, ...]:
        """Return what to do, if a twin was heard lately."""
        if self._heard_s is None:
            return ()
        ago_s = self._clock.now_s() - self._heard_s
        if ago_s > WARNS_FOR_S:
            return ()
        return (
            f"another machine uses this machine's key; it spoke {ago_s:.0f} s ago. Was the data "
            "directory copied? To the others both are one peer, so messages and tasks get lost. "
            "Stop buddies on one of the two. To make it a peer of its own, move the file node_key "
            "out of its data directory and start it again; private rooms then need a new invite",
        )

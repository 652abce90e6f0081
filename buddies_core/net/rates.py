"""How often each peer may do something. Pure: time comes in with each call."""

from buddies_core.model.ids import EndpointId

PEERS_MAX = 4096
"""Beyond it the peer that was quiet for longest is forgotten, and may begin with a burst again."""


class PeerRates:
    """A token bucket for each peer: a burst after a pause, then so many a second."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s = per_s
        self._burst = burst
        # Tokens that were left, and when; who took one last is last.
        self._left: dict[EndpointId, tuple[float, float]] = {}

    def take(self, peer: EndpointId, now_s: float) -> bool:
        """Take one of the peer's tokens; return False if there is none."""
        if self.is_used_up(peer, now_s):
            return False
        self.reserve(peer, now_s)
        return True

    def is_used_up(self, peer: EndpointId, now_s: float) -> bool:
        """Whether the peer has no token left."""
        return self._tokens(peer, now_s) < 1

    def reserve(self, peer: EndpointId, now_s: float) -> float:
        """Take the peer's next token, and return how long it takes until that is there."""
        tokens = self._tokens(peer, now_s) - 1
        self._left.pop(peer, None)
        self._left[peer] = (tokens, now_s)
        if len(self._left) > PEERS_MAX:
            del self._left[next(iter(self._left))]
        return max(0.0, -tokens / self._per_s)

    def debt_s(self, peer: EndpointId, now_s: float) -> float:
        """Return how long it takes until what the peer has reserved in advance is made up for."""
        return max(0.0, -self._tokens(peer, now_s) / self._per_s)

    def _tokens(self, peer: EndpointId, now_s: float) -> float:
        left, since_s = self._left.get(peer, (self._burst, now_s))
        return min(self._burst, left + (now_s - since_s) * self._per_s)

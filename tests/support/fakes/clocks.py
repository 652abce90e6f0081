"""A clock that stands still until it is told otherwise; reading it takes an instant."""

from dataclasses import dataclass

TICK_S = 1e-6
"""How far a reading moves a test's clock, so that a deadline set now has passed at the next one."""


@dataclass
class ManualClock:
    """Both clocks, set by hand."""

    monotonic_s: float = 0.0
    unix_ms: int = 1_700_000_000_000

    def now_s(self) -> float:
        self.monotonic_s += TICK_S
        return self.monotonic_s

    def wall_ms(self) -> int:
        return self.unix_ms

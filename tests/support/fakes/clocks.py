"""A clock that stands still until it is told otherwise."""

from dataclasses import dataclass


@dataclass
class ManualClock:
    """Both clocks, set by hand."""

    monotonic_s: float = 0.0
    unix_ms: int = 1_700_000_000_000

    def now_s(self) -> float:
        return self.monotonic_s

    def wall_ms(self) -> int:
        return self.unix_ms

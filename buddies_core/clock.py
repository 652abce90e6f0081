"""Time as a value that can be handed in, so that tests decide what time it is."""

import time
from typing import Protocol


class Clock(Protocol):
    """The two clocks there are: one for durations, one for what people read."""

    def now_s(self) -> float:
        """Monotonic seconds; only differences mean anything."""

    def wall_ms(self) -> int:
        """Unix time in milliseconds; may jump."""


class SystemClock:
    """The machine's clocks."""

    def now_s(self) -> float:
        """Monotonic seconds since an arbitrary point."""
        return time.monotonic()

    def wall_ms(self) -> int:
        """Unix time in milliseconds."""
        return time.time_ns() // 1_000_000

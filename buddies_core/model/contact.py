"""What this node's own connections tell of a peer."""

from dataclasses import dataclass
from enum import StrEnum


class Path(StrEnum):
    """The way that packets take to a peer and back."""

    DIRECT = "direct"
    RELAY = "relay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """How lively the connection to a peer is, or was until it was lost. Seconds are monotonic."""

    heard_s: float
    """When the last packet came, of whatever kind."""
    lost_s: float | None = None
    """When the last connection was given up as dead; None while there is one."""
    path: Path | None = None
    round_trip_ms: int | None = None

"""What this node knows of a peer from its own connections."""

from dataclasses import dataclass
from enum import StrEnum


class Path(StrEnum):
    """The way that packets take to a peer and back."""

    DIRECT = "direct"
    RELAY = "relay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """The activity of the connection to a peer, until it was lost. Seconds are monotonic."""

    heard_s: float
    """When the last packet of any kind came."""
    lost_s: float | None = None
    """When the last connection was given up as dead; None while there is one."""
    path: Path | None = None
    round_trip_ms: int | None = None

"""Whether 0.1.4 peers are about, which know of no binding and want each message signed."""

from typing import Protocol

from buddies_core.model.ids import RoomId

WANT_SIGNATURES_MS = 24 * 3600 * 1000
"""After one was last heard in the room."""


class Watermarks(Protocol):
    """Marks that survive a restart and only ever rise."""

    def watermark(self, name: bytes) -> int:
        """Return the mark, 0 if there is none."""

    async def raise_watermark(self, name: bytes, value: int) -> None:
        """Raise the mark to `value`, if it is lower."""


class LegacyPeers:
    """When one of them was last heard in one room."""

    def __init__(self, room_id: RoomId, marks: Watermarks) -> None:
        self._mark = b"legacy" + room_id
        self._marks = marks
        self._heard_at_ms = marks.watermark(self._mark)

    def heard(self, wall_ms: int) -> None:
        """Take note of a message without a trailer."""
        self._heard_at_ms = wall_ms

    def want_signatures(self, wall_ms: int) -> bool:
        """Whether one was heard lately enough."""
        return bool(self._heard_at_ms) and wall_ms - self._heard_at_ms < WANT_SIGNATURES_MS

    async def keep(self) -> None:
        """Have it known after a restart, too."""
        if self._heard_at_ms > self._marks.watermark(self._mark):
            await self._marks.raise_watermark(self._mark, self._heard_at_ms)

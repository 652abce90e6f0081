"""What this node says, signed: a room message with its trailer."""

import secrets
from typing import Protocol

from buddies_core.clock import Clock
from buddies_core.identity.node_key import NodeKey
from buddies_core.model.address import AddressInfo
from buddies_core.model.bodies import Body
from buddies_core.model.ids import TopicId
from buddies_core.model.memory import Whole
from buddies_core.wire.room_messages import RoomMessage, Trailer, encode_room_message, seal

SENT_AT = b"sent_at"
"""The mark on disk below which this node never stamps again, whatever its clock says."""


class Watermarks(Protocol):
    """Marks that survive a restart and only ever rise."""

    def watermark(self, name: bytes) -> int:
        """Return the mark, 0 if there is none."""

    async def raise_watermark(self, name: bytes, value: int) -> None:
        """Raise the mark to `value`, if it is lower."""


class Composer:
    """Signs what this node says, each message stamped later than the one before."""

    def __init__(self, key: NodeKey, marks: Watermarks, clock: Clock) -> None:
        self._key = key
        self._marks = marks
        self._clock = clock
        self._last_sent_at_ms = marks.watermark(SENT_AT)

    async def compose(
        self,
        room_id: TopicId,
        body: Body,
        *,
        agent: str = "",
        user: str = "",
        address: AddressInfo | None = None,
        whole: Whole | None = None,
    ) -> bytes:
        """Return `P2PMessage ‖ trailer`, ready to be broadcast, and to be kept as its own proof."""
        sent_at_ms = max(self._clock.wall_ms(), self._last_sent_at_ms + 1)
        self._last_sent_at_ms = sent_at_ms
        await self._marks.raise_watermark(SENT_AT, sent_at_ms)
        message = RoomMessage(nonce=secrets.token_bytes(16), body=body)
        trailer = Trailer(
            sender=self._key.endpoint,
            sent_at_ms=sent_at_ms,
            agent=agent or None,
            address=address,
            whole=whole,
            user=user or None,
        )
        return seal(encode_room_message(message), trailer, room_id, self._key.sign)

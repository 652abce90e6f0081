"""This node's messages, signed: a room message with its trailer."""

import secrets
from typing import Protocol

from buddies_core.clock import Clock
from buddies_core.gossip.messages import CONTENT_BYTES_MAX
from buddies_core.identity.node_key import NodeKey
from buddies_core.model.address import AddressInfo
from buddies_core.model.bodies import Body, MemoryDeleted, MemorySuperseded, Presence, UnknownBody
from buddies_core.model.ids import EpochId, RoomId
from buddies_core.model.memory import Whole
from buddies_core.trust.twin import Twin
from buddies_core.wire.room_messages import (
    RoomMessage,
    Trailer,
    encode_room_message,
    seal,
)

SENT_AT = b"sent_at"
"""The mark on disk below which this node never stamps again, whatever its clock says."""


class Watermarks(Protocol):
    """Marks that survive a restart and only ever rise."""

    def watermark(self, name: bytes) -> int:
        """Return the mark, 0 if there is none."""

    async def raise_watermark(self, name: bytes, value: int) -> None:
        """Raise the mark to `value`, if it is lower."""


class CosignerPort(Protocol):
    """A person's key that signs single messages where 0.1.4 peers want that.

    See `legacy.signing.MessageSigner`.
    """

    def size(self, room_id: RoomId) -> int:
        """Return how many bytes the signature adds; 0 if messages are not signed there."""

    async def signed(self, message: RoomMessage) -> RoomMessage:
        """Return the message signed, or unchanged if the key fails."""


class Composer:
    """Signs this node's messages, each stamped later than the one before."""

    def __init__(
        self, key: NodeKey, marks: Watermarks, clock: Clock, cosigner: CosignerPort | None = None
    ) -> None:
        self._key = key
        self._marks = marks
        self._clock = clock
        self._cosigner = cosigner
        self._last_sent_at_ms = marks.watermark(SENT_AT)
        self.twin = Twin(key.endpoint, self._last_sent_at_ms, clock)
        """Detects another machine that signs with our key."""

    def sign(self, payload: bytes) -> bytes:
        """Return our endpoint's signature over bytes that are not a message."""
        return self._key.sign(payload)

    def cosigned_bytes(self, room_id: RoomId) -> int:
        """Return how many bytes a person's signature adds to a message; 0 if there is none."""
        return self._cosigner.size(room_id) if self._cosigner else 0

    async def compose(
        self,
        room_id: RoomId,
        body: Body,
        *,
        agent: str = "",
        user: str = "",
        address: AddressInfo | None = None,
        whole: Whole | None = None,
        epoch: EpochId | None = None,
    ) -> bytes:
        """Return `P2PMessage ‖ trailer`, ready to be broadcast, and to be kept as its own proof.

        `epoch` is that of a private room; messages signed with it are invalid in open rooms.
        A person's signature is added where it is wanted, if there is space for it.
        """
        sent_at_ms = max(self._clock.wall_ms(), self._last_sent_at_ms + 1, self.twin.latest_ms + 1)
        self._last_sent_at_ms = sent_at_ms
        self.twin.said(sent_at_ms)
        await self._marks.raise_watermark(SENT_AT, sent_at_ms)
        message = RoomMessage(nonce=secrets.token_bytes(16), body=body)
        trailer = Trailer(
            sender=self._key.endpoint,
            sent_at_ms=sent_at_ms,
            agent=agent or None,
            address=address,
            whole=whole,
            user=user or None,
            epoch=epoch,
        )
        wants_cosigning = self.cosigned_bytes(room_id) and not isinstance(
            body, Presence | MemorySuperseded | MemoryDeleted | UnknownBody
        )
        if self._cosigner and wants_cosigning:
            signed = await self._cosigner.signed(message)
            sealed = seal(encode_room_message(signed), trailer, room_id, self._key.sign)
            if len(sealed) <= CONTENT_BYTES_MAX:
                return sealed
        return seal(encode_room_message(message), trailer, room_id, self._key.sign)

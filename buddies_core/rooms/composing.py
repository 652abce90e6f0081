"""What this node says, signed: a room message with its trailer."""

import logging
import secrets
from dataclasses import dataclass, replace
from typing import Protocol

from buddies_core.clock import Clock
from buddies_core.errors import BuddiesError
from buddies_core.gossip.messages import CONTENT_BYTES_MAX
from buddies_core.identity.node_key import NodeKey
from buddies_core.identity.signers import Signer
from buddies_core.model.address import AddressInfo
from buddies_core.model.bodies import Body, Presence, UnknownBody
from buddies_core.model.ids import RoomId
from buddies_core.model.memory import Whole
from buddies_core.trust.admission import LEGACY_NAMESPACE
from buddies_core.trust.twin import Twin
from buddies_core.wire.room_messages import (
    RoomMessage,
    Trailer,
    encode_room_message,
    legacy_signed_payload,
    seal,
)
from buddies_core.wire.shortening import LegacySignature

log = logging.getLogger(__name__)

SENT_AT = b"sent_at"
"""The mark on disk below which this node never stamps again, whatever its clock says."""


class Watermarks(Protocol):
    """Marks that survive a restart and only ever rise."""

    def watermark(self, name: bytes) -> int:
        """Return the mark, 0 if there is none."""

    async def raise_watermark(self, name: bytes, value: int) -> None:
        """Raise the mark to `value`, if it is lower."""


@dataclass(frozen=True, slots=True)
class MessageSigner:
    """A person's key that signs single messages, as 0.1.4 wants it."""

    signer: Signer
    takes: LegacySignature

    async def signed(self, message: RoomMessage) -> RoomMessage:
        """Return the message signed; as it is, and saying so, where the key fails."""
        try:
            signature = await self.signer.sign(legacy_signed_payload(message), LEGACY_NAMESPACE)
        except BuddiesError as error:
            log.warning("message_not_signed: %s", error)
            return message
        return replace(message, signed_by=self.signer.identity, signature=signature)


class Composer:
    """Signs what this node says, each message stamped later than the one before."""

    def __init__(
        self, key: NodeKey, marks: Watermarks, clock: Clock, person: MessageSigner | None = None
    ) -> None:
        self._key = key
        self._marks = marks
        self._clock = clock
        self._person = person
        self._last_sent_at_ms = marks.watermark(SENT_AT)
        self.twin = Twin(key.endpoint, self._last_sent_at_ms, clock)
        """Hears if somebody else does the same with our key."""

    def sign(self, payload: bytes) -> bytes:
        """Return our endpoint's signature over something that is no message."""
        return self._key.sign(payload)

    @property
    def legacy_signature(self) -> LegacySignature | None:
        """What our signer's signature on a message takes; None if there is no signer."""
        return self._person.takes if self._person else None

    async def compose(
        self,
        room_id: RoomId,
        body: Body,
        *,
        agent: str = "",
        user: str = "",
        address: AddressInfo | None = None,
        whole: Whole | None = None,
        for_legacy: bool = False,
    ) -> bytes:
        """Return `P2PMessage ‖ trailer`, ready to be broadcast, and to be kept as its own proof.

        `for_legacy` adds our signer's signature, if there is a signer and a place for it.
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
        )
        if for_legacy and self._person and not isinstance(body, Presence | UnknownBody):
            signed = await self._person.signed(message)
            sealed = seal(encode_room_message(signed), trailer, room_id, self._key.sign)
            if len(sealed) <= CONTENT_BYTES_MAX:
                return sealed
        return seal(encode_room_message(message), trailer, room_id, self._key.sign)

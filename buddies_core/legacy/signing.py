"""A person's signature on each message, which 0.1.4 peers expect."""

import logging
from dataclasses import dataclass, replace
from typing import Protocol

from buddies_core.errors import BuddiesError
from buddies_core.identity.signers import Signer
from buddies_core.model.ids import RoomId
from buddies_core.trust.admission import LEGACY_NAMESPACE
from buddies_core.wire.room_messages import RoomMessage, legacy_signed_payload
from buddies_core.wire.shortening import LegacySignature

log = logging.getLogger(__name__)


class RoomsPort(Protocol):
    """The rooms that have 0.1.4 peers; see `legacy.members.LegacyMembers`."""

    def want_signatures(self, room_id: RoomId) -> bool:
        """Return whether each message in this room must be signed for 0.1.4 peers."""


@dataclass(frozen=True, slots=True)
class MessageSigner:
    """Signs each message with a person's key, for `rooms.composing`."""

    signer: Signer
    takes: LegacySignature
    rooms: RoomsPort

    def size(self, room_id: RoomId) -> int:
        """Return how many bytes a signature adds to a message; 0 if the room needs none."""
        return self.takes.size if self.rooms.want_signatures(room_id) else 0

    async def signed(self, message: RoomMessage) -> RoomMessage:
        """Return the signed message; if the key fails, log that and return it unsigned."""
        try:
            signature = await self.signer.sign(legacy_signed_payload(message), LEGACY_NAMESPACE)
        except BuddiesError as error:
            log.warning("message_not_signed: %s", error)
            return message
        return replace(message, signed_by=self.signer.identity, signature=signature)

"""A person's signature on single messages, as 0.1.4 peers want it."""

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
    """Where there are 0.1.4 peers; see `legacy.members.LegacyMembers`."""

    def want_signatures(self, room_id: RoomId) -> bool:
        """Return whether messages in this room are to be signed singly."""


@dataclass(frozen=True, slots=True)
class MessageSigner:
    """A person's key that signs single messages; what `rooms.composing` knows of 0.1.4."""

    signer: Signer
    takes: LegacySignature
    rooms: RoomsPort

    def size(self, room_id: RoomId) -> int:
        """Return how many bytes longer a message becomes; 0 where none is to be signed."""
        return self.takes.size if self.rooms.want_signatures(room_id) else 0

    async def signed(self, message: RoomMessage) -> RoomMessage:
        """Return the message signed; as it is, and saying so, where the key fails."""
        try:
            signature = await self.signer.sign(legacy_signed_payload(message), LEGACY_NAMESPACE)
        except BuddiesError as error:
            log.warning("message_not_signed: %s", error)
            return message
        return replace(message, signed_by=self.signer.identity, signature=signature)

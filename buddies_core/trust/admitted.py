"""A believed message, and the error for one that is not believed."""

from dataclasses import dataclass

from buddies_core.errors import WireError
from buddies_core.model.identity import SignerIdentity, Verified
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.wire.room_messages import RoomMessage, Trailer


class Rejected(WireError):
    """A message that is not believed; `reason` is the counter that goes up."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A message that is what it claims to be."""

    room: RoomName
    message: RoomMessage
    trailer: Trailer | None
    verified: Verified
    raw: bytes
    """As received: P2PMessage ‖ trailer."""
    signer: SignerIdentity | None = None
    """The key that signed a 0.1.4 message itself."""
    told_by: EndpointId | None = None
    """The peer that delivered it to this node: a neighbor, or one that was asked for copies."""

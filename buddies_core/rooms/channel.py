"""How what is said in a room travels: in the open, or sealed for its members."""

from typing import Protocol

from buddies_core.gossip.messages import CONTENT_BYTES_MAX
from buddies_core.model.ids import EndpointId, RoomId, TopicId


class Channel(Protocol):
    """The way between `P2PMessage ‖ trailer` and what is broadcast, at this time."""

    @property
    def topic(self) -> TopicId:
        """Where it is broadcast now."""

    @property
    def message_bytes_max(self) -> int:
        """How large a message may be with its trailer, so that one broadcast carries it."""

    def seal(self, message: bytes) -> bytes:
        """Return what is broadcast of a message."""

    def open(self, content: bytes) -> bytes:
        """Return the message in a broadcast; raises WireError if it is none of this room."""

    def prove(self, caller: EndpointId, responder: EndpointId) -> bytes:
        """Return what shows a member that the caller is one; empty where nothing has to."""


class OpenChannel:
    """Of a room whose name is all there is to know."""

    message_bytes_max = CONTENT_BYTES_MAX

    def __init__(self, room_id: RoomId) -> None:
        self.topic = TopicId(room_id)

    def seal(self, message: bytes) -> bytes:
        """Return the message as it is."""
        return message

    def open(self, content: bytes) -> bytes:
        """Return the broadcast as it is."""
        return content

    def prove(self, caller: EndpointId, responder: EndpointId) -> bytes:
        """Return nothing: whoever knows the topic may ask."""
        return b""

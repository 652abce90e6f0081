"""How what is said in a room travels: in the open, or sealed for its members."""

import secrets
from collections.abc import Sequence
from typing import Protocol

from buddies_core.gossip.messages import CONTENT_BYTES_MAX
from buddies_core.model.ids import EndpointId, RoomId, TopicId
from buddies_core.model.private import EPOCHS_KEPT_MAX, Epoch
from buddies_core.wire.private import (
    NONCE_BYTES,
    SEALED_OVERHEAD_BYTES,
    EpochKeys,
    check_proof,
    epoch_keys,
    open_content,
    prove,
    seal_content,
)


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

    def is_proven(
        self, topic: TopicId, caller: EndpointId, responder: EndpointId, proof: bytes
    ) -> bool:
        """Whether who asks by this topic, now or once that of the room, has been let in then."""


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

    def prove(self, _caller: EndpointId, _responder: EndpointId) -> bytes:
        """Return nothing: whoever knows the topic may ask."""
        return b""

    def is_proven(
        self, topic: TopicId, _caller: EndpointId, _responder: EndpointId, _proof: bytes
    ) -> bool:
        """Whether it is the topic."""
        return topic == self.topic


class PrivateChannel:
    """Of a room whose members share a secret, the newest of its epochs' that are known here."""

    message_bytes_max = CONTENT_BYTES_MAX - SEALED_OVERHEAD_BYTES

    def __init__(self, room_id: RoomId, epochs: Sequence[Epoch]) -> None:
        self._room_id = room_id
        self._keys = [epoch_keys(room_id, epoch) for epoch in epochs]

    @property
    def newest(self) -> EpochKeys:
        """What the room uses now."""
        return self._keys[-1]

    @property
    def last_two(self) -> Sequence[EpochKeys]:
        """What it uses now, and what it used until the last rotation that is known here."""
        return self._keys[:-3:-1]

    @property
    def topic(self) -> TopicId:
        """That of the newest epoch."""
        return self.newest.topic

    def go_on(self, epoch: Epoch) -> None:
        """Use this epoch from now on; those before it still tell who once was let in."""
        self._keys.append(epoch_keys(self._room_id, epoch))
        del self._keys[:-EPOCHS_KEPT_MAX]

    def seal(self, message: bytes) -> bytes:
        """Return the message as only members can read it."""
        return seal_content(self.newest, message, secrets.token_bytes(NONCE_BYTES))

    def open(self, content: bytes) -> bytes:
        """Return the message in a broadcast of this epoch; raises WireError for any other."""
        return open_content(self.newest, content)

    def prove(self, caller: EndpointId, responder: EndpointId) -> bytes:
        """Return what only members can make, for this responder alone."""
        return prove(self.newest, caller, responder)

    def is_proven(
        self, topic: TopicId, caller: EndpointId, responder: EndpointId, proof: bytes
    ) -> bool:
        """Whether the caller knows the secret that this topic follows from."""
        return any(
            check_proof(keys, caller, responder, proof)
            for keys in self._keys
            if keys.topic == topic
        )

"""The types of ids and names."""

import hashlib
from typing import NewType
from uuid import UUID

EndpointId = NewType("EndpointId", bytes)
"""32 bytes: a node's Ed25519 public key. Shown as 64 lower-case hex digits."""

TopicId = NewType("TopicId", bytes)
"""32 bytes: a room's identifier in the gossip layer."""

RoomId = NewType("RoomId", bytes)
"""32 bytes: a room's identity, independent of its name and topic. An open room's is its topic."""

EpochId = NewType("EpochId", bytes)
"""32 bytes: identifies an epoch of a private room. It reveals neither its topic nor its secret."""

MessageId = NewType("MessageId", bytes)
"""32 bytes: BLAKE3 of a broadcast's content."""

RoomName = NewType("RoomName", str)
MemoryId = NewType("MemoryId", UUID)
RequestId = NewType("RequestId", UUID)
TaskId = NewType("TaskId", UUID)


def topic_of(room: RoomName) -> TopicId:
    """Return the topic of an open room, as buddies 0.1.4 derives it: SHA-256 of a prefixed name."""
    return TopicId(hashlib.sha256(b"buddies:room:" + room.encode()).digest())


def open_room_id(room: RoomName) -> RoomId:
    """Return the id of the open room with this name."""
    return RoomId(topic_of(room))


def endpoint_in(text: str) -> EndpointId | None:
    """Return the endpoint with this id in hex; None if the text is not an id."""
    try:
        endpoint = bytes.fromhex(text)
    except ValueError:
        return None
    return EndpointId(endpoint) if len(endpoint) == 32 else None


def short(endpoint: EndpointId) -> str:
    """Return the first ten hex digits, for people and logs."""
    return endpoint.hex()[:10]

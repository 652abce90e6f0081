"""The names of things."""

import hashlib
from typing import NewType
from uuid import UUID

EndpointId = NewType("EndpointId", bytes)
"""32 bytes: a node's Ed25519 public key. Shown as 64 lower-case hex digits."""

TopicId = NewType("TopicId", bytes)
"""32 bytes: what the gossip layer knows of a room."""

RoomId = NewType("RoomId", bytes)
"""32 bytes: what a room is by, whatever its name and its topic. Of an open room it is the topic."""

EpochId = NewType("EpochId", bytes)
"""32 bytes: what an epoch of a private room is by. It tells neither its topic nor its secret."""

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
    """Return what an open room of this name is by."""
    return RoomId(topic_of(room))


def endpoint_in(text: str) -> EndpointId | None:
    """Return the endpoint whose id this is in hex; None if it is not one."""
    try:
        endpoint = bytes.fromhex(text)
    except ValueError:
        return None
    return EndpointId(endpoint) if len(endpoint) == 32 else None


def short(endpoint: EndpointId) -> str:
    """Return the first ten hex digits, for people and logs."""
    return endpoint.hex()[:10]

"""Amendments ↔ protobuf, the payload of variant 14."""

from uuid import UUID

from google.protobuf.message import DecodeError

from buddies_core.errors import WireError
from buddies_core.model.bodies import MemoryDeleted, MemorySuperseded
from buddies_core.model.ids import MemoryId
from buddies_core.model.memory import (
    REASON_BYTES_MAX,
    MemoryKey,
    is_memory_key,
    is_verified_key,
)
from buddies_core.pb import peer_pb2

ITEM_BYTES = 32


def decode_amendment(data: bytes) -> MemoryDeleted | MemorySuperseded | None:
    """Return the amendment in these bytes; None if its kind is unknown here.

    Raises:
        WireError: the bytes are not a valid amendment.
    """
    try:
        amendment = peer_pb2.Amendment.FromString(data)
    except DecodeError as error:
        raise WireError(f"an amendment that is not protobuf: {error}") from error
    match amendment.WhichOneof("change"):
        case "supersede":
            superseded = amendment.supersede
            if len(superseded.new_id) != 16 or not is_memory_key(superseded.key):
                raise WireError("an amendment that names no memory")
            new = MemoryId(UUID(bytes=superseded.new_id))
            return MemorySuperseded(new, MemoryKey(superseded.key))
        case "delete":
            deleted = amendment.delete
            if not is_verified_key(deleted.key):
                raise WireError("a deletion that names no memory with a proven author")
            if len(deleted.item) not in (0, ITEM_BYTES):
                raise WireError(f"a deletion with an item id of {len(deleted.item)} bytes")
            if len(deleted.reason.encode()) > REASON_BYTES_MAX:
                raise WireError("a deletion with a reason that is too long")
            return MemoryDeleted(MemoryKey(deleted.key), deleted.item, deleted.reason)
        case None:
            return None


def encode_amendment(change: MemoryDeleted | MemorySuperseded) -> bytes:
    """Return the bytes that `decode_amendment` reads."""
    match change:
        case MemorySuperseded(new, old):
            superseded = peer_pb2.Supersede(new_id=new.bytes, key=old)
            return peer_pb2.Amendment(supersede=superseded).SerializeToString()
        case MemoryDeleted(key, item, reason):
            deleted = peer_pb2.Delete(key=key, item=item, reason=reason)
            return peer_pb2.Amendment(delete=deleted).SerializeToString()

"""Memories on disk, as versioned protobuf.

Decoding raises ValueError for whatever it can't take; the store adds which record it was.
"""

from collections.abc import Callable
from uuid import UUID

from buddies_core.model.identity import Verified
from buddies_core.model.ids import MemoryId, RoomName, endpoint_in
from buddies_core.model.memory import (
    SNIPPET_CHARS_MAX,
    Memory,
    MemoryEntry,
    MemoryHead,
    MemoryKey,
    MemoryKind,
    Whole,
    author_of_key,
    id_of_key,
    is_verified_key,
    verified_key,
)
from buddies_core.pb import records_pb2 as pb
from buddies_core.store.contents import VERSION_LEAN, beside_proof, held_in, split
from buddies_core.store.records import parse


def encode_memory(memory: Memory, sequence: int) -> bytes:
    """Return the record of a memory that arrived as the `sequence`-th.

    Of a long content it holds the beginning; see `contents`. What its key or its proof holds is not
    in it once more.
    """
    entry = memory.entry
    held, content_size = split(entry.content)
    content, content_at, content_bytes = beside_proof(held, memory.proof)
    is_key_enough = memory.key == _verified_key_of(entry)
    return pb.MemoryRecord(
        version=VERSION_LEAN,
        sequence=sequence,
        id=b"" if is_key_enough else entry.id.bytes,
        author="" if is_key_enough else entry.author,
        created_at_s=entry.created_at_s,
        room=entry.room,
        kind=entry.kind,
        title=entry.title,
        content=content,
        content_size=content_size,
        content_at=content_at,
        content_bytes=content_bytes,
        tags=entry.tags,
        references=[reference.bytes for reference in entry.references],
        author_name=memory.author_name,
        agent=memory.agent,
        verified=memory.verified,
        whole_sha256=memory.whole.sha256 if memory.whole else b"",
        whole_size=memory.whole.size if memory.whole else 0,
        proof=memory.proof,
        received_at_ms=memory.received_at_ms,
        signed_by=memory.signed_by,
    ).SerializeToString()


def decode_memory(
    key: MemoryKey, data: bytes, content: Callable[[str, int], str]
) -> tuple[int, Memory]:
    """Return the sequence and the memory that `encode_memory` wrote.

    Args:
        key: What it is stored under.
        data: The record.
        content: Returns the whole content for what the record holds of it; see `contents.joined`.

    Raises:
        ValueError: these bytes are not such a record.
        StoreError: the disk could not be read.
    """
    record = _memory_record(data)
    memory = Memory(
        key=key,
        entry=_entry(key, record, content(_held(record), record.content_size)),
        author_name=record.author_name,
        agent=record.agent,
        verified=Verified(record.verified),
        whole=_whole(record),
        proof=record.proof,
        received_at_ms=record.received_at_ms,
        signed_by=record.signed_by,
    )
    return record.sequence, memory


def decode_memory_head(key: MemoryKey, data: bytes) -> tuple[int, MemoryHead]:
    """Return the sequence and the head of the memory that `encode_memory` wrote.

    Raises:
        ValueError: these bytes are not such a record.
    """
    record = _memory_record(data)
    held = _held(record)
    head = MemoryHead(
        key=key,
        entry=_entry(key, record, held[:SNIPPET_CHARS_MAX]),
        author_name=record.author_name,
        agent=record.agent,
        verified=Verified(record.verified),
        whole=_whole(record),
        proof=record.proof,
        received_at_ms=record.received_at_ms,
        signed_by=record.signed_by,
        size=record.content_size or len(held.encode()),
    )
    return record.sequence, head


def _memory_record(data: bytes) -> pb.MemoryRecord:
    record = pb.MemoryRecord()
    parse(record, data, VERSION_LEAN)
    return record


def _held(record: pb.MemoryRecord) -> str:
    return held_in(record.content, record.proof, record.content_at, record.content_bytes)


def _entry(key: MemoryKey, record: pb.MemoryRecord, content: str) -> MemoryEntry:
    if not record.id and not is_verified_key(key):
        raise ValueError("its id is not there")
    return MemoryEntry(
        id=MemoryId(UUID(bytes=record.id)) if record.id else id_of_key(key),
        author=record.author or author_of_key(key).hex(),
        created_at_s=record.created_at_s,
        room=RoomName(record.room),
        kind=MemoryKind(record.kind),
        title=record.title,
        content=content,
        tags=tuple(record.tags),
        references=tuple(MemoryId(UUID(bytes=reference)) for reference in record.references),
    )


def _whole(record: pb.MemoryRecord) -> Whole | None:
    return Whole(record.whole_sha256, record.whole_size) if record.whole_sha256 else None


def _verified_key_of(entry: MemoryEntry) -> MemoryKey | None:
    """Return the key that says who wrote an entry and under which id; None if none can."""
    author = endpoint_in(entry.author)
    is_plain = author is not None and author.hex() == entry.author
    return verified_key(author, entry.id) if author is not None and is_plain else None

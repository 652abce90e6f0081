"""Long contents lie apart from their records, so that a list reads no more than it shows.

RocksDB's binding holds the interpreter's lock while it reads, and 1 MiB takes it milliseconds.
"""

from buddies_core.model.memory import SNIPPET_CHARS_MAX
from buddies_core.store import keys
from buddies_core.store.database import Changes, Read

INLINE_BYTES_MAX = 4096
"""A content that fits into a broadcast stays in its record."""

VERSION_APART = 2
"""The version of a record without its content, for version 1 means that it is the whole."""
VERSION_LEAN = 3
"""The version of a record that may lack what stands in its proof, or in its key."""
_WORTH_IT_BYTES = 32
"""A shorter text is not looked for in a proof."""


def split(content: str) -> tuple[str, int]:
    """Return what a record holds of a content, and its size if that is not all; else 0."""
    size = len(content.encode())
    return (content, 0) if size <= INLINE_BYTES_MAX else (content[:SNIPPET_CHARS_MAX], size)


def beside(place: bytes, content: str) -> Changes:
    """Return the changes that keep what a record in this place does not hold of a content."""
    data = content.encode()
    return {keys.content(place): data} if len(data) > INLINE_BYTES_MAX else {}


def beside_proof(held: str, proof: bytes) -> tuple[str, int, int]:
    """Return what a record is to hold of a text; and where its proof holds it, and how much.

    The author's bytes have the content, or its beginning, as UTF-8. Places count from 1.
    """
    data = held.encode()
    at = proof.find(data) if len(data) >= _WORTH_IT_BYTES else -1
    return (held, 0, 0) if at < 0 else ("", at + 1, len(data))


def held_in(held: str, proof: bytes, at: int, size: int) -> str:
    """Return the text of which `beside_proof` was told.

    Raises:
        ValueError: it is not there.
    """
    if not at:
        return held
    data = proof[at - 1 : at - 1 + size]
    if len(data) != size:
        raise ValueError("its proof is cut short")
    return data.decode()


def joined(read: Read, place: bytes, beginning: str, size: int) -> str:
    """Return the content of a record.

    Raises:
        ValueError: a part of it is missing.
        StoreError: the disk could not be read.
    """
    if not size:
        return beginning
    data = read(keys.content(place))
    if data is None or len(data) != size:
        raise ValueError("its content is not there")
    return data.decode()

r"""The vectors on disk: a file that only grows, one record a memory.

    file   := "buddies vectors 1.2\n" · model:32 · record*
    record := length:u32 · crc32(body):u32 · body[length]                        little endian
    body   := sequence:u64 · head_length:u32 · head · scales:f32[n] · rows:i8[n, 384]
    head   := JSON [key in hex, [label, …], created_at_s]

It is derived data, so it isn't synced: what a crash tore off its end is cut and embedded again. A
memory that comes again gets another record; the last one counts.
"""

import contextlib
import errno
import json
import logging
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from buddies_core.errors import StoreError
from buddies_core.finding import chunks
from buddies_core.finding.embedder import DIMENSIONS, Vectors

_log = logging.getLogger(__name__)

_MAGIC = b"buddies vectors 1.%d\n" % chunks.VERSION
_FRAME = struct.Struct("<II")
_BODY = struct.Struct("<QI")
_ROW_BYTES = 4 + DIMENSIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedMemory:
    """What the index keeps of a memory's meaning."""

    sequence: int
    key: bytes
    labels: tuple[str, ...]
    created_at_s: int
    scales: NDArray[np.float32]
    """float32[n]: a vector is its row times its scale."""
    rows: NDArray[np.int8]
    """int8[n, 384], one for each chunk."""


def quantized(vectors: Vectors) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Return the scales and rows that stand for vectors: a quarter of the size, recall .99."""
    scales = np.abs(vectors).max(axis=1, initial=0.0) / np.float32(127)
    rows = np.rint(vectors / np.maximum(scales, np.float32(1e-9))[:, np.newaxis])
    return scales.astype(np.float32), rows.astype(np.int8)


class VectorFile:
    """The records of one model. Not safe for threads; end it with `close`."""

    def __init__(self, path: Path, model_id: bytes) -> None:
        """Open the file, or begin a new one where it is missing or not of this model and version.

        Raises:
            StoreError: it can't be read or written.
        """
        self._path = path
        self._header = _MAGIC + model_id
        with self._refusals_named():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: else a write that the disk refused would be tried again at the next.
            self._file = path.open("r+b" if path.exists() else "w+b", buffering=0)
            found = self._file.read(len(self._header))
        self._end = len(self._header)
        if found != self._header:
            self.clear()

    def records(self) -> Iterator[EmbeddedMemory]:
        """Yield every record in order, and cut off what is damaged with all that follows it.

        To be used up before the first `append`.

        Raises:
            StoreError: the file can't be read or written.
        """
        with self._refusals_named():
            size = os.fstat(self._file.fileno()).st_size
            self._file.seek(self._end)
            while record := self._read(size):
                yield record
            if self._end < size:
                _log.warning("vectors_cut path=%s bytes=%d", self._path, size - self._end)
                self._file.truncate(self._end)

    def append(self, memory: EmbeddedMemory) -> None:
        """Write a record. One that fails half-way does no harm: the next is written over it.

        Raises:
            StoreError: the disk refused.
        """
        head = json.dumps([memory.key.hex(), memory.labels, memory.created_at_s]).encode()
        scales, rows = memory.scales.astype("<f4").tobytes(), memory.rows.tobytes()
        body = _BODY.pack(memory.sequence, len(head)) + head + scales + rows
        self._write(self._end, _FRAME.pack(len(body), zlib.crc32(body)) + body)

    def clear(self) -> None:
        """Forget all records.

        Raises:
            StoreError: the disk refused.
        """
        with self._refusals_named():
            self._file.truncate(0)
        self._write(0, self._header)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read(self, size: int) -> EmbeddedMemory | None:
        """Return the record at the end of what is known; None if none of `size` bytes is there."""
        frame = self._file.read(_FRAME.size)
        if len(frame) < _FRAME.size:
            return None
        length, checksum = _FRAME.unpack(frame)
        start = self._end + _FRAME.size
        # Zeros, which a power cut may leave, have the checksum of an empty body.
        if not _BODY.size <= length <= size - start:
            return None
        body = self._file.read(length)
        if zlib.crc32(body) != checksum:
            return None
        self._end = start + length
        return _decode(body)

    def _write(self, position: int, data: bytes) -> None:
        with self._refusals_named():
            self._file.seek(position)
            if self._file.write(data) != len(data):
                raise OSError(errno.ENOSPC, "no space left")
        self._end = position + len(data)

    @contextlib.contextmanager
    def _refusals_named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"{self._path} can't be read or written ({error}); see that there is space and "
                "that it can be written; no memory is lost"
            ) from error


def _decode(body: bytes) -> EmbeddedMemory:
    """Return the memory that these bytes were made of; their checksum says they are ours."""
    sequence, head_length = _BODY.unpack_from(body)
    arrays = _BODY.size + head_length
    key, labels, created_at_s = json.loads(body[_BODY.size : arrays])
    count = (len(body) - arrays) // _ROW_BYTES
    rows = np.frombuffer(body, np.int8, count * DIMENSIONS, arrays + 4 * count)
    return EmbeddedMemory(
        sequence=sequence,
        key=bytes.fromhex(key),
        labels=tuple(labels),
        created_at_s=created_at_s,
        scales=np.frombuffer(body, "<f4", count, arrays),
        rows=rows.reshape(count, DIMENSIONS),
    )

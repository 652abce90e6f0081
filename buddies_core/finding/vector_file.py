"""The vectors on disk: three files that only grow, read in one pass when they are opened.

Only the vectors of deleted documents are overwritten, with zeros.

    rows := row*   row := vector:i8[dimensions] · scale:f32 · number:u32 · sequence:u64 · check:u64
    documents := document*   document := label:u32[40] · sequence:u64 · created_at_s:u64 ·
         key_hash:u64 · replaces:u32 · passages:u32 · key_bytes:u32 · keys_check:u32 · check:u64
    keys := key*                                                               all little endian

A row is the `number`-th passage of its document. Its vector is `vector · scale`, zeros for a text
that the model can't take. A document's rows and key begin where those of the previous document end.
Documents are in the order of their sequences; `replaces` is the number, counted from 0, of the
earlier document with the same key. A label is the CRC-32 of its text, and zeros fill the rest;
`key_hash` is BLAKE2b of 8 bytes; `keys_check` is the CRC-32 of all keys up to the document's own;
`check` is the sum of the 8-byte words before it, each multiplied by an odd number.

A document counts once it is in `documents`, which is written last. Records torn by a crash are cut
off, and damaged ones are cut off with everything after them. The data is derived, so it isn't
synced, and lost documents are embedded again. The directory's name says what made it, such as the
model.
"""

import contextlib
import errno
import hashlib
import logging
import mmap
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from buddies_core.errors import StoreError
from buddies_core.finding.embedder import Vectors

_log = logging.getLogger(__name__)

LABELS_MAX = 40
"""The most labels kept, more than a memory or a skill has. Filters can't find any further ones."""
NONE = 2**32 - 1
"""Stands for the number of a document where there is none."""
DOCUMENT = np.dtype(
    [
        ("labels", "<u4", LABELS_MAX),
        ("sequence", "<u8"),
        ("created_at_s", "<u8"),
        ("key_hash", "<u8"),
        ("replaces", "<u4"),
        ("passages", "<u4"),
        ("key_bytes", "<u4"),
        ("keys_check", "<u4"),
        ("check", "<u8"),
    ]
)
_AT_ONCE = 4096
"""How many records to read at once; they stay in the processor's cache."""
_FACTORS = np.arange(1, 1024, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) | np.uint64(1)
Records = NDArray[np.void]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedDocument:
    """A document as the vector half keeps it."""

    sequence: int
    key: bytes
    labels: tuple[str, ...]
    created_at_s: int
    vectors: Vectors
    """float32[n, dimensions], a row for each passage; zeros if the model can't take it."""


class VectorFiles:
    """The files in one directory. Not thread-safe; end it with `close`."""

    def __init__(self, directory: Path, row: "np.dtype[Any]") -> None:
        self._directory = directory
        self._row = row
        self._open_files: dict[str, int] = {}
        self._ends = dict.fromkeys(("rows", "documents", "keys"), 0)

    def open(self) -> None:
        """Open the files, creating empty ones where they are missing.

        Raises:
            StoreError: the files can't be read or written.
        """
        self.close()
        with self._refusals_named():
            self._directory.mkdir(parents=True, exist_ok=True)
            for name in self._ends:
                path = self._directory / name
                self._open_files[name] = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def map_rows(self, count: int) -> mmap.mmap:
        """Return the bytes of the first `count` rows, read-only.

        Raises:
            StoreError: the rows can't be mapped.
        """
        with self._refusals_named():
            return mmap.mmap(
                self._open_files["rows"], count * self._row.itemsize, prot=mmap.PROT_READ
            )

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.int8]:
        """Return int8[n, dimensions], the vectors of these rows.

        Raises:
            StoreError: the vectors can't be read.
        """
        file, size = self._open_files["rows"], self._row.itemsize
        width = self._row["vector"].itemsize
        with self._refusals_named():
            data = b"".join([os.pread(file, width, size * row) for row in rows.tolist()])
            if len(data) != len(rows) * width:
                raise OSError(errno.EIO, "the file ends too early")
        return np.frombuffer(data, np.int8).reshape(-1, width)

    def counts(self) -> tuple[int, int]:
        """Return the numbers of documents and rows, assuming that none is damaged."""
        with self._refusals_named():
            documents, rows = (
                os.fstat(self._open_files[name]).st_size // kind.itemsize
                for name, kind in (("documents", DOCUMENT), ("rows", self._row))
            )
        return documents, rows

    def documents(self) -> Iterator[Records]:
        """Yield the documents before the first damaged one, as DOCUMENT[n]."""
        return self._records("documents", DOCUMENT)

    def rows(self) -> Iterator[Records]:
        """Yield the rows before the first damaged one, as `row_of`[n]."""
        return self._records("rows", self._row)

    def cut(self, documents: int, rows: int, key_bytes: int) -> None:
        """Cut the files after this many records and bytes.

        Raises:
            StoreError: the disk refused.
        """
        ends = {
            "documents": documents * DOCUMENT.itemsize,
            "rows": rows * self._row.itemsize,
            "keys": key_bytes,
        }
        with self._refusals_named():
            for name, end in ends.items():
                size = os.fstat(self._open_files[name]).st_size
                if size > end:
                    _log.warning("vectors_cut file=%s bytes=%d", name, size - end)
                    os.truncate(self._open_files[name], end)
        self._ends = ends

    def keys(self, start: int, length: int) -> bytes:
        """Return `length` bytes of the keys from `start` on; fewer at the end of the file.

        Raises:
            StoreError: the keys can't be read.
        """
        with self._refusals_named():
            return os.pread(self._open_files["keys"], length, start)

    def append(self, rows: Records, documents: Records, keys: bytes) -> None:
        """Append records to the files; they count only once all of them are written.

        Raises:
            StoreError: the disk refused; the next records will overwrite these.
        """
        parts = {"rows": rows.tobytes(), "keys": keys, "documents": documents.tobytes()}
        with self._refusals_named():
            for name, data in parts.items():
                if os.pwrite(self._open_files[name], data, self._ends[name]) != len(data):
                    raise OSError(errno.ENOSPC, "no space left")
        for name, data in parts.items():
            self._ends[name] += len(data)

    def blank(self, first: int, count: int, sequence: int) -> None:
        """Overwrite with zeros the vectors of `count` rows, all rows of this sequence's document.

        Raises:
            StoreError: the disk refused.
        """
        rows = np.zeros(count, self._row)
        rows["number"] = np.arange(count)
        rows["sequence"] = sequence
        rows["check"] = check_of(rows)
        data = rows.tobytes()
        with self._refusals_named():
            place = first * self._row.itemsize
            if os.pwrite(self._open_files["rows"], data, place) != len(data):
                raise OSError(errno.ENOSPC, "no space left")
            os.fsync(self._open_files["rows"])

    def close(self) -> None:
        """Close the files."""
        while self._open_files:
            os.close(self._open_files.popitem()[1])

    def _records(self, name: str, kind: "np.dtype[Any]") -> Iterator[Records]:
        place = 0
        with self._refusals_named():
            while True:
                data = os.pread(self._open_files[name], _AT_ONCE * kind.itemsize, place)
                records = np.frombuffer(data, kind, len(data) // kind.itemsize)
                sound = check_of(records) == records["check"]
                count = len(sound) if sound.all() else int(np.argmin(sound))
                yield records[:count]
                place += count * kind.itemsize
                if count < _AT_ONCE:
                    return

    @contextlib.contextmanager
    def _refusals_named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"{self._directory} can't be read or written ({error}); see that there is space "
                "and that it can be written; no memory is lost"
            ) from error


def row_of(dimensions: int) -> "np.dtype[Any]":
    """Return the type of a passage's record on disk, given its vector's dimensions."""
    return np.dtype(
        [
            ("vector", "i1", dimensions),
            ("scale", "<f4"),
            ("number", "<u4"),
            ("sequence", "<u8"),
            ("check", "<u8"),
        ]
    )


def records_of(
    documents: Sequence[EmbeddedDocument],
    row: "np.dtype[Any]",
    replaces: Sequence[int],
    keys_check: int,
) -> tuple[Records, Records]:
    """Return these documents' records on disk: of their rows, and of the documents themselves.

    Args:
        documents: In order.
        row: The type from `row_of`.
        replaces: For each document, the number of the previous one with its key, or NONE.
        keys_check: The `keys_check` of the document before these.
    """
    counts = [len(document.vectors) for document in documents]
    rows = np.zeros(sum(counts), row)
    if len(rows):
        vectors = np.concatenate([document.vectors for document in documents])
        rows["scale"], rows["vector"] = quantized(vectors)
    rows["number"] = np.concatenate([np.arange(count) for count in (*counts, 0)])
    rows["sequence"] = np.repeat([document.sequence for document in documents], counts)
    rows["check"] = check_of(rows)
    made = np.zeros(len(documents), DOCUMENT)
    for record, document, replaced in zip(made, documents, replaces, strict=True):
        labels = [label_id(label) for label in document.labels[:LABELS_MAX]]
        record["labels"][: len(labels)] = labels
        record["sequence"] = document.sequence
        record["created_at_s"] = document.created_at_s
        record["key_hash"] = key_hash(document.key)
        record["replaces"] = replaced
        record["passages"] = len(document.vectors)
        record["key_bytes"] = len(document.key)
        record["keys_check"] = keys_check = zlib.crc32(document.key, keys_check)
    made["check"] = check_of(made)
    return rows, made


def quantized(vectors: Vectors) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Return vectors quantized, as scales and rows: a quarter of the size, recall .99."""
    scales = np.abs(vectors).max(axis=1, initial=0.0) / np.float32(127)
    rows = np.rint(vectors / np.maximum(scales, np.float32(1e-9))[:, np.newaxis])
    return scales.astype(np.float32), rows.astype(np.int8)


def label_id(label: str) -> int:
    """Return the number that stands for a label; a collision is noticed when a hit is read."""
    return zlib.crc32(label.encode()) or 1


def key_hash(key: bytes) -> int:
    """Return the hash that stands for a key."""
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little")


def check_of(records: Records) -> NDArray[np.uint64]:
    """Return the right check for each of these records; for a record of zeros, it is not 0."""
    words = np.ascontiguousarray(records).view("<u8")
    words = words.reshape(len(records), records.dtype.itemsize // 8)[:, :-1]
    sums: NDArray[np.uint64] = np.einsum("ij,j->i", words, _FACTORS[: words.shape[1]])
    return sums ^ np.uint64(0x6275646469657332)

"""The documents and passages that have vectors: on disk, and as columns in memory.

A million passages take 120 MB of memory; their vectors stay on disk. Not thread-safe: a single
thread owns it.
"""

import zlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from buddies_core.finding.embedder import DIMENSIONS
from buddies_core.finding.vector_file import (
    NONE,
    EmbeddedDocument,
    Records,
    VectorFiles,
    key_hash,
    label_id,
    records_of,
    row_of,
)

_LABELS_KEPT_MAX = 32
"""For how many labels to remember which documents have them; 1 MB each for a million documents."""
_MAPPED_MAX = 250_000
"""Up to this many rows are mapped, which takes at most 100 MB. With more, rows are read one by one,
a microsecond each, since each mapped row would bring 64 KB into memory (measured)."""


class _Column:
    """An array that grows at its end."""

    def __init__(self, kind: Any, height: int = 1, *, begin: int | None = None) -> None:
        self._array = np.empty((height, 0), kind)
        self.size = 0
        if begin is not None:
            self.extend([begin])

    @property
    def all(self) -> NDArray[Any]:
        """The contents: [height, size], or [size] if the height is 1."""
        filled = self._array[:, : self.size]
        return filled[0] if len(filled) == 1 else filled

    def reserve(self, size: int) -> None:
        """Make room for `size` entries in all, so that growing doesn't move the array."""
        if size > self._array.shape[1]:
            grown = np.empty((len(self._array), size), self._array.dtype)
            grown[:, : self.size] = self._array[:, : self.size]
            self._array = grown

    def extend(self, values: ArrayLike) -> None:
        more = np.asarray(values).reshape(len(self._array), -1)
        size = self.size + more.shape[1]
        if size > self._array.shape[1]:
            self.reserve(size + size // 8 + 64)
        self._array[:, self.size : size] = more
        self.size = size

    def cut(self, size: int) -> None:
        self.size = min(self.size, size)


class VectorTable:
    """The documents and passages embedded by one model. End it with `close`."""

    opened: bool
    sequence: int
    """The sequence of the latest document in the table; 0 if there is none."""
    refused: int
    """How many documents have a passage that the model can't take."""

    def __init__(self, directory: Path, dimensions: int = DIMENSIONS) -> None:
        """Begin with an empty index; `open` reads the one on disk.

        Args:
            directory: The directory of that index.
            dimensions: How many numbers the model's vectors have, a multiple of 64.
        """
        self.directory = directory
        self._dimensions = dimensions
        self._row = row_of(dimensions)
        self._files = VectorFiles(directory, self._row)
        self._forget()

    def _forget(self) -> None:
        self.opened = False
        self.sequence = self.refused = 0
        # By document. Columns of starts have one more entry, for the end.
        self._sequences = _Column("<u8")
        self._created_at_s = _Column("<u8")
        self._key_hashes = _Column("<u8")
        self._latest = _Column(np.bool_)
        """Whether no later document has the same key."""
        self._keys_checks = _Column("<u4", begin=0)
        """The `keys_check` of the previous document; see `vector_file`."""
        self._key_starts = _Column("<u8", begin=0)
        self._label_starts = _Column("<u4", begin=0)
        self._row_starts = _Column("<u4", begin=0)
        # By row, and by label of each document.
        self._owners = _Column("<u4")
        self._scales = _Column("<f4")
        self._signs = _Column("<u8", self._dimensions // 64)
        self._labels = _Column("<u4")
        self._labelled: OrderedDict[int, NDArray[np.bool_]] = OrderedDict()
        """Which documents have a label, as of the last time it was asked for."""
        self._mapped = np.empty((0, self._dimensions), np.int8)
        """A view of the mapped part of the file."""

    def open(self) -> None:
        """Read the files on disk; cut them at the first damaged record.

        Raises:
            StoreError: the files can't be read or written.
        """
        self._forget()
        self._files.open()
        self._reserve(*self._files.counts())
        with_keys = 0
        for documents in self._files.documents():
            if with_keys == self._sequences.size:
                with_keys += self._with_keys(documents)
            self._take_documents(documents)
        for rows in self._files.rows():
            begin = self._scales.size
            owners = self._owners.all[begin : begin + len(rows)]
            own = rows["sequence"][: len(owners)] == self._sequences.all[owners]
            count = len(own) if own.all() else int(np.argmin(own))
            self._take_rows(rows[:count])
            if count < len(rows):
                break
        with_rows = np.searchsorted(self._row_starts.all, self._scales.size, side="right") - 1
        self._keep_first(min(with_keys, int(with_rows)))
        self.opened = True

    def _reserve(self, documents: int, rows: int) -> None:
        for column in (self._sequences, self._created_at_s, self._key_hashes, self._latest):
            column.reserve(documents)
        for column in (self._row_starts, self._label_starts, self._key_starts, self._keys_checks):
            column.reserve(documents + 1)
        for column in (self._owners, self._scales, self._signs):
            column.reserve(rows)

    def _with_keys(self, documents: Records) -> int:
        """Return how many of these documents, which are the next, have their keys on disk."""
        lengths = documents["key_bytes"].tolist()
        data = self._files.keys(int(self._key_starts.all[-1]), sum(lengths))
        if (
            documents.size
            and zlib.crc32(data, int(self._keys_checks.all[-1])) == documents["keys_check"][-1]
        ):
            return len(documents)
        check, place = int(self._keys_checks.all[-1]), 0
        for number, (length, wanted) in enumerate(
            zip(lengths, documents["keys_check"].tolist(), strict=True)
        ):
            check = zlib.crc32(data[place : place + length], check)
            place += length
            if check != wanted:
                return number
        return len(documents)

    def _keep_first(self, count: int) -> None:
        """Keep the first `count` documents, on disk and in memory."""
        rows, labels, key_bytes = (
            int(starts.all[count])
            for starts in (self._row_starts, self._label_starts, self._key_starts)
        )
        self._files.cut(count, rows, key_bytes)
        for column in (self._sequences, self._created_at_s, self._key_hashes, self._latest):
            column.cut(count)
        for column in (self._row_starts, self._label_starts, self._key_starts, self._keys_checks):
            column.cut(count + 1)
        for column in (self._owners, self._scales, self._signs):
            column.cut(rows)
        self._labels.cut(labels)
        self._labelled.clear()
        self._look()

    def _look(self) -> None:
        """Update the attributes that other threads read."""
        self.sequence = int(self._sequences.all[-1]) if self._sequences.size else 0
        refused = np.unique(self._owners.all[self._scales.all == 0])
        self.refused = int(self._latest.all[refused].sum())

    def add(self, documents: Sequence[EmbeddedDocument]) -> None:
        """Add documents, each replacing the one with its key; searches find them at once.

        Args:
            documents: In the order of their sequences, which are higher than any in the table.

        Raises:
            StoreError: the documents could not be written, and none of them was added.
        """
        rows, records = records_of(
            documents, self._row, self._earlier(documents), int(self._keys_checks.all[-1])
        )
        self._files.append(rows, records, b"".join(document.key for document in documents))
        self._take_rows(rows)
        self._take_documents(records)
        self._look()

    def erase(self, sequence: int, key: bytes) -> None:
        """Erase all vectors of the document with this key, if it is here.

        Args:
            sequence: The sequence of the erasure, higher than any in the table.
            key: The document's key.

        Raises:
            StoreError: the disk refused; call this again.
        """
        alike = np.flatnonzero(self._key_hashes.all == np.uint64(key_hash(key))).tolist()
        numbers = [number for number in alike if self._key(number) == key]
        for number in numbers:
            first, end = self._row_starts.all[number : number + 2].tolist()
            self._files.blank(first, end - first, int(self._sequences.all[number]))
            self._scales.all[first:end] = 0
            self._signs.all[..., first:end] = 0
        if numbers:  # An empty document becomes the latest with this key.
            nothing = np.empty((0, self._dimensions), np.float32)
            end_of_it = EmbeddedDocument(
                sequence=sequence, key=key, labels=(), created_at_s=0, vectors=nothing
            )
            self.add([end_of_it])

    def _earlier(self, documents: Sequence[EmbeddedDocument]) -> list[int]:
        """Return, for each document, the number of the previous one with its key, or NONE."""
        hashes = [key_hash(document.key) for document in documents]
        known = self._key_hashes.all
        same = np.flatnonzero(np.isin(known, np.array(hashes, np.uint64)))
        numbers = dict(zip(known[same].tolist(), same.tolist(), strict=True))
        earlier = []
        for number, hash in enumerate(hashes, start=len(known)):
            earlier.append(numbers.get(hash, NONE))
            numbers[hash] = number
        return earlier

    def _take_rows(self, rows: Records) -> None:
        self._scales.extend(rows["scale"])
        self._signs.extend(signs_of(rows["vector"]).T)

    def _take_documents(self, documents: Records) -> None:
        first = self._sequences.size
        self._sequences.extend(documents["sequence"])
        self._created_at_s.extend(documents["created_at_s"])
        self._key_hashes.extend(documents["key_hash"])
        self._keys_checks.extend(documents["keys_check"])
        self._latest.extend(np.ones(len(documents), np.bool_))
        replaced = documents["replaces"][documents["replaces"] < self._latest.size]
        self._latest.all[replaced] = False
        has = documents["labels"] != 0
        self._labels.extend(documents["labels"][has])
        for starts, lengths in (
            (self._key_starts, documents["key_bytes"]),
            (self._label_starts, has.sum(axis=1)),
            (self._row_starts, documents["passages"]),
        ):
            starts.extend(starts.all[-1] + np.cumsum(lengths, dtype=np.uint64))
        numbers = np.arange(first, self._sequences.size, dtype=np.uint32)
        self._owners.extend(np.repeat(numbers, documents["passages"]))

    def cut_after(self, sequence: int) -> None:
        """Remove the documents with later sequences.

        Raises:
            StoreError: the disk refused.
        """
        self._keep_first(int(np.searchsorted(self._sequences.all, sequence, side="right")))

    def reset(self) -> None:
        """Remove all documents.

        Raises:
            StoreError: the disk refused.
        """
        self._keep_first(0)

    def close(self) -> None:
        """Close the files."""
        self._forget()
        self._files.close()

    def latest(self, count: int) -> list[tuple[int, bytes]]:
        """Return the last documents added, with their sequences.

        Raises:
            StoreError: a key can't be read.
        """
        numbers = range(max(0, self._sequences.size - count), self._sequences.size)
        return [(int(self._sequences.all[number]), self._key(number)) for number in numbers]

    def _vectors_of(self, rows: NDArray[np.int64]) -> NDArray[np.int8]:
        """Return int8[n, dimensions], the vectors of these rows as they are on disk."""
        count = self._scales.size
        if count > _MAPPED_MAX:
            return self._files.vectors(rows)
        if len(self._mapped) < count:
            data = self._files.map_rows(count)
            shape, strides = (count, self._dimensions), (self._row.itemsize, 1)
            self._mapped = np.ndarray(shape, np.int8, data, strides=strides)
        return self._mapped[rows]

    def _has(self, label: str) -> NDArray[np.bool_]:
        """Return which documents have this label."""
        id = label_id(label)
        has = self._labelled.pop(id, np.empty(0, np.bool_))
        if len(has) < self._sequences.size:
            starts = self._label_starts.all
            begin = int(starts[len(has)])
            places = begin + np.flatnonzero(self._labels.all[begin:] == id)
            has = np.concatenate([has, np.zeros(self._sequences.size - len(has), np.bool_)])
            has[np.searchsorted(starts, places, side="right") - 1] = True
        self._labelled[id] = has
        if len(self._labelled) > _LABELS_KEPT_MAX:
            self._labelled.popitem(last=False)
        return has

    def _key(self, number: int) -> bytes:
        start, end = self._key_starts.all[number : number + 2].tolist()
        return self._files.keys(start, end - start)


def signs_of(vectors: NDArray[Any]) -> NDArray[np.uint64]:
    """Return u64[n, dimensions / 64], a bit for each number that is above 0."""
    return np.packbits(vectors > 0, axis=1).view("<u8")

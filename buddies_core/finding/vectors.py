"""The half of the index that finds memories by their meaning: all vectors, in memory.

A search compares the query with every vector of the memories that pass its filter: exact, never out
of date, and at 100,000 vectors some 15 ms (measured). A graph would be faster far beyond that, and
would find less behind a filter. Not safe for threads: one of them owns it.
"""

from array import array
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from buddies_core.finding.document import Scope
from buddies_core.finding.embedder import DIMENSIONS, Vectors
from buddies_core.finding.vector_file import EmbeddedMemory, VectorFile

COSINE_MIN = 0.1
"""What is less alike is left out: of 40 notes a question about something else then finds one or
two, without it fifteen, and no right answer among the first ten is lost (measured, tests/bench)."""

_ROWS_AT_ONCE = 4096
"""Rows are made floats in blocks that stay in the processor's cache."""

_NUMBER_BITS = 16


def passage_id(sequence: int, number: int) -> int:
    """Return the u64 that names a passage in both halves of the index.

    Args:
        sequence: The sequence of the arrival it belongs to, below 2**48.
        number: Its place among the chunks of that text, below 2**16.
    """
    return sequence << _NUMBER_BITS | number


def sequence_of(passage: int) -> int:
    """Return the sequence that `passage_id` was given."""
    return passage >> _NUMBER_BITS


def number_of(passage: int) -> int:
    """Return the number that `passage_id` was given."""
    return passage & ((1 << _NUMBER_BITS) - 1)


class NearPassage(NamedTuple):
    """The passage of a memory that is most like a query."""

    key: bytes
    passage: int
    """See `passage_id`."""
    cosine: float


class VectorIndex:
    """Memories by their meaning, as one model sees it. End it with `close`."""

    sequence: int
    """Of the latest memory in it; 0 if there is none."""

    def __init__(self, path: Path, model_id: bytes) -> None:
        """Read the file, or begin a new one where there is none of this model.

        Raises:
            StoreError: it can't be read or written.
        """
        self._file = VectorFile(path, model_id)
        self._forget()
        for memory in self._file.records():
            self._take(memory)

    def _forget(self) -> None:
        self.sequence = 0
        self._keys: list[bytes] = []
        """By the number of a record, as the two that follow."""
        self._replaced = bytearray()
        """1 where the key has a later record."""
        self._created_at_s = array("Q")
        self._labelled: dict[str, array[int]] = {}
        """By label the numbers of the records that have it."""
        self._sequences = array("Q")
        self._firsts = array("Q", [0])
        """By the number of a record its first row; one more at the end."""
        self._numbers: dict[bytes, int] = {}
        """By key the number of its latest record."""
        self._count = 0  # Rows in use; their arrays are longer.
        self._rows = np.empty((1024, DIMENSIONS), np.int8)
        self._scales = np.empty(1024, np.float32)
        self._owners = np.empty(1024, np.int32)
        """By row the number of its record."""

    def add(self, memory: EmbeddedMemory) -> None:
        """Take a memory's vectors, in place of those of the same key; they are found at once.

        Raises:
            StoreError: they could not be written, and are not taken.
        """
        self._file.append(memory)
        self._take(memory)

    def reset(self) -> None:
        """Begin with an empty index.

        Raises:
            StoreError: the disk refused.
        """
        self._file.clear()
        self._forget()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _take(self, memory: EmbeddedMemory) -> None:
        number = len(self._keys)
        earlier = self._numbers.get(memory.key)
        if earlier is not None:
            self._replaced[earlier] = 1
        self._numbers[memory.key] = number
        self._keys.append(memory.key)
        self._replaced.append(0)
        self._created_at_s.append(memory.created_at_s)
        for label in memory.labels:
            self._labelled.setdefault(label, array("i")).append(number)
        start, self._count = self._count, self._count + len(memory.rows)
        self._grow()
        self._rows[start : self._count] = memory.rows
        self._scales[start : self._count] = memory.scales
        self._owners[start : self._count] = number
        self._sequences.append(memory.sequence)
        self._firsts.append(self._count)
        self.sequence = memory.sequence

    def _grow(self) -> None:
        if self._count > len(self._rows):
            length = max(self._count, 2 * len(self._rows))
            self._rows = np.resize(self._rows, (length, DIMENSIONS))
            self._scales = np.resize(self._scales, length)
            self._owners = np.resize(self._owners, length)

    def search(self, query: Vectors, scope: Scope, limit: int) -> list[NearPassage]:
        """Return the memories most like the query, best first, each by its best passage.

        Args:
            query: float32[384] of norm 1.
            scope: What to look at.
            limit: How many to return at most.
        """
        rows = np.flatnonzero(self._passing(scope)[self._owners[: self._count]])
        cosines = self._cosines(query, rows)
        alike = np.flatnonzero(cosines >= COSINE_MIN)
        order = alike[np.argsort(-cosines[alike], kind="stable")]
        found: dict[int, NearPassage] = {}
        for row, cosine in zip(rows[order].tolist(), cosines[order].tolist(), strict=True):
            number = int(self._owners[row])
            if number not in found:
                if len(found) == limit:
                    break
                passage = passage_id(self._sequences[number], row - self._firsts[number])
                found[number] = NearPassage(self._keys[number], passage, cosine)
        return list(found.values())

    def cosines(self, query: Vectors, passages: NDArray[np.uint64]) -> Vectors:
        """Return float32[n], how like the query each of these passages is.

        One that is not embedded, or not yet, has 0.

        Args:
            query: float32[384] of norm 1.
            passages: As `passage_id` makes them, in any order.
        """
        sequences = np.frombuffer(self._sequences, np.uint64)
        firsts = np.frombuffer(self._firsts, np.uint64)
        numbers = np.searchsorted(sequences, passages >> np.uint64(_NUMBER_BITS))
        rows = firsts[numbers] + (passages & np.uint64((1 << _NUMBER_BITS) - 1))
        known = np.flatnonzero(numbers < len(sequences))
        same = sequences[numbers[known]] == passages[known] >> np.uint64(_NUMBER_BITS)
        known = known[same & (rows[known] < firsts[numbers[known] + 1])]
        cosines = np.zeros(len(passages), np.float32)
        cosines[known] = self._cosines(query, rows[known].astype(np.int64))
        return cosines

    def _cosines(self, query: Vectors, rows: NDArray[np.int64]) -> Vectors:
        cosines = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            cosines[start : start + len(some)] = self._rows[some].astype(np.float32) @ query
        cosines *= self._scales[rows]
        return cosines

    def _passing(self, scope: Scope) -> NDArray[np.bool_]:
        """Return which records pass the scope and are the latest of their key."""
        passing: NDArray[np.bool_] = np.frombuffer(self._replaced, np.uint8) == 0
        for group in scope.groups:
            has_one = np.zeros(len(self._keys), np.bool_)
            for label in group:
                has_one[np.frombuffer(self._labelled.get(label, array("i")), np.int32)] = True
            passing &= has_one
        if scope.created_from_s is not None:
            passing &= np.frombuffer(self._created_at_s, np.uint64) >= scope.created_from_s
        return passing

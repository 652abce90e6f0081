"""The half of the index that finds documents by their meaning.

A search compares the query with every passage in its scope. If there are few, it uses their whole
vectors. Otherwise it first uses the signs of the numbers, which are kept in memory, 48 bytes a
passage, and then the vectors of the nearest passages, which are read from disk. That finds .98 of
the ten nearest (measured), nothing is ever out of date, and a narrow scope finds as much as a wide
one. A graph would be faster beyond millions of passages, but would find less in a narrow scope. Not
thread-safe: a single thread owns it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from buddies_core.finding.document import Scope
from buddies_core.finding.embedder import Vectors
from buddies_core.finding.vector_table import VectorTable, signs_of

COSINE_MIN = 0.1
"""Passages with a lower cosine are left out. A question about something else then finds one or two
of 40 notes instead of fifteen, and no right answer among the first ten is lost (measured,
tests/bench)."""

_EXACT_MAX = 2000
"""Up to this many whole vectors are compared with the query; this takes 1 ms (measured)."""
_RESCORED_MIN = 500
_AT_ONCE = 1 << 16
_ROWS_AT_ONCE = 4096
_NUMBER_BITS = 16


def passage_id(sequence: int, number: int) -> int:
    """Return the u64 that names a passage in both halves of the index.

    Args:
        sequence: The sequence of the passage's arrival in the store, below 2**48.
        number: The passage's place among the chunks of that text, below 2**16.
    """
    return sequence << _NUMBER_BITS | number


def sequence_of(passage: int) -> int:
    """Return the sequence that `passage_id` was given."""
    return passage >> _NUMBER_BITS


def number_of(passage: int) -> int:
    """Return the number that `passage_id` was given."""
    return passage & ((1 << _NUMBER_BITS) - 1)


class NearPassage(NamedTuple):
    """A document's passage that is most similar to the query."""

    key: bytes
    passage: int
    """See `passage_id`."""
    cosine: float


class VectorIndex(VectorTable):
    """An index of documents by their meaning, according to one model. End it with `close`."""

    def search(self, query: Vectors, scope: Scope, limit: int) -> list[NearPassage]:
        """Return the documents most similar to the query, best first, each with its best passage.

        Args:
            query: float32[dimensions] of norm 1.
            scope: Which documents to search.
            limit: The most documents to return.

        Raises:
            StoreError: the files can't be read.
        """
        rows = self._nearest(query, self._passing(scope), max(_RESCORED_MIN, 4 * limit))
        cosines = self._cosines(query, rows)
        alike = np.flatnonzero(cosines >= COSINE_MIN)
        order = alike[np.argsort(-cosines[alike], kind="stable")]
        _, firsts = np.unique(self._owners.all[rows[order]], return_index=True)
        best = order[np.sort(firsts)[:limit]]
        numbers = self._owners.all[rows[best]]
        places = rows[best] - self._row_starts.all[numbers]
        return [
            NearPassage(self._key(number), passage_id(sequence, place), cosine)
            for number, sequence, place, cosine in zip(
                numbers.tolist(),
                self._sequences.all[numbers].tolist(),
                places.tolist(),
                cosines[best].tolist(),
                strict=True,
            )
        ]

    def cosines(
        self,
        query: Vectors,
        passages: NDArray[np.uint64],
        worth: Callable[[Vectors], Vectors],
    ) -> Vectors:
        """Return float32[n], the cosine of the query and each of these passages.

        A passage that is not embedded, or not yet, gets 0. Of very many passages, only those with
        the best scores get their true cosine; the others get an estimate from their signs, within
        .06 (measured).

        Args:
            query: float32[dimensions] of norm 1.
            passages: Ids from `passage_id`, in any order.
            worth: Returns the scores of passages with these cosines, in the same order.

        Raises:
            StoreError: the files can't be read.
        """
        cosines = np.zeros(len(passages), np.float32)
        sequences, starts = self._sequences.all, self._row_starts.all
        asked = passages >> np.uint64(_NUMBER_BITS)
        numbers = np.searchsorted(sequences, asked)
        known = np.flatnonzero(numbers < len(sequences))
        known = known[sequences[numbers[known]] == asked[known]]
        numbers = numbers[known]
        rows = starts[numbers] + (passages[known] & np.uint64((1 << _NUMBER_BITS) - 1))
        there = rows < starts[numbers + 1]
        known, rows = known[there], rows[there].astype(np.int64)
        if len(known) > _RESCORED_MIN:
            distances = _distances(self._signs.all[:, rows], signs_of(query[np.newaxis])[0])
            cosines[known] = np.cos(np.pi / self._dimensions * distances)
            best = np.argpartition(-worth(cosines)[known], _RESCORED_MIN)[:_RESCORED_MIN]
            known, rows = known[best], rows[best]
        cosines[known] = self._cosines(query, rows)
        return cosines

    def _nearest(self, query: Vectors, passing: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
        """Return the `count` rows of these documents whose signs differ least from the query's."""
        inside = passing[self._owners.all]
        inside_count = int(np.count_nonzero(inside))
        if inside_count <= max(_EXACT_MAX, count):
            return np.flatnonzero(inside)
        signs, rows = self._signs.all, None
        if inside_count < len(inside) // 4:  # Otherwise comparing all of them is cheaper.
            rows = np.flatnonzero(inside)
            signs, inside = signs[:, rows], inside[rows]
        distances = _distances(signs, signs_of(query[np.newaxis])[0])
        distances[~inside] = self._dimensions + 1
        farthest = np.partition(distances, count)[count]
        near = np.flatnonzero(distances < farthest)
        # Any number of rows may be equally far at the edge.
        edge = np.flatnonzero(distances == farthest)[: count - len(near)]
        near = np.concatenate([near, edge])
        return near if rows is None else rows[near]

    def _cosines(self, query: Vectors, rows: NDArray[np.int64]) -> Vectors:
        cosines = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            cosines[start : start + len(some)] = self._vectors_of(some).astype(np.float32) @ query
        cosines *= self._scales.all[rows]
        return cosines

    def _passing(self, scope: Scope) -> NDArray[np.bool_]:
        """Return which documents are in the scope and the latest with their key."""
        passing: NDArray[np.bool_] = self._latest.all.copy()
        for group in scope.groups:
            has_one = self._has(group[0])
            for label in group[1:]:
                has_one = has_one | self._has(label)
            passing &= has_one
        if scope.created_from_s is not None:
            passing &= self._created_at_s.all >= np.uint64(scope.created_from_s)
        return passing


def _distances(signs: NDArray[np.uint64], query: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """Return u16[n], the number of signs in which each column differs from the query."""
    distances = np.empty(signs.shape[1], np.uint16)
    for start in range(0, len(distances), _AT_ONCE):  # A block stays in the processor's cache.
        block = distances[start : start + _AT_ONCE]
        block[:] = np.bitwise_count(signs[0, start : start + _AT_ONCE] ^ query[0])
        for word in range(1, len(signs)):
            block += np.bitwise_count(signs[word, start : start + _AT_ONCE] ^ query[word])
    return distances

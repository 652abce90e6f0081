"""The vectors of passages: what is near a query, and how near given passages are."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from buddies_core.finding.document import scope
from buddies_core.finding.embedder import DIMENSIONS, Vectors
from buddies_core.finding.vector_file import EmbeddedMemory, quantized
from buddies_core.finding.vectors import NearPassage, VectorIndex, passage_id
from tests.support.memories import DEMO

IN_DEMO = scope(room=DEMO)
MODEL = b"toy".ljust(32, b"\0")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[VectorIndex]:
    with contextlib.closing(VectorIndex(tmp_path / "vectors", MODEL)) as index:
        yield index


def unit(*places: int) -> Vectors:
    """Return rows of norm 1, each along one axis."""
    return np.eye(DIMENSIONS, dtype=np.float32)[list(places)]


def embedded(sequence: int, vectors: Vectors, key: bytes | None = None) -> EmbeddedMemory:
    scales, rows = quantized(vectors)
    return EmbeddedMemory(
        sequence=sequence,
        key=key or b"key %d" % sequence,
        labels=(f"room:{DEMO}",),
        created_at_s=0,
        scales=scales,
        rows=rows,
    )


def ids(*passages: tuple[int, int]) -> NDArray[np.uint64]:
    return np.array([passage_id(*passage) for passage in passages], np.uint64)


def test_a_memory_is_found_by_its_best_passage(index: VectorIndex) -> None:
    index.add(embedded(3, unit(5, 1, 0)))
    index.add(embedded(7, (unit(1) + unit(2)) / np.float32(2**0.5)))
    index.add(embedded(9, unit(4)))
    found = index.search(unit(1)[0], IN_DEMO, 10)
    assert [(hit.key, hit.passage, round(hit.cosine, 4)) for hit in found] == [
        (b"key 3", passage_id(3, 1), 1.0),
        (b"key 7", passage_id(7, 0), 0.7071),
    ]
    assert index.search(unit(1)[0], IN_DEMO, 1) == found[:1]
    assert isinstance(found[0], NearPassage)


def test_passages_have_their_true_cosines_and_unknown_ones_zero(index: VectorIndex) -> None:
    assert index.cosines(unit(1)[0], ids((3, 0))).tolist() == [0.0]
    index.add(embedded(3, unit(5, 1, 0)))
    index.add(embedded(7, unit(1)))
    asked = ids((7, 0), (3, 1), (3, 0), (3, 3), (7, 1), (5, 0), (8, 0), (1, 0))
    cosines = index.cosines(unit(1)[0], asked)
    assert cosines.tolist() == pytest.approx([1, 1, 0, 0, 0, 0, 0, 0], abs=1e-4)
    assert index.cosines(unit(1)[0], ids()).tolist() == []


def test_the_true_cosines_are_those_of_the_vectors(index: VectorIndex) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((500, DIMENSIONS)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for number in range(100):
        index.add(embedded(10 + number, vectors[5 * number : 5 * number + 5]))
    asked = ids(*((10 + number, place) for number in range(100) for place in range(5)))
    np.testing.assert_allclose(index.cosines(vectors[7], asked), vectors @ vectors[7], atol=0.01)

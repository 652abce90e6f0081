"""The vectors of passages: what is near a query, and how near given passages are."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from buddies_core.finding import vector_table
from buddies_core.finding import vectors as vectors_module
from buddies_core.finding.document import scope
from buddies_core.finding.embedder import DIMENSIONS, Vectors
from buddies_core.finding.vector_file import EmbeddedDocument
from buddies_core.finding.vectors import VectorIndex, passage_id
from tests.support.memories import DEMO

IN_DEMO = scope(room=DEMO)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[VectorIndex]:
    with contextlib.closing(VectorIndex(tmp_path / "vectors")) as index:
        index.open()
        yield index


def itself(cosines: Vectors) -> Vectors:
    return cosines


def unit(*places: int) -> Vectors:
    """Return rows of norm 1, each along one axis."""
    return np.eye(DIMENSIONS, dtype=np.float32)[list(places)]


def topics(count: int, seed: int = 1) -> Vectors:
    """Return rows of norm 1 that lie near each other in groups, as those of texts do."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((50, DIMENSIONS)).astype(np.float32)
    mixed = centres[rng.integers(0, 50, count)] + centres[rng.integers(0, 50, count)]
    mixed += rng.standard_normal((count, DIMENSIONS)).astype(np.float32)
    mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    return mixed


def embedded(
    sequence: int, vectors: Vectors, key: bytes | None = None, *labels: str
) -> EmbeddedDocument:
    return EmbeddedDocument(
        sequence=sequence,
        key=key or b"key %d" % sequence,
        labels=(f"room:{DEMO}", *labels),
        created_at_s=sequence,
        vectors=vectors,
    )


def ids(*passages: tuple[int, int]) -> NDArray[np.uint64]:
    return np.array([passage_id(*passage) for passage in passages], np.uint64)


def test_a_document_is_found_by_its_best_passage(index: VectorIndex) -> None:
    index.add([embedded(3, unit(5, 1, 0))])
    index.add([embedded(7, (unit(1) + unit(2)) / np.float32(2**0.5)), embedded(9, unit(4))])
    found = index.search(unit(1)[0], IN_DEMO, 10)
    assert [(hit.key, hit.passage, round(hit.cosine, 4)) for hit in found] == [
        (b"key 3", passage_id(3, 1), 1.0),
        (b"key 7", passage_id(7, 0), 0.7071),
    ]
    assert index.search(unit(1)[0], IN_DEMO, 1) == found[:1]


def test_of_one_key_only_the_latest_document_is_found(index: VectorIndex, tmp_path: Path) -> None:
    index.add([embedded(1, unit(1), b"a"), embedded(2, unit(1), b"b")])
    index.add([embedded(3, unit(1), b"a"), embedded(4, unit(1), b"c"), embedded(5, unit(1), b"a")])
    wanted = [(b"b", 2 << 16), (b"c", 4 << 16), (b"a", 5 << 16)]
    for _ in range(2):
        hits = index.search(unit(1)[0], IN_DEMO, 10)
        assert sorted((hit.key, hit.passage) for hit in hits) == sorted(wanted)
        index.open()


def test_passages_have_their_true_cosines_and_unknown_ones_zero(index: VectorIndex) -> None:
    assert index.cosines(unit(1)[0], ids((3, 0)), itself).tolist() == [0.0]
    index.add([embedded(3, unit(5, 1, 0)), embedded(7, unit(1))])
    asked = ids((7, 0), (3, 1), (3, 0), (3, 3), (7, 1), (5, 0), (8, 0), (1, 0))
    cosines = index.cosines(unit(1)[0], asked, itself)
    assert cosines.tolist() == pytest.approx([1, 1, 0, 0, 0, 0, 0, 0], abs=1e-4)
    assert index.cosines(unit(1)[0], ids(), itself).tolist() == []


def test_the_true_cosines_are_those_of_the_vectors(index: VectorIndex) -> None:
    vectors = topics(500)
    for number in range(100):
        index.add([embedded(10 + number, vectors[5 * number : 5 * number + 5])])
    asked = ids(*((10 + number, place) for number in range(100) for place in range(5)))
    np.testing.assert_allclose(
        index.cosines(vectors[7], asked, itself), vectors @ vectors[7], atol=0.01
    )


def test_of_very_many_passages_those_worth_most_have_their_true_cosines(
    index: VectorIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors_module, "_RESCORED_MIN", 100)
    vectors = topics(3000)
    index.add([embedded(number + 1, vectors[number : number + 1]) for number in range(3000)])
    asked = ids(*((number + 1, 0) for number in reversed(range(3000))))
    bonus: Vectors = np.random.default_rng(3).random(3000, np.float32) / np.float32(2)
    true = vectors[::-1] @ vectors[7]

    cosines = index.cosines(vectors[7], asked, lambda cosines: cosines + bonus)

    best = np.argsort(-(true + bonus))[:20]
    np.testing.assert_allclose(cosines[best], true[best], atol=0.01)
    assert np.abs(cosines - true).std() < 0.06


@pytest.mark.parametrize("share", [1, 2, 16])
def test_what_is_found_by_signs_is_what_is_nearest(
    share: int, index: VectorIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In all of it, in half of it and in a small part of it."""
    monkeypatch.setattr(vectors_module, "_EXACT_MAX", 10)
    vectors = topics(16_000)
    index.add(
        [
            embedded(number + 1, vectors[number : number + 1], None, f"tag:{number % share}")
            for number in range(len(vectors))
        ]
    )
    tagged = scope(room=DEMO, tags=("0",))
    queries = vectors[:50] + 0.07 * np.random.default_rng(2).standard_normal((50, DIMENSIONS))
    queries = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float32)
    lost = 0
    for query in queries:
        cosines = vectors[::share] @ query
        nearest = np.argsort(-cosines, kind="stable")[:10] * share
        hits = index.search(query, tagged, 10)
        assert hits[0].cosine == pytest.approx(cosines.max(), abs=0.01)
        lost += len(set(nearest.tolist()) - {(hit.passage >> 16) - 1 for hit in hits})
    assert lost <= 25, "of 500"


def test_vectors_that_are_not_mapped_are_read_alike(
    index: VectorIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = topics(100)
    index.add([embedded(number + 1, vectors[number : number + 1]) for number in range(100)])
    mapped = index.search(vectors[5], IN_DEMO, 20)
    monkeypatch.setattr(vector_table, "_MAPPED_MAX", 0)
    assert index.search(vectors[5], IN_DEMO, 20) == mapped


def test_any_number_of_equals_is_rescored_only_in_part(
    index: VectorIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.add([embedded(number, unit(1)) for number in range(1, 5001)])
    rescored: list[int] = []
    cosines = index._cosines

    def counted(query: Vectors, rows: NDArray[np.int64]) -> Vectors:
        rescored.append(len(rows))
        return cosines(query, rows)

    monkeypatch.setattr(index, "_cosines", counted)
    assert len(index.search(unit(1)[0], IN_DEMO, 10)) == 10
    assert rescored == [500]


def test_a_label_is_known_also_of_documents_that_came_after_it_was_asked_for(
    index: VectorIndex,
) -> None:
    red = scope(room=DEMO, tags=("red",))

    def found() -> list[bytes]:
        return sorted(hit.key for hit in index.search(unit(1)[0], red, 10))

    index.add([embedded(1, unit(1), None, "tag:red"), embedded(2, unit(1), None, "tag:blue")])
    assert found() == [b"key 1"]
    index.add([embedded(3, unit(1), None, "tag:blue", "tag:red"), embedded(4, unit(1))])
    assert found() == [b"key 1", b"key 3"]
    index.cut_after(2)
    index.add([embedded(3, unit(1)), embedded(5, unit(1), None, "tag:red")])
    assert found() == [b"key 1", b"key 5"]


def test_documents_with_a_passage_that_the_model_cannot_take_are_counted(
    index: VectorIndex,
) -> None:
    refused = np.zeros((1, DIMENSIONS), np.float32)
    index.add([embedded(1, np.concatenate([unit(1), refused, refused])), embedded(2, refused)])
    index.add([embedded(3, unit(1))])
    assert index.refused == 2
    index.open()
    assert index.refused == 2
    index.add([embedded(4, unit(2), b"key 2")])
    assert index.refused == 1
    assert [hit.key for hit in index.search(unit(1)[0], IN_DEMO, 9)] == [b"key 1", b"key 3"]

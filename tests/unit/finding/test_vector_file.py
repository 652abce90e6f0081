"""The files of vectors, whatever became of their bytes."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buddies_core.errors import StoreError
from buddies_core.finding.document import Scope
from buddies_core.finding.embedder import DIMENSIONS, Vectors
from buddies_core.finding.vector_file import EmbeddedDocument, quantized
from buddies_core.finding.vectors import VectorIndex

EVERYTHING = Scope()


def a_document(sequence: int, passages: int = 1, key: bytes | None = None) -> EmbeddedDocument:
    return EmbeddedDocument(
        sequence=sequence,
        key=key or b"v" + bytes([sequence]) * 48,
        labels=("room:demo", "tag:a\0b", f"author:Größe {sequence}"),
        created_at_s=2**64 - sequence,
        vectors=some_vectors(sequence, passages),
    )


def some_vectors(seed: int, count: int) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(count, DIMENSIONS)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


FOUR = [a_document(1), a_document(2, passages=0), a_document(4, passages=2), a_document(7)]


@contextlib.contextmanager
def opened(directory: Path) -> Iterator[VectorIndex]:
    with contextlib.closing(VectorIndex(directory)) as index:
        index.open()
        yield index


def write(directory: Path, documents: list[EmbeddedDocument]) -> None:
    with opened(directory) as index:
        index.add(documents)


def read(directory: Path) -> list[tuple[int, bytes]]:
    with opened(directory) as index:
        assert index.sequence == max((sequence for sequence, _ in index.latest(9)), default=0)
        return index.latest(9)


def described(documents: list[EmbeddedDocument]) -> list[tuple[int, bytes]]:
    return [(document.sequence, document.key) for document in documents]


def found(index: VectorIndex, query: Vectors) -> list[tuple[bytes, int]]:
    return [(hit.key, hit.passage) for hit in index.search(query, EVERYTHING, 9)]


def test_what_was_added_is_found_again(tmp_path: Path) -> None:
    with opened(tmp_path) as index:
        index.add(FOUR[:3])
        index.add(FOUR[3:])
        before = [found(index, document.vectors[-1]) for document in (FOUR[0], *FOUR[2:])]
    with opened(tmp_path) as index:
        after = [found(index, document.vectors[-1]) for document in (FOUR[0], *FOUR[2:])]
    assert before == after
    assert [hits[0] for hits in after] == [
        (FOUR[0].key, 1 << 16),
        (FOUR[2].key, (4 << 16) + 1),
        (FOUR[3].key, 7 << 16),
    ]
    assert read(tmp_path) == described(FOUR)


def test_rows_and_scales_stand_for_the_vectors() -> None:
    vectors = some_vectors(1, 50)
    scales, rows = quantized(vectors)
    assert (scales.dtype, rows.dtype) == (np.dtype("float32"), np.dtype("int8"))
    assert np.abs(rows * scales[:, np.newaxis] - vectors).max() <= scales.max() / 2 + 1e-6


def test_a_vector_of_zeros_has_no_meaning_but_does_no_harm() -> None:
    _, rows = quantized(np.zeros((1, DIMENSIONS), np.float32))
    assert not rows.any()


@given(
    st.sampled_from(["rows", "documents", "keys"]),
    st.integers(min_value=0, max_value=2000),
    st.sampled_from(["cut", "changed", "lengthened", "zeroed"]),
)
def test_of_damaged_files_the_documents_before_the_damage_stay(
    name: str, at: int, how: str
) -> None:
    with TemporaryDirectory() as temporary:
        directory = Path(temporary)
        write(directory, FOUR)
        data = bytearray((directory / name).read_bytes())
        at = at % len(data)
        match how:
            case "cut":
                del data[at:]
            case "changed":
                data[at] ^= 0x55
            case "zeroed":  # As a power cut may leave it.
                data[at:] = bytes(len(data) - at)
            case _:
                data += bytes(at + 1)
        (directory / name).write_bytes(data)

        kept = read(directory)
        assert kept == described(FOUR[: len(kept)])
        assert (len(kept) == 4) == (how == "lengthened")

        with opened(directory) as index:
            assert index.latest(9) == kept
            index.add(FOUR[len(kept) :])
        assert read(directory) == described(FOUR)


@pytest.mark.parametrize("name", ["rows", "documents", "keys"])
def test_what_the_disk_took_half_of_is_written_over(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_at = os.pwrite
    with opened(tmp_path) as index:
        index.add(FOUR[:1])
        full = index._files._open_files[name]

        def half(file: int, data: bytes, place: int) -> int:
            return write_at(file, data[: len(data) // 2] if file == full else data, place)

        with monkeypatch.context() as context:
            context.setattr(os, "pwrite", half)
            with pytest.raises(StoreError, match="no space left"):
                index.add(FOUR[2:])
        assert index.latest(9) == described(FOUR[:1])
        index.add(FOUR[1:2])
    assert read(tmp_path) == described(FOUR[:2])


def test_a_disk_that_refuses_leaves_what_was_there_to_be_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with opened(tmp_path) as index:
        index.add(FOUR[:3])
        with monkeypatch.context() as context:
            context.setattr(os, "pwrite", refuse)
            with pytest.raises(StoreError, match="No space left"):
                index.add(FOUR[3:])
        assert found(index, FOUR[0].vectors[0])[0] == (FOUR[0].key, 1 << 16)
        index.add(FOUR[3:])
    assert read(tmp_path) == described(FOUR)


def test_files_that_cannot_be_opened_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file/vectors"), opened(tmp_path / "file" / "vectors"):
        pass


def test_what_came_after_a_point_is_forgotten(tmp_path: Path) -> None:
    with opened(tmp_path) as index:
        index.add(FOUR)
        index.cut_after(4)
        assert (index.sequence, index.latest(9)) == (4, described(FOUR[:3]))
        index.add([a_document(5)])
        assert found(index, a_document(5).vectors[0])[0] == (a_document(5).key, 5 << 16)
    assert read(tmp_path) == described([*FOUR[:3], a_document(5)])
    with opened(tmp_path) as index:
        index.reset()
        assert (index.sequence, index.latest(9)) == (0, [])
    assert read(tmp_path) == []

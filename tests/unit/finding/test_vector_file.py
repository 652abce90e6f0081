"""The file of vectors, whatever became of its bytes."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buddies_core.errors import StoreError
from buddies_core.finding.embedder import DIMENSIONS
from buddies_core.finding.vector_file import EmbeddedMemory, VectorFile, quantized

MODEL = bytes(32)


def an_embedded(sequence: int, chunks: int = 1) -> EmbeddedMemory:
    scales, rows = quantized(
        np.random.default_rng(sequence).normal(size=(chunks, DIMENSIONS)).astype(np.float32)
    )
    return EmbeddedMemory(
        sequence=sequence,
        key=b"v" + bytes([sequence]) * 48,
        labels=("room:demo", "tag:a\0b", "author:Größe"),
        created_at_s=2**64 - sequence,
        scales=scales,
        rows=rows,
    )


THREE = [an_embedded(1), an_embedded(2, chunks=0), an_embedded(3, chunks=2)]


def described(memories: list[EmbeddedMemory]) -> list[tuple[Any, ...]]:
    return [
        (m.sequence, m.key, m.labels, m.created_at_s, m.scales.tolist(), m.rows.tolist())
        for m in memories
    ]


def write(path: Path, memories: list[EmbeddedMemory]) -> None:
    file = VectorFile(path, MODEL)
    for memory in memories:
        file.append(memory)
    file.close()


def read(path: Path, model: bytes = MODEL) -> list[tuple[Any, ...]]:
    file = VectorFile(path, model)
    memories = list(file.records())
    file.close()
    return described(memories)


def test_what_was_appended_is_read_again(tmp_path: Path) -> None:
    write(tmp_path / "vectors", THREE)
    assert read(tmp_path / "vectors") == described(THREE)


def test_rows_and_scales_stand_for_the_vectors() -> None:
    vectors = np.random.default_rng(1).normal(size=(50, DIMENSIONS)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scales, rows = quantized(vectors)
    assert (scales.dtype, rows.dtype) == (np.dtype("float32"), np.dtype("int8"))
    assert np.abs(rows * scales[:, np.newaxis] - vectors).max() <= scales.max() / 2 + 1e-6


def test_a_vector_of_zeros_has_no_meaning_but_does_no_harm() -> None:
    _, rows = quantized(np.zeros((1, DIMENSIONS), np.float32))
    assert not rows.any()


def test_a_file_of_another_model_is_begun_anew(tmp_path: Path) -> None:
    write(tmp_path / "vectors", THREE)
    assert read(tmp_path / "vectors", model=b"m" * 32) == []
    assert read(tmp_path / "vectors") == []


@given(st.integers(min_value=0, max_value=2500), st.sampled_from(["cut", "changed", "lengthened"]))
def test_of_a_damaged_file_the_records_before_the_damage_stay(at: int, how: str) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "vectors"
        write(path, THREE)
        data = bytearray(path.read_bytes())
        match how:
            case "cut":
                del data[at:]
            case "changed":
                data[at % len(data)] ^= 0x55
            case _:
                data += bytes(at + 1)
        path.write_bytes(data)

        kept = read(path)
        assert kept == described(THREE[: len(kept)])
        assert how != "lengthened" or len(kept) == 3

        missing = THREE[len(kept) :]
        file = VectorFile(path, MODEL)
        assert described(list(file.records())) == kept
        for memory in missing:
            file.append(memory)
        file.close()
        assert read(path) == described(THREE)


def test_a_record_that_the_disk_took_half_of_is_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = VectorFile(tmp_path / "vectors", MODEL)
    file.append(THREE[0])

    class FullDisk:
        def __init__(self, raw: Any) -> None:
            self._raw = raw

        def __getattr__(self, name: str) -> Any:
            return getattr(self._raw, name)

        def write(self, data: bytes) -> int:
            return int(self._raw.write(data[: len(data) // 2]))

    with monkeypatch.context() as full:
        full.setattr(file, "_file", FullDisk(file._file))
        with pytest.raises(StoreError, match="no space left"):
            file.append(THREE[2])
    file.append(THREE[1])
    file.close()

    assert read(tmp_path / "vectors") == described(THREE[:2])

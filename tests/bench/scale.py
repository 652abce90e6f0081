"""How long a search takes, a start, and how much memory, as the index grows.

`python -m tests.bench.scale` takes 10,000 and 100,000 documents, with SCALE=1 also 1,000,000. Their
texts are put together from notes, and their vectors are mixtures of those of the notes, so that the
model is not waited for. Each size is filled and measured in processes of its own.
"""

import asyncio
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import numpy as np

from buddies_core.finding.document import Document, Scope, scope
from buddies_core.finding.embedder import DIMENSIONS, MODEL_SHA256, Embedder, Vectors
from buddies_core.finding.index import Index
from buddies_core.finding.vector_file import EmbeddedDocument
from tests.bench.questions import NOTES

SIZES = (10_000, 100_000, *((1_000_000,) if os.environ.get("SCALE") else ()))
RUNS = 200
_AT_ONCE = 5000
_ROOMS, _TAGS = 40, 500
_PARTS = [part.strip() for note in NOTES for part in note.text.replace(";", ",").split(",")]
_QUESTIONS = [it for note in NOTES for it in (note.paraphrase, note.half_remembered) if it]

SCOPES: dict[str, Scope] = {
    "everything": scope(),
    "a room of 40": scope(room="room-1"),
    "a tag of 500": scope(tags=("tag-1",)),
}


class MadeUp:
    """Documents that are only made up when they are asked for."""

    store_id = b"made up"

    def __init__(self, size: int) -> None:
        self._size = size

    async def documents_since(self, sequence: int, limit: int) -> tuple[tuple[int, Document], ...]:
        numbers = range(sequence + 1, min(sequence + limit, self._size) + 1)
        return tuple((number, self.document(number)) for number in numbers)

    def document(self, number: int) -> Document:
        rng = Random(number)
        tags = tuple({f"tag-{rng.randrange(_TAGS)}": 0 for _ in range(rng.randrange(4))})
        room = f"room-{rng.randrange(_ROOMS)}"
        return Document(
            key=number.to_bytes(49, "big"),
            title="",
            text=f"{rng.choice(_PARTS)}, {rng.choice(_PARTS)}, item {number}",
            tags=tags,
            labels=(f"room:{room}", "kind:decision", "author:a", *(f"tag:{tag}" for tag in tags)),
            created_at_s=number,
        )

    def key_at(self, sequence: int) -> bytes:
        return sequence.to_bytes(49, "big")

    def last_sequence(self) -> int:
        return self._size


class NoModel:
    """The real one's name, and nothing to embed."""

    model_id = MODEL_SHA256
    dimensions = DIMENSIONS
    knows_spaceless = False
    noise = 0.0

    async def embed(self, texts: object) -> Vectors:
        raise AssertionError("all is embedded")


async def fill(size: int, directory: Path) -> None:
    """Write the index of so many documents."""
    source = MadeUp(size)
    async with Embedder.open() as embedder:
        parts = await embedder.embed(_PARTS)
    begin = time.perf_counter()
    async with Index.open(directory, MadeUp(0), NoModel()) as index:
        lexical, vectors = index._lexical, index._vectors
        for start in range(0, size, _AT_ONCE):
            batch = await source.documents_since(start, min(_AT_ONCE, size - start))
            lexical.add(batch)
            embedded = _mixtures(parts, len(batch), np.random.default_rng(start))
            vectors.add(
                [
                    EmbeddedDocument(
                        sequence=number,
                        key=document.key,
                        labels=document.labels,
                        created_at_s=document.created_at_s,
                        vectors=embedded[at : at + 1],
                    )
                    for at, (number, document) in enumerate(batch)
                ]
            )
    taken_s = time.perf_counter() - begin
    _say(f"\n{size:,} documents: filled in {taken_s:.0f} s, {_size_mb(directory)} MB on disk")


async def measure(size: int, directory: Path) -> None:
    """Print the figures of a filled index."""
    before_mb = _resident_mb()
    begin = time.perf_counter()
    async with (
        Embedder.open() as embedder,
        Index.open(directory, MadeUp(size), embedder) as index,
    ):
        usable_s = time.perf_counter() - begin
        while not (index._lexical.opened and index._vectors.opened):
            await index._feeding.opened(60)
        opened_s = time.perf_counter() - begin
        assert index.progress().note() == ""
        opened_mb = _resident_mb() - before_mb
        vectors = [await embedder.embed_query(question) for question in _QUESTIONS]

        never_asked = itertools.count()

        async def asked(number: int, scope: Scope) -> None:
            at = number % len(_QUESTIONS)
            await index.search(_QUESTIONS[at], vectors[at], scope, 20)

        async def asked_anew(number: int, scope: Scope) -> None:
            question = f"{_QUESTIONS[number % len(_QUESTIONS)]} {next(never_asked)}"
            await index.search(question, await embedder.embed_query(question), scope, 20)

        _say(
            f"started in {usable_s:.2f} s, all opened after {opened_s:.2f} s, which takes "
            f"{opened_mb} MB\n{'ms p50, p99':24}{'a vector at hand':>20}{'a new question':>20}"
        )
        for name, within in SCOPES.items():
            cells = [await _timed(search, within) for search in (asked, asked_anew)]
            _say(f"{name:24}" + "".join(f"{p50:12.1f}{p99:8.1f}" for p50, p99 in cells))
        _say(f"resident with the model, after all searches: {_resident_mb()} MB")


async def _timed(
    search: Callable[[int, Scope], Awaitable[None]], within: Scope
) -> tuple[float, float]:
    taken = []
    for number in range(RUNS):
        begin = time.perf_counter()
        await search(number, within)
        taken.append((time.perf_counter() - begin) * 1000)
    taken.sort()
    return taken[RUNS // 2], taken[RUNS * 99 // 100]


def _mixtures(parts: Vectors, count: int, rng: np.random.Generator) -> Vectors:
    """Return rows of norm 1 that lie as near each other as those of real texts."""
    mixed = parts[rng.integers(0, len(parts), count)] + parts[rng.integers(0, len(parts), count)]
    mixed += 0.3 / 384**0.5 * rng.standard_normal(mixed.shape).astype(np.float32)
    mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    return mixed


def _resident_mb() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20


def _size_mb(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*")) >> 20


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Print the figures; with arguments, do one part of it."""
    match sys.argv[1:]:
        case ["fill", size, directory]:
            asyncio.run(fill(int(size), Path(directory)))
        case ["measure", size, directory]:
            asyncio.run(measure(int(size), Path(directory)))
        case _:
            for size in SIZES:
                with tempfile.TemporaryDirectory() as directory:
                    for part in ("fill", "measure"):
                        command = [sys.executable, "-m", __spec__.name, part, str(size), directory]
                        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()

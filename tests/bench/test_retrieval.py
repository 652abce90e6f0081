"""How well and how fast memories are found; prints figures and asserts little.

make bench        or: python -m pytest tests/bench/test_retrieval.py -s
"""

# ruff: noqa: T201 - figures are what it is for

import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random

import pytest

from buddies_core.finding.document import scope
from buddies_core.finding.embedder import Embedder
from buddies_core.finding.index import Index
from buddies_core.memory.documents import MemoryDocuments
from tests.bench.questions import NOTES
from tests.support.in_memory.store import InMemoryStore
from tests.support.memories import DEMO, a_memory, an_entry

IN_DEMO = scope(room=DEMO)
QUERIES = 100
OFF_TOPIC = (
    "what is the capital of France",
    "recipe for apple pie",
    "how tall is Mount Everest",
    "who won the world cup in 2014",
    "symptoms of flu in children",
    "guitar chords for beginners",
    "best time to plant tomatoes",
    "night trains to Rome",
)


async def keep(store: InMemoryStore, texts: Sequence[str], *, first: int = 1) -> list[bytes]:
    memories = [
        a_memory(an_entry(number, title="", content=text))
        for number, text in enumerate(texts, start=first)
    ]
    for memory in memories:
        await store.put_memory(memory)
    return [memory.key for memory in memories]


@pytest.mark.timeout(120)
async def test_what_people_ask_for_is_found(tmp_path: Path) -> None:
    store = InMemoryStore()
    async with (
        Embedder.open() as embedder,
        Index.open(tmp_path, MemoryDocuments(store), embedder) as index,
    ):
        keys = await keep(store, [note.text for note in NOTES])
        assert await index.catch_up(60)

        async def found(query: str, *, by_meaning: bool) -> list[bytes]:
            vector = await embedder.embed_query(query) if by_meaning else None
            return [hit.key for hit in await index.search(query, vector, IN_DEMO, 50)]

        print(f"\n{len(NOTES)} notes        questions   R@1   R@5  R@10   MRR     words alone R@5")
        for kind in ("paraphrase", "half_remembered", "exact"):
            asked = [(getattr(note, kind), key) for note, key in zip(NOTES, keys, strict=True)]
            ranks: list[float] = []
            by_words = 0
            for query, key in asked:
                if query:
                    both = await found(query, by_meaning=True)
                    ranks.append(both.index(key) + 1 if key in both else float("inf"))
                    by_words += key in (await found(query, by_meaning=False))[:5]
            shares = [sum(rank <= n for rank in ranks) / len(ranks) for n in (1, 5, 10)]
            mean = statistics.mean(1 / rank for rank in ranks)
            print(
                f"{kind:16}  {len(ranks):9}  {'  '.join(f'{s:.2f}' for s in shares)}  {mean:.2f}"
                f"  {by_words / len(ranks):18.2f}"
            )
        noise = [len(await found(query, by_meaning=True)) for query in OFF_TOPIC]
        print(f"questions about something else find {noise}")
        headline = await found("how is the DB set up?", by_meaning=True)
        assert headline[0] == keys[0]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [2_000, 20_000])
async def test_a_search_of_many_memories_is_quick(count: int, tmp_path: Path) -> None:
    """Texts are sentences put together from the notes, so words are as frequent as in real ones."""
    rng = Random(1)
    parts = [part.strip() for note in NOTES for part in note.text.replace(";", ",").split(",")]
    texts = [f"{rng.choice(parts)}, {rng.choice(parts)}, item {number}" for number in range(count)]
    store = InMemoryStore()
    rss = _rss_mb()
    async with (
        Embedder.open() as embedder,
        Index.open(tmp_path, MemoryDocuments(store), embedder) as index,
    ):
        await embedder.embed_query("load")
        loaded = _rss_mb()
        await keep(store, texts)
        stored = _rss_mb()
        began = time.perf_counter()
        await index.search("begin", None, IN_DEMO, 1, wait_s=60)
        words_s = time.perf_counter() - began
        assert await index.catch_up(500)
        meanings_s = time.perf_counter() - began
        print(
            f"\n{count:,} memories: words {count / words_s:,.0f}/s, meanings "
            f"{count / meanings_s:,.0f}/s, {index.state()}\n  resident: {rss} MB, with the model "
            f"{loaded}, with the index {_rss_mb() - stored + loaded}"
        )

        questions = [note.half_remembered for note in NOTES] + [note.paraphrase for note in NOTES]
        vectors = [await embedder.embed_query(question) for question in questions]

        async def both(number: int) -> None:
            at = number % len(questions)
            await index.search(questions[at], vectors[at], IN_DEMO, 20)

        async def whole(number: int) -> None:
            question = f"{questions[number % len(questions)]} {number}"
            await index.search(question, await embedder.embed_query(question), IN_DEMO, 20)

        async def words(number: int) -> None:
            await index.search(questions[number % len(questions)], None, IN_DEMO, 20)

        async def part(_: int) -> None:
            await index.search("ostgre", None, IN_DEMO, 20)

        async def after_store(number: int) -> None:
            [key] = await keep(store, [f"zebra{number} crossing"], first=count + number + 1)
            hits = await index.search(f"zebra{number}", vectors[0], IN_DEMO, 20)
            assert key in [hit.key for hit in hits]

        for name, search in {
            "words": words,
            "part of a word": part,
            "words and a vector at hand": both,
            "words and a new question's vector": whole,
            "store, then search by both": after_store,
        }.items():
            p50, p99 = await _measure(search)
            print(f"  {name:34} p50 {p50:6.2f} ms   p99 {p99:6.2f} ms")
    began = time.perf_counter()
    async with Embedder.open() as embedder, Index.open(tmp_path, MemoryDocuments(store), embedder):
        print(f"  opened again in {(time.perf_counter() - began) * 1000:.0f} ms")
    print(f"  on disk: {_size_mb(tmp_path)} MB")


async def _measure(search: Callable[[int], Awaitable[None]]) -> tuple[float, float]:
    """Return the median and the 99th percentile in milliseconds."""
    elapsed_ms = []
    for number in range(QUERIES):
        began = time.perf_counter()
        await search(number)
        elapsed_ms.append((time.perf_counter() - began) * 1000)
    elapsed_ms.sort()
    return elapsed_ms[QUERIES // 2], elapsed_ms[-1]


def _rss_mb() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 >> 20


def _size_mb(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*")) >> 20

"""How long a list of memories takes, with and without its index, as the store grows.

`python -m tests.bench.lists` takes 10,000 and 100,000 memories, with SCALE=1 also 1,000,000.
"""

import asyncio
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from random import Random

from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.memory import Memory, MemoryFilter, MemoryKind
from buddies_core.store import keys
from buddies_core.store.rocks import RocksStore
from tests.support.memories import a_memory, an_entry

SIZES = (10_000, 100_000, *((1_000_000,) if os.environ.get("SCALE") else ()))
LIMIT = 21
"""A page of the usual length, and the one that says whether there is another."""
RUNS = 20

_BEGIN_S = 1_700_000_000
_KINDS = tuple(MemoryKind)
_NEVER = "tag-none"
"""A tag that all memories of one room have, and none of the others."""

FILTERS: dict[str, MemoryFilter] = {
    "no filter": MemoryFilter(),
    "room": MemoryFilter(room=RoomName("room-1")),
    "frequent kind": MemoryFilter(kind=MemoryKind.DECISION),
    "rare kind": MemoryFilter(kind=MemoryKind.STATUS),
    "rare tag": MemoryFilter(tags=("tag-300",)),
    "tag of nothing": MemoryFilter(tags=("nothing",)),
    "author": MemoryFilter(author="USER3"),
    "agent": MemoryFilter(agent="cursor"),
    "since": MemoryFilter(since_ms=(_BEGIN_S + 5_000 * 60) * 1000),
    "room, kind, tags": MemoryFilter(
        room=RoomName("room-1"), kind=MemoryKind.SKILL, tags=("tag-7", "tag-80")
    ),
    "author, tag, since": MemoryFilter(author="user5", tags=("tag-3",), since_ms=_BEGIN_S * 1000),
    "never together": MemoryFilter(kind=MemoryKind.DECISION, tags=(_NEVER,)),
    "32 tags": MemoryFilter(tags=tuple(f"tag-{number}" for number in range(32)), agent="none"),
}


def _memory(number: int, rng: Random) -> Memory:
    author = EndpointId(bytes([rng.randrange(1, 21)]) * 32)
    kind = _KINDS[min(4, int(rng.expovariate(0.9)))]
    tags = [f"tag-{int(rng.expovariate(0.02))}" for _ in range(rng.randrange(4))]
    if kind is not MemoryKind.DECISION:
        tags.append(_NEVER)
    entry = an_entry(
        number,
        author=author,
        created_at_s=_BEGIN_S + number * 60 + rng.randrange(-3000, 3000),
        room=RoomName(f"room-{min(39, int(rng.expovariate(0.12)))}"),
        kind=kind,
        content=rng.randbytes(100).hex(),
        tags=tuple(dict.fromkeys(tags)),
    )
    memory = a_memory(entry, author_name=f"user{author[0]}", proof=rng.randbytes(600))
    return replace(memory, agent=rng.choice(("claude", "codex", "cursor")))


async def _fill(store: RocksStore, size: int) -> None:
    rng = Random(7)
    for start in range(0, size, 1000):
        async with asyncio.TaskGroup() as group:
            for number in range(start, start + 1000):
                group.create_task(store.put_memory(_memory(number, rng)))


async def _timed(store: RocksStore, filter: MemoryFilter, runs: int) -> list[float]:
    """Return how long each took, in ms, the shortest first."""
    taken = []
    for _ in range(runs):
        begin = time.perf_counter()
        await store.list_memories(filter, LIMIT)
        taken.append((time.perf_counter() - begin) * 1000)
    return sorted(taken)


def _bytes_of_index(store: RocksStore) -> int:
    places = (keys.BITS, keys.TIMES, keys.SPANS)
    return sum(len(k) + len(v) for it in places for k, v in store._database.scan(it))


async def _measure(size: int, path: Path) -> None:
    begin = time.perf_counter()
    async with RocksStore.open(path) as store:
        await _fill(store, size)
    filled_s = time.perf_counter() - begin
    begin = time.perf_counter()
    async with RocksStore.open(path) as store:
        opened_ms = (time.perf_counter() - begin) * 1000
        _say(
            f"\n{size:,} memories: stored in {filled_s:.0f} s, opened in {opened_ms:.0f} ms, "
            f"{_bytes_of_index(store) / size:.0f} bytes of index each, before compression\n"
            f"{'':20}{'ms p50':>8}{'worst':>8}{'without an index':>18}"
        )
        for name, filter in FILTERS.items():
            taken = await _timed(store, filter, RUNS)
            store._listing.complete = False
            [before] = await _timed(store, filter, 1)
            store._listing.complete = True
            _say(f"{name:20}{taken[RUNS // 2]:8.2f}{taken[-1]:8.2f}{before:18.1f}")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Print the figures."""
    for size in SIZES:
        with tempfile.TemporaryDirectory() as directory:
            asyncio.run(_measure(size, Path(directory)))


if __name__ == "__main__":
    main()

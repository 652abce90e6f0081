"""A process that stores until somebody kills it: python -m … DIRECTORY FIRST.

Ten memories are under way at any time, each after a presence. The number of each is written to
stdout once its store has returned.
"""

import asyncio
import itertools
import sys
from pathlib import Path

from buddies_core.model.ids import EndpointId, open_room_id
from buddies_core.store.records import PresenceRecord
from buddies_core.store.rocks import RocksStore
from tests.support.memories import DEMO, a_memory, an_entry


def a_presence(number: int) -> PresenceRecord:
    """Return a presence that belongs to the memory with this number."""
    return PresenceRecord(
        room_id=open_room_id(DEMO),
        endpoint=EndpointId(number.to_bytes(32, "big")),
        proof=b"said by %d" % number,
        received_at_ms=number,
        first_heard_at_ms=1,
        met=True,
    )


async def store_until_killed(path: Path, first: int) -> None:
    """Store without end, from the memory with this number on."""
    numbers = itertools.count(first)

    async def store_one_after_the_other() -> None:
        for number in numbers:
            await store.put_presence(a_presence(number))
            await store.put_memory(a_memory(an_entry(number, content=f"{number} " * 100)))
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()

    async with RocksStore.open(path) as store, asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(store_one_after_the_other())


if __name__ == "__main__":
    asyncio.run(store_until_killed(Path(sys.argv[1]), int(sys.argv[2])))

"""What the store's items and an import cost."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from buddies_core.model.item import BEGIN, END, Bound
from buddies_core.store.database import Changes, Database, Read
from buddies_core.store.items import Kept, RocksItems, item_changes
from buddies_core.store.rocks import RocksStore
from buddies_core.transfer.lines import line_of
from buddies_core.transfer.service import Transfer
from tests.bench.rows import Row, row
from tests.support.memories import DEMO
from tests.support.worlds.skill_team import SkillNode, SkillTeam

ITEMS = 100_000
LINES = 2000
AT_ONCE = 500
TIMES = 20


async def storing(*, quick: bool) -> list[Row]:
    """Measure the sums by which members compare a large room, and the import of its lines."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        return [
            *await sums(place / "sums", ITEMS // 10 if quick else ITEMS),
            *await imports(place / "lines", LINES // 10 if quick else LINES),
        ]


def took_ms(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


async def sums(directory: Path, count: int) -> list[Row]:
    async with Database.open(directory) as database:
        items = RocksItems(database).of(DEMO)
        for first in range(0, count, 5000):
            kept = [Kept(DEMO, b"%d" % number, b"m", 0) for number in range(first, first + 5000)]

            def decide(read: Read, new: list[Kept] = kept) -> tuple[None, Changes]:
                return None, item_changes(read, new=new)

            await database.commit(decide, synced=False)
        half = BEGIN, Bound(0, b"\x80")
        whole = [took_ms(lambda: items.fingerprint(BEGIN, END)) for _ in range(TIMES)]
        halves = [took_ms(lambda: items.fingerprint(*half)) for _ in range(TIMES)]
        middle = [took_ms(lambda: items.nth(BEGIN, count // 2)) for _ in range(TIMES)]
    return [
        row(f"fingerprint of {count:,} items", "The sum of all of a room.", whole),
        row(f"fingerprint of half of {count:,} items", "The sum of a range.", halves),
        row(f"the middle of {count:,} items", "The item at which a range is split.", middle),
    ]


def transfer_of(node: SkillNode, store: RocksStore) -> Transfer:
    node.memories._store = store
    return Transfer(
        store=store,
        rooms=node.rooms,
        memories=node.memories,
        skills=node.skills,
        hidden=node.revocations,
        counters=node.counters,
    )


async def imports(directory: Path, count: int) -> list[Row]:
    alice, bob = SkillTeam().skilled("alice"), SkillTeam().skilled("bob")
    lines = []
    for number in range(count):
        view = await alice.store_memory(f"note {number}: " + "a few words more " * 15)
        [head] = alice.store.find_heads(view.id)
        memory = alice.store.get_memory(head.key)
        assert memory is not None, "it was stored just now"
        lines.append(line_of(memory))
    rows = []
    async with RocksStore.open(directory) as store:
        transfer = transfer_of(bob, store)
        for name in ("new", "known"):
            rates = []
            for first in range(0, count, AT_ONCE):
                batch = lines[first : first + AT_ONCE]
                begun = time.perf_counter()
                await transfer.import_lines(DEMO, batch, agent="", user="")
                rates.append(len(batch) / (time.perf_counter() - begun))
            what = f"Lines of a room's export, {AT_ONCE} at once."
            rows.append(row(f"import of {name} lines", what, rates, unit="/s"))
    return rows

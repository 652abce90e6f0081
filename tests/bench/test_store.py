"""What the store's items and an import cost. ITEMS=1000000 for a room of a million."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from buddies_core.model.item import BEGIN, END, Bound
from buddies_core.store.database import Changes, Database, Read
from buddies_core.store.items import Kept, RocksItems, item_changes
from buddies_core.store.rocks import RocksStore
from buddies_core.transfer.lines import line_of
from buddies_core.transfer.service import Transfer
from tests.support.memories import DEMO
from tests.support.worlds.skill_team import SkillNode, SkillTeam

pytestmark = pytest.mark.timeout(600)

ITEMS = int(os.environ.get("ITEMS", "100000"))
LINES = 2000
AT_ONCE = 500


def took_ms(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


async def test_what_the_sums_of_a_rooms_items_cost(tmp_path: Path) -> None:
    async with Database.open(tmp_path) as database:
        items = RocksItems(database).of(DEMO)
        for first in range(0, ITEMS, 5000):
            kept = [Kept(DEMO, b"%d" % number, b"m", 0) for number in range(first, first + 5000)]

            def decide(read: Read, new: list[Kept] = kept) -> tuple[None, Changes]:
                return None, item_changes(read, new=new)

            await database.commit(decide, synced=False)
        half = BEGIN, Bound(0, b"\x80")
        whole = took_ms(lambda: items.fingerprint(BEGIN, END))
        first_time, again = (took_ms(lambda: items.fingerprint(*half)) for _ in range(2))
        nth = took_ms(lambda: items.nth(BEGIN, ITEMS // 2))
    print(  # noqa: T201 - figures
        f"\n{ITEMS:,} items: all {whole:.2f} ms; a half {first_time:.0f} ms the first time, then "
        f"{again:.1f} ms; the one in the middle {nth:.1f} ms"
    )


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


async def test_how_fast_lines_are_imported(tmp_path: Path) -> None:
    alice, bob = SkillTeam().skilled("alice"), SkillTeam().skilled("bob")
    lines = []
    for number in range(LINES):
        view = await alice.store_memory(f"note {number}: " + "a few words more " * 15)
        [head] = alice.store.find_heads(view.id)
        memory = alice.store.get_memory(head.key)
        assert memory is not None
        lines.append(line_of(memory))
    async with RocksStore.open(tmp_path) as store:
        transfer = transfer_of(bob, store)
        for name in ("new", "known"):
            begun = time.perf_counter()
            for first in range(0, LINES, AT_ONCE):
                batch = lines[first : first + AT_ONCE]
                await transfer.import_lines(DEMO, batch, agent="", user="")
            rate = LINES / (time.perf_counter() - begun)
            print(f"\n{name} lines: {rate:,.0f} a second")  # noqa: T201 - figures

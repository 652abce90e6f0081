"""How much of the disk a room and an author may use."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from buddies_core.errors import QuotaExceeded
from buddies_core.model.ids import RoomName
from buddies_core.model.item import BEGIN, END
from buddies_core.model.memory import Memory
from buddies_core.store import keys, skill_keys
from buddies_core.store.items import disk_bytes
from buddies_core.store.quotas import Quotas
from buddies_core.store.rocks import RocksStore
from buddies_core.wire.items import describe
from tests.support.memories import BOB, DEMO, a_memory, an_entry, heads, whole_of
from tests.support.skills import a_skill, a_skill_entry, a_vote
from tests.support.stores import MEMORIES, OPS, SKILL, VOTE, fill, unpack

OTHER = RoomName("other")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[RocksStore]:
    quotas = Quotas(room=20_000, author=30_000)
    async with RocksStore.open(tmp_path / "store", quotas) as store:
        yield store


def large(number: int, room: RoomName = DEMO, claimed: bytes = b"") -> Memory:
    """Return a memory of some 12,000 bytes on disk."""
    entry = an_entry(number, room=room, content=f"{number}" + "a" * 11_000)
    return a_memory(entry, proof=b"proof of %d" % number + claimed)


async def test_what_is_beyond_a_rooms_quota_is_refused_and_leaves_nothing(
    store: RocksStore,
) -> None:
    await store.put_memory(large(1))

    with pytest.raises(QuotaExceeded) as refused:
        await store.put_memory(large(2))
    assert str(refused.value) == (
        "room 'demo' may use 19.5KiB of this machine's disk, and that is full; nothing was stored. "
        "Allow more with: buddies-cli config set room_quota 39.1KiB, then: buddies-cli daemon "
        "restart"
    )
    with pytest.raises(QuotaExceeded):
        await store.skills.put_skill(a_skill(a_skill_entry("a" * 11_000)))
    assert (store.last_sequence(), store.skills.last_skill_sequence()) == (1, 0)
    assert store.items(DEMO).list(BEGIN, END, 9) == [describe(large(1).proof).item]
    assert await store.put_memory(large(2, OTHER))


async def test_what_is_beyond_an_authors_quota_is_refused_in_every_room(store: RocksStore) -> None:
    of_bob = replace(MEMORIES[0], entry=replace(MEMORIES[0].entry, room=OTHER))
    for number, room in ((1, DEMO), (2, OPS)):
        await store.put_memory(large(number, room))

    with pytest.raises(QuotaExceeded, match=r"an author without a proven name .* author_quota"):
        await store.put_memory(large(3, OTHER))
    assert await store.put_memory(of_bob)


async def test_a_content_that_does_not_fit_leaves_its_beginning(store: RocksStore) -> None:
    whole = a_memory(an_entry(content="a" * 30_000), whole=whole_of("a" * 30_000), proof=b"proof")
    beginning = replace(whole, entry=replace(whole.entry, content="aaa"))
    await store.put_memory(beginning)

    with pytest.raises(QuotaExceeded):
        await store.put_memory(whole)
    assert store.get_memory(whole.key) == beginning
    assert await store.heads_since(0, 9) == ((1, *heads(beginning)),)


async def test_what_replaces_something_larger_is_kept_though_all_is_used(
    store: RocksStore, tmp_path: Path
) -> None:
    proofs = sorted((b"%d" % n for n in range(9)), key=lambda it: describe(it).item.id)
    worse = a_memory(an_entry(1, content="a" * 11_000), proof=proofs[1])
    better = a_memory(an_entry(1, content="a" * 10_000), proof=proofs[0])
    await store.put_memory(worse)

    tight = Quotas(room=9_000, author=9_000)
    store._quotas = tight
    assert await store.put_memory(better)
    with pytest.raises(QuotaExceeded):
        await store.put_memory(large(2))


async def test_what_is_used_is_what_the_records_take(tmp_path: Path) -> None:
    async with RocksStore.open(tmp_path) as store:
        await fill(store)
        newer = replace(VOTE, sent_at_ms=VOTE.sent_at_ms + 1, proof=VOTE.proof + b"\0" * 9)
        await store.skills.put_vote(newer, BOB)
        await store.skills.put_vote(a_vote(SKILL, "claimed"), BOB)

        places = [keys.memory(it.key) for it in MEMORIES[:4]]
        places += [skill_keys.SKILLS + SKILL.key, skill_keys.vote_of(newer)]
        places += [skill_keys.vote_of(a_vote(SKILL, "claimed"))]
        in_demo = sum(disk_bytes(store._database.get, place) for place in places)
        in_ops = disk_bytes(store._database.get, keys.memory(MEMORIES[4].key))
        usage = store.usage()
        assert dict(usage.rooms) == {DEMO: in_demo, OPS: in_ops}
        assert sum(usage.authors.values()) == in_demo + in_ops
        assert usage.authors[describe(MEMORIES[4].proof).author] == in_ops


async def test_a_store_of_layout_3_knows_what_is_used_when_it_is_brought_over(
    tmp_path: Path,
) -> None:
    async with RocksStore.open(tmp_path / "new") as store:
        await fill(store)
        expected = store.usage()
    async with RocksStore.open(unpack("store-layout-3.tar.gz", tmp_path)) as store:
        await store.put_memory(MEMORIES[0])  # It is there, and counts once.
        await store.upgrade()
        assert store.usage() == expected

"""Memories that were found lately, at hand to be read."""

from buddies_core.memory.findings import RecentFinds
from tests.support.memories import BOB, a_memory, an_entry, memory_id


def test_recent_finds_are_found_by_id_until_newer_ones_need_their_place() -> None:
    finds = RecentFinds()
    of_alice, of_bob = a_memory(an_entry(1)), a_memory(an_entry(1, author=BOB))
    for memory in (of_alice, of_bob, of_alice):
        finds.keep(memory)
    assert finds.find(memory_id(1)) == (of_bob, of_alice)

    for number in range(2, 18):
        finds.keep(a_memory(an_entry(number, content="x" * (1 << 20))))
    assert finds.find(memory_id(1)) == ()
    assert len(finds.find(memory_id(17))) == 1
    for number in range(100, 1200):
        finds.keep(a_memory(an_entry(number)))
    assert sum(len(finds.find(memory_id(number))) for number in range(1200)) == 1000

"""How many members have a memory is never more than is known."""

from dataclasses import replace
from hashlib import sha256

from buddies_core.memory.receipts import BEING_STORED_MS, COMPARED_MAX, Receipts
from buddies_core.model.ids import EndpointId, RoomName
from tests.support.fakes.clocks import ManualClock
from tests.support.memories import DEMO, a_memory

BOB, CAROL = EndpointId(b"b" * 32), EndpointId(b"c" * 32)
NOBODY: frozenset[bytes] = frozenset()


def test_a_member_counts_once_it_was_compared_with_and_only_for_what_it_does_not_lack() -> None:
    clock = ManualClock()
    receipts = Receipts(clock)
    memory = replace(a_memory(), received_at_ms=clock.unix_ms)
    assert receipts.held_by(memory) == 0
    clock.unix_ms += BEING_STORED_MS + 1
    clock.monotonic_s += BEING_STORED_MS / 1000

    receipts.compared(DEMO, BOB, receipts.now(), NOBODY)
    receipts.compared(DEMO, BOB, receipts.now(), NOBODY)
    assert receipts.held_by(memory) == 1
    receipts.compared(DEMO, CAROL, receipts.now(), frozenset({sha256(memory.proof).digest()}))
    assert receipts.held_by(memory) == 1
    receipts.compared(RoomName("elsewhere"), CAROL, receipts.now(), NOBODY)
    assert receipts.held_by(memory) == 1
    receipts.compared(DEMO, BOB, receipts.now(), frozenset({sha256(memory.proof).digest()}))
    assert receipts.held_by(memory) == 0


def test_a_memory_that_came_while_the_comparison_began_does_not_count() -> None:
    clock = ManualClock()
    receipts = Receipts(clock)
    receipts.compared(DEMO, BOB, receipts.now(), NOBODY)

    for age_ms, holders in ((-1, 0), (0, 0), (BEING_STORED_MS, 0), (BEING_STORED_MS + 1, 1)):
        memory = replace(a_memory(), received_at_ms=clock.unix_ms - age_ms)
        assert receipts.held_by(memory) == holders, age_ms


def test_nothing_is_known_any_more_once_the_wall_clock_was_set_back() -> None:
    clock = ManualClock()
    receipts = Receipts(clock)
    receipts.compared(DEMO, BOB, receipts.now(), NOBODY)
    memory = replace(a_memory(), received_at_ms=clock.unix_ms - 60_000)
    assert receipts.held_by(memory) == 1

    clock.unix_ms -= 30_000

    assert receipts.held_by(memory) == 0


def test_what_is_remembered_is_bounded() -> None:
    clock = ManualClock()
    receipts = Receipts(clock)
    for number in range(COMPARED_MAX + 10):
        receipts.compared(DEMO, EndpointId(number.to_bytes(32, "big")), receipts.now(), NOBODY)
    memory = replace(a_memory(), received_at_ms=clock.unix_ms - 60_000)

    assert receipts.held_by(memory) == COMPARED_MAX

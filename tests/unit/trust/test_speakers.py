"""Who signs is remembered within bounds: made-up keys push out nobody who is trusted more."""

from buddies_core.model.ids import EndpointId
from buddies_core.trust.speakers import (
    SPEAKERS_MAX,
    SPEAKERS_PER_NEIGHBOR_MAX,
    Speakers,
    spoke_key,
)
from tests.support.in_memory.store import InMemoryStore

ANN, BOB = EndpointId(b"a" * 32), EndpointId(b"b" * 32)


def neighbor(number: int) -> EndpointId:
    return EndpointId(bytes([number]) * 32)


async def made_up(speakers: Speakers, count: int, told_by: EndpointId, rank: int = 0) -> None:
    for number in range(count):
        await speakers.note(EndpointId(told_by[:16] + number.to_bytes(16, "big")), rank, told_by)


async def test_keys_that_one_neighbor_makes_up_take_its_share_in_memory_and_on_disk() -> None:
    store = InMemoryStore()
    speakers = Speakers(store)
    await speakers.note(ANN, told_by=ANN)
    await made_up(speakers, SPEAKERS_PER_NEIGHBOR_MAX + 500, neighbor(1))
    assert ANN in speakers
    assert len(store.watermarks(b"spoke")) == 1 + SPEAKERS_PER_NEIGHBOR_MAX


async def test_keys_that_many_neighbors_make_up_push_out_nobody_trusted_more() -> None:
    store = InMemoryStore()
    speakers = Speakers(store)
    await speakers.note(ANN, told_by=BOB)
    await speakers.note(ANN, 2)
    await speakers.note(BOB, told_by=BOB)
    for number in range(9):
        await made_up(speakers, SPEAKERS_PER_NEIGHBOR_MAX, neighbor(number))
    assert (ANN in speakers, BOB in speakers) == (True, False)
    kept = dict(store.watermarks(b"spoke"))
    assert len(kept) == SPEAKERS_MAX
    assert kept[spoke_key(ANN)] == 3
    assert spoke_key(BOB) not in kept


async def test_after_a_restart_each_is_trusted_as_before() -> None:
    store = InMemoryStore()
    before = Speakers(store)
    await before.note(ANN, 7)
    await before.note(ANN, 3)
    again = Speakers(store)
    assert (ANN in again, BOB in again) == (True, False)
    for number in range(9):
        await made_up(again, SPEAKERS_PER_NEIGHBOR_MAX, neighbor(number), rank=6)
    assert ANN in again


async def test_one_that_comes_while_all_others_are_trusted_more_takes_no_place_on_disk() -> None:
    store = InMemoryStore()
    speakers = Speakers(store)
    await made_up(speakers, SPEAKERS_PER_NEIGHBOR_MAX, BOB, rank=1)
    await speakers.note(ANN, told_by=BOB)
    assert ANN not in speakers
    assert store.watermark(spoke_key(ANN)) == 0

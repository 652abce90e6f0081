"""The item of a proof follows from its bytes alone."""

import hashlib
from dataclasses import replace

import pytest

from buddies_core.model.bodies import Body, MemoryCreated, SkillPublished, SkillVoteCast
from buddies_core.model.ids import EndpointId
from buddies_core.model.item import AT_MS_MAX, Item
from buddies_core.wire.items import item_of
from buddies_core.wire.room_messages import RoomMessage, Trailer, encode_room_message, seal
from tests.support.memories import an_entry
from tests.support.skills import a_skill_entry

MEMORY = an_entry(created_at_s=1_700_000_000)


def message(body: Body) -> bytes:
    return encode_room_message(RoomMessage(nonce=bytes(16), body=body))


def signed(body: Body, sent_at_ms: int) -> bytes:
    trailer = Trailer(sender=EndpointId(b"\1" * 32), sent_at_ms=sent_at_ms)
    return seal(message(body), trailer, bytes(32), lambda _: bytes(64))


@pytest.mark.parametrize(
    ("proof", "at_ms"),
    [
        (signed(MemoryCreated(MEMORY), 5), 5),
        (signed(SkillVoteCast("00" * 32, "bob", 1), 6), 6),
        (signed(MemoryCreated(MEMORY), (1 << 64) - 1), AT_MS_MAX),
        (message(MemoryCreated(MEMORY)), 1_700_000_000_000),
        (message(MemoryCreated(replace(MEMORY, created_at_s=(1 << 64) - 1))), AT_MS_MAX),
        (message(SkillPublished(a_skill_entry())), a_skill_entry().created_at_s * 1000),
        (message(SkillVoteCast("00" * 32, "bob", 1)), 0),
        (b"nonsense", 0),
    ],
)
def test_an_item_has_the_time_of_the_trailer_or_else_of_the_entry(proof: bytes, at_ms: int) -> None:
    assert item_of(proof) == Item(at_ms, hashlib.sha256(proof).digest())

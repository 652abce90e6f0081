"""A member that is present and not heard is told from one that is heard."""

from dataclasses import replace

import pytest

from buddies_core.model.contact import Contact, Path
from buddies_core.model.ids import EndpointId
from buddies_core.model.room import Member
from buddies_core.rooms.touch import SILENT_AFTER_S, UNHEARD_AFTER_S, in_touch

BOB = Member(endpoint=EndpointId(b"b" * 32), name="bob")
NOW_S = 1000.0
WALL_MS = 5_000_000
MS_AT_0 = WALL_MS - 1_000_000
"""The wall clock when the monotonic one stood at 0."""


def connected(heard_s: float) -> Contact:
    return Contact(heard_s=heard_s, path=Path.RELAY, round_trip_ms=40)


def touched(contact: Contact | None, heard_s: float) -> Member:
    return in_touch(BOB, contact, heard_s=heard_s, now_s=NOW_S, wall_ms=WALL_MS)


def test_a_connected_member_is_online_with_its_path_and_round_trip() -> None:
    online = replace(BOB, path=Path.RELAY, round_trip_ms=40)
    assert touched(connected(NOW_S - SILENT_AFTER_S), heard_s=900.0) == online


def test_a_member_whose_connection_is_silent_is_silent_since_its_last_packet() -> None:
    silent = replace(BOB, silent_since_ms=MS_AT_0 + 991_000)
    assert touched(connected(991.0), heard_s=980.0) == silent


def test_a_member_with_a_dead_connection_that_others_hear_is_online() -> None:
    assert touched(connected(900.0), heard_s=995.0).silent_since_ms == 0


def test_a_member_whose_connection_was_lost_is_silent_though_its_presence_is_fresh() -> None:
    lost = Contact(heard_s=980.0, lost_s=995.0)
    assert touched(lost, heard_s=985.0) == replace(BOB, silent_since_ms=MS_AT_0 + 985_000)


def test_a_lost_member_that_is_heard_by_way_of_others_since_is_online_without_a_path() -> None:
    assert touched(Contact(heard_s=980.0, lost_s=990.0), heard_s=991.0) == BOB


@pytest.mark.parametrize("contact", [None, Contact(heard_s=700.0, lost_s=720.0)])
def test_without_a_connection_a_missing_presence_makes_a_member_silent(
    contact: Contact | None,
) -> None:
    assert touched(contact, heard_s=NOW_S - UNHEARD_AFTER_S) == BOB
    late_s = NOW_S - UNHEARD_AFTER_S - 1
    silent = replace(BOB, silent_since_ms=MS_AT_0 + int(late_s * 1000))
    assert touched(contact, heard_s=late_s) == silent

"""A member that lets the others wait is given up soon, and sooner until it is heard again."""

import math

import pytest

from buddies_core.asking.patience import (
    AFTER_OTHERS_S,
    ALONE_S,
    DEAD_AFTER_S,
    IF_SILENT_S,
    TO_CONNECT_S,
    UNPROVEN_S,
    Patience,
)
from buddies_core.model.contact import Contact
from buddies_core.model.ids import EndpointId
from buddies_core.model.room import Member

BOB = Member(endpoint=EndpointId(b"b" * 32), name="bob", heard_at_ms=1_000)
NEAR = Contact(heard_s=100.0, round_trip_ms=1)


@pytest.mark.parametrize(
    ("contact", "others_took_s", "waits_s"),
    [
        pytest.param(NEAR, 0.02, AFTER_OTHERS_S, id="a quarter second"),
        pytest.param(
            Contact(heard_s=100.0, round_trip_ms=300), 0.02, 1.2, id="four long round trips"
        ),
        pytest.param(NEAR, 0.8, 0.8, id="as long again as the others took"),
        pytest.param(None, 0.02, TO_CONNECT_S, id="longer without a connection"),
        pytest.param(
            Contact(heard_s=99.0 - DEAD_AFTER_S, round_trip_ms=300),
            0.8,
            IF_SILENT_S,
            id="briefly where nothing has come by the connection",
        ),
        pytest.param(
            Contact(heard_s=80.0, lost_s=99.0), 0.8, IF_SILENT_S, id="briefly where it was lost"
        ),
    ],
)
def test_how_long_a_member_is_waited_for_depends_on_the_way_to_it(
    contact: Contact | None, others_took_s: float, waits_s: float
) -> None:
    patience = Patience()
    patience.answered(BOB, 0.02)
    wait_s = patience.wait_s(BOB, contact, others_took_s, 100.0, has_answers=True)
    assert wait_s == pytest.approx(waits_s)


def test_a_member_is_waited_for_longer_before_its_first_answer_and_where_nobody_else_answers() -> (
    None
):
    patience = Patience()
    assert patience.wait_s(BOB, NEAR, 0.02, 100.0, has_answers=True) == UNPROVEN_S
    assert patience.wait_s(BOB, NEAR, 0.02, 100.0, has_answers=False) == math.inf

    patience.answered(BOB, 0.02)
    assert patience.wait_s(BOB, NEAR, 0.02, 100.0, has_answers=True) == AFTER_OTHERS_S
    assert patience.wait_s(BOB, NEAR, 0.02, 100.0, has_answers=False) == ALONE_S


def test_a_member_that_was_given_up_is_waited_for_briefly_until_it_is_heard_or_answers() -> None:
    patience = Patience()
    patience.answered(BOB, 0.02)
    patience.gave_up(BOB, 2_000)
    assert patience.wait_s(BOB, NEAR, 0.02, 100.0, has_answers=True) == IF_SILENT_S

    heard = Member(endpoint=BOB.endpoint, name="bob", heard_at_ms=2_001)
    assert patience.wait_s(heard, NEAR, 0.02, 100.0, has_answers=True) == AFTER_OTHERS_S

    patience.answered(BOB, 0.9)
    assert patience.wait_s(BOB, NEAR, 0.02, 100.0, has_answers=True) == pytest.approx(1.8)

"""Handshakes that a source leaves half open keep nobody else out."""

from contextlib import ExitStack

import pytest

from buddies_core.net.half_open import (
    HALF_OPEN_MAX,
    HALF_OPEN_PER_SOURCE_MAX,
    UNPROVEN_MAX,
    Answer,
    HalfOpen,
    source_of,
)


def test_who_leaves_many_half_open_keeps_out_nobody_but_itself() -> None:
    half_open = HalfOpen()
    with ExitStack() as under_way:
        for _ in range(HALF_OPEN_PER_SOURCE_MAX):
            assert half_open.answer("mallory", proven=True) is Answer.ACCEPT
            under_way.enter_context(half_open.one_more("mallory"))
        assert half_open.answer("mallory", proven=True) is Answer.REFUSE
        assert half_open.answer("bob", proven=True) is Answer.ACCEPT
    assert half_open.answer("mallory", proven=False) is Answer.ACCEPT


def test_with_many_under_way_a_newcomer_has_to_prove_its_address_first() -> None:
    half_open = HalfOpen()
    with ExitStack() as under_way:
        for number in range(UNPROVEN_MAX):
            assert half_open.answer(f"made up {number}", proven=False) is Answer.ACCEPT
            under_way.enter_context(half_open.one_more(f"made up {number}"))
        assert half_open.answer("bob", proven=False) is Answer.PROVE
        assert half_open.answer("bob", proven=True) is Answer.ACCEPT


def test_those_of_all_sources_are_bounded() -> None:
    half_open = HalfOpen()
    with ExitStack() as under_way:
        for number in range(HALF_OPEN_MAX):
            under_way.enter_context(half_open.one_more(f"{number}"))
        assert half_open.answer("bob", proven=True) is Answer.REFUSE


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1:7", "192.0.2.1:8", True),
        ("192.0.2.1:7", "192.0.2.2:7", False),
        ("[2001:db8::1]:7", "[2001:db8::ffff:1]:8", True),
        ("[2001:db8::1]:7", "[2001:db8:0:1::1]:7", False),
        ("[fe80::1%eth0]:7", "[fe80::2]:7", True),
    ],
)
def test_a_source_is_an_ipv4_host_or_an_ipv6_network(one: str, other: str, same: bool) -> None:
    assert (source_of(one) == source_of(other)) is same

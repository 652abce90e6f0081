"""What each style of router lets out and in."""

from dataclasses import replace
from random import Random

import pytest

from tests.worlds.packets import UDP, Flow, Place
from tests.worlds.routers import FORGETS_UDP_AFTER_S, Router, Style

INSIDE = Place(b"\xc0\xa8\1\2", 5000)
PEER, OTHER = Place(b"\xc6\x33\x64\1", 7000), Place(b"\xc6\x33\x64\2", 7000)
PUBLIC = b"\xc6\x33\x64\x0b"

each_style = pytest.mark.parametrize("style", Style)


def router(style: Style) -> Router:
    return Router(PUBLIC, style, Random(1))


def to(peer: Place, inside: Place = INSIDE) -> Flow:
    return Flow(protocol=UDP, source=inside, destination=peer)


def answer(flow: Flow) -> Flow:
    return replace(flow, source=flow.destination, destination=flow.source)


@each_style
def test_an_answer_comes_in_and_nothing_else_does(style: Style) -> None:
    home = router(style)
    out = home.leaving(to(PEER), 0.0)
    assert out.source.host == PUBLIC

    assert home.entering(answer(out), 1.0) == answer(to(PEER))
    assert home.entering(replace(answer(out), source=OTHER), 1.0) is None
    assert home.entering(replace(answer(out), source=Place(PEER.host, 7001)), 1.0) is None


def test_a_port_preserving_router_shows_all_peers_the_machines_own_port() -> None:
    home = router(Style.PRESERVING)
    assert [home.leaving(to(peer), 0.0).source for peer in (PEER, OTHER)] == [
        Place(PUBLIC, INSIDE.port)
    ] * 2


def test_a_second_machine_with_the_same_port_gets_another() -> None:
    home = router(Style.PRESERVING)
    first = home.leaving(to(PEER), 0.0)
    second = home.leaving(to(PEER, Place(b"\xc0\xa8\1\3", INSIDE.port)), 0.0)

    assert second.source != first.source
    assert home.entering(answer(second), 1.0) == answer(
        to(PEER, Place(b"\xc0\xa8\1\3", INSIDE.port))
    )


def test_a_random_router_shows_each_peer_another_port() -> None:
    home = router(Style.RANDOM)
    ports = {home.leaving(to(peer), 0.0).source.port for peer in (PEER, OTHER)}
    assert len(ports | {INSIDE.port}) == 3
    assert home.leaving(to(PEER), 1.0).source.port in ports


@each_style
def test_a_silent_flow_is_forgotten(style: Style) -> None:
    home = router(style)
    out = home.leaving(to(PEER), 0.0)
    home.leaving(to(PEER), 30.0)

    assert home.entering(answer(out), 30.0 + FORGETS_UDP_AFTER_S) is not None
    assert home.entering(answer(out), 31.0 + 2 * FORGETS_UDP_AFTER_S) is None


@each_style
def test_a_new_public_address_ends_all_flows(style: Style) -> None:
    home = router(style)
    out = home.leaving(to(PEER), 0.0)
    home.renumber(b"\xc6\x33\x64\x0c")

    assert home.entering(answer(out), 1.0) is None
    assert home.leaving(to(PEER), 1.0).source.host == b"\xc6\x33\x64\x0c"

from dataclasses import dataclass, field
from typing import Any, cast

import iroh
import pytest

from buddies_core.model.contact import Path
from buddies_core.model.ids import EndpointId
from buddies_core.net.iroh_calls import Failure, IrohCalls, IrohFailed
from buddies_core.net.links import (
    LINKS_MAX,
    LINKS_PER_SOURCE_MAX,
    CloseReason,
    Link,
    Links,
)
from tests.support.fakes.clocks import ManualClock

PEER = EndpointId(b"p" * 32)


@dataclass(frozen=True)
class Way:
    """One of a connection's paths."""

    is_selected: bool
    is_relay: bool
    rtt_ms: int


@dataclass
class Connection:
    """A connection whose counter of packets the test turns."""

    peer: EndpointId = PEER
    udp_rx_datagrams: int = 0
    way: Way = field(default_factory=lambda: Way(is_selected=True, is_relay=False, rtt_ms=3))
    ended_by: str = "closed by peer: done (code 0)"
    closed_with: list[tuple[int, bytes]] = field(default_factory=list)

    def remote_id(self) -> Any:
        return self

    def to_bytes(self) -> bytes:
        return self.peer

    def alpn(self) -> bytes:
        return b"/test/1"

    def stats(self) -> "Connection":
        return self

    def paths(self) -> list[Way]:
        return [Way(is_selected=False, is_relay=True, rtt_ms=90), self.way]

    def close_reason(self) -> str:
        return self.ended_by

    async def accept_bi(self) -> None:
        raise IrohFailed(Failure.OTHER, "it has ended")

    def close(self, code: int, reason: bytes) -> None:
        self.closed_with.append((code, reason))


def _link(clock: ManualClock) -> tuple[Link, Connection]:
    connection = Connection()
    return Link(cast(iroh.Connection, connection), IrohCalls(), clock), connection


def test_a_connection_is_silent_from_its_last_packet_on_whatever_the_peer_says() -> None:
    clock = ManualClock()
    link, connection = _link(clock)
    clock.monotonic_s = 3
    connection.udp_rx_datagrams += 1
    assert link.silent_s() == pytest.approx(0, abs=0.001)
    clock.monotonic_s = 10
    link.hear()
    assert link.silent_s() == pytest.approx(7, abs=0.001)


def test_only_silent_connections_of_the_peer_are_closed_before_it_is_dialled() -> None:
    clock, links = ManualClock(), Links()
    (silent, dead), (lively, alive) = _link(clock), _link(clock)
    links.add(silent)
    links.add(lively)
    clock.monotonic_s = 9
    alive.udp_rx_datagrams += 1
    links.close_silent(PEER, 8)
    assert (dead.closed_with, alive.closed_with) == ([CloseReason.SILENT.value], [])


def test_a_connection_is_closed_once() -> None:
    link, connection = _link(ManualClock())
    link.close(CloseReason.DEAD)
    link.close(CloseReason.DONE)
    assert connection.closed_with == [CloseReason.DEAD.value]


def test_a_peer_is_connected_since_its_oldest_connection() -> None:
    clock, links = ManualClock(), Links()
    assert (links.connected_since_s(PEER), links.heard_s(PEER)) == (None, None)
    first, _ = _link(clock)
    links.add(first)
    clock.monotonic_s = 5
    second, _ = _link(clock)
    links.add(second)
    assert links.connected_since_s(PEER) == pytest.approx(0, abs=0.001)
    assert links.heard_s(PEER) == pytest.approx(5, abs=0.001)
    assert len(links) == 2
    links.remove(first)
    assert links.connected_since_s(PEER) == pytest.approx(5, abs=0.001)
    assert len(links) == 1


def _made(links: Links, count: int, source: str | None, clock: ManualClock) -> list[Link]:
    """Return connections of so many peers that came from one place; each was heard after the last.

    None: this node has dialled them.
    """
    made = []
    for _ in range(count):
        clock.monotonic_s += 1
        peer = EndpointId(f"{source} {len(links)}".encode().ljust(32))
        connection = cast(iroh.Connection, Connection(peer))
        made.append(Link(connection, IrohCalls(), clock, source))
        links.add(made[-1])
    return made


def test_who_makes_many_connections_from_one_place_makes_way_for_itself() -> None:
    clock, links = ManualClock(), Links()
    _made(links, 1, "home", clock)
    oldest, second, *_ = _made(links, LINKS_PER_SOURCE_MAX, "mallory", clock)
    assert links.in_the_way("home") is None
    assert links.in_the_way("mallory") is oldest
    oldest.close(CloseReason.TOO_MANY)
    assert links.in_the_way("mallory") is None
    _made(links, 1, "mallory", clock)
    second.hear()
    assert links.in_the_way("mallory") is not second


def test_a_newcomer_takes_the_place_of_one_that_came_from_the_most_crowded_source() -> None:
    clock, links = ManualClock(), Links()
    home = _made(links, LINKS_PER_SOURCE_MAX - 3, "home", clock)
    for source in ("mallory 1", "mallory 2", "mallory 3"):
        _made(links, LINKS_PER_SOURCE_MAX, source, clock)
    assert links.in_the_way("elsewhere") is None
    _made(links, 3, "office", clock)
    spare = links.in_the_way("elsewhere")
    assert spare is not None
    assert spare not in home
    assert spare.source == "mallory 1"


def test_of_one_source_the_least_trusted_goes_and_what_this_node_has_dialled_stays() -> None:
    clock, links = ManualClock(), Links()
    dialled = _made(links, LINKS_MAX, None, clock)
    known, *strangers = _made(links, LINKS_PER_SOURCE_MAX, "home", clock)
    links.rank(known.peer, 5)
    spare = links.in_the_way("home")
    assert spare is strangers[0]
    for stranger in strangers:
        links.rank(stranger.peer, 6)
    assert links.in_the_way("home") is known
    assert not any(link.closed for link in dialled)


def _contact(
    links: Links, peer: EndpointId = PEER
) -> tuple[int, int | None, Path | None, int | None] | None:
    """Return what is known of the peer, in whole seconds."""
    known = links.contact(peer)
    if known is None:
        return None
    lost_s = None if known.lost_s is None else round(known.lost_s)
    return round(known.heard_s), lost_s, known.path, known.round_trip_ms


def test_a_peer_is_in_contact_by_the_selected_path_of_its_liveliest_connection() -> None:
    clock, links = ManualClock(), Links()
    (silent, _), (lively, alive) = _link(clock), _link(clock)
    alive.way = Way(is_selected=True, is_relay=True, rtt_ms=40)
    links.add(silent)
    links.add(lively)
    clock.monotonic_s = 6
    alive.udp_rx_datagrams += 1

    assert _contact(links) == (6, None, Path.RELAY, 40)
    assert _contact(links, EndpointId(b"q" * 32)) is None


@pytest.mark.parametrize("reason", list(CloseReason))
def test_a_peer_that_was_given_up_is_remembered_with_its_last_packet_until_it_is_back(
    reason: CloseReason,
) -> None:
    clock, links = ManualClock(), Links()
    link, _ = _link(clock)
    links.add(link)
    clock.monotonic_s = 20
    link.close(reason)
    links.remove(link)

    is_lost = reason in (CloseReason.DEAD, CloseReason.SILENT, CloseReason.STALLED)
    assert _contact(links) == ((0, 20, None, None) if is_lost else None)
    again, _ = _link(clock)
    links.add(again)
    assert _contact(links) == (20, None, Path.DIRECT, 3)


@pytest.mark.parametrize(
    ("ended_by", "lost"), [("timed out", True), ("closed by peer: done (code 0)", False)]
)
async def test_a_connection_that_times_out_is_lost_and_one_that_the_peer_closes_is_not(
    ended_by: str, *, lost: bool
) -> None:
    clock, links = ManualClock(), Links()
    link, connection = _link(clock)
    connection.ended_by = ended_by
    links.add(link)
    assert await link.next_bi_stream() is None
    links.remove(link)

    assert (link.closed, links.contact(PEER) is not None) == (True, lost)

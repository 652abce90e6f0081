"""Another network, a relay that is back and the end of a sleep are noticed; nothing else is."""

from dataclasses import dataclass
from typing import cast

from buddies_core.model.address import AddressInfo, PeerAddress, SocketAddress
from buddies_core.model.ids import EndpointId
from buddies_core.net.endpoint import Endpoint
from buddies_core.net.surroundings import ASLEEP_AFTER_S, Surroundings
from tests.support.fakes.clocks import ManualClock

HOME = AddressInfo("https://relay.example/", (SocketAddress("192.168.1.2", 4433),))
ELSEWHERE = AddressInfo("https://relay.example/", (SocketAddress("10.0.0.2", 4433),))


@dataclass
class Place:
    """Where an endpoint is."""

    info: AddressInfo = HOME
    relays: int = 1

    def address(self) -> PeerAddress:
        return PeerAddress(EndpointId(bytes(32)), self.info)

    def relays_connected(self) -> int:
        return self.relays


class Watched:
    def __init__(self) -> None:
        self.place, self.clock = Place(), ManualClock()
        self._surroundings = Surroundings(cast(Endpoint, self.place), self.clock)

    def look(self, after_s: float = 1.0, wall_s: float = 1.0) -> bool:
        self.clock.monotonic_s += after_s
        self.clock.unix_ms += int(wall_s * 1000)
        return self._surroundings.have_changed()


def test_a_change_of_address_is_noticed_once() -> None:
    watched = Watched()
    assert not watched.look()
    watched.place.info = ELSEWHERE
    assert (watched.look(), watched.look()) == (True, False)


def test_a_relay_is_back_when_none_was_there_before_and_a_further_one_is_no_change() -> None:
    watched = Watched()
    seen = []
    for relays in (2, 0, 0, 1, 2, 1):
        watched.place.relays = relays
        seen.append(watched.look())
    assert seen == [False, False, False, True, False, False]


def test_a_gap_between_two_looks_is_sleep_on_whichever_clock_it_shows() -> None:
    watched = Watched()
    gap_s = ASLEEP_AFTER_S + 1
    assert watched.look(after_s=gap_s)
    assert watched.look(wall_s=gap_s)
    assert not watched.look(wall_s=-3600.0)
    assert not watched.look()

"""A node gets back to its relays as soon as one answers, and is quiet while none does."""

from dataclasses import dataclass, field

from buddies_core.errors import BuddiesError
from buddies_core.net.timing import TIMING
from buddies_core.net.way_out import LONGEST_PAUSE_S, LONGEST_PROBE_PAUSE_S, WayOut
from tests.support.fakes.clocks import ManualClock

DOORS = (("one.example", 443), ("two.example", 443))


@dataclass
class Node:
    """An endpoint, its relays, and the network around it; the test says how they are."""

    relays: int = 1
    is_bound: bool = True
    is_outward: bool = True
    idle: bool = True
    answers: bool = False
    can_bind: bool = True
    sources: tuple[str, ...] = ("192.168.1.2",)
    done: list[str] = field(default_factory=list)
    """What was done to the endpoint."""
    probed: list[str] = field(default_factory=list)
    forgotten: int = 0

    def relays_connected(self) -> int:
        return self.relays

    def is_idle(self) -> bool:
        return self.idle

    async def bind_anew(self, *, outward: bool) -> None:
        self.done.append("outward" if outward else "inward")
        self.is_bound = self.can_bind
        if not self.can_bind:
            raise BuddiesError("no UDP port could be bound")
        self.is_outward = outward

    async def use_relays(self, *, on: bool) -> None:
        self.done.append("relays on" if on else "relays off")

    def forget(self) -> None:
        self.forgotten += 1

    async def reaches(self, host: str, port: int) -> bool:
        assert (host, port) in DOORS
        self.probed.append(host)
        return self.answers


class Watched:
    """A node and its way out, one look a second."""

    def __init__(self, *, quiet: bool = True) -> None:
        self.node, self.clock = Node(), ManualClock()
        self.way_out = WayOut(
            self.node,
            DOORS,
            self.node,
            lambda: self.node.sources,
            TIMING,
            self.clock,
            quiet=quiet,
        )

    async def look(self, seconds: float = 1.0) -> list[str]:
        """Look once a second for so long; return what was done."""
        before = len(self.node.done)
        for _ in range(int(seconds)):
            self.clock.monotonic_s += 1
            await self.way_out.look()
        return self.node.done[before:]


async def test_a_lost_relay_that_answers_again_is_reached_by_a_new_endpoint() -> None:
    watched = Watched(quiet=False)
    assert await watched.look(60) == []
    watched.node.relays = 0
    assert await watched.look(60) == []
    watched.node.answers = True
    assert await watched.look(3) == ["outward"]


async def test_no_endpoint_is_replaced_while_a_peer_is_connected() -> None:
    watched = Watched(quiet=False)
    watched.node.relays, watched.node.idle, watched.node.answers = 0, False, True
    assert await watched.look(600) == []
    watched.node.idle = True
    assert await watched.look(LONGEST_PROBE_PAUSE_S + 1) == ["outward"]


async def test_a_relay_that_was_just_lost_and_one_that_was_never_reached_are_left_to_iroh() -> None:
    never = Watched()
    never.node.relays, never.node.answers = 0, True
    assert await never.look(TIMING.relay_patience_s - 1) == []
    assert await never.look(3) == ["outward"]

    lost = Watched()
    await lost.look(60)
    lost.node.relays, lost.node.answers = 0, True
    assert await lost.look(TIMING.relay_redial_s - 1) == []


async def test_in_another_network_the_endpoint_is_new_at_once() -> None:
    watched = Watched()
    watched.node.relays, watched.node.answers = 0, True
    await watched.look()
    watched.node.sources = ()
    assert await watched.look() == []
    watched.node.sources = ("10.0.0.2",)
    assert await watched.look() == ["outward"]
    assert watched.node.forgotten == 1


async def test_a_relay_that_answers_and_is_never_reached_is_tried_ever_less_often() -> None:
    watched = Watched()
    watched.node.relays, watched.node.answers = 0, True
    binds_an_hour = [len(await watched.look(3600)) for _ in range(2)]
    assert binds_an_hour[0] <= 16
    assert binds_an_hour[1] <= 3600 / LONGEST_PAUSE_S


async def test_where_no_relay_answers_a_quiet_node_asks_the_lan_alone_until_one_does() -> None:
    watched = Watched()
    watched.node.relays = 0
    assert await watched.look(60) == ["inward"]
    watched.node.answers = True
    assert await watched.look(3) == ["outward"]


async def test_a_node_with_a_relay_of_its_own_goes_on_looking_for_it() -> None:
    watched = Watched(quiet=False)
    watched.node.relays = 0
    assert await watched.look(600) == []
    assert len(watched.node.probed) > 0


async def test_while_peers_are_connected_a_quiet_node_is_without_its_relays_and_no_more() -> None:
    watched = Watched()
    watched.node.relays, watched.node.idle = 0, False
    assert await watched.look(60) == ["relays off"]
    watched.node.answers = True
    assert await watched.look(3) == ["relays on"]


async def test_once_its_peers_are_gone_a_quiet_node_asks_the_lan_alone() -> None:
    watched = Watched()
    watched.node.relays, watched.node.idle = 0, False
    await watched.look(60)
    watched.node.idle = True
    assert await watched.look(5) == ["inward"]


async def test_a_node_that_got_its_relays_back_without_the_rest_gets_the_rest_once_idle() -> None:
    watched = Watched()
    watched.node.relays = 0
    await watched.look(60)
    watched.node.idle, watched.node.answers = False, True
    assert await watched.look(5) == ["relays on"]
    watched.node.relays = 1
    assert await watched.look(5) == []
    watched.node.idle = True
    assert await watched.look(5) == ["outward"]


async def test_relays_are_tried_in_turn_and_never_more_often_than_every_two_seconds() -> None:
    watched = Watched(quiet=False)
    watched.node.relays = 0
    await watched.look(60)
    assert set(watched.node.probed) == {host for host, _ in DOORS}
    assert len(watched.node.probed) <= 30
    await watched.look(3600)
    watched.node.probed.clear()
    await watched.look(60)
    assert 4 <= len(watched.node.probed) <= 5


async def test_what_could_not_be_bound_is_bound_at_the_next_look() -> None:
    watched = Watched()
    watched.node.relays, watched.node.can_bind = 0, False
    assert await watched.look(8) == ["inward"] * len(watched.node.done)
    assert not watched.node.is_bound
    watched.node.can_bind = True
    assert await watched.look() == ["inward"]
    assert watched.node.is_bound


async def test_where_no_relays_are_used_nothing_is_watched() -> None:
    node, clock = Node(), ManualClock()
    await WayOut(node, (), node, lambda: (), TIMING, clock, quiet=False).run()
    assert node.done == []

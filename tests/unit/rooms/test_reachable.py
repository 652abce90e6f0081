"""A ticket is given out when it works elsewhere, or with a warning; time is virtual here."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from buddies_core.rooms.room_changes import RoomChanges
from tests.support.fakes.host import a_host
from tests.support.virtual_time import run_virtually
from tests.unit.rooms.test_rooms import ALICE, BOB, network_of, rooms_of, ticket

WARNING = (
    "this machine does not know yet how machines in other networks can reach it (it has not "
    "reached a relay), so this ticket may work in its own network alone; for one that works "
    "everywhere, ask again in a while: buddies-cli ticket demo"
)


async def joins(rooms: RoomChanges) -> tuple[str, ...]:
    return (await rooms.join("demo", None, None)).warnings


async def asks(rooms: RoomChanges) -> tuple[str, ...]:
    return (await rooms.ticket("demo")).warnings


@pytest.mark.parametrize("gives", [joins, asks])
@pytest.mark.parametrize(
    ("known_after_s", "takes_s", "warnings"),
    [(0.0, 0.0, ()), (2.9, 2.9, ()), (3.1, 3.0, (WARNING,))],
)
def test_a_ticket_waits_until_it_works_elsewhere_but_not_for_ever(
    gives: Callable[[RoomChanges], Awaitable[tuple[str, ...]]],
    known_after_s: float,
    takes_s: float,
    warnings: tuple[str, ...],
) -> None:
    async def ask() -> tuple[tuple[str, ...], float]:
        alice = a_host(ALICE, "alice")
        async with rooms_of(alice) as (_, rooms):
            await rooms.join("demo", None, None)
            network_of(alice).reachable_after_s = known_after_s
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            return await gives(rooms), loop.time() - began_s

    said, took_s = run_virtually(ask())

    assert said == warnings
    assert took_s == pytest.approx(takes_s, abs=0.01)


def test_the_wait_counts_from_the_beginning_of_the_join() -> None:
    """Peers that are dialled for 10 s make nobody wait 3 s more."""

    async def join() -> float:
        bob = a_host(BOB, "bob")
        async with rooms_of(bob) as (_, rooms):
            await rooms.join("demo", None, None)
            network = network_of(bob)
            network.silent.add(ALICE.endpoint)
            network.reachable_after_s = 60.0
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            report = await rooms.join("demo", ticket(ALICE), None)
            assert report.warnings[-1] == WARNING
            return loop.time() - began_s

    assert run_virtually(join()) == pytest.approx(10.0, abs=0.01)

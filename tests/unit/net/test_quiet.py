"""A node without a way out leaves its relays alone until there may be one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from buddies_core.clock import SystemClock
from buddies_core.net.quiet import Quiet, can_look_up
from buddies_core.net.timing import Timing
from tests.support.eventually import until

HURRIED = Timing(poll_interval_s=0.005, relay_patience_s=0.03, relay_probe_every_s=0.02)
ENDLESS = Timing(poll_interval_s=0.005, relay_patience_s=0.03, relay_probe_every_s=3600)


class Relays:
    """An endpoint whose relays the test connects."""

    def __init__(self, hosts: Sequence[str] = ("relay.example",)) -> None:
        self.hosts = hosts
        self.connected = 0
        self.switched: list[bool] = []
        self.names_are_found = False
        self.looked_up = 0

    def relays_connected(self) -> int:
        return self.connected

    def relay_hosts(self) -> Sequence[str]:
        return self.hosts

    async def use_relays(self, *, on: bool) -> None:
        self.switched.append(on)

    async def can_look_up(self, host: str) -> bool:
        assert host in self.hosts
        self.looked_up += 1
        return self.names_are_found


@asynccontextmanager
async def quiet(relays: Relays, timing: Timing = HURRIED) -> AsyncIterator[Quiet]:
    async with asyncio.TaskGroup() as group:
        watch = Quiet(relays, relays.can_look_up, timing, SystemClock())
        running = group.create_task(watch.run())
        yield watch
        running.cancel()


async def test_relays_that_are_not_reached_are_left_alone_until_a_name_is_found() -> None:
    relays = Relays()
    async with quiet(relays):
        await until(lambda: relays.looked_up >= 3)
        assert relays.switched == [False]
        relays.names_are_found = True
        await until(lambda: relays.switched[:2] == [False, True])


async def test_in_another_network_relays_are_looked_for_at_once() -> None:
    relays = Relays()
    async with quiet(relays, ENDLESS) as watch:
        await until(lambda: relays.switched == [False])
        watch.on_move()
        await until(lambda: relays.switched[:2] == [False, True])
        assert relays.looked_up == 0


async def test_a_relay_that_is_reached_is_kept_and_a_lost_one_is_left_alone_after_a_while() -> None:
    relays = Relays()
    relays.connected = 1
    clock = asyncio.get_running_loop()
    async with quiet(relays):
        begun_s = clock.time()
        await until(lambda: clock.time() - begun_s > 3 * HURRIED.relay_patience_s)
        assert relays.switched == []
        relays.connected = 0
        await until(lambda: relays.switched == [False])


async def test_where_no_relays_of_n0_are_used_nothing_is_watched() -> None:
    relays = Relays(hosts=())
    async with asyncio.timeout(20):
        await Quiet(relays, relays.can_look_up, HURRIED, SystemClock()).run()
    assert relays.switched == []


async def test_a_name_that_the_system_knows_is_found_and_no_other_is() -> None:
    async with asyncio.timeout(10):
        assert await can_look_up("127.0.0.1")
        assert not await can_look_up("no-such-host.invalid")

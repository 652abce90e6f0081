"""The shim's link over real sockets, while one daemon ends and the next begins."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from buddies_core.client import DaemonClient
from buddies_core.errors import DaemonUnavailable
from buddies_core.model.room import JoinReport
from buddies_core.paths import Paths
from buddies_mcp.link import DaemonLink
from tests.support.eventually import until
from tests.support.fakes.node import FakeNode, fake_node
from tests.support.fakes.services import JOIN_REPORT


class Launcher:
    """Starts a daemon where none runs, as the shim does."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self.nodes: list[FakeNode] = []
        self.running: list[AsyncExitStack] = []

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[DaemonClient]:
        if not self._paths.socket.exists():
            stack = AsyncExitStack()
            self.nodes.append(await stack.enter_async_context(fake_node(self._paths)))
            self.running.append(stack)
        async with DaemonClient.connect(self._paths) as client:
            await client.attach("claude", "ann")
            yield client


@pytest.fixture
async def machine(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Launcher]:
    monkeypatch.setattr("buddies_core.client.connection.RECONNECT_TIMEOUT_S", 0.1)
    machine = Launcher(paths)
    yield machine
    for stack in machine.running:
        await stack.aclose()


async def _join(link: DaemonLink) -> JoinReport:
    return await link.ask(lambda daemon: daemon.join_room("feature-a"))


async def test_a_call_that_the_old_daemon_still_answers_outlives_the_change_to_the_new_one(
    machine: Launcher, paths: Paths
) -> None:
    async with DaemonLink.open(machine.connect) as link, asyncio.TaskGroup() as tasks:
        await link.ask(lambda daemon: daemon.list_rooms())
        [old] = machine.nodes
        old.rooms.hold = asyncio.Event()
        first = tasks.create_task(_join(link))
        await until(lambda: old.rooms.waits == 1)

        tasks.create_task(machine.running[0].aclose())  # Answers what it has begun, for 2 s.
        await until(lambda: not paths.socket.exists())
        second = await _join(link)
        [_, new] = machine.nodes
        old.rooms.hold.set()

        assert (await first, second) == (JOIN_REPORT, JOIN_REPORT)
        assert (len(old.rooms.calls), len(new.rooms.calls)) == (1, 1)
        assert [agent.name for agent in new.agents.attached()] == ["claude"]


async def test_a_call_that_the_old_daemon_does_not_answer_fails_and_the_link_goes_on(
    machine: Launcher, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buddies_core.rpc.server.GRACE_S", 0.3)

    async def fail() -> None:
        with pytest.raises(DaemonUnavailable, match="before you repeat this one"):
            await _join(link)

    async with DaemonLink.open(machine.connect) as link, asyncio.TaskGroup() as tasks:
        await link.ask(lambda daemon: daemon.list_rooms())
        [old] = machine.nodes
        old.rooms.hold = asyncio.Event()
        tasks.create_task(fail())
        await until(lambda: old.rooms.waits == 1)

        tasks.create_task(machine.running[0].aclose())
        await until(lambda: not paths.socket.exists())

        assert await _join(link) == JOIN_REPORT
    assert len(machine.nodes) == 2

"""What every client of the daemon promises: the real one, and the one that stands in for it."""

import asyncio
import gc
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Protocol, TypeAlias

import anyio
import pytest

from buddies_core.client import DaemonClient
from buddies_core.errors import BuddiesError, DaemonUnavailable, NotFound, TimedOut
from buddies_core.paths import Paths
from tests.support.eventually import until
from tests.support.fakes.client import FakeClient
from tests.support.fakes.node import FakeNode, fake_node
from tests.support.fakes.tasks import TASK_ID

DEADLINE_S = 0.2
ENOUGH_S = 10.0
TURNS_MAX = 5_000


class Side(Protocol):
    """A client, and what a test does to the daemon at its other end."""

    @property
    def client(self) -> DaemonClient: ...

    def hold(self) -> None:
        """Have the daemon keep its answers to itself."""

    def let_go(self) -> None:
        """Have the daemon give the answers that it has kept, and those to later calls."""

    def refuse(self, error: BuddiesError | None) -> None:
        """Have the daemon answer with an error, or not any more."""

    def waiting(self) -> int:
        """Return how many calls the daemon has taken and not answered."""

    def limit(self, deadline_s: float) -> None:
        """Have calls end after this time."""

    def forget(self) -> None:
        """Have the next call attach the agent again, as after a restart."""

    def attached(self) -> int:
        """Return how many agents the daemon shows."""

    async def close(self) -> None:
        """Close the client while others make calls by it."""

    async def restart(self) -> None:
        """End the daemon while it answers calls, and start another."""


class FakeSide:
    """FakeClient."""

    def __init__(self) -> None:
        self.client = FakeClient()

    def hold(self) -> None:
        self.client.hold = asyncio.Event()

    def let_go(self) -> None:
        assert self.client.hold is not None
        self.client.hold.set()

    def refuse(self, error: BuddiesError | None) -> None:
        self.client.failure = error

    def waiting(self) -> int:
        return self.client.waits

    def limit(self, deadline_s: float) -> None:
        self.client.deadline_s = deadline_s

    def forget(self) -> None:
        pass

    def attached(self) -> int:
        return 1

    async def close(self) -> None:
        self.client.end()

    async def restart(self) -> None:
        self.client.end()
        await until(lambda: self.waiting() == 0)
        self.client.failure = self.client.hold = None


class RealSide:
    """DaemonClient with an attached agent, and the real server with fakes behind it."""

    client: DaemonClient
    _node: FakeNode

    def __init__(self, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
        self._paths = paths
        self._monkeypatch = monkeypatch
        self._daemon = AsyncExitStack()
        self._connection = AsyncExitStack()
        # Less than the test waits for what is kept.
        monkeypatch.setattr("buddies_core.rpc.server.GRACE_S", 0.05)
        monkeypatch.setattr("buddies_core.client.connection.CLOSE_GRACE_S", 0.05)

    async def start(self) -> None:
        self._node = await self._daemon.enter_async_context(fake_node(self._paths))
        self.client = await self._connection.enter_async_context(DaemonClient.connect(self._paths))
        await self.client.attach("claude", "ann")

    def hold(self) -> None:
        self._node.rooms.hold = self._node.tasks.hold = asyncio.Event()

    def let_go(self) -> None:
        assert self._node.rooms.hold is not None
        self._node.rooms.hold.set()

    def refuse(self, error: BuddiesError | None) -> None:
        self._node.rooms.failure = self._node.tasks.failure = error

    def waiting(self) -> int:
        return self._node.rooms.waits + self._node.tasks.waits

    def limit(self, deadline_s: float) -> None:
        self._monkeypatch.setattr("buddies_core.client.rooms.JOIN_TIMEOUT_S", deadline_s)
        # The stream's deadline is what the caller waits, and this.
        self._monkeypatch.setattr("buddies_core.client.tasks.WAIT_MARGIN_S", deadline_s - 5)

    def forget(self) -> None:
        stream = self.client._connection._stream
        if stream is not None:
            stream.cancel()

    def attached(self) -> int:
        return len(self._node.agents.attached())

    async def close(self) -> None:
        await self._connection.aclose()

    async def restart(self) -> None:
        await self._daemon.aclose()
        self._node = await self._daemon.enter_async_context(fake_node(self._paths))

    async def end(self) -> None:
        await self._connection.aclose()
        await self._daemon.aclose()


Ask: TypeAlias = Callable[[DaemonClient], Awaitable[object]]


@pytest.fixture(params=["fake", "real"])
async def side(
    request: pytest.FixtureRequest, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Side]:
    if request.param == "fake":
        yield FakeSide()
        return
    real = RealSide(paths, monkeypatch)
    try:
        await real.start()
        yield real
    finally:
        await real.end()


@pytest.fixture(params=["one answer", "many answers"])
def ask(request: pytest.FixtureRequest) -> Ask:
    if request.param == "one answer":
        return _join
    return lambda client: client.task_after(str(TASK_ID), 5)


async def is_answered(side: Side, ask: Ask, moment: Awaitable[object]) -> bool:
    """Return whether a call is answered that is cancelled after `moment`; others have to go on.

    It is cancelled as the MCP server does it: by a scope of anyio, in a task of a group.
    """
    scope = anyio.CancelScope()
    answered = False

    async def handle() -> None:
        nonlocal answered
        with scope:
            await ask(side.client)
            answered = True

    async with anyio.create_task_group() as server:
        server.start_soon(handle)
        await moment
        scope.cancel()
    # A task that ends in a cancellation that anyio does not know cancels the whole group.
    assert not server.cancel_scope.cancel_called
    return answered


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_call_that_is_cancelled_at_any_moment_ends_alone(side: Side, ask: Ask) -> None:
    for turns in itertools.count():
        assert turns < TURNS_MAX, "the call was never answered"
        if await is_answered(side, ask, _turns(turns)):
            break
    await ask(side.client)


async def test_a_call_that_is_refused_and_cancelled_at_the_same_moment_leaves_nothing_in_the_log(
    side: Side, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    side.refuse(NotFound("there is no such thing"))
    for turns in itertools.count():
        assert turns < TURNS_MAX, "the call was never refused"
        if await _is_refused(side, ask, turns):
            break
    gc.collect()
    assert caplog.messages == []


async def test_a_call_that_is_cancelled_at_any_moment_while_it_attaches_leaves_one_agent(
    side: Side, ask: Ask
) -> None:
    for turns in itertools.count():
        assert turns < TURNS_MAX, "the call was never answered"
        side.forget()
        if await is_answered(side, ask, _turns(turns)):
            break
    await until(lambda: side.attached() == 1)
    await ask(side.client)
    assert side.attached() == 1


async def test_a_call_that_is_cancelled_while_the_daemon_works_on_it_ends_there_too(
    side: Side, ask: Ask
) -> None:
    side.hold()
    async with asyncio.TaskGroup() as callers:
        patient = callers.create_task(_ask(side, ask))
        await until(lambda: side.waiting() == 1)
        assert not await is_answered(side, ask, until(lambda: side.waiting() == 2))
        await until(lambda: side.waiting() == 1)
        side.let_go()
    assert not patient.cancelled()


async def test_a_call_that_takes_too_long_times_out_and_the_next_is_answered(
    side: Side, ask: Ask
) -> None:
    side.hold()
    side.limit(DEADLINE_S)
    with pytest.raises(TimedOut, match=r"did not answer within"):
        await ask(side.client)
    side.let_go()
    side.limit(ENOUGH_S)
    await ask(side.client)


async def test_a_client_that_is_closed_fails_the_calls_that_wait_and_later_ones(
    side: Side, ask: Ask
) -> None:
    side.hold()
    async with asyncio.TaskGroup() as callers:
        callers.create_task(_fails(side, ask))
        await until(lambda: side.waiting() == 1)
        await side.close()
    await _fails(side, ask)


async def test_a_daemon_that_restarts_fails_the_calls_that_wait_and_answers_later_ones(
    side: Side,
) -> None:
    # Not a wait for a task, which a daemon that ends answers with how the task is.
    side.hold()
    async with asyncio.TaskGroup() as callers:
        callers.create_task(_fails(side, _join))
        await until(lambda: side.waiting() == 1)
        await side.restart()
    await _join(side.client)


async def test_what_the_daemon_refuses_is_raised_as_it_is_and_spoils_no_later_call(
    side: Side, ask: Ask
) -> None:
    side.refuse(NotFound("there is no such thing; look again"))
    with pytest.raises(NotFound, match=r"^there is no such thing; look again$"):
        await ask(side.client)
    side.refuse(None)
    await ask(side.client)


async def _join(client: DaemonClient) -> None:
    await client.join_room("r")


async def _is_refused(side: Side, ask: Ask, turns: int) -> bool:
    refused = False
    try:
        await is_answered(side, ask, _turns(turns))
    except* NotFound:
        refused = True
    return refused


async def _ask(side: Side, ask: Ask) -> None:
    await ask(side.client)


async def _fails(side: Side, ask: Ask) -> None:
    with pytest.raises(DaemonUnavailable):
        await ask(side.client)

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from buddies_core.client import DaemonClient
from buddies_core.errors import DaemonUnavailable, InvalidInput, TimedOut
from buddies_core.model.ids import RoomName
from buddies_core.model.task import InboxChange
from buddies_mcp.link import DaemonLink
from tests.support.fakes.client import FEATURE, FakeClient
from tests.support.fakes.tasks import ARRIVED


class Connector:
    """Each connection is to a new daemon, unless starting one fails."""

    def __init__(self) -> None:
        self.daemons: list[FakeClient] = []
        self.open = 0
        self.failure: Exception | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[FakeClient]:
        await self.may_answer.wait()
        if self.failure is not None:
            raise self.failure
        self.daemons.append(FakeClient())
        self.open += 1
        try:
            yield self.daemons[-1]
        finally:
            self.open -= 1


async def test_nothing_is_connected_before_it_is_needed() -> None:
    machine = Connector()
    async with DaemonLink.open(machine.connect):
        pass
    assert machine.daemons == []


async def test_one_connection_serves_all_questions_and_is_closed_at_the_end() -> None:
    machine = Connector()
    async with DaemonLink.open(machine.connect) as link:
        assert await link.ask(lambda daemon: daemon.list_rooms()) == (FEATURE,)
        assert (await link.ask(lambda daemon: daemon.room_ticket("a"))).ticket == "buddiesticket"
        assert (len(machine.daemons), machine.open) == (1, 1)
    assert machine.open == 0


async def test_questions_that_come_at_once_share_the_connection_that_is_being_made() -> None:
    machine = Connector()
    machine.may_answer.clear()
    async with DaemonLink.open(machine.connect) as link, asyncio.TaskGroup() as agents:
        await link.warm_up()
        for _ in range(3):
            agents.create_task(link.ask(lambda daemon: daemon.list_rooms()))
        machine.may_answer.set()
    assert len(machine.daemons) == 1


async def test_a_daemon_that_is_there_is_asked_nothing_besides_the_question() -> None:
    machine = Connector()
    async with DaemonLink.open(machine.connect) as link:
        for text in ("testing", "done"):
            await link.ask(lambda daemon, text=text: daemon.notify("a", text))  # type: ignore[misc]
    [daemon] = machine.daemons
    assert daemon.asked == [("notify", "a", "testing"), ("notify", "a", "done")]


async def test_a_daemon_that_went_away_is_replaced_before_the_next_question_is_put() -> None:
    machine = Connector()
    async with DaemonLink.open(machine.connect) as link:
        await link.ask(lambda daemon: daemon.list_rooms())
        machine.daemons[0].failure = DaemonUnavailable("no daemon answers")
        await link.ask(lambda daemon: daemon.notify("a", "testing"))
        assert machine.daemons[1].asked == [("notify", "a", "testing")]
        assert machine.open == 1


async def test_an_older_daemon_is_left_for_a_new_one_as_soon_as_no_other_agent_uses_it() -> None:
    machine = Connector()
    async with DaemonLink.open(machine.connect) as link:
        await link.ask(lambda daemon: daemon.list_rooms())
        await link.ask(lambda daemon: daemon.notify("a", "another agent is attached"))
        machine.daemons[0].replaceable = True
        await link.ask(lambda daemon: daemon.notify("a", "it has gone"))
        assert [daemon.asked[-1] for daemon in machine.daemons] == [
            ("notify", "a", "another agent is attached"),
            ("notify", "a", "it has gone"),
        ]
        assert machine.open == 1


async def test_an_older_daemon_is_not_replaced_under_a_question_that_is_being_put_to_it() -> None:
    machine = Connector()
    put, may_end = asyncio.Event(), asyncio.Event()

    async def wait(_daemon: DaemonClient) -> None:
        put.set()
        await may_end.wait()

    async with DaemonLink.open(machine.connect) as link, asyncio.TaskGroup() as agents:
        agents.create_task(link.ask(wait))
        await put.wait()
        machine.daemons[0].replaceable = True
        await link.ask(lambda daemon: daemon.list_rooms())
        assert len(machine.daemons) == 1
        may_end.set()


async def test_questions_to_a_daemon_that_hangs_do_not_wait_for_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Connector()
    looks: list[str] = []

    async def hang() -> tuple[RoomName, ...]:
        looks.append("began")
        await asyncio.sleep(0.01)
        looks.append("late")
        raise TimedOut("no answer")

    async with DaemonLink.open(machine.connect) as link, asyncio.TaskGroup() as agents:
        await link.ask(lambda daemon: daemon.list_rooms())
        monkeypatch.setattr(FakeClient, "is_there", False)
        monkeypatch.setattr(machine.daemons[0], "list_rooms", hang)
        for _ in range(3):
            agents.create_task(_too_late(link))
    assert looks == ["began"] * 3 + ["late"] * 3


async def _too_late(link: DaemonLink) -> None:
    with pytest.raises(TimedOut):
        await link.ask(lambda daemon: daemon.room_ticket("a"))


async def test_questions_that_find_the_daemon_gone_share_the_new_one() -> None:
    machine = Connector()
    async with DaemonLink.open(machine.connect) as link:
        await link.ask(lambda daemon: daemon.list_rooms())
        machine.daemons[0].failure = DaemonUnavailable("no daemon answers")
        async with asyncio.TaskGroup() as agents:
            for _ in range(3):
                agents.create_task(link.ask(lambda daemon: daemon.room_ticket("a")))
    assert [daemon.asked[1:] for daemon in machine.daemons[:1]] == [[("list_rooms",)] * 3]
    assert [daemon.asked for daemon in machine.daemons[1:]] == [
        [("room_ticket", "a", None, None)] * 3
    ]


async def test_a_question_during_which_the_daemon_goes_away_is_not_put_again() -> None:
    machine = Connector()

    async def store_and_die(daemon: FakeClient) -> None:
        daemon.failure = DaemonUnavailable("no daemon answers")
        await daemon.store_memory(room="a", content="c")

    async with DaemonLink.open(machine.connect) as link:
        with pytest.raises(DaemonUnavailable, match="check whether it was done"):
            await link.ask(store_and_die)  # type: ignore[arg-type]
    assert len(machine.daemons) == 1


async def test_a_daemon_that_cannot_be_started_is_tried_again_by_the_next_question() -> None:
    machine = Connector()
    machine.failure = DaemonUnavailable("it did not start")
    async with DaemonLink.open(machine.connect) as link:
        with pytest.raises(DaemonUnavailable, match=r"^it did not start$"):
            await link.ask(lambda daemon: daemon.list_rooms())
        machine.failure = None
        assert await link.ask(lambda daemon: daemon.list_rooms()) == (FEATURE,)


async def test_a_failed_warm_up_is_told_to_nobody_and_tried_again_by_the_first_question() -> None:
    machine = Connector()
    machine.failure = InvalidInput("the path is too long")
    async with DaemonLink.open(machine.connect) as link:
        await link.warm_up()
        await asyncio.sleep(0)
        machine.failure = None
        assert await link.ask(lambda daemon: daemon.list_rooms()) == (FEATURE,)


async def test_a_question_that_is_cancelled_leaves_the_connection_to_the_others() -> None:
    machine = Connector()
    machine.may_answer.clear()
    async with DaemonLink.open(machine.connect) as link, asyncio.TaskGroup() as agents:
        impatient = agents.create_task(link.ask(lambda daemon: daemon.list_rooms()))
        patient = agents.create_task(link.ask(lambda daemon: daemon.list_rooms()))
        await asyncio.sleep(0)
        impatient.cancel()
        machine.may_answer.set()
        assert await patient == (FEATURE,)
    assert impatient.cancelled()


async def test_what_each_daemon_tells_of_the_inbox_is_told_on() -> None:
    machine = Connector()
    told: asyncio.Queue[InboxChange] = asyncio.Queue()
    async with DaemonLink.open(machine.connect, told.put) as link, asyncio.timeout(20):
        await link.ask(lambda daemon: daemon.list_rooms())
        machine.daemons[0].inbox.put_nowait(ARRIVED)
        assert await told.get() == ARRIVED
        machine.daemons[0].failure = DaemonUnavailable("no daemon answers")
        await link.ask(lambda daemon: daemon.list_rooms())
        machine.daemons[1].inbox.put_nowait(InboxChange(waiting=0))
        assert await told.get() == InboxChange(waiting=0)


async def test_ending_does_not_wait_for_a_daemon_that_is_being_started() -> None:
    machine = Connector()
    machine.may_answer.clear()
    async with asyncio.timeout(20), DaemonLink.open(machine.connect) as link:
        await link.warm_up()
    assert machine.daemons == []

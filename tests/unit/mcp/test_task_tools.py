"""What agents see of tasks, and how long a call lets them wait."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Never

import pytest
from mcp.client import Client

from buddies_core.errors import DaemonUnavailable
from buddies_core.model import task_json
from buddies_core.model.json_view import JsonObject
from buddies_core.model.task import SubmitVerdict, TaskSucceeded, TaskView
from buddies_mcp.caller import Call
from buddies_mcp.link import DaemonLink
from buddies_mcp.patience import Patience
from buddies_mcp.server import TOOLS
from buddies_mcp.waking import Waking
from tests.support.callers import a_caller, a_server
from tests.support.eventually import until
from tests.support.fakes.client import FakeClient
from tests.support.fakes.tasks import COMPLETED, FAILED, SUBMITTED, TASK_ID, WORKING
from tests.support.virtual_time import run_virtually

ID = str(TASK_ID)
NEXT = "the task goes on by itself; call wait_task with its task_id"
TASK: dict[str, object] = {"room": "a", "description": "d"}


class Asked:
    """A call with a client that is told how things are."""

    def __init__(self, daemon: FakeClient, wait_s: float = 50) -> None:
        self.daemon = daemon
        self.wait_s = wait_s
        self.told: list[str] = []

    async def call(self, tool: str, **given: object) -> JsonObject:
        async def tell(_passed_s: float, text: str) -> None:
            self.told.append(text)

        call = Call(a_caller(), Patience(self.wait_s, tell))
        return await TOOLS[tool].ask(self.daemon, TOOLS[tool].check(given), call)


async def test_delegating_waits_for_the_result_and_tells_how_it_goes_meanwhile() -> None:
    asked = Asked(FakeClient())

    answer = await asked.call("delegate_task", **TASK)

    assert answer == task_json.outcome_json(COMPLETED)
    assert asked.told == ["nobody has started it yet", "codex of bob: half of it"]
    assert [question[0] for question in asked.daemon.asked] == [  # type: ignore[index]
        "delegate_task",
        "task_after",
        "task_after",
    ]


async def test_the_daemon_is_asked_again_every_ten_seconds_at_most() -> None:
    daemon = FakeClient()

    await Asked(daemon).call("delegate_task", **TASK)

    assert daemon.asked[1:] == [("task_after", ID, 10.0)] * 2


class Unhurried(FakeClient):
    """Waits for a task as long as it may."""

    async def task_after(
        self, task_id: str, timeout_s: float, *, offset: int = 0, description: bool = False
    ) -> TaskView:
        await asyncio.sleep(timeout_s)
        return await super().task_after(task_id, timeout_s, offset=offset, description=description)


def test_a_task_that_is_not_over_in_time_is_pending() -> None:
    async def delegate() -> JsonObject:
        daemon = Unhurried()
        daemon.story = [SUBMITTED, WORKING]
        return await Asked(daemon, wait_s=15).call("delegate_task", **TASK)

    answer = run_virtually(delegate())

    assert answer == task_json.outcome_json(WORKING) | {"next": NEXT}
    assert answer["status"] == "pending"


async def test_an_agent_that_does_not_want_to_wait_has_its_answer_at_once() -> None:
    daemon = FakeClient()

    answer = await Asked(daemon).call("delegate_task", **TASK, wait_secs=0)

    assert answer == task_json.outcome_json(SUBMITTED) | {"next": NEXT}
    assert len(daemon.asked) == 1


async def test_a_failed_task_is_an_answer_not_an_error_of_the_tool() -> None:
    daemon = FakeClient()
    daemon.story = [FAILED]

    assert await Asked(daemon).call("wait_task", task_id=ID) == task_json.outcome_json(FAILED)


async def test_a_daemon_that_goes_during_the_wait_leaves_the_task_with_its_id() -> None:
    class Dying(FakeClient):
        async def task_after(
            self, task_id: str, timeout_s: float, *, offset: int = 0, description: bool = False
        ) -> Never:
            raise DaemonUnavailable("the daemon ended during the call")

    answer = await Asked(Dying()).call("delegate_task", **TASK)

    assert answer == task_json.outcome_json(SUBMITTED) | {
        "warning": "the daemon ended during the call",
        "next": NEXT,
    }


async def test_that_nobody_can_do_a_task_is_told_beside_what_became_of_the_wait() -> None:
    class Dying(FakeClient):
        async def task_after(
            self, task_id: str, timeout_s: float, *, offset: int = 0, description: bool = False
        ) -> Never:
            raise DaemonUnavailable("the daemon ended")

    for daemon, wait_s, warning in (
        (FakeClient(), 0, "nobody is there"),
        (Dying(), 5, "nobody is there; the daemon ended"),
    ):
        daemon.story = [replace(SUBMITTED, warning="nobody is there")]
        answer = await Asked(daemon).call("delegate_task", **TASK, wait_secs=wait_s)
        assert (answer["status"], answer["warning"]) == ("pending", warning)


async def test_delegating_where_nobody_can_do_it_says_so_at_once_and_what_becomes_of_the_task() -> (
    None
):
    daemon = FakeClient()
    daemon.story = [replace(SUBMITTED, warning="nobody is there")]
    asked = Asked(daemon)

    answer = await asked.call("delegate_task", **TASK)

    assert (answer["status"], answer["warning"], asked.told) == ("pending", "nobody is there", [])
    assert answer["next"] == (
        "the task is kept here and offered to every suitable agent that comes, and expires in"
        " 600 s if nobody does; call wait_task with its task_id to wait, or cancel_task"
    )
    assert [question[0] for question in daemon.asked] == ["delegate_task"]  # type: ignore[index]


async def test_waiting_for_a_task_nothing_was_told_of_fails_with_the_daemon() -> None:
    daemon = FakeClient()
    daemon.failure = DaemonUnavailable("no daemon")

    with pytest.raises(DaemonUnavailable, match="no daemon"):
        await Asked(daemon).call("wait_task", task_id=ID)


async def test_a_long_output_comes_in_pages() -> None:
    daemon = FakeClient()
    output = "0123456789" * 8_500
    daemon.story = [replace(COMPLETED, result=TaskSucceeded(output))]
    asked, read, offset = Asked(daemon), "", 0

    while offset is not None:
        page = await asked.call("wait_task", task_id=ID, offset=offset)
        assert ("next" in page) == (page["next_offset"] is not None)
        read, offset = read + str(page["output"]), page["next_offset"]  # type: ignore[assignment]

    assert read == output


async def test_polling_goes_on_until_a_task_comes() -> None:
    daemon = FakeClient()
    daemon.claims = [(), (), (WORKING,)]
    asked = Asked(daemon)

    assert await asked.call("poll_pending_tasks") == task_json.claimed_json((WORKING,))
    assert daemon.asked == [("poll_tasks", None, 10.0, 1)] * 3
    assert asked.told == ["no task yet", "no task yet"]


async def test_polling_ends_empty_when_the_wait_is_over() -> None:
    daemon = FakeClient()
    daemon.claims = [()]

    answer = await Asked(daemon).call("poll_pending_tasks", wait_secs=0.01)

    assert answer == {"count": 0, "tasks": []}


async def test_a_late_result_is_told_as_late() -> None:
    daemon = FakeClient()
    daemon.verdict = SubmitVerdict("late", "the task was canceled")

    answer = await Asked(daemon).call("submit_task_result", task_id=ID, success=True, output="o")

    assert answer == {
        "submitted": False,
        "task_id": ID,
        "verdict": "late",
        "text": "the task was canceled",
    }


@asynccontextmanager
async def session(daemon: FakeClient) -> AsyncIterator[Client]:
    @asynccontextmanager
    async def connect() -> AsyncIterator[FakeClient]:
        yield daemon

    waking = Waking()
    async with (
        DaemonLink.open(connect, waking.tell) as link,
        Client(a_server(link, waking), mode="legacy") as client,
    ):
        yield client


async def test_a_client_that_gave_a_token_gets_growing_progress_with_words() -> None:
    told: list[tuple[float, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message))

    async with session(FakeClient()) as client:
        result = await client.call_tool("delegate_task", TASK, progress_callback=hear)

    assert result.structured_content == task_json.outcome_json(COMPLETED)
    texts = [message for _, message in told]
    assert texts == ["nobody has started it yet", "codex of bob: half of it"]
    assert told[0][0] < told[1][0]


class Slow(FakeClient):
    """Polls without an end; cancelled, it raises an error of its own, as gRPC does by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.began = asyncio.Event()
        self.may_end = asyncio.Event()
        self.cancelled = False

    async def poll_tasks(self, **_given: object) -> Never:
        self.began.set()
        with contextlib.suppress(asyncio.CancelledError):
            await self.may_end.wait()
        self.cancelled = not self.may_end.is_set()
        raise asyncio.CancelledError


async def test_a_client_that_cancels_its_call_ends_the_wait_and_nothing_else() -> None:
    daemon = Slow()
    async with session(daemon) as client, asyncio.timeout(10):
        async with asyncio.TaskGroup() as group:
            call = group.create_task(client.call_tool("poll_pending_tasks", {}))
            await daemon.began.wait()
            call.cancel()
        await until(lambda: daemon.cancelled)
        assert not (await client.call_tool("list_rooms", {})).is_error


async def test_a_cancellation_that_nobody_has_asked_for_fails_that_call_alone() -> None:
    daemon = Slow()
    daemon.may_end.set()
    async with session(daemon) as client, asyncio.timeout(20):
        result = await client.call_tool("poll_pending_tasks", {})
        assert result.is_error
        assert "check whether it was done" in str(result.content)
        assert not (await client.call_tool("list_rooms", {})).is_error

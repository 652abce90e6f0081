"""Each call about tasks, from the client over a real socket to what lies behind it, and back."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from buddies_core.client import DaemonClient
from buddies_core.errors import DaemonUnavailable, InvalidInput, NotFound, TimedOut
from buddies_core.model.task import (
    InboxChange,
    SubmitVerdict,
    TaskList,
    TaskState,
    TextPage,
)
from buddies_core.paths import Paths
from buddies_core.rpc import server
from tests.support.eventually import until
from tests.support.fakes.node import FakeNode, fake_node
from tests.support.fakes.tasks import (
    ARRIVED,
    CANCELED,
    COMPLETED,
    FAILED,
    PARENT_ID,
    REJECTED,
    SUBMITTED,
    TASK_ID,
    WORKING,
)

ID = str(TASK_ID)


async def test_a_task_is_delegated_with_all_that_was_given(
    client: DaemonClient, node: FakeNode
) -> None:
    await client.attach("claude", "ann")

    task = await client.delegate_task(
        "feature-a",
        "Run it ☺",
        timeout_s=90,
        peer="bob",
        agent="codex",
        capability="gpu",
        idempotency_key="k",
        retryable=False,
        parent_task_id=str(PARENT_ID),
    )
    await client.delegate_task("feature-a", "Run it")

    assert task == SUBMITTED
    assert node.tasks.calls == [
        (
            "delegate", "feature-a", "Run it ☺", 90, "bob", "codex", "gpu", "k", False, PARENT_ID,
            "claude",
        ),
        ("delegate", "feature-a", "Run it", None, "", "", "", "", True, None, "claude"),
    ]  # fmt: skip


async def test_a_task_crosses_the_socket_with_its_warning_its_mark_and_its_page(
    client: DaemonClient, node: FakeNode
) -> None:
    whole = replace(
        SUBMITTED, warning="nobody", already_yours=True, description_page=TextPage(0, 70_000)
    )
    node.tasks.story = (whole,)

    assert await client.delegate_task("feature-a", "Run it") == whole


async def test_a_person_is_the_caller_where_no_agent_is_attached(
    client: DaemonClient, node: FakeNode
) -> None:
    await client.task_progress(ID, "half")

    assert node.tasks.calls == [("progress", TASK_ID, "half", "buddies-cli")]


async def test_waiting_tells_each_change_until_the_task_is_over(
    client: DaemonClient, node: FakeNode
) -> None:
    seen = [task async for task in client.wait_task(ID, 7)]

    assert seen == [SUBMITTED, WORKING, COMPLETED]
    assert await client.task_after(ID, 7) == COMPLETED
    assert node.tasks.calls == [("watch", TASK_ID, 7), ("watch", TASK_ID, 7)]


async def test_who_has_seen_enough_of_a_task_ends_the_wait_at_the_daemon(
    client: DaemonClient, node: FakeNode
) -> None:
    node.tasks.hold = asyncio.Event()
    changes = client.wait_task(ID, 50)
    async for change in changes:
        if change == COMPLETED:
            break
    await changes.aclose()

    await until(lambda: node.tasks.waits == 0)


async def test_a_wait_that_the_daemon_does_not_end_in_time_times_out(
    client: DaemonClient, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buddies_core.client.tasks.WAIT_MARGIN_S", 0.1)
    node.tasks.hold = asyncio.Event()

    with pytest.raises(TimedOut, match="did not answer"):
        await client.task_after(ID, 0)


async def test_an_unknown_task_is_not_found_by_who_waits_for_it(client: DaemonClient) -> None:
    with pytest.raises(NotFound, match=f"no task has the id {PARENT_ID}"):
        await client.task_after(str(PARENT_ID), 7)


async def test_polling_claims_in_the_name_of_the_agent_with_its_capabilities(
    client: DaemonClient, node: FakeNode
) -> None:
    await client.attach("codex", "", ("gpu", "rust"))

    assert await client.poll_tasks(room="feature-a", timeout_s=7, limit=3) == (WORKING,)
    assert await client.poll_tasks(new_only=True) == (WORKING,)
    assert node.tasks.calls == [
        ("poll", "codex", ("gpu", "rust"), "feature-a", 7, 3, False),
        ("poll", "codex", ("gpu", "rust"), None, 0, 1, True),
    ]


async def test_a_poll_that_is_canceled_ends_at_the_daemon_and_the_next_one_is_answered(
    client: DaemonClient, node: FakeNode
) -> None:
    node.tasks.hold = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        polling = group.create_task(client.poll_tasks(timeout_s=50))
        await until(lambda: node.tasks.waits == 1)
        polling.cancel()
    await until(lambda: node.tasks.waits == 0)

    node.tasks.hold.set()
    assert await client.poll_tasks() == (WORKING,)


async def test_results_progress_cancels_rejections_and_lists_cross_the_socket_unchanged(
    client: DaemonClient, node: FakeNode
) -> None:
    output = "€" * (1 << 18)

    assert await client.submit_task_result(ID, success=True, output=output) == SubmitVerdict(
        "accepted", "it counts"
    )
    assert await client.task_progress(ID, "half") == WORKING
    assert await client.cancel_task(ID, "not needed") == CANCELED
    assert await client.reject_task(ID, "no compiler") == REJECTED
    assert await client.list_tasks(room="r", state="working", limit=5) == TaskList(
        (WORKING, FAILED, REJECTED), 3
    )
    assert node.tasks.calls == [
        ("submit", TASK_ID, True, output, "buddies-cli"),
        ("progress", TASK_ID, "half", "buddies-cli"),
        ("cancel", TASK_ID, "not needed", "buddies-cli"),
        ("reject", TASK_ID, "no compiler", "buddies-cli"),
        ("list", "r", TaskState.WORKING, 6, "buddies-cli", None),
    ]


async def test_an_agent_is_told_what_waits_for_it_as_long_as_it_is_attached(
    paths: Paths,
) -> None:
    told = (InboxChange(waiting=1), ARRIVED, InboxChange(waiting=0))
    async with AsyncExitStack() as stack:
        async with fake_node(paths, inbox=told):
            client = await stack.enter_async_context(DaemonClient.connect(paths))
            await client.attach("codex", "")
            changes = client.inbox_changes()
            seen = [await anext(changes) for _ in told]

        async with fake_node(paths, inbox=told[:1]):
            seen.append(await anext(changes))

    assert seen == [*told, told[0]]


async def test_of_more_changes_than_anybody_reads_the_newest_are_kept(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buddies_core.client.inbox.UNREAD_MAX", 2)
    told = tuple(InboxChange(waiting=number) for number in range(5))
    async with fake_node(paths, inbox=told), DaemonClient.connect(paths) as client:
        inbox = client._connection.inbox
        await client.attach("codex", "")
        await until(lambda: bool(inbox._unread) and inbox._unread[-1].waiting == 4)

        changes = client.inbox_changes()
        assert [await anext(changes), await anext(changes)] == list(told[-2:])


async def test_the_server_closes_at_once_although_some_wait_for_tasks(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "GRACE_S", 120.0)

    async def waits(client: DaemonClient) -> None:
        assert await client.poll_tasks(timeout_s=50) == ()

    async def watches(client: DaemonClient) -> None:
        assert await client.task_after(ID, 50) == WORKING

    async with (
        asyncio.timeout(40),  # Less than the tasks are waited for.
        AsyncExitStack() as stack,
        asyncio.TaskGroup() as group,
        fake_node(paths) as node,
    ):
        node.tasks.hold = asyncio.Event()
        node.tasks.story = (SUBMITTED, WORKING)
        client = await stack.enter_async_context(DaemonClient.connect(paths))
        group.create_task(waits(client))
        group.create_task(watches(client))
        await until(lambda: node.tasks.waits == 2)


async def test_a_wait_for_a_daemon_that_has_gone_says_so(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buddies_core.client.connection.RECONNECT_TIMEOUT_S", 0.1)
    async with AsyncExitStack() as stack:
        async with fake_node(paths):
            client = await stack.enter_async_context(DaemonClient.connect(paths))

        with pytest.raises(DaemonUnavailable, match="buddies-cli daemon start"):
            await client.task_after(ID, 50)


BAD_CALLS: dict[str, tuple[Callable[[DaemonClient], Awaitable[object]], str]] = {
    "bad id": (lambda client: client.task_after("7", 1), "task_id '7' is no id"),
    "bad parent": (
        lambda client: client.delegate_task("r", "d", parent_task_id="7"),
        "parent_task_id '7' is no id",
    ),
    "timeout": (
        lambda client: client.delegate_task("r", "d", timeout_s=-1),
        "the task's timeout is -1 s; give 1 to 604800 seconds",
    ),
    "endless": (
        lambda client: client.delegate_task("r", "d", timeout_s=float("nan")),
        "the task's timeout is nan s",
    ),
    "wait": (lambda client: client.task_after(ID, 50.1), "the wait is 50.1 s; give 0 to 50 s"),
    "poll": (lambda client: client.poll_tasks(timeout_s=-1), "the wait is -1 s"),
    "limit": (lambda client: client.poll_tasks(limit=11), "at most 10 tasks are claimed"),
    "state": (
        lambda client: client.list_tasks(state="done"),
        "state 'done' is unknown; use one of submitted, working, completed, failed, canceled,"
        " rejected, expired",
    ),
    "half a surrogate pair": (
        lambda client: client.submit_task_result(ID, success=True, output="\ud83d"),
        "an argument can't be sent",
    ),
}


@pytest.mark.parametrize("name", BAD_CALLS)
async def test_bad_input_is_refused_before_it_reaches_the_tasks(
    name: str, client: DaemonClient, node: FakeNode
) -> None:
    call, text = BAD_CALLS[name]

    with pytest.raises(InvalidInput, match=text):
        await call(client)

    assert node.tasks.calls == []

"""Tasks between machines and between agents of one: the whole service, on a virtual clock."""

import asyncio
from math import nan
from typing import Any
from uuid import UUID

import pytest

from buddies_core.errors import Busy, InvalidInput, NotAllowed, NotFound, StoreError
from buddies_core.model.ids import EndpointId, RoomName, TaskId
from buddies_core.model.room import Member
from buddies_core.model.task import (
    PERSON,
    InboxChange,
    SubmitVerdict,
    TaskFailed,
    TaskState,
    TaskSucceeded,
)
from buddies_core.pb.peer_pb2 import (
    FetchOutput,
    LeaseTask,
    OfferTask,
    PeerRequest,
    RenewLease,
    SubmitResult,
)
from tests.support.memories import CAROL, DEMO
from tests.support.tasks import task_id
from tests.support.worlds.task_machines import TaskWorld
from tests.support.worlds.task_stories import (
    ACCEPTED,
    CLAUDE,
    CODEX,
    GEMINI,
    delegate,
    last,
    now_s,
    poll,
    story,
    two,
)

RUSTY = Member(endpoint=EndpointId(b""), name="rusty", speaks_direct=False)


# The usual way


def test_a_task_is_done_elsewhere_and_its_result_comes_back() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        task = await delegate(alice, claude)
        assert await poll(bob, codex) == [task.id]
        await bob.tasks.progress(task.id, "half way", codex)
        assert (await last(alice, task.id, 0)).progress == "half way"
        assert await bob.tasks.submit(task.id, True, "2 failures", codex) == ACCEPTED
        done = await last(alice, task.id)
        assert (done.state, done.result) == (TaskState.COMPLETED, TaskSucceeded("2 failures"))
        assert (done.worker_user, done.worker_agent) == ("bob", "codex")

    story(tell)


def test_agents_of_one_machine_work_for_each_other_and_nobody_for_itself() -> None:
    async def tell(world: TaskWorld) -> None:
        alice = await world.machine("alice")
        claude, codex = alice.attach(CLAUDE, "claude"), alice.attach(CODEX, "codex")
        task = await delegate(alice, claude)
        assert await poll(alice, claude, 5) == []
        assert await poll(alice, codex, 5) == [task.id]
        assert await alice.tasks.submit(task.id, False, "no", codex) == ACCEPTED
        assert (await last(alice, task.id)).result == TaskFailed("no")
        assert world.asked == []

    story(tell)


def test_an_agent_and_a_person_of_one_machine_work_for_each_other() -> None:
    async def tell(world: TaskWorld) -> None:
        alice = await world.machine("alice")
        claude = alice.attach(CLAUDE, "claude")
        by_person = await delegate(alice, PERSON)
        by_agent = await delegate(alice, claude)
        assert await poll(alice, claude, 5) == [by_person.id]
        assert await poll(alice, PERSON, 5) == [by_agent.id]
        assert await alice.tasks.submit(by_agent.id, True, "done", PERSON) == ACCEPTED

    story(tell)


def test_a_poll_ends_as_soon_as_a_task_comes_and_at_its_time_out_otherwise() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        began_s = now_s()
        assert await poll(bob, codex, 7) == []
        assert now_s() - began_s == pytest.approx(7, abs=0.001)
        polling = world.group.create_task(poll(bob, codex, 50))
        await asyncio.sleep(10)
        task, asked_s = await delegate(alice, claude), now_s()
        assert await polling == [task.id]
        assert now_s() - asked_s < 0.1

    story(tell)


def test_a_poll_that_waits_for_nothing_claims_what_is_there() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        tasks = [(await delegate(alice, claude)).id for _ in range(3)]
        await asyncio.sleep(1)
        assert await poll(bob, codex, timeout_s=0) == tasks
        bob.detach(CODEX)
        await delegate(alice, claude)
        await asyncio.sleep(1)
        assert len(await poll(bob, PERSON, timeout_s=0)) == 1

    story(tell)


def test_agents_that_poll_get_different_tasks() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        gemini = bob.attach(GEMINI, "gemini")
        tasks = [(await delegate(alice, claude)).id for _ in range(4)]
        await asyncio.sleep(1)
        async with asyncio.TaskGroup() as group:
            polls = [group.create_task(poll(bob, it, 5, limit=2)) for it in (codex, gemini)]
        got = [id for it in polls for id in it.result()]
        assert sorted(got) == sorted(tasks)

    story(tell)


def test_a_member_that_appears_later_is_offered_what_waits() -> None:
    async def tell(world: TaskWorld) -> None:
        alice = await world.machine("alice")
        task = await delegate(alice)
        await asyncio.sleep(100)
        bob = await world.machine("bob")
        assert await poll(bob, bob.attach(CODEX, "codex"), 10) == [task.id]

    story(tell)


@pytest.mark.parametrize("skew_ms", [-86_400_000, 86_400_000])
def test_a_clock_that_is_off_by_a_day_changes_nothing(skew_ms: int) -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob = await world.machine("alice"), await world.machine("bob", skew_ms=skew_ms)
        codex = bob.attach(CODEX, "codex")
        task = await delegate(alice, timeout_s=60.0)
        assert await poll(bob, codex) == [task.id]
        assert await bob.tasks.submit(task.id, True, "done", codex) == ACCEPTED

    story(tell)


# Whom it is for


@pytest.mark.parametrize(
    "target",
    [{"peer": "Bob"}, {"agent_target": "codex"}, {"capability": "tests"}, {"peer": "bob's id"}],
)
def test_only_whom_a_task_is_for_gets_it(target: dict[str, Any]) -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, carol = [await world.machine(name) for name in ("alice", "bob", "carol")]
        codex, gemini = bob.attach(CODEX, "codex", "tests"), carol.attach(GEMINI, "gemini", "docs")
        if "id" in target.get("peer", ""):
            target["peer"] = bob.endpoint.hex()
        task = await delegate(alice, **target)
        await asyncio.sleep(5)
        assert await poll(carol, gemini, 5) == []
        assert await poll(bob, codex, 5) == [task.id]

    story(tell)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"room": RoomName("ops")}, NotFound, "not in room 'ops'"),
        ({"description": " "}, InvalidInput, "description is empty"),
        ({"description": "x" * (65 << 10)}, InvalidInput, "at most 65536 are allowed"),
        ({"peer": "dave"}, NotFound, "present are: alice, bob"),
        ({"peer": "rusty"}, InvalidInput, "runs buddies 0.1.4"),
        ({"parent": task_id(9)}, NotFound, "no task that is being worked on here"),
    ],
)
def test_a_task_that_can_not_be_is_refused_with_the_reason(
    changes: dict[str, Any], error: type[Exception], text: str
) -> None:
    async def tell(world: TaskWorld) -> None:
        alice, _, claude, _ = await two(world)
        alice.legacy = (RUSTY,)
        with pytest.raises(error, match=text):
            await delegate(alice, claude, **changes)
        assert await alice.tasks.list(None, None, 10, claude) == ((), 0)

    story(tell)


# Once and for all


def test_the_same_key_from_the_same_agent_is_the_same_task_also_after_a_restart() -> None:
    async def tell(world: TaskWorld) -> None:
        alice = await world.machine("alice")
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(delegate(alice, idempotency_key="k")) for _ in range(3)]
        ids = {it.result().id for it in asking}
        alice.kill()
        await alice.start()
        ids.add((await delegate(alice, idempotency_key="k")).id)
        assert len(ids) == 1
        claude = alice.attach(CLAUDE, "claude")
        assert (await delegate(alice, claude, idempotency_key="k")).id not in ids

    story(tell)


def test_the_same_result_again_gets_the_same_verdict_and_another_is_refused() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        task = await delegate(alice, claude)
        await poll(bob, codex)
        for _ in range(2):
            assert await bob.tasks.submit(task.id, True, "done", codex) == ACCEPTED
        with pytest.raises(NotAllowed, match=r"another result .* was submitted before"):
            await bob.tasks.submit(task.id, True, "other", codex)
        assert (await last(alice, task.id)).result == TaskSucceeded("done")

    story(tell)


def test_who_has_claimed_nothing_can_not_submit() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        gemini = bob.attach(GEMINI, "gemini")
        task = await delegate(alice, claude)
        with pytest.raises(NotFound, match="not asked to do a task"):
            await bob.tasks.submit(task_id(9), True, "done", codex)
        await asyncio.sleep(1)
        with pytest.raises(NotAllowed, match="claim it first: poll_pending_tasks"):
            await bob.tasks.submit(task.id, True, "done", codex)
        await poll(bob, codex)
        for act in (
            bob.tasks.submit(task.id, True, "done", gemini),
            bob.tasks.progress(task.id, "on it", gemini),
            bob.tasks.reject(task.id, "", gemini),
        ):
            with pytest.raises(NotAllowed, match="it is codex's now"):
                await act
        with pytest.raises(NotAllowed, match="only there it can be canceled"):
            await bob.tasks.cancel(task.id, "", codex)
        alice.attach(GEMINI, "gemini")
        with pytest.raises(NotAllowed, match="only that agent"):
            await alice.tasks.cancel(task.id, "", gemini)

    story(tell)


def test_a_peer_without_the_lease_is_refused_whatever_it_says() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        task = await delegate(alice, claude)
        await poll(bob, codex)
        id = task.id.bytes
        for request, error in (
            (PeerRequest(submit_result=SubmitResult(task_id=id, attempt=1)), NotAllowed),
            (PeerRequest(submit_result=SubmitResult(task_id=id, attempt=2)), NotAllowed),
            (PeerRequest(submit_result=SubmitResult(task_id=id)), NotAllowed),
            (PeerRequest(submit_result=SubmitResult(task_id=b"short")), InvalidInput),
            (PeerRequest(submit_result=SubmitResult(task_id=id, size=2 << 20)), InvalidInput),
            (PeerRequest(renew_lease=RenewLease(task_id=id, attempt=1)), NotAllowed),
            (PeerRequest(lease_task=LeaseTask(task_id=id, agent="x")), NotAllowed),
            (PeerRequest(lease_task=LeaseTask(task_id=task_id(9).bytes)), NotFound),
            (PeerRequest(fetch_output=FetchOutput(task_id=id, attempt=1)), NotFound),
            (
                PeerRequest(offer_task=OfferTask(task_id=id, trace_id=id, path=["a"] * 6)),
                InvalidInput,
            ),
            (PeerRequest(offer_task=OfferTask(task_id=id, start_left_s=nan)), InvalidInput),
            (PeerRequest(), InvalidInput),
        ):
            with pytest.raises(error):
                await alice.tasks.answer(CAROL, DEMO, request)
        assert (await last(alice, task.id, 0)).state is TaskState.WORKING

    story(tell)


# Whatever dies on the way


def test_a_task_outlives_both_daemons_between_claim_and_result() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        task = await delegate(alice, claude)
        await poll(bob, codex)
        alice.kill()
        bob.kill()
        await bob.start()
        codex = bob.attach(GEMINI, "codex")
        verdict = await bob.tasks.submit(task.id, True, "done", codex)
        assert verdict.verdict == "sending"
        await alice.start()
        done = await last(alice, task.id)
        assert (done.result, done.attempt) == (TaskSucceeded("done"), 1)
        assert await bob.tasks.submit(task.id, True, "done", codex) == ACCEPTED

    story(tell)


def test_an_agent_that_comes_back_finds_its_claim_and_others_do_not() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        gemini = bob.attach(GEMINI, "gemini")
        task = await delegate(alice, claude)
        await poll(bob, codex)
        bob.detach(CODEX)
        assert await poll(bob, gemini, 20) == []
        back = bob.attach(UUID(int=9), "codex")
        assert await poll(bob, back, 5) == [task.id]
        assert await poll(bob, gemini, 100) == []
        assert (await last(alice, task.id, 0)).attempt == 1

    story(tell)


def test_a_claim_without_an_agent_is_another_agents_after_half_a_minute() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        gemini = bob.attach(GEMINI, "gemini")
        task = await delegate(alice, claude)
        await poll(bob, codex)
        bob.detach(CODEX)
        gone_s = now_s()
        assert await poll(bob, gemini) == [task.id]
        assert now_s() - gone_s == pytest.approx(30, abs=1)
        assert (await last(alice, task.id, 0)).attempt == 2
        assert await bob.tasks.submit(task.id, True, "done", gemini) == ACCEPTED

    story(tell)


def test_any_agent_may_submit_for_one_that_has_gone() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        gemini = bob.attach(GEMINI, "gemini")
        task = await delegate(alice, claude)
        await poll(bob, codex)
        bob.detach(CODEX)
        assert await bob.tasks.submit(task.id, True, "done", gemini) == ACCEPTED

    story(tell)


def test_a_dead_workers_task_is_done_by_another_and_its_own_result_is_late() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        carol = await world.machine("carol")
        gemini = carol.attach(GEMINI, "gemini")
        task = await delegate(alice, claude)
        assert await poll(bob, codex) == [task.id]
        bob.kill()
        dead_s = now_s()
        assert await poll(carol, gemini) + await poll(carol, gemini) == [task.id]
        assert now_s() - dead_s < 63
        await bob.start()
        codex = bob.attach(CODEX, "codex")
        late = await bob.tasks.submit(task.id, True, "mine", codex)
        assert late == SubmitVerdict(
            "late", "the result came too late to count: kept as late: others have it now"
        )
        assert await carol.tasks.submit(task.id, True, "hers", gemini) == ACCEPTED
        done = await last(alice, task.id)
        assert (done.result, done.late_results) == (TaskSucceeded("hers"), 1)

    story(tell)


def test_a_worker_that_was_cut_off_goes_on_if_nobody_else_has_begun() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        task = await delegate(alice, claude)
        await poll(bob, codex)
        world.islands.append(frozenset({"bob"}))
        await asyncio.sleep(80)
        assert (await last(alice, task.id, 0)).state is TaskState.SUBMITTED
        world.islands.clear()
        await asyncio.sleep(20)
        back = await last(alice, task.id, 0)
        assert (back.state, back.attempt) == (TaskState.WORKING, 1)

    story(tell)


def test_a_poll_that_is_broken_off_loses_no_claim() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        world.weather.write_s = (1.0, 1.0)
        polling = world.group.create_task(poll(bob, codex))
        task = await delegate(alice, claude)
        async for view in alice.tasks.watch(task.id, 50):
            if view.state is TaskState.WORKING:
                break
        polling.cancel()
        assert await poll(bob, codex, 10) == [task.id]
        assert (await last(alice, task.id, 0)).attempt == 1

    story(tell)


def test_nothing_is_told_that_is_not_on_disk() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        task = await delegate(alice, claude)
        await poll(bob, codex)
        assert alice.daemon is not None
        assert bob.daemon is not None
        alice.daemon.disk.full = bob.daemon.disk.full = True
        with pytest.raises(StoreError):
            await delegate(alice, claude)
        with pytest.raises(StoreError):
            await bob.tasks.submit(task.id, True, "done", codex)
        bob.daemon.disk.full = False
        assert (await bob.tasks.submit(task.id, True, "done", codex)).verdict == "sending"
        alice.daemon.disk.full = False
        assert (await last(alice, task.id)).result == TaskSucceeded("done")
        tasks, _ = await alice.tasks.list(None, None, 10, claude)
        assert [it.id for it in tasks] == [task.id]

    story(tell)


# Ends of another kind


def test_a_canceled_task_is_taken_from_who_works_on_it() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        task = await delegate(alice, claude)
        await poll(bob, codex)
        for _ in range(2):
            canceled = await alice.tasks.cancel(task.id, "not needed", claude)
            assert (canceled.state, canceled.reason) == (TaskState.CANCELED, "not needed")
        await asyncio.sleep(1)
        with pytest.raises(NotAllowed, match=r"canceled \(not needed\)"):
            await bob.tasks.progress(task.id, "on it", codex)
        verdict = await bob.tasks.submit(task.id, True, "done", codex)
        assert verdict.verdict == "late"
        assert (await last(alice, task.id)).late_results == 1
        with pytest.raises(NotFound, match="there is no task"):
            await alice.tasks.cancel(task_id(9), "", claude)

    story(tell)


def test_a_task_that_is_over_can_not_be_canceled() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        task = await delegate(alice, claude)
        await poll(bob, codex)
        await bob.tasks.submit(task.id, True, "done", codex)
        with pytest.raises(NotAllowed, match=r"can't be canceled any more: .* completed"):
            await alice.tasks.cancel(task.id, "", claude)

    story(tell)


def test_a_rejected_task_goes_to_others_and_ends_when_all_have_rejected_it() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        gemini = bob.attach(GEMINI, "gemini")
        task = await delegate(alice, claude)
        assert await poll(bob, codex) == [task.id]
        rejected = await bob.tasks.reject(task.id, "no Docker here", codex)
        assert (rejected.state, rejected.reason) == (TaskState.REJECTED, "no Docker here")
        assert await poll(bob, gemini, 5) == [task.id]
        assert await poll(bob, codex, 5) == []
        await bob.tasks.reject(task.id, "busy", gemini)
        over = await last(alice, task.id, 5)
        assert (over.state, over.reason) == (
            TaskState.REJECTED,
            "codex of bob: no Docker here; gemini of bob: busy",
        )

    story(tell)


def test_a_task_that_is_rejected_unclaimed_is_not_shown_to_who_rejected_it() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        bob.attach(GEMINI, "gemini")
        task = await delegate(alice, claude)
        await asyncio.sleep(1)
        await bob.tasks.reject(task.id, "not mine", codex)
        await asyncio.sleep(1)
        assert bob.tasks.waiting_for(codex) == 0
        assert (await last(alice, task.id, 0)).state is TaskState.SUBMITTED

    story(tell)


@pytest.mark.parametrize(
    ("claimed", "timeout_s", "after_s", "reason"),
    [
        (False, None, 600, "nobody began within 600 s"),
        (False, 30.0, 30, "nobody began within 30 s"),
        (True, 90.0, 90, "it was not finished within 90 s"),
    ],
)
def test_a_task_expires_at_its_limit_and_says_which(
    claimed: bool, timeout_s: float | None, after_s: float, reason: str
) -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        task = await delegate(alice, claude, timeout_s=timeout_s)
        if claimed:
            await poll(bob, codex)
        over = await last(alice, task.id, 4000)
        assert (over.state, over.reason) == (TaskState.EXPIRED, reason)
        assert now_s() == pytest.approx(after_s, abs=1.5)

    story(tell)


def test_a_person_who_is_silent_for_too_long_loses_the_task() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        bob.detach(CODEX)
        task = await delegate(alice, claude)
        assert await poll(bob, PERSON) == [task.id]
        await asyncio.sleep(590)
        assert (await last(alice, task.id, 0)).state is TaskState.WORKING
        await asyncio.sleep(20)
        assert (await last(alice, task.id, 0)).state is TaskState.SUBMITTED
        codex = bob.attach(CODEX, "codex")
        assert await poll(bob, codex, 10) == [task.id]

    story(tell)


# Limits


def test_an_output_of_a_mebibyte_comes_whole_and_more_is_refused() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        task = await delegate(alice, claude)
        await poll(bob, codex)
        with pytest.raises(InvalidInput, match="at most 1048576 are allowed"):
            await bob.tasks.submit(task.id, True, "x" * (2 << 20), codex)
        output = "日本語!" * ((1 << 20) // 10)
        assert await bob.tasks.submit(task.id, True, output, codex) == ACCEPTED
        assert (await last(alice, task.id)).result == TaskSucceeded(output)

    story(tell)


def test_a_thousand_tasks_may_be_open_and_a_worker_takes_a_hundred_at_a_time() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        for _ in range(1000):
            await delegate(alice, claude)
        with pytest.raises(Busy, match="1000 tasks of this machine are not finished"):
            await delegate(alice, claude)
        await asyncio.sleep(60)
        assert bob.tasks.waiting_for(codex) == 100
        assert len(await poll(bob, codex, limit=50)) == 50
        await asyncio.sleep(60)
        assert bob.tasks.waiting_for(codex) == 100

    story(tell)


def test_a_task_is_handed_on_four_times_and_never_back() -> None:
    async def tell(world: TaskWorld) -> None:
        machines = [await world.machine(f"m{number}") for number in range(6)]
        callers = [it.attach(UUID(int=n + 1), "claude") for n, it in enumerate(machines)]
        parent: TaskId | None = None
        for number in range(5):
            task = await delegate(
                machines[number], callers[number], parent=parent, peer=f"m{number + 1}"
            )
            assert await poll(machines[number + 1], callers[number + 1], 5) == [task.id]
            parent = task.id
            with pytest.raises((NotAllowed, InvalidInput), match=r"circles|4 times"):
                await delegate(
                    machines[number + 1],
                    callers[number + 1],
                    parent=parent,
                    peer=f"m{number}",
                    agent_target="claude",
                )
        with pytest.raises(InvalidInput, match="handed on 4 times"):
            await delegate(machines[5], callers[5], parent=parent)

    story(tell)


def test_what_is_over_is_forgotten_after_a_week() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        task = await delegate(alice, claude, idempotency_key="k")
        await poll(bob, codex)
        await bob.tasks.submit(task.id, True, "done", codex)
        await asyncio.sleep(6.9 * 86_400)
        assert (await last(alice, task.id)).result == TaskSucceeded("done")
        assert await bob.tasks.submit(task.id, True, "done", codex) == ACCEPTED
        await asyncio.sleep(0.2 * 86_400)
        assert (await alice.store.tasks(), await bob.store.offers()) == ((), ())
        assert (await delegate(alice, claude, idempotency_key="k")).id != task.id

    story(tell)


def test_an_agent_that_has_left_the_room_gets_none_of_its_tasks() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        await delegate(alice, claude)
        await asyncio.sleep(1)
        assert bob.tasks.waiting_for(codex) == 1
        del bob.agents[CODEX]  # Its room does not show it any more, though it is attached.
        assert bob.tasks.waiting_for(codex) == 0
        assert await poll(bob, codex, 1) == []

    story(tell)


# What is seen


def test_the_inbox_tells_of_each_change() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        changes = bob.tasks.inbox_changes(codex)
        assert await anext(changes) == InboxChange(waiting=0)
        task = await delegate(alice, claude, description="Run it\n" + "x" * 500)
        change = await anext(changes)
        assert change.waiting == 1
        assert change.newest is not None
        assert (change.newest.id, len(change.newest.summary)) == (task.id, 200)
        await poll(bob, codex)
        assert await anext(changes) == InboxChange(waiting=0)
        await changes.aclose()

    story(tell)


def test_a_task_is_listed_on_both_sides_with_its_state() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        first, second = await delegate(alice, claude), await delegate(alice, claude)
        assert len(await poll(bob, codex, limit=1)) == 1
        await asyncio.sleep(1)
        for machine, caller, mine, waiting in ((alice, claude, True, 0), (bob, codex, False, 1)):
            tasks, count = await machine.tasks.list(DEMO, None, 10, caller)
            assert {it.id: (str(it.state), it.mine) for it in tasks} == {
                first.id: ("working", mine),
                second.id: ("submitted", mine),
            }
            assert count == waiting
            working, _ = await machine.tasks.list(None, TaskState.WORKING, 10, caller)
            assert [it.id for it in working] == [first.id]

    story(tell)


def test_a_watch_shows_each_change_and_ends_with_the_last() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        task = await delegate(alice, claude)
        seen: list[str] = []

        async def watch() -> None:
            seen.extend([str(view.state) async for view in alice.tasks.watch(task.id, 50)])

        watching = world.group.create_task(watch())
        await poll(bob, codex)
        await bob.tasks.submit(task.id, True, "done", codex)
        await watching
        assert seen == ["submitted", "working", "completed"]
        with pytest.raises(NotFound):
            await last(alice, task_id(9))

    story(tell)

"""What polls claim and return: nothing that was claimed is lost, and an answer always fits."""

import asyncio
from uuid import UUID

import pytest

from buddies_core.errors import NotAllowed
from buddies_core.model import task_json
from buddies_core.model.budget import ANSWER_COST_MAX, json_cost
from buddies_core.model.ids import RoomName, TaskId
from buddies_core.model.task import (
    DESCRIPTION_BYTES_MAX,
    PERSON,
    Caller,
    TaskState,
    TaskView,
    TextPage,
)
from buddies_core.pb.peer_pb2 import PeerRequest
from tests.support.memories import DEMO
from tests.support.worlds.task_machines import TaskMachine, TaskWorld
from tests.support.worlds.task_stories import (
    CODEX,
    GEMINI,
    delegate,
    last,
    now_s,
    poll,
    story,
    two,
)

OPS = RoomName("ops")


async def polled(
    machine: TaskMachine,
    caller: Caller,
    room: RoomName | None = None,
    timeout_s: float = 0,
    limit: int = 1,
) -> tuple[TaskView, ...]:
    return await machine.tasks.poll(caller, room, timeout_s, limit)


async def is_leased(machine: TaskMachine, task: TaskView) -> None:
    """Wait until a worker's daemon has a lease of the task."""
    async for view in machine.tasks.watch(task.id, 50):
        if view.state is TaskState.WORKING:
            return


# What is claimed and not answered


def test_what_an_agent_has_claimed_comes_again_whole_and_marked_until_it_is_answered() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        text = "Run it\n" * 1000
        task = await delegate(alice, claude, description=text)
        [first] = await polled(bob, codex, timeout_s=5)
        [again] = await polled(bob, codex)
        for shown, is_old in ((first, False), (again, True)):
            assert (shown.id, shown.description, shown.already_yours) == (task.id, text, is_old)
        await bob.tasks.submit(task.id, True, "done", codex)
        assert await polled(bob, codex) == ()

    story(tell)


def test_an_agent_that_comes_back_is_told_that_its_claim_is_an_old_one() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        task = await delegate(alice, claude)
        await poll(bob, codex)
        bob.kill()
        await bob.start()
        back = bob.attach(UUID(int=9), "codex")
        [shown] = await polled(bob, back)
        assert (shown.id, shown.already_yours) == (task.id, True)

    story(tell)


def test_open_claims_count_against_the_limit_and_more_is_claimed_up_to_it() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        first, second = [(await delegate(alice, claude)).id for _ in range(2)]
        await asyncio.sleep(1)
        assert await poll(bob, codex, 0, limit=1) == [first]
        assert await poll(bob, codex, 0, limit=1) == [first]
        both = await polled(bob, codex, limit=2)
        assert [(it.id, it.already_yours) for it in both] == [(first, True), (second, False)]
        assert await poll(bob, codex, 0, limit=1) == [first, second]

    story(tell)


def test_a_poll_of_another_room_returns_neither_open_claims_nor_tasks_of_this_one() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        bob.rooms = (DEMO, OPS)
        task = await delegate(alice, claude)
        await asyncio.sleep(1)
        assert await polled(bob, codex, OPS) == ()
        assert [it.id for it in await polled(bob, codex, DEMO)] == [task.id]
        assert await polled(bob, codex, OPS) == ()
        assert [it.id for it in await polled(bob, codex, DEMO)] == [task.id]

    story(tell)


def test_a_person_is_not_given_what_another_at_this_machine_may_be_doing() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, _ = await two(world)
        bob.detach(CODEX)
        task = await delegate(alice, claude)
        assert await poll(bob, PERSON, 5) == [task.id]
        assert await poll(bob, PERSON, 5) == []

    story(tell)


def test_a_program_is_told_of_new_claims_alone_and_of_those_its_predecessor_left() -> None:
    """It keeps track of its own, so it can wait for others meanwhile; it needs every text whole."""

    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        text = "\x01" * DESCRIPTION_BYTES_MAX
        first = await delegate(alice, claude, description=text)
        await asyncio.sleep(5)

        async def new(caller: Caller) -> list[tuple[TaskId, bool, bool]]:
            views = await bob.tasks.poll(caller, None, 5, 1, new_only=True)
            return [(it.id, it.already_yours, it.description == text) for it in views]

        assert await new(codex) == [(first.id, False, True)]
        assert await new(codex) == []
        second = await delegate(alice, claude)
        assert await new(codex) == [(second.id, False, False)]
        bob.detach(CODEX)
        back = bob.attach(UUID(int=9), "codex")
        assert await new(back) == [(first.id, True, True), (second.id, True, False)]
        assert await new(back) == []

    story(tell)


def test_a_person_who_does_not_wait_gets_a_task_of_this_machines_own_agent() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, _, claude, _ = await two(world)
        task = await delegate(alice, claude)
        assert await poll(alice, PERSON, timeout_s=0) == [task.id]

    story(tell)


# Polls that are broken off


@pytest.mark.parametrize("moment_s", [0.0005, 0.5, 1.5, 2.5])
@pytest.mark.parametrize("by", ["agent", "person"])
def test_what_a_broken_off_poll_claims_comes_first_with_the_next_one_as_new(
    by: str, moment_s: float
) -> None:
    """It is broken off while the lease is asked for, and while either disk keeps the claim."""

    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        caller = codex if by == "agent" else PERSON
        task = await delegate(alice, claude)
        await asyncio.sleep(1)
        world.weather.write_s = (1.0, 1.0)
        polling = world.group.create_task(poll(bob, caller))
        await asyncio.sleep(moment_s)
        polling.cancel()
        world.weather.write_s = (0.0, 0.0)
        await asyncio.sleep(4)
        assert (await last(alice, task.id, 0)).state is TaskState.WORKING
        await delegate(alice, claude)
        await asyncio.sleep(1)
        [shown] = await polled(bob, caller)
        assert (shown.id, shown.already_yours) == (task.id, False)
        assert (await last(alice, task.id, 0)).attempt == 1

    story(tell)


@pytest.mark.parametrize("by", ["agent", "person"])
def test_what_a_broken_off_poll_has_claimed_is_given_back_if_no_other_comes(by: str) -> None:
    """Nobody was told of it, so it does not count as begun: it may be begun once all the same."""

    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        caller = codex if by == "agent" else PERSON
        carol = await world.machine("carol")
        gemini = carol.attach(GEMINI, "gemini")
        world.weather.latency_s = (0.5, 0.5)
        task = await delegate(alice, claude, retryable=False)
        await asyncio.sleep(5)
        polling = world.group.create_task(poll(bob, caller))
        await is_leased(alice, task)
        polling.cancel()
        broken_off_s = now_s()
        assert await poll(carol, gemini, 50) == [task.id]
        assert now_s() - broken_off_s == pytest.approx(31, abs=3)
        assert (await last(alice, task.id, 0)).attempt == 2

    story(tell)


def test_a_claim_that_was_returned_is_not_given_back_while_its_agent_is_there() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        task = await delegate(alice, claude)
        await poll(bob, codex)
        await asyncio.sleep(300)
        working = await last(alice, task.id, 0)
        assert (working.state, working.attempt) == (TaskState.WORKING, 1)

    story(tell)


@pytest.mark.parametrize("after_s", [0.0, 0.5, 1.5])
def test_two_polls_of_one_agent_at_once_get_different_tasks(after_s: float) -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        tasks = [(await delegate(alice, claude)).id for _ in range(3)]
        await asyncio.sleep(1)
        world.weather.latency_s = (0.5, 0.5)
        async with asyncio.TaskGroup() as group:
            first = group.create_task(polled(bob, codex, timeout_s=5, limit=2))
            await asyncio.sleep(after_s)
            second = group.create_task(polled(bob, codex, timeout_s=5, limit=1))
        got = [*first.result(), *second.result()]
        assert sorted(it.id for it in got) == sorted(tasks)
        assert not any(it.already_yours for it in got)

    story(tell)


def test_requesters_that_do_not_answer_hold_up_no_poll_for_longer_than_its_client_waits() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        for _ in range(20):
            await delegate(alice, claude)
        await asyncio.sleep(1)
        world.islands.append(frozenset({"alice"}))
        began_s = now_s()
        assert await poll(bob, codex, 0, limit=10) == []
        assert now_s() - began_s < 5

    story(tell)


def test_what_an_agent_has_yet_to_be_told_comes_before_what_it_knows() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        known = await delegate(alice, claude)
        await poll(bob, codex)
        new = await delegate(alice, claude)
        await asyncio.sleep(1)
        world.weather.latency_s = (0.5, 0.5)
        polling = world.group.create_task(poll(bob, codex, limit=2))
        await is_leased(alice, new)
        polling.cancel()
        await asyncio.sleep(2)
        answer = await polled(bob, codex)
        assert [(it.id, it.already_yours) for it in answer] == [(new.id, False), (known.id, True)]

    story(tell)


# What fits


def test_a_poll_claims_no_more_than_its_answer_holds() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        tasks = [(await delegate(alice, claude, description="x" * 62_000)).id for _ in range(4)]
        await asyncio.sleep(5)
        assert await poll(bob, codex, 0, limit=4) == tasks[:1]
        assert bob.tasks.waiting_for(codex) == 3
        states = [(await last(alice, id, 0)).state for id in tasks]
        assert states == [TaskState.WORKING, *[TaskState.SUBMITTED] * 3]

    story(tell)


@pytest.mark.parametrize("character", ["界", "x", "\x01", "\n", "😀"])
def test_a_task_of_any_size_can_be_claimed_and_shows_as_much_as_fits(character: str) -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        text = "do " + character * ((DESCRIPTION_BYTES_MAX - 3) // len(character.encode()))
        await delegate(alice, claude, description=text)
        await asyncio.sleep(5)
        [shown] = answer = await polled(bob, codex)
        assert json_cost(task_json.claimed_json(answer)) > 0.9 * ANSWER_COST_MAX or (
            shown.description_page is None
        )
        assert json_cost(task_json.claimed_json(answer)) <= ANSWER_COST_MAX
        assert text.startswith(shown.description)
        is_whole = shown.description == text
        assert shown.description_page == (None if is_whole else TextPage(0, len(text)))

    story(tell)


def test_open_claims_that_do_not_fit_together_are_all_shown_the_later_ones_cut() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        text = "界" * 15_000
        tasks = [(await delegate(alice, claude, description=text)).id for _ in range(3)]
        await asyncio.sleep(5)
        for limit in (1, 2, 3):  # As long as one is open, the next does not fit.
            assert await poll(bob, codex, 0, limit) == tasks[:1]
        await bob.tasks.reject(tasks[0], "later", codex)
        # Two more agents of that name claim one each and end: both claims are the third's now.
        for number in (7, 8):
            await poll(bob, bob.attach(UUID(int=number), "codex"), 0)
        for number in (7, 8):
            bob.detach(UUID(int=number))
        answer = await polled(bob, codex, limit=3)
        assert [it.id for it in answer] == tasks[1:]
        assert [it.description_page is None for it in answer] == [True, False]
        assert json_cost(task_json.claimed_json(answer)) <= ANSWER_COST_MAX

    story(tell)


# Leases


def test_an_agent_whose_renewal_is_refused_has_lost_its_claim() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, bob, claude, codex = await two(world)
        task = await delegate(alice, claude)
        await poll(bob, codex)
        # Alice forgets the task, as on a disk that was restored: nobody tells Bob of that.
        alice.kill()
        await alice.store.delete_task(task.id)
        await alice.start()
        await asyncio.sleep(30)
        lost = await last(bob, task.id, 0)
        assert lost.state is TaskState.CANCELED
        assert "has forgotten it" in lost.reason
        assert await polled(bob, codex) == ()
        with pytest.raises(NotAllowed, match=r"has forgotten it"):
            await bob.tasks.progress(task.id, "at it", codex)

    story(tell)


def test_a_withdrawal_is_dropped_when_its_member_has_left_and_not_sent_when_it_is_back() -> None:
    async def tell(world: TaskWorld) -> None:
        alice, _, claude, _ = await two(world)
        task = await delegate(alice, claude)
        await asyncio.sleep(1)
        world.islands.append(frozenset({"bob"}))
        await alice.tasks.cancel(task.id, "", claude)
        await asyncio.sleep(120)  # Long enough for Bob to count as gone.
        world.islands.clear()
        before = len(world.asked)
        await asyncio.sleep(60)
        told = [request for name, _, request in world.asked[before:] if name == "alice"]
        assert [request for request in told if is_withdrawal(request)] == []

    story(tell)


def is_withdrawal(request: PeerRequest) -> bool:
    return request.HasField("withdraw_task")

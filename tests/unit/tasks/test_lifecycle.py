"""Every transition of a task, and what no sequence of events can do."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buddies_core.model.ids import EndpointId
from buddies_core.model.task import TaskFailed, TaskLimits, TaskState, TaskSucceeded
from buddies_core.store.task_records import LateResult, Worker
from buddies_core.tasks.events import (
    Answer,
    CancelRequested,
    Effect,
    Event,
    Lease,
    LeaseRenewed,
    LeaseRequested,
    LeaseReturned,
    LegacyResponded,
    LegacyTold,
    OfferAgain,
    ProgressReported,
    Refused,
    Restarted,
    ResultSubmitted,
    TaskRejectedBy,
    TellWaiters,
    TimePassed,
    Verdict,
    Withdraw,
)
from buddies_core.tasks.lifecycle import REJECTIONS_MAX, Step, Task, digest, new_task, step
from tests.support.memories import BOB, CAROL
from tests.support.tasks import an_order

BOBS = Worker(endpoint=BOB, user="bob", agent="codex")
CAROLS = Worker(endpoint=CAROL, user="carol", agent="gemini")
DONE = TaskSucceeded("2 failures")
FRESH = new_task(an_order(), "", 0.0)
OVER = "the task is over: "


def after(task: Task, *events: Event, now_s: float = 0.0) -> Task:
    for event in events:
        task = step(task, event, now_s).task
    return task


LEASED = after(FRESH, LeaseRequested(BOBS))
LAPSED = after(LEASED, TimePassed(), now_s=60.0)
SILENT = after(after(LEASED, LeaseRenewed(BOB, 1), now_s=599.0), TimePassed(), now_s=600.0)
AGAIN = after(LAPSED, LeaseRequested(CAROLS), now_s=60.0)
COMPLETED = after(LEASED, ResultSubmitted(BOB, 1, DONE))


def lease(attempt: int, finish_left_s: float = 3600.0) -> Lease:
    return Lease(attempt=attempt, lease_s=60.0, finish_left_s=finish_left_s, silence_s=600.0)


def rejected(worker: Worker, attempt: int, *, nobody_left: bool = False) -> TaskRejectedBy:
    return TaskRejectedBy(worker=worker, attempt=attempt, reason="busy", nobody_left=nobody_left)


def of(taken: Step) -> tuple[TaskState, int, int, Answer, tuple[Effect, ...]]:
    return taken.task.state, taken.task.attempt, taken.task.lost, taken.answer, taken.effects


TAKEN = Withdraw("somebody else has it", but=BOB)
BACK = Withdraw("its worker came back", but=BOB)
TELL = TellWaiters()
LATE = Verdict(False, "kept as late: others have it now")
S, W, C, F = TaskState.SUBMITTED, TaskState.WORKING, TaskState.COMPLETED, TaskState.FAILED
NOT_NEEDED = f"{OVER}canceled (not needed)"
SILENCE = "no progress was reported for 600 s"
NO_LEASE = Refused(False, "no such lease was given; poll for the task first")
ACCEPTED = (Withdraw(f"{OVER}completed", but=BOB), TELL)


@pytest.mark.parametrize(
    ("task", "event", "now_s", "state", "attempt", "lost", "answer", "effects"),
    [
        (FRESH, LeaseRequested(BOBS), 5, W, 1, 0, lease(1), (TAKEN, TELL)),
        (LEASED, LeaseRequested(BOBS), 5, W, 1, 0, lease(1, 3595.0), (TAKEN, TELL)),
        (LEASED, LeaseRequested(CAROLS), 5, W, 1, 0, Refused(False, "somebody else has it"), ()),
        (
            LAPSED,
            LeaseRequested(CAROLS),
            60,
            W,
            2,
            1,
            lease(2, 3540.0),
            (Withdraw("somebody else has it", but=CAROL), TELL),
        ),
        (LEASED, LeaseRenewed(BOB, 1), 50, W, 1, 0, lease(1, 3550.0), ()),
        (LAPSED, LeaseRenewed(BOB, 1), 70, W, 1, 0, lease(1, 3530.0), (BACK, TELL)),
        (SILENT, ProgressReported(BOB, 1, "here"), 700, W, 1, 0, lease(1, 2900.0), (BACK, TELL)),
        (LEASED, ProgressReported(BOB, 1, "half"), 9, W, 1, 0, lease(1, 3591.0), (TELL,)),
        (LEASED, ResultSubmitted(BOB, 1, DONE), 9, C, 1, 0, Verdict(True, "accepted"), ACCEPTED),
        (LAPSED, ResultSubmitted(BOB, 1, DONE), 99, C, 1, 1, Verdict(True, "accepted"), ACCEPTED),
        (AGAIN, ResultSubmitted(BOB, 1, DONE), 99, W, 2, 1, LATE, (TELL,)),
        (COMPLETED, ResultSubmitted(BOB, 1, DONE), 99, C, 1, 0, Verdict(True, "accepted"), ()),
        (
            COMPLETED,
            ResultSubmitted(BOB, 1, TaskSucceeded("other")),
            99,
            C,
            1,
            0,
            Verdict(False, f"kept as late: {OVER}completed"),
            (TELL,),
        ),
        (
            LEASED,
            ResultSubmitted(BOB, 1, TaskFailed("no")),
            9,
            F,
            1,
            0,
            Verdict(True, "accepted"),
            (Withdraw(f"{OVER}failed", but=BOB), TELL),
        ),
        (
            LEASED,
            ResultSubmitted(CAROL, 1, DONE),
            9,
            W,
            1,
            0,
            Refused(False, "that lease is somebody else's"),
            (),
        ),
        (FRESH, TimePassed(), 599, S, 0, 0, None, ()),
        (
            FRESH,
            TimePassed(),
            600,
            TaskState.EXPIRED,
            0,
            0,
            None,
            (Withdraw(f"{OVER}expired (nobody began within 600 s)"), TELL),
        ),
        (LEASED, TimePassed(), 59, W, 1, 0, None, ()),
        (LEASED, TimePassed(), 60, S, 1, 1, None, (OfferAgain(), TELL)),
        (
            after(LEASED, LeaseRenewed(BOB, 1), now_s=599),
            TimePassed(),
            600,
            S,
            1,
            1,
            None,
            (Withdraw(SILENCE), OfferAgain(), TELL),
        ),
        (
            LEASED,
            TimePassed(),
            3600,
            TaskState.EXPIRED,
            1,
            0,
            None,
            (Withdraw(f"{OVER}expired (it was not finished within 3600 s)"), TELL),
        ),
        (LEASED, LeaseReturned(BOB, 1, "gone"), 9, S, 1, 1, None, (OfferAgain(), TELL)),
        (LAPSED, LeaseReturned(BOB, 1, "gone"), 99, S, 1, 1, None, (OfferAgain(),)),
        (AGAIN, LeaseReturned(BOB, 1, "gone"), 99, W, 2, 1, None, ()),
        (LEASED, rejected(BOBS, 1), 9, S, 1, 0, None, (OfferAgain(), TELL)),
        (LEASED, rejected(CAROLS, 0), 9, W, 1, 0, None, ()),
        (
            LEASED,
            rejected(BOBS, 1, nobody_left=True),
            9,
            TaskState.REJECTED,
            1,
            0,
            None,
            (Withdraw(f"{OVER}rejected (codex of bob: busy)"), TELL),
        ),
        (
            FRESH,
            LegacyResponded(DONE, "rusty"),
            9,
            C,
            0,
            0,
            Verdict(True, "accepted"),
            (Withdraw(f"{OVER}completed", but=EndpointId(b"")), TELL),
        ),
        (LEASED, LegacyResponded(DONE, "rusty"), 9, W, 1, 0, LATE, (TELL,)),
        (
            LEASED,
            CancelRequested("not needed"),
            9,
            TaskState.CANCELED,
            1,
            0,
            None,
            (Withdraw(NOT_NEEDED), TELL),
        ),
        (
            COMPLETED,
            CancelRequested("not needed"),
            9,
            C,
            1,
            0,
            Refused(True, f"{OVER}completed"),
            (),
        ),
        (COMPLETED, LeaseRenewed(BOB, 1), 9, C, 1, 0, Refused(True, f"{OVER}completed"), ()),
        (COMPLETED, TimePassed(), 9999, C, 1, 0, None, ()),
        (LEASED, Restarted(), 9999, W, 1, 0, None, ()),
        (FRESH, LegacyTold(), 9, S, 0, 0, None, ()),
        (LEASED, LegacyTold(), 9, W, 1, 0, Refused(False, "somebody else has it"), ()),
        (FRESH, ResultSubmitted(BOB, 0, DONE), 9, S, 0, 0, NO_LEASE, ()),
        (LEASED, ResultSubmitted(BOB, 2, DONE), 9, W, 1, 0, NO_LEASE, ()),
    ],
)
def test_each_event_has_its_effect(
    task: Task,
    event: Event,
    now_s: float,
    state: TaskState,
    attempt: int,
    lost: int,
    answer: Answer,
    effects: tuple[Effect, ...],
) -> None:
    assert of(step(task, event, now_s)) == (state, attempt, lost, answer, effects)


@pytest.mark.parametrize(
    ("event", "lease_until_s", "silent_by_s"),
    [
        (LeaseRequested(BOBS), 107.0, 647.0),
        (LeaseRenewed(BOB, 1), 107.0, 600.0),
        (ProgressReported(BOB, 1, "half"), 107.0, 647.0),
        (Restarted(), 107.0, 647.0),
        (LeaseReturned(BOB, 1, "gone"), None, 600.0),
        (CancelRequested("not needed"), None, None),
    ],
)
def test_a_lease_lasts_a_minute_and_silence_ten_from_what_its_worker_says(
    event: Event, lease_until_s: float | None, silent_by_s: float | None
) -> None:
    task = after(LEASED, event, now_s=47.0)
    assert (task.lease_until_s, task.silent_by_s) == (lease_until_s, silent_by_s)


def test_a_worker_that_comes_back_takes_back_one_loss_of_several() -> None:
    again = after(AGAIN, LeaseReturned(CAROL, 2, "gone"), now_s=61.0)
    assert again.lost == 2
    assert after(again, LeaseRenewed(CAROL, 2), now_s=62.0).lost == 1


def test_what_a_restart_or_a_mere_renewal_changes_need_not_be_on_disk_before_it_counts() -> None:
    taken = [step(LEASED, it, 9.0) for it in (Restarted(), LeaseRenewed(BOB, 1))]
    assert [it.stored_first for it in taken] == [False, False]
    assert step(LEASED, ProgressReported(BOB, 1, "half"), 9.0).stored_first


def test_of_those_that_reject_a_task_so_many_are_remembered() -> None:
    task = FRESH
    for number in range(1, REJECTIONS_MAX + 3):
        task = after(task, rejected(Worker(endpoint=BOB, user="bob", agent=f"a{number}"), 0))
    assert (len(task.rejected_by), len(task.rejections)) == (REJECTIONS_MAX, REJECTIONS_MAX)


def test_the_same_result_of_another_attempt_is_another_result() -> None:
    same = [digest(attempt, result) for attempt in (0, 1) for result in (DONE, TaskFailed("no"))]
    assert len(set(same)) == 4


def test_after_a_restart_a_worker_has_a_whole_lease_to_be_heard_again() -> None:
    restarted = after(LEASED, Restarted(), now_s=1000.0)

    assert after(restarted, TimePassed(), now_s=1059.0).state is W
    assert after(restarted, TimePassed(), now_s=1060.0).state is S


def test_a_renewal_is_no_sign_of_progress() -> None:
    assert of(step(SILENT, LeaseRenewed(BOB, 1), 601.0)) == (
        S,
        1,
        1,
        Refused(False, "no progress was reported for too long, so it was offered to others"),
        (),
    )


@pytest.mark.parametrize(("retryable", "attempts"), [(True, 3), (False, 1)])
def test_a_task_that_is_lost_too_often_has_failed(retryable: bool, attempts: int) -> None:
    task = replace(FRESH, order=an_order(retryable=retryable))
    for attempt in range(1, attempts + 1):
        task = after(task, LeaseRequested(BOBS), LeaseReturned(BOB, attempt, "gone"))
    tries = f"lost {attempts} times" if retryable else "it may not be tried again"

    assert (task.state, task.reason, task.attempt) == (F, f"gone; {tries}", attempts)


def test_rejections_do_not_count_as_losses() -> None:
    task = FRESH
    for number in range(1, 9):
        worker = Worker(endpoint=BOB, user="bob", agent=f"agent{number}")
        task = after(task, LeaseRequested(worker), rejected(worker, number))

    assert (task.state, task.attempt, task.lost, len(task.rejections)) == (S, 8, 0, 8)


def test_who_has_rejected_a_task_gets_no_lease_and_its_result_does_not_count() -> None:
    task = after(LEASED, rejected(BOBS, 1))

    assert step(task, LeaseRequested(BOBS), 1.0).answer == Refused(False, "codex has rejected it")
    assert step(task, LeaseRenewed(BOB, 1), 1.0).answer == Refused(
        False, "somebody else has it, or it is offered again"
    )
    assert step(task, ResultSubmitted(BOB, 1, DONE), 1.0).task.state is S


def test_an_overall_deadline_stands_for_start_and_finish() -> None:
    task = new_task(an_order(limits=TaskLimits(overall_s=100.0)), "", 0.0)
    begun = after(after(task, LeaseRequested(BOBS), now_s=90.0), TimePassed(), now_s=99.0)

    assert after(task, TimePassed(), now_s=100.0).reason == "nobody began within 100 s"
    assert begun.state is W
    assert after(begun, TimePassed(), now_s=100.0).reason == "it was not finished within 100 s"


def test_a_late_result_is_kept_once_with_why() -> None:
    task = after(AGAIN, *[ResultSubmitted(BOB, 1, DONE)] * 3)

    assert task.late == (
        LateResult(
            attempt=1, worker=BOB, result=DONE, why="others have it now", sha256=digest(1, DONE)
        ),
    )


def test_of_many_late_results_eight_are_kept_each_with_its_beginning() -> None:
    results = [TaskSucceeded(f"{number} " + "x" * 10_000) for number in range(20)]
    task = after(AGAIN, *(ResultSubmitted(BOB, 1, result) for result in results))

    assert [late.result for late in task.late] == [
        TaskSucceeded(result.output[:4096]) for result in results[:8]
    ]


WORKERS = st.sampled_from([BOBS, CAROLS, replace(BOBS, agent="claude")])
ENDPOINTS = st.sampled_from([BOB, CAROL])
ATTEMPTS = st.integers(0, 6)
TEXTS = st.sampled_from(["a", "b"])
RESULTS = st.builds(TaskSucceeded, TEXTS) | st.builds(TaskFailed, TEXTS)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(LeaseRequested, WORKERS),
    st.builds(LeaseRenewed, ENDPOINTS, ATTEMPTS),
    st.builds(ProgressReported, ENDPOINTS, ATTEMPTS, TEXTS),
    st.builds(ResultSubmitted, ENDPOINTS, ATTEMPTS, RESULTS),
    st.builds(
        TaskRejectedBy,
        worker=WORKERS,
        attempt=ATTEMPTS,
        reason=TEXTS,
        nobody_left=st.booleans(),
    ),
    st.builds(LeaseReturned, ENDPOINTS, ATTEMPTS, TEXTS),
    st.just(LegacyTold()),
    st.builds(LegacyResponded, RESULTS, TEXTS),
    st.builds(CancelRequested, TEXTS),
    st.just(TimePassed()),
    st.just(Restarted()),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(EVENTS, st.floats(0, 400)), max_size=40), st.booleans())
def test_nothing_leaves_a_final_state_and_no_second_result_is_accepted(
    happenings: list[tuple[Event, float]], retryable: bool
) -> None:
    task, now_s = new_task(an_order(retryable=retryable), "", 0.0), 0.0
    accepted: set[tuple[EndpointId | None, int, str]] = set()
    for event, passed_s in happenings:
        now_s += passed_s
        before, taken = task, step(task, event, now_s)
        task = taken.task
        if before.state.is_terminal:
            assert task == replace(before, late=task.late)
        assert task.attempt - before.attempt in (0, 1)
        assert (task.state is W) == (task.lease_until_s is not None)
        assert 0 <= task.lost <= 3
        assert task.state is F or task.lost < (3 if retryable else 1)
        if isinstance(taken.answer, Verdict) and taken.answer.accepted:
            match event:
                case ResultSubmitted(endpoint, attempt, result):
                    accepted.add((endpoint, attempt, repr(result)))
                case LegacyResponded(result):
                    accepted.add((None, 0, repr(result)))
                case _:
                    raise AssertionError("only results are accepted")
            assert (task.state.is_terminal, repr(task.result)) == (True, repr(result))
        assert len(accepted) <= 1

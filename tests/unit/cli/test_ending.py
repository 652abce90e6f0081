"""Signals that end `task watch`: real ones, sent to this very process."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from buddies_cli import execution
from buddies_core.model.task import SubmitVerdict, TaskView
from tests.support.fakes.tasks import TASK_ID
from tests.support.processes import alive
from tests.unit.cli.conftest import Person, Worked

ID = str(TASK_ID)


@pytest.fixture
def person(capsys: pytest.CaptureFixture[str]) -> Person:
    person = Person(capsys)
    person.machine.daemon = Worked()
    return person


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_watch_and_its_command_and_gives_the_task_back(
    person: Person, tmp_path: Path, number: signal.Signals
) -> None:
    pid = tmp_path / "pid"
    command = f"echo $$ > {pid}; kill -{number} {os.getpid()}; exec sleep 60"

    seen = person.types("task", "watch", "--exec", command)

    assert seen.code == 128 + number
    assert not alive(int(pid.read_text()))
    # The daemon gives back what an agent has not answered when it goes.
    assert [question[0] for question in person.machine.daemon.asked] == ["attach", "poll_tasks"]  # type: ignore[index]
    assert seen.err.endswith(
        f"task {ID}: its command was asked to end; a second signal kills it\n"
        f"task {ID}: its command was ended. The task goes to another worker in 30 s, or to the "
        "next watch on this machine if that starts before\n"
    )


def test_a_second_signal_kills_a_command_that_ignores_the_first(
    person: Person, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    ours = os.getpid()
    command = (
        f"trap 'kill -INT {ours}' TERM; echo $$ > {pid}; kill -INT {ours};"
        " while :; do sleep 0.01; done"
    )
    began_s = time.monotonic()

    seen = person.types("task", "watch", "--exec", command)

    assert seen.code == 128 + signal.SIGINT
    assert not alive(int(pid.read_text()))
    assert time.monotonic() - began_s < execution.KILL_AFTER_S


def test_a_watch_that_waits_for_a_task_ends_at_once(person: Person) -> None:
    class Waiting(Worked):
        async def poll_tasks(
            self,
            *,
            room: str | None = None,
            timeout_s: float = 0.0,
            limit: int = 1,
            new_only: bool = False,
        ) -> tuple[TaskView, ...]:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(timeout_s)
            return ()

    person.machine.daemon = Waiting()
    seen = person.types("task", "watch", "--exec", "true")
    assert (seen.code, seen.out, seen.err) == (128 + signal.SIGTERM, "", "")


def test_a_result_that_is_being_submitted_is_not_lost_to_a_signal(person: Person) -> None:
    class Slow(Worked):
        async def submit_task_result(
            self, task_id: str, *, success: bool, output: str
        ) -> SubmitVerdict:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.1)
            return await super().submit_task_result(task_id, success=success, output=output)

    person.machine.daemon = Slow()
    seen = person.types("task", "watch", "--exec", "echo done")

    assert (seen.code, seen.out) == (130, f"task {ID}: done, accepted\n")
    assert person.machine.daemon.asked[-1] == ("submit_task_result", ID, True, "done")


def test_a_signal_that_the_parent_has_it_ignore_does_not_end_the_watch(person: Person) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        seen = person.types(
            "task", "watch", "--exec", f"kill -HUP {os.getpid()}; echo done", "--count", "1"
        )
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (seen.code, seen.out) == (0, f"task {ID}: done, accepted\n")

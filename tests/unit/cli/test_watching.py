"""`task watch`: real commands in a real shell, with a daemon that answers as set up."""

import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from buddies_cli import execution
from buddies_cli.execution import Done, Execution, NotDone, NotHere, Outcome
from buddies_core.errors import DaemonUnavailable, NotFound
from buddies_core.model.task import OUTPUT_BYTES_MAX, SubmitVerdict, TaskView
from tests.support.eventually import until
from tests.support.fakes.client import FakeClient
from tests.support.fakes.tasks import CANCELED, TASK_ID, WORKING
from tests.unit.cli.conftest import Person

ID = str(TASK_ID)
BEGUN = "cat > /dev/null"
"""Ends when all of stdin has come: asyncio leaks pipes if it is cancelled while it starts."""


def execute(command: str, timeout_s: float = 10) -> Execution:
    return Execution(
        command,
        WORKING,
        environ={"PATH": os.environ["PATH"]},
        timeout_s=timeout_s,
        show=lambda _text: None,
    )


@pytest.mark.parametrize(
    ("command", "outcome"),
    [
        ("cat", Done("Run the test suite ☺")),
        ("true", Done("")),
        ("printf 'a\\n\\nb\\n\\n'", Done("a\n\nb")),
        ("printf 'caf\\351'", Done("caf\ufffd")),
        ('echo "$BUDDIES_TASK_ID"', Done(ID)),
        (
            'echo "$BUDDIES_TASK_ROOM $BUDDIES_TASK_USER $BUDDIES_TASK_AGENT"',
            Done("feature-a alice claude"),
        ),
        ("echo never mind; echo why >&2; exit 3", NotDone("it exited with 3: why")),
        ("echo on stdout; exit 1", NotDone("it exited with 1: on stdout")),
        ("exit 1", NotDone("it exited with 1")),
        ("kill -9 $$", NotDone("it was ended by SIGKILL")),
        ("echo no gpu >&2; exit 75", NotHere("it exited with 75: no gpu")),
    ],
)
async def test_a_command_becomes_a_result(command: str, outcome: Outcome) -> None:
    assert await execute(command).run() == outcome


async def test_of_a_long_stderr_the_end_is_told() -> None:
    outcome = await execute("yes filler | head -n 20000 >&2; echo the reason >&2; exit 1").run()

    assert isinstance(outcome, NotDone)
    assert outcome.reason.endswith("filler\nthe reason")
    assert len(outcome.reason) < 4100


async def test_a_command_that_does_not_end_is_ended_with_all_it_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    outcome = await execute(f"sleep 60 & echo $! > {pid}; wait", timeout_s=0.2).run()

    assert outcome == NotDone("it did not end within 0.2 s")
    await until(lambda: not alive(int(pid.read_text())))


async def test_a_command_that_ignores_being_asked_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(execution, "KILL_AFTER_S", 0.1)
    stubborn = f"exec {sys.executable} -c 'import signal; signal.signal(15, 1); signal.pause()'"

    assert await execute(stubborn, timeout_s=0.5).run() == NotDone("it did not end within 0.5 s")


async def test_more_output_than_a_result_may_have_is_a_failure_not_a_part_of_it() -> None:
    outcome = await execute("yes").run()

    assert outcome == NotDone(
        f"it wrote more than {OUTPUT_BYTES_MAX} bytes, the most a result may be"
    )


async def test_as_much_output_as_a_result_may_have_is_taken_whole() -> None:
    outcome = await execute(f"yes | tr -d '\\n' | head -c {OUTPUT_BYTES_MAX}").run()

    assert outcome == Done("y" * OUTPUT_BYTES_MAX)


async def test_what_a_command_leaves_running_is_ended_with_it(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = f"sleep 60 > /dev/null 2>&1 & echo $! > {pid}; echo done"

    assert await execute(command).run() == Done("done")
    await until(lambda: not alive(int(pid.read_text())))


async def test_who_cancels_the_run_ends_the_command(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    async with asyncio.TaskGroup() as group:
        run = group.create_task(execute(f"{BEGUN}; echo $$ > {pid}; sleep 60").run())
        await until(lambda: pid.exists() and bool(pid.read_text()))
        run.cancel()

    assert not alive(int(pid.read_text()))


class Worked(FakeClient):
    """Knows a task that is worked on until its result comes."""

    async def task_after(self, task_id: str, timeout_s: float) -> TaskView:
        await asyncio.sleep(timeout_s)
        return WORKING


@pytest.fixture
def person(capsys: pytest.CaptureFixture[str]) -> Person:
    person = Person(capsys)
    person.machine.daemon = Worked()
    return person


@pytest.fixture(autouse=True)
def _nobody_in_particular(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BUDDIES_AGENT", "BUDDIES_USER", "BUDDIES_CAPABILITIES"):
        monkeypatch.delenv(name, raising=False)


def watching(person: Person, command: str, *more: str) -> list[object]:
    """Return what a watch that ends by itself asks the daemon."""
    return person.asked("task", "watch", "--exec", command, "--count", "1", *more)


def test_a_task_is_claimed_done_and_its_result_submitted(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUDDIES_AGENT", "builder")
    monkeypatch.setenv("BUDDIES_USER", "ann")

    assert watching(person, "tr a-z A-Z", "--room", "a", "--capability", "gpu") == [
        ("attach", "builder", "ann", ("gpu",)),
        ("poll_tasks", "a", 50.0, 1),
        ("submit_task_result", ID, True, "RUN THE TEST SUITE ☺"),
    ]


def test_capabilities_come_from_the_environment_where_none_are_given(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUDDIES_CAPABILITIES", "gpu, rust,")
    assert watching(person, "true")[0] == ("attach", "buddies-watch", "", ("gpu", "rust"))


def test_a_failed_command_is_a_failed_task(person: Person) -> None:
    seen = person.types("task", "watch", "--exec", "echo oops >&2; exit 1", "--count", "1")

    assert person.machine.daemon.asked[2:] == [
        ("submit_task_result", ID, False, "it exited with 1: oops")
    ]
    assert (seen.code, seen.out) == (0, f"task {ID}: failed, accepted\n")
    assert seen.err == f"task {ID} from claude of alice\noops\n"


def test_exit_code_75_leaves_the_task_to_others(person: Person) -> None:
    assert watching(person, "exit 75")[2:] == [("reject_task", ID, "it exited with 75")]


def test_with_json_each_result_is_one_object(person: Person) -> None:
    seen = person.types("task", "watch", "--exec", "true", "--count", "1", "--json")

    assert seen.json == {
        "submitted": True,
        "task_id": ID,
        "verdict": "accepted",
        "text": "it counts",
    }


def test_it_goes_on_until_there_were_enough(person: Person) -> None:
    person.machine.daemon.claims = [(), (WORKING,)]

    asked = person.asked("task", "watch", "--exec", "true", "--count", "3")

    assert [question[0] for question in asked] == [  # type: ignore[index]
        "attach", "poll_tasks", "poll_tasks", "submit_task_result", "poll_tasks",
        "submit_task_result", "poll_tasks", "submit_task_result",
    ]  # fmt: skip


def test_one_command_runs_at_a_time_unless_more_jobs_are_allowed(
    person: Person, tmp_path: Path
) -> None:
    alone = f"mkdir {tmp_path}/lock && rmdir {tmp_path}/lock"
    meet = f"mkdir {tmp_path}/$$; while [ $(ls {tmp_path} | wc -l) -lt 2 ]; do sleep 0.01; done"

    person.asked("task", "watch", "--exec", alone, "--count", "4")
    assert all(question[2] for question in person.machine.daemon.asked[2::2])  # type: ignore[index]

    seen = person.types(
        "task", "watch", "--exec", meet, "--count", "2", "--jobs", "2", "--timeout", "5"
    )
    assert seen.out.count("done, accepted") == 2


def test_signs_of_life_carry_the_last_line_of_stderr(
    person: Person, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("buddies_cli.watching.SIGN_OF_LIFE_S", 0.02)
    go_on = tmp_path / "go-on"

    class Listening(Worked):
        async def task_progress(self, task_id: str, text: str) -> TaskView:
            if text == "3 of 7":
                go_on.touch()
            return await super().task_progress(task_id, text)

    person.machine.daemon = Listening()
    asked = watching(
        person, f"echo 3 of 7 >&2; while [ ! -e {go_on} ]; do sleep 0.01; done", "--timeout", "5"
    )

    assert ("task_progress", ID, "3 of 7") in asked
    assert asked[-1] == ("submit_task_result", ID, True, "")


def test_the_command_of_a_task_that_is_over_is_ended(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buddies_cli.watching.SIGN_OF_LIFE_S", 0.02)

    class Cancelling(Worked):
        async def task_progress(self, task_id: str, text: str) -> TaskView:
            if text == "begun":
                raise NotFound("the task was canceled")
            return WORKING

    person.machine.daemon = Cancelling()
    command = f"{BEGUN}; echo begun >&2; exec sleep 60"
    seen = person.types("task", "watch", "--exec", command, "--count", "1")

    assert (seen.code, seen.out) == (0, "")
    assert seen.err.endswith(f"task {ID}: its command is ended: the task was canceled\n")
    assert len(person.machine.daemon.asked) == 2


def test_the_command_of_a_canceled_task_is_ended_at_once(person: Person, tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    class Canceled(FakeClient):
        async def task_after(self, task_id: str, timeout_s: float) -> TaskView:
            await until(begun.exists)
            return CANCELED

    person.machine.daemon = Canceled()
    command = f"{BEGUN}; touch {begun}; exec sleep 60"
    seen = person.types("task", "watch", "--exec", command, "--count", "1")

    assert seen.err.endswith(
        f"task {ID}: its command is ended: the task was canceled: not needed\n"
    )
    assert len(person.machine.daemon.asked) == 2


def test_a_result_waits_for_a_daemon_that_is_being_restarted(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buddies_cli.restarts.PAUSE_S", 0.001)

    class Restarting(Worked):
        away = 3

        async def submit_task_result(
            self, task_id: str, *, success: bool, output: str
        ) -> SubmitVerdict:
            if self.away:
                self.away -= 1
                raise DaemonUnavailable("no daemon")
            return await super().submit_task_result(task_id, success=success, output=output)

    person.machine.daemon = Restarting()
    assert watching(person, "true")[-1] == ("submit_task_result", ID, True, "")


def test_a_result_that_is_not_taken_is_noted_and_the_next_task_begun(person: Person) -> None:
    class Refusing(Worked):
        async def submit_task_result(
            self, task_id: str, *, success: bool, output: str
        ) -> SubmitVerdict:
            raise NotFound("no such task")

    person.machine.daemon = Refusing()
    seen = person.types("task", "watch", "--exec", "true", "--count", "2")

    assert (seen.code, seen.out) == (0, "")
    assert seen.err.count("its result was not taken: no such task") == 2


def test_a_daemon_that_stays_away_ends_the_watch(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buddies_cli.restarts.PAUSE_S", 0.001)
    monkeypatch.setattr("buddies_cli.restarts.RESTART_S", 0.01)

    class Gone(Worked):
        async def poll_tasks(
            self, *, room: str | None = None, timeout_s: float = 0.0, limit: int = 1
        ) -> tuple[TaskView, ...]:
            raise DaemonUnavailable("no daemon; start it")

    person.machine.daemon = Gone()
    seen = person.types("task", "watch", "--exec", "true")
    assert (seen.code, seen.err) == (3, "error: no daemon; start it\n")


def test_what_a_command_writes_can_not_command_the_terminal(person: Person) -> None:
    seen = person.types("task", "watch", "--exec", "printf '\\033[2J\\n' >&2", "--count", "1")

    assert "\x1b" not in seen.err


def test_being_terminated_ends_the_command_too(person: Person, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = f"{BEGUN}; echo $$ > {pid}; kill -TERM {os.getpid()}; exec sleep 60"

    seen = person.types("task", "watch", "--exec", command)

    assert seen.code == 128 + signal.SIGTERM
    assert not alive(int(pid.read_text()))


def test_a_hostile_task_text_is_data_for_the_command(person: Person, tmp_path: Path) -> None:
    hostile = replace(WORKING, description=f"$(touch {tmp_path}/owned); `id`")
    person.machine.daemon.claims = [(hostile,)]

    assert watching(person, "cat")[2] == ("submit_task_result", ID, True, hostile.description)
    assert not (tmp_path / "owned").exists()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False

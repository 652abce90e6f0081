"""`task watch`: real commands in a real shell, with a daemon that answers as set up."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from buddies_cli.app import App
from buddies_cli.streams import ReaderGone
from buddies_core.errors import DaemonUnavailable, NotFound
from buddies_core.model.task import SubmitVerdict, TaskView
from tests.support.eventually import until
from tests.support.fakes.client import FakeClient
from tests.support.fakes.tasks import CANCELED, PARENT_ID, TASK_ID, WORKING
from tests.support.processes import alive
from tests.unit.cli.conftest import Person, Worked

ID = str(TASK_ID)
OTHER = replace(WORKING, id=PARENT_ID)


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


def test_with_json_each_result_is_an_object_on_a_line_of_its_own(person: Person) -> None:
    person.machine.daemon.claims = [(WORKING,), (OTHER,)]
    seen = person.types("task", "watch", "--exec", "true", "--count", "2", "--json")

    assert [json.loads(line) for line in seen.out.splitlines()] == [
        {"submitted": True, "task_id": id, "verdict": "accepted", "text": "it counts"}
        for id in (ID, str(OTHER.id))
    ]


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

    person.machine.daemon.claims = [(WORKING,), (OTHER,)]
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
    command = "echo begun >&2; exec sleep 60"
    seen = person.types("task", "watch", "--exec", command, "--count", "1")

    assert (seen.code, seen.out) == (0, "")
    assert seen.err.endswith(f"task {ID}: its command was ended: the task was canceled\n")
    assert len(person.machine.daemon.asked) == 2


def test_the_command_of_a_canceled_task_is_ended_at_once(person: Person, tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    class Canceled(FakeClient):
        async def task_after(
            self, task_id: str, timeout_s: float, *, offset: int = 0, description: bool = False
        ) -> TaskView:
            await until(begun.exists)
            return CANCELED

    person.machine.daemon = Canceled()
    command = f"touch {begun}; exec sleep 60"
    seen = person.types("task", "watch", "--exec", command, "--count", "1")

    assert seen.err.endswith(
        f"task {ID}: its command was ended: the task was canceled: not needed\n"
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
    assert seen.err.count("its result was not accepted: no such task") == 2


def test_a_daemon_that_stays_away_ends_the_watch(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buddies_cli.restarts.PAUSE_S", 0.001)
    monkeypatch.setattr("buddies_cli.restarts.RESTART_S", 0.01)

    class Gone(Worked):
        async def poll_tasks(
            self,
            *,
            room: str | None = None,
            timeout_s: float = 0.0,
            limit: int = 1,
            new_only: bool = False,
        ) -> tuple[TaskView, ...]:
            raise DaemonUnavailable("no daemon; start it")

    person.machine.daemon = Gone()
    seen = person.types("task", "watch", "--exec", "true")
    assert (seen.code, seen.err) == (3, "error: no daemon; start it\n")


def test_what_a_command_writes_can_not_command_the_terminal(person: Person) -> None:
    seen = person.types("task", "watch", "--exec", "printf '\\033[2J\\n' >&2", "--count", "1")

    assert "\x1b" not in seen.err


def test_a_reader_of_the_results_that_has_gone_ends_the_watch_and_its_commands(
    person: Person, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"

    def gone(_app: App, _answer: object, _human: str) -> None:
        raise ReaderGone("gone")

    monkeypatch.setattr(App, "show_line", gone)
    person.machine.daemon.claims = [(WORKING,), (OTHER,)]
    command = (
        f'if [ "$BUDDIES_TASK_ID" = {ID} ]; then while [ ! -s {pid} ]; do sleep 0.01; done;'
        f" else echo $$ > {pid}; exec sleep 60; fi"
    )

    seen = person.types("task", "watch", "--exec", command, "--jobs", "2")

    assert seen.code == 128 + signal.SIGPIPE
    assert "error" not in seen.err
    assert not alive(int(pid.read_text()))


def test_a_claim_that_a_restarted_daemon_shows_again_is_not_done_twice(
    person: Person, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("buddies_cli.watching.PAUSE_S", 0.001)
    runs, done = tmp_path / "runs", tmp_path / "done"

    class Reminding(Worked):
        async def poll_tasks(
            self,
            *,
            room: str | None = None,
            timeout_s: float = 0.0,
            limit: int = 1,
            new_only: bool = False,
        ) -> tuple[TaskView, ...]:
            tasks = await super().poll_tasks(
                room=room, timeout_s=timeout_s, limit=limit, new_only=new_only
            )
            if len(self.asked) > 5:
                done.touch()
            return tasks

    person.machine.daemon = Reminding()
    person.machine.daemon.claims = [*[(WORKING,)] * 5, (OTHER,)]
    command = f"echo $BUDDIES_TASK_ID >> {runs}; while [ ! -e {done} ]; do sleep 0.01; done"
    seen = person.types("task", "watch", "--exec", command, "--jobs", "2", "--count", "2")

    assert seen.out.count("done, accepted") == 2
    assert sorted(runs.read_text().split()) == sorted([ID, str(OTHER.id)])


def test_claims_that_an_earlier_watch_left_behind_come_at_once_and_are_all_done(
    person: Person,
) -> None:
    person.machine.daemon.claims = [(WORKING, OTHER)]
    asked = person.asked("task", "watch", "--exec", "echo $BUDDIES_TASK_ID", "--count", "2")

    assert asked[1:] == [
        ("poll_tasks", None, 50.0, 1),
        ("submit_task_result", ID, True, ID),
        ("submit_task_result", str(OTHER.id), True, str(OTHER.id)),
    ]


def test_a_daemon_that_stays_away_ends_no_command_that_runs(
    person: Person, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("buddies_cli.restarts.PAUSE_S", 0.001)
    monkeypatch.setattr("buddies_cli.restarts.RESTART_S", 0.005)
    done = tmp_path / "done"

    class Away(Worked):
        polls = 0

        async def poll_tasks(
            self,
            *,
            room: str | None = None,
            timeout_s: float = 0.0,
            limit: int = 1,
            new_only: bool = False,
        ) -> tuple[TaskView, ...]:
            self.polls += 1
            if self.polls == 1:
                return (WORKING,)
            if self.polls == 100:  # long after it would have given up
                done.touch()
            raise DaemonUnavailable("no daemon; start it")

    person.machine.daemon = Away()
    command = f"while [ ! -e {done} ]; do sleep 0.01; done; echo done"
    seen = person.types("task", "watch", "--exec", command, "--jobs", "2")

    assert (seen.code, seen.out) == (3, f"task {ID}: done, accepted\n")
    assert person.machine.daemon.asked[-1] == ("submit_task_result", ID, True, "done")


def test_a_hostile_task_text_is_data_for_the_command(person: Person, tmp_path: Path) -> None:
    hostile = replace(WORKING, description=f"$(touch {tmp_path}/owned); `id`")
    person.machine.daemon.claims = [(hostile,)]

    assert watching(person, "cat")[2] == ("submit_task_result", ID, True, hostile.description)
    assert not (tmp_path / "owned").exists()

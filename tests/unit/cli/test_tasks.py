"""What a person sees of tasks."""

import json
from dataclasses import replace

import pytest

from buddies_core.errors import DaemonUnavailable
from buddies_core.model import task_json
from buddies_core.model.task import SubmitVerdict, TaskFailed, TaskState, TaskSucceeded, TaskView
from tests.support.fakes.client import FakeClient
from tests.support.fakes.tasks import COMPLETED, FAILED, REJECTED, SUBMITTED, TASK_ID, WORKING
from tests.unit.cli.conftest import Person

ID = str(TASK_ID)
DELEGATE = ("task", "delegate", "Run the tests", "--room", "a")


def test_delegating_hands_over_all_that_was_typed(person: Person) -> None:
    [question, *_] = person.asked(
        *DELEGATE, "--peer", "bob", "--agent", "codex", "--capability", "gpu", "--timeout", "90",
        "--key", "k", "--no-retry", "--parent", "p",
    )  # fmt: skip
    assert question == (
        "delegate_task", "a", "Run the tests", 90.0, "bob", "codex", "gpu", "k", False, "p",
    )  # fmt: skip


def test_delegating_waits_and_prints_the_output_alone_on_stdout(person: Person) -> None:
    seen = person.types(*DELEGATE)
    assert (seen.code, seen.out) == (0, "all 12 pass\n")
    assert seen.err == f"task {ID}\ncodex of bob: half of it\ncompleted\n"
    assert person.machine.daemon.asked[1:] == [("task_after", ID, 50.0)] * 2


def test_who_does_not_wait_gets_the_id_and_exit_code_4(person: Person) -> None:
    person.machine.daemon.story = [SUBMITTED]
    seen = person.types(*DELEGATE, "--wait", "0")
    goes_on = f"the task goes on; wait again with: buddies-cli task wait {ID}"
    assert (seen.code, seen.out, seen.err) == (4, "", f"task {ID}\n{goes_on}\n")
    assert person.types(*DELEGATE, "--wait", "0", "--json").json == task_json.outcome_json(
        SUBMITTED
    )


def test_that_nobody_can_do_a_task_is_told_on_stderr(person: Person) -> None:
    person.machine.daemon.story = [replace(SUBMITTED, warning="nobody is there")]
    seen = person.types(*DELEGATE, "--wait", "0")
    assert (seen.code, seen.out) == (4, "")
    assert seen.err.startswith(f"task {ID}\nnobody is there\n")


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (FAILED, "error: no compiler\n"),
        (
            REJECTED,
            "error: the task was rejected by all who were asked: bob's codex: no compiler\n",
        ),
    ],
)
def test_a_task_without_an_output_exits_with_1_and_says_why(
    person: Person, task: TaskView, said: str
) -> None:
    person.machine.daemon.story = [task]
    seen = person.types("task", "wait", ID)
    assert (seen.code, seen.out.strip(), seen.err) == (1, "", said)
    assert person.types("task", "wait", ID, "--json").json["status"] == "error"


def test_waiting_goes_on_while_the_daemon_is_restarted(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buddies_cli.restarts.PAUSE_S", 0.001)

    class Restarting(FakeClient):
        away = 3

        async def task_after(
            self, task_id: str, timeout_s: float, *, offset: int = 0, description: bool = False
        ) -> TaskView:
            if timeout_s > 0 and self.away:
                self.away -= 1
                raise DaemonUnavailable("no daemon")
            return await super().task_after(task_id, timeout_s, offset=offset)

    person.machine.daemon = Restarting()
    assert person.types("task", "wait", ID).out == "all 12 pass\n"


def test_waiting_ends_when_the_daemon_stays_away(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buddies_cli.restarts.PAUSE_S", 0.001)
    monkeypatch.setattr("buddies_cli.restarts.RESTART_S", 0.01)

    class Gone(FakeClient):
        async def task_after(
            self, task_id: str, timeout_s: float, *, offset: int = 0, description: bool = False
        ) -> TaskView:
            if timeout_s > 0:
                raise DaemonUnavailable("no daemon; start it")
            return SUBMITTED

    person.machine.daemon = Gone()
    seen = person.types("task", "wait", ID)
    assert (seen.code, seen.err) == (3, "error: no daemon; start it\n")


def test_a_claimed_task_is_shown_whole(person: Person) -> None:
    assert person.types("task", "poll").out.splitlines() == [
        ID,
        "in feature-a from claude of alice, 30s left",
        "  Run the test suite ☺",
    ]


def test_no_task_to_claim_is_exit_code_4(person: Person) -> None:
    person.machine.daemon.claims = [()]
    seen = person.types("task", "poll", "--json")
    assert (seen.code, seen.json, seen.err) == (4, {"count": 0, "tasks": []}, "no task waits\n")


@pytest.mark.parametrize(
    ("verdict", "code", "shown"),
    [
        (SubmitVerdict("accepted", ""), 0, "accepted\n"),
        (SubmitVerdict("sending", "bob is away"), 0, "sending: bob is away\n"),
        (SubmitVerdict("late", "it was canceled"), 1, "late: it was canceled\n"),
    ],
)
def test_a_result_that_does_not_count_exits_with_1(
    person: Person, verdict: SubmitVerdict, code: int, shown: str
) -> None:
    person.machine.daemon.verdict = verdict
    seen = person.types("task", "submit", ID, "o")
    assert (seen.code, seen.out) == (code, shown)


def test_a_list_shows_who_asked_whom_and_for_what(person: Person) -> None:
    lines = person.types("task", "list").out.splitlines()
    assert [line.split("\t")[0] for line in lines] == [ID, ID]
    assert "claude of alice → codex of bob" in lines[0]
    assert lines[0].endswith("Run the test suite ☺")


def test_nothing_a_peer_wrote_reaches_the_terminal_as_a_command(person: Person) -> None:
    hostile = replace(
        COMPLETED,
        result=TaskSucceeded("\x1b[2Jowned"),
        progress="\x1b[31m\nerror: fake",
        requester_agent="\x07",
        description="\x1b]0;x\x07",
    )
    daemon = person.machine.daemon
    at_work = replace(hostile, state=TaskState.WORKING, result=None)
    daemon.story, daemon.claims = [WORKING, at_work, hostile], [(hostile,)]
    for typed in (("task", "wait", ID), ("task", "poll")):
        seen = person.types(*typed)
        assert "\x1b" not in seen.out + seen.err
        assert "\x07" not in seen.out + seen.err
        assert not any(line.startswith("error") for line in seen.err.splitlines())


def test_a_person_reads_all_of_a_long_output_and_json_has_a_page(person: Person) -> None:
    output = "".join(f"line {number}\n" for number in range(9000))
    over = replace(COMPLETED, result=TaskSucceeded(output))
    person.machine.daemon.story = [over]

    assert person.types("task", "wait", ID).out == f"{output}\n"
    page = json.loads(person.types("task", "wait", ID, "--json").out)
    assert (page["output"], page["next_offset"]) == (output[:40_000], 40_000)
    page = json.loads(person.types("task", "wait", ID, "--json", "--offset", "80000").out)
    assert (page["output"], page["next_offset"]) == (output[80_000:], None)


def test_a_person_reads_all_of_a_long_error(person: Person) -> None:
    error = "".join(f"line {number}\n" for number in range(9000))
    person.machine.daemon.story = [replace(FAILED, result=TaskFailed(error))]

    assert person.types("task", "wait", ID).err == f"error: {error}\n"


def test_a_person_reads_all_of_a_long_description(person: Person) -> None:
    text = "".join(f"line {number}\n" for number in range(9000))
    long = replace(WORKING, description=text)
    person.machine.daemon.story = [long]
    person.machine.daemon.claims = [(long,)]

    assert person.types("task", "wait", ID, "--description").out == f"{text}\n"
    assert "  line 8999" in person.types("task", "poll").out

"""One run of a command: real commands in a real shell."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from buddies_cli import execution
from buddies_cli.execution import Done, Execution, NotDone, NotHere, Outcome
from buddies_core.model.task import OUTPUT_BYTES_MAX, TaskView
from tests.support.eventually import until
from tests.support.fakes.tasks import TASK_ID, WORKING
from tests.support.processes import alive

ID = str(TASK_ID)


def execute(
    command: str,
    task: TaskView = WORKING,
    *,
    timeout_s: float = 10,
    show: Callable[[str], None] = lambda _text: None,
) -> Execution:
    environ = {"PATH": os.environ["PATH"]}
    return Execution(command, task, environ=environ, timeout_s=timeout_s, show=show)


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
        f"it wrote more than {OUTPUT_BYTES_MAX} bytes, the limit for a result"
    )


async def test_as_much_output_as_a_result_may_have_is_taken_whole() -> None:
    outcome = await execute(f"yes | tr -d '\\n' | head -c {OUTPUT_BYTES_MAX}").run()

    assert outcome == Done("y" * OUTPUT_BYTES_MAX)


async def test_what_a_command_leaves_running_is_ended_with_it(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = f"sleep 60 > /dev/null 2>&1 & echo $! > {pid}; echo done"

    assert await execute(command).run() == Done("done")
    await until(lambda: not alive(int(pid.read_text())))


@pytest.mark.parametrize("leave_running", ["(sleep 60) &", "setsid sleep 60 &"])
@pytest.mark.timeout(40)
async def test_a_result_does_not_wait_for_what_keeps_the_pipes_open(
    leave_running: str, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    outcome = await execute(f"{leave_running} echo $! > {pid}; echo done").run()

    assert outcome == Done("done")
    with contextlib.suppress(ProcessLookupError):  # the one that has left the group lives on
        os.kill(int(pid.read_text()), signal.SIGKILL)


async def test_what_is_written_after_the_command_has_ended_reaches_neither_result_nor_terminal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(execution, "PIPES_OPEN_S", 0.01)
    shown: list[str] = []
    apart, go_on, written = tmp_path / "apart", tmp_path / "go-on", tmp_path / "written"
    later = f"{_waits_for(go_on)}; echo late; echo late >&2; : > {written}"
    # Until it has a session of its own it goes with the command.
    child = f"setsid sh -c 'trap \"\" PIPE; : > {apart}; {later}'"
    run = execute(f"{child} & {_waits_for(apart)}; echo done", show=shown.append)

    outcome = await run.run()
    go_on.touch()
    await until(written.exists)

    assert (outcome, shown) == (Done("done"), [])


def _waits_for(file: Path) -> str:
    return f"while [ ! -e {file} ]; do sleep 0.01; done"


async def test_the_last_line_of_a_script_that_writes_through_tee_is_in_the_result(
    tmp_path: Path,
) -> None:
    script = f"exec > >(tee {tmp_path}/log); echo first; echo last"
    assert await execute(f"bash -c '{script}'").run() == Done("first\nlast")


async def test_runs_leave_no_file_descriptor_and_no_asyncio_task_behind() -> None:
    before, tasks = os.listdir("/proc/self/fd"), asyncio.all_tasks()
    for command in (
        "setsid sleep 1 &",
        "echo done",
        "yes",
        "sleep 60 &",
        "exec sleep 60",
        "kill -9 $$",
    ):
        await execute(command, timeout_s=0.2).run()
        async with asyncio.TaskGroup() as group:
            run = group.create_task(execute(command).run())
            await asyncio.sleep(0)
            run.cancel()

    assert os.listdir("/proc/self/fd") == before
    assert asyncio.all_tasks() == tasks


async def test_a_cancelled_run_gives_the_whole_group_time_to_clean_up(tmp_path: Path) -> None:
    begun, tidy = tmp_path / "begun", tmp_path / "tidy"
    script = f"trap 'sleep 0.2; : > {tidy}; exit' TERM; : > {begun}; while :; do sleep 0.01; done"
    async with asyncio.TaskGroup() as group:
        # The shell itself dies of the signal at once.
        run = group.create_task(execute(f'sh -c "{script}"; true').run())
        await until(begun.exists)
        run.cancel()

    assert tidy.exists()


async def test_to_cancel_again_kills_a_command_that_takes_its_time(tmp_path: Path) -> None:
    pid, asked = tmp_path / "pid", tmp_path / "asked"
    script = f"trap ': > {asked}' TERM; echo $$ > {pid}; while :; do sleep 0.01; done"
    async with asyncio.TaskGroup() as group:
        run = group.create_task(execute(script).run())
        await until(lambda: pid.exists() and bool(pid.read_text()))
        run.cancel()
        await until(asked.exists)
        assert alive(int(pid.read_text()))
        run.cancel()
        began_s = time.monotonic()

    assert not alive(int(pid.read_text()))
    assert time.monotonic() - began_s < execution.KILL_AFTER_S


async def test_who_cancels_the_run_ends_the_command(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    async with asyncio.TaskGroup() as group:
        run = group.create_task(execute(f"echo $$ > {pid}; sleep 60").run())
        await until(lambda: pid.exists() and bool(pid.read_text()))
        run.cancel()

    assert not alive(int(pid.read_text()))


async def test_the_text_of_a_failure_begins_with_a_whole_character() -> None:
    outcome = await execute("(yes é | head -n 4500 | tr -d '\\n'; printf x) >&2; exit 1").run()

    assert outcome == NotDone(f"it exited with 1: {'é' * 1999}x")


async def test_of_a_progress_bar_the_newest_state_is_told() -> None:
    run = execute("printf '10%%\\r50%%\\r90%%' >&2")
    await run.run()
    assert run.last_words == "90%"


async def test_a_name_that_no_environment_can_hold_is_made_one() -> None:
    run = execute('echo "$BUDDIES_TASK_USER"', replace(WORKING, requester_user="a\0b"))
    assert await run.run() == Done("a\ufffdb")

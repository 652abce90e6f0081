"""`task watch` as people run it: at a terminal, under daemons that come and go."""

import asyncio
import json
import os
import pty
import signal
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from buddies_cli import execution
from tests.support.eventually import until
from tests.support.processes import alive
from tests.support.worlds.machines import Machine
from tests.support.worlds.meeting import ROOM, eventually

HAPPENS_WITHIN_S = 60.0


async def both_in_room(alice: Machine, bob: Machine) -> None:
    ticket = (await alice.command("join", ROOM))["ticket"]
    await bob.command("join", ROOM, "--ticket", ticket)


async def delegated(machine: Machine, text: str = "d") -> str:
    """Hand a task over and return its id."""
    answer = await machine.run("task", "delegate", text, "--room", ROOM, "--wait", "0", "--json")
    assert answer.code == 4, answer.errors
    id: str = json.loads(answer.output)["task_id"]
    return id


async def task(machine: Machine, id: str) -> dict[str, Any]:
    tasks = (await machine.command("task", "list"))["results"]
    [found] = [task for task in tasks if task["task_id"] == id]
    return dict(found)


@asynccontextmanager
async def watching(machine: Machine, command: str, *more: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        "buddies-cli", "task", "watch", "--exec", command, *more,
        env=os.environ | machine.environment("builder"), stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def results(process: Process, count: int) -> list[dict[str, Any]]:
    assert process.stdout is not None
    async with asyncio.timeout(HAPPENS_WITHIN_S):
        return [json.loads(await process.stdout.readline()) for _ in range(count)]


async def appears(path: Path) -> str:
    """Return the line that a command writes into a file, as soon as it is there."""

    def line() -> str:
        return path.read_text() if path.exists() else ""

    await until(lambda: line().endswith("\n"), HAPPENS_WITHIN_S)
    return line()


async def is_attached(machine: Machine) -> None:
    """Wait until the watch is attached to the daemon that runs now."""
    await eventually(
        lambda: machine.command("daemon", "status"),
        lambda status: [agent["name"] for agent in status["agents"]] == ["builder"],
    )


async def test_a_running_command_outlives_every_restart_of_both_daemons(
    alice: Machine, bob: Machine
) -> None:
    await both_in_room(alice, bob)
    runs, go_on = bob.home / "runs", bob.home / "go-on"
    command = (
        f"read -r text; echo $BUDDIES_TASK_ATTEMPT $text >> {runs};"
        f" while [ $text = long ] && [ ! -e {go_on} ]; do sleep 0.05; done; echo $text"
    )
    async with watching(bob, command, "--jobs", "2", "--json") as watch:
        long = await delegated(alice, "long\n")
        await appears(runs)

        await bob.command("daemon", "restart")
        await is_attached(bob)
        await bob.kill_daemon()
        await bob.command("daemon", "start")
        await is_attached(bob)
        await bob.command("daemon", "stop")
        await alice.command("daemon", "restart")
        await bob.command("daemon", "start")
        await is_attached(bob)
        short = await delegated(alice, "short\n")
        [first] = await results(watch, 1)
        state = await task(alice, long)
        go_on.touch()
        [second] = await results(watch, 1)

        assert watch.returncode is None
    assert [(it["task_id"], it["verdict"]) for it in (first, second)] == [
        (short, "accepted"),
        (long, "accepted"),
    ]
    assert (state["state"], state["attempt"]) == ("working", 1)
    assert (await task(alice, long))["output"] == "long"
    assert runs.read_text() == "1 long\n1 short\n"


async def test_a_command_that_ends_while_the_daemon_is_away_has_its_result_submitted_later(
    alice: Machine, bob: Machine
) -> None:
    await both_in_room(alice, bob)
    begun, go_on, ended = bob.home / "begun", bob.home / "go-on", bob.home / "ended"
    command = (
        f"echo > {begun}; while [ ! -e {go_on} ]; do sleep 0.05; done; echo done; echo > {ended}"
    )
    async with watching(bob, command, "--json") as watch:
        id = await delegated(alice)
        await appears(begun)
        await bob.kill_daemon()
        go_on.touch()
        await appears(ended)
        await bob.command("daemon", "start")
        [result] = await results(watch, 1)

    assert (result["task_id"], result["verdict"]) == (id, "accepted")
    assert (await task(alice, id))["output"] == "done"


async def test_a_result_comes_at_once_though_the_command_left_a_process_in_the_background(
    alice: Machine, bob: Machine
) -> None:
    await both_in_room(alice, bob)
    async with watching(bob, "(sleep 60) & echo done"):
        done = await alice.run("task", "delegate", "d", "--room", ROOM)  # waits 30 s at most

    assert (done.code, done.output) == (0, "done\n")


async def test_ctrl_c_at_a_terminal_asks_the_command_to_end_and_the_next_watch_gets_the_task(
    alice: Machine, bob: Machine
) -> None:
    await both_in_room(alice, bob)
    asked = bob.home / "asked"
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        "buddies-cli", "task", "watch", "--exec",
        f"trap 'echo TERM > {asked}; exit' TERM; echo begun >&2; while :; do sleep 0.05; done",
        env=os.environ | bob.environment("builder"), preexec_fn=lambda: os.login_tty(theirs),
    )  # fmt: skip
    os.close(theirs)
    id = await delegated(alice)
    shown = ""
    while "begun" not in shown:
        shown += await asyncio.to_thread(lambda: os.read(ours, 4096).decode())
    os.write(ours, b"\x03")
    async with asyncio.timeout(HAPPENS_WITHIN_S):
        assert await process.wait() == 128 + signal.SIGINT
    shown += os.read(ours, 4096).decode()
    os.close(ours)

    assert asked.read_text() == "TERM\n"
    said = " ".join(shown.split())  # at a terminal, lines are as long as that is wide
    assert "its command was ended. The task goes to another worker in 30 s" in said
    assert "Traceback" not in shown
    async with watching(bob, "echo done", "--json") as watch:
        [result] = await results(watch, 1)
    assert (result["task_id"], result["verdict"]) == (id, "accepted")
    assert (await task(alice, id))["attempt"] == 1


async def test_two_signals_end_a_watch_whose_command_ignores_the_first(
    alice: Machine, bob: Machine
) -> None:
    await both_in_room(alice, bob)
    pid, asked = bob.home / "pid", bob.home / "asked"
    stubborn = f"trap 'echo > {asked}' TERM; echo $$ > {pid}; while :; do sleep 0.05; done"
    async with watching(bob, stubborn) as watch:
        await delegated(alice)
        command = int(await appears(pid))
        watch.terminate()
        await appears(asked)
        watch.terminate()
        began_s = time.monotonic()
        async with asyncio.timeout(HAPPENS_WITHIN_S):
            assert await watch.wait() == 128 + signal.SIGTERM
    assert time.monotonic() - began_s < execution.KILL_AFTER_S
    assert not alive(command)


async def test_a_reader_of_the_results_that_has_had_enough_ends_the_watch_quietly(
    alice: Machine, bob: Machine
) -> None:
    await both_in_room(alice, bob)
    reader = "{ head -n 1; exec 0<&-; echo gone; }"
    line = f"set -o pipefail; buddies-cli task watch --exec 'echo done' --json | {reader}"
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", line, env=os.environ | bob.environment("builder"), stdout=PIPE, stderr=PIPE
    )
    first = await delegated(alice)
    assert process.stdout is not None
    async with asyncio.timeout(HAPPENS_WITHIN_S):
        assert json.loads(await process.stdout.readline())["task_id"] == first
        assert await process.stdout.readline() == b"gone\n"
        await delegated(alice)
        _, errors = await process.communicate()
    assert process.returncode == 128 + signal.SIGPIPE
    assert [line for line in errors.decode().splitlines() if not line.startswith("task ")] == []

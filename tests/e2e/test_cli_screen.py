"""What a person sees at a real terminal of some width, and sees happen there."""

import asyncio
import fcntl
import json
import os
import pty
import signal
import struct
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click
import pytest
from rich.cells import cell_len

from tests.support.worlds.machines import Machine

ROOM = "feature-a"


class Screen:
    """A terminal with a program on it."""

    def __init__(self, process: asyncio.subprocess.Process, descriptor: int) -> None:
        self.process = process
        self._descriptor = descriptor
        self.text = ""

    async def shows(self, text: str) -> None:
        """Wait until this was written."""
        async with asyncio.timeout(60):
            while text not in self.text:
                assert await self._read(), f"it ended without {text!r}: {self.text!r}"

    async def end(self) -> int:
        """Read what is left, and return the exit code."""
        async with asyncio.timeout(60):
            while await self._read():
                pass
            return await self.process.wait()

    async def _read(self) -> bool:
        def read() -> bytes:
            try:
                return os.read(self._descriptor, 65536)
            except OSError:  # nobody writes any more
                return b""

        data = await asyncio.to_thread(read)
        self.text += data.decode(errors="replace")
        return bool(data)


@asynccontextmanager
async def at_terminal(machine: Machine, width: int, *words: str) -> AsyncIterator[Screen]:
    """Run `buddies-cli …` at a terminal of this width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    environment = os.environ | machine.environment() | {"TERM": "xterm-256color"}
    environment.pop("COLUMNS", None)
    environment.pop("LINES", None)
    process = await asyncio.create_subprocess_exec(
        "buddies-cli", *words, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    try:
        yield Screen(process, ours)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)


@pytest.mark.parametrize("width", [40, 80, 120])
async def test_no_answer_is_wider_than_the_terminal(
    alice: Machine, bob: Machine, width: int
) -> None:
    ticket = (await alice.command("join", ROOM))["ticket"]
    odd = bob.with_environment(BUDDIES_USER="bob-日本🦀שלום" + "x" * 30)
    await odd.command("join", ROOM, "--ticket", ticket)
    await alice.command("memory", "store", "日本語 " * 40, "--room", ROOM)
    for words in (f"status {ROOM}", "status", "rooms", "memory list", "task list", "help join"):
        async with at_terminal(alice, width, *words.split()) as screen:
            assert await screen.end() == 0
            for line in click.unstyle(screen.text).replace("\r", "").split("\n"):
                assert cell_len(line) <= width or "buddies-cli" in line, (words, line)


async def test_a_person_watches_over_a_restart_and_ends_it_with_ctrl_c(alice: Machine) -> None:
    await alice.command("join", ROOM)
    async with at_terminal(alice, 80, "watch", ROOM) as screen:
        await screen.shows("Nothing has happened yet.")
        await alice.command("memory", "store", "before the restart", "--room", ROOM)
        await screen.shows("before the restart")
        await alice.kill_daemon()
        await screen.shows("The daemon does not answer")
        await alice.command("memory", "store", "after the restart", "--room", ROOM)
        await screen.shows("after the restart")
        screen.process.send_signal(signal.SIGINT)
        assert await screen.end() == 130
    left = screen.text.rpartition("\x1b[?1049l")[2]
    assert "before the restart" in left
    assert "after the restart" in left


async def test_a_program_that_watches_reads_an_object_a_line(alice: Machine) -> None:
    await alice.command("join", ROOM)
    process = await asyncio.create_subprocess_exec(
        "buddies-cli",
        "watch",
        env=os.environ | alice.environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    stored = 0
    try:
        async with asyncio.timeout(60):
            # What is stored before its first look is no news to it.
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(process.stdout.readline())
                while not reading.done():
                    stored += 1
                    await alice.command("memory", "store", f"note {stored}", "--room", ROOM)
            event = json.loads(reading.result())
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, errors) == (128 + signal.SIGTERM, b"")
    assert (event["event"], event["room"]) == ("memory", ROOM)
    assert event["memory"]["title"].startswith("note ")

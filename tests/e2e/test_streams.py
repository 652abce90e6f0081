"""Every program with its standard streams closed, full or cut off, and at odd terminals."""

import asyncio
import os
import pty
import subprocess

import pytest

from buddies_core import __version__
from tests.support.worlds.machines import Answer, Machine

ROOM = "räume-日本"
FULL = "error: can't write to stdout: No space left on device\n"
LOOKS = ("status", "rooms --json", f"status {ROOM}")


async def typed(machine: Machine, line: str) -> Answer:
    """Type a line at this machine's shell."""
    return await machine.run("-c", line, program="/bin/sh")


@pytest.mark.parametrize("program", ["buddies", "buddies-cli", "buddies-core"])
async def test_help_and_version_are_printed_wherever_they_can_be(
    alice: Machine, program: str
) -> None:
    version = await alice.run("--version", program=program)
    assert (version.code, version.errors) == (0, "")
    assert version.output.startswith(program)
    assert version.output.endswith(f"{__version__}\n")
    for option in ("--help", "--version"):
        for redirections, code, errors in (
            (">&-", 0, ""),
            (">&- 2>&-", 0, ""),
            ("<&- >&- 2>&-", 0, ""),
            ("2>/dev/full >/dev/null", 0, ""),
            (">/dev/full", 1, FULL),
        ):
            answer = await typed(alice, f"{program} {option} {redirections}")
            assert answer == Answer(code, "", errors), f"{option} {redirections}"
    wrong = await typed(alice, f"{program} --nonsense >&-")
    assert wrong.code == 2
    assert "--nonsense" in wrong.errors


async def test_an_answer_that_nobody_wants_is_no_error_and_one_that_is_lost_is(
    alice: Machine,
) -> None:
    await alice.command("join", ROOM)
    for words in LOOKS:
        right = await alice.run(*words.split())
        assert (right.code, right.errors) == (0, ""), words
        for redirections, wanted in (
            (">&-", Answer(0, "", "")),
            (">&- 2>&-", Answer(0, "", "")),
            (">/dev/full", Answer(1, "", FULL)),
            (">/dev/full 2>/dev/full", Answer(1, "", "")),
        ):
            assert await typed(alice, f"buddies-cli {words} {redirections}") == wanted, words
        for redirections in ("2>&-", "2>/dev/full", "<&-"):
            answer = await typed(alice, f"buddies-cli {words} {redirections}")
            assert (answer.code, answer.errors) == (0, ""), words
            assert answer.output.split()[:2] == right.output.split()[:2], words
    stored = await typed(alice, f"buddies-cli memory store 'We use PostgreSQL' --room {ROOM} >&-")
    assert stored == Answer(0, "", "")
    assert len((await alice.command("memory", "list"))["results"]) == 1
    asked = await typed(alice, f"buddies-cli memory store - --room {ROOM} <&-")
    assert (asked.code, asked.output, asked.errors.count("\n")) == (2, "", 1)
    assert "bug" not in asked.errors


async def test_text_that_the_locale_can_not_show_is_no_error(alice: Machine) -> None:
    await alice.command("join", ROOM)
    for environment in (
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"COLUMNS": "20", "LINES": "1"},
        {"COLUMNS": "-1", "TERM": "no-such-terminal"},
    ):
        machine = alice.with_environment(**environment)
        for words in (f"status {ROOM}", "--help"):
            process = await asyncio.create_subprocess_exec(
                "buddies-cli",
                *words.split(),
                env=os.environ | machine.environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            output, errors = await process.communicate()
            assert (process.returncode, errors) == (0, b""), (environment, words)
            assert output.strip(), (environment, words)


@pytest.mark.parametrize(
    ("environment", "is_styled"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, True),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({}, False),
    ],
)
async def test_text_is_styled_only_at_a_terminal_that_can_and_should_show_it(
    alice: Machine, environment: dict[str, str], is_styled: bool
) -> None:
    await alice.command("join", ROOM)
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        "buddies-cli",
        "status",
        ROOM,
        env={"PATH": os.environ["PATH"], **alice.environment(), **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    async with asyncio.timeout(60):
        assert await process.wait() == 0
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert shown.splitlines()[0].strip("\x1b[01m").startswith(f"{ROOM}: open room, 1 member")
    assert ("\x1b" in shown) == is_styled

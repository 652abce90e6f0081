"""Programs whose standard streams are closed, full, or read by nobody."""

import os
import subprocess
import sys

import pytest

USE = "from buddies_core import streams; streams.open_missing(); "


def python(code: str, redirections: str) -> subprocess.CompletedProcess[str]:
    """Run Python code with its streams redirected by a shell."""
    return subprocess.run(
        ["/bin/sh", "-c", f'"$0" -c "$1" {redirections}', sys.executable, code],
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )


def test_a_stream_that_is_closed_becomes_the_null_device_for_the_program_and_its_children() -> None:
    links = "[os.readlink(f'/proc/self/fd/{n}') for n in range(3)]"
    shown = f"import os; os.write(9, repr({links}).encode())"
    code = (
        f"{USE}import subprocess, sys; print('lost', flush=True); sys.stdin.read(); "
        f'subprocess.run([sys.executable, "-c", {shown!r}], pass_fds=[9])'
    )
    ended = python(code, "9>&1 0<&- 1>&- 2>&-")

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == repr(["/dev/null"] * 3)


def test_a_stream_that_is_open_is_left_as_it_is() -> None:
    ended = python(f"{USE}print('kept')", "2>&-")
    assert (ended.returncode, ended.stdout) == (0, "kept\n")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_what_can_not_be_said_gives_an_exit_code_and_one_line(
    monkeypatch: pytest.MonkeyPatch, unbuffered: str
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    code = f"{USE}raise SystemExit(streams.say('help'))"

    full = python(code, "> /dev/full")
    assert (full.returncode, full.stderr) == (
        1,
        "error: can't write to stdout: No space left on device\n",
    )
    assert python(code, "> /dev/full 2> /dev/full").returncode == 1
    assert python(code, ">&-").returncode == 0
    reading, writing = os.pipe()
    os.close(reading)
    gone = subprocess.run(
        [sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (gone.returncode, gone.stderr) == (141, b"")

"""What a command's stdout and stderr do when they can't do what they should."""

import os
import subprocess
import sys

ECHO = "import click; from buddies_cli import streams; streams.prepare(); "


def test_an_answer_reaches_a_slow_reader_whole_though_the_pipe_does_not_block() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)  # as a program that shares it may do
    process = subprocess.Popen(
        [sys.executable, "-c", f"{ECHO}click.echo('é' * 500_000)"], stdout=writing
    )
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()

    assert (process.wait(), answer.decode()) == (0, "é" * 500_000 + "\n")


def test_a_note_that_can_not_be_written_does_not_end_the_command() -> None:
    code = f"{ECHO}click.echo('note', err=True); click.echo('answer')"
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=full, check=False
        )

    assert (ended.returncode, ended.stdout) == (0, b"answer\n")


INTERRUPTED = """
import sys, click
from buddies_cli import streams

class Interrupted(streams._Notes):
    def write(self, data):
        super().write(data)
        raise KeyboardInterrupt

streams._Notes = Interrupted
streams.prepare()
try:
    click.echo("note", err=True)
except KeyboardInterrupt:
    sys.stderr.flush()
"""


def test_a_note_is_not_written_twice_if_a_ctrl_c_comes_just_after_it() -> None:
    ended = subprocess.run([sys.executable, "-c", INTERRUPTED], stderr=subprocess.PIPE, check=False)

    assert ended.stderr == b"note\n"

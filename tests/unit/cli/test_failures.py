import io
import sys
from dataclasses import replace

import pytest

from buddies_cli.streams import OutputLost, ReaderGone
from buddies_core import __version__
from buddies_core.errors import (
    DaemonUnavailable,
    InvalidInput,
    NotFound,
    StoreError,
    TimedOut,
    Unreachable,
    VersionMismatch,
)
from tests.support.fakes.client import FOUND, MEMORY
from tests.unit.cli.conftest import Person, Seen


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (NotFound("x"), 1),
        (Unreachable("x"), 1),
        (StoreError("x"), 1),
        (InvalidInput("x"), 2),
        (DaemonUnavailable("x"), 3),
        (VersionMismatch("x"), 3),
        (TimedOut("x"), 4),
    ],
)
def test_the_exit_code_says_what_kind_of_failure_it_was(
    person: Person, failure: Exception, code: int
) -> None:
    person.machine.daemon.failure = failure
    seen = person.types("ticket", "a", "--json")
    assert (seen.code, seen.out, seen.err) == (code, "", "error: x\n")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (
            "join",
            "Missing argument 'ROOM'. Example: buddies-cli join feature-a. See buddies-cli join",
        ),
        ("memory store x", "Missing option '--room'. Example: buddies-cli memory store"),
        ("fly", "No such command 'fly'. See buddies-cli --help"),
        (
            "rooms x",
            "buddies-cli rooms takes no argument such as 'x'. See buddies-cli rooms --help",
        ),
        ("memory list --limit 0", "0 is not in the range 1<=x<=500."),
        ("memory search q --limit 1000000000", "1000000000 is not in the range 1<=x<=500."),
        ("memory list --kind note", "'note' is not one of 'decision', "),
        ("memory list --color red", "No such option '--color'"),
        ("memory list --since soon", "'soon' is no point in time; allowed: "),
        ("rooms \udcff", "an argument is not valid UTF-8"),
    ],
)
def test_a_wrong_command_line_gives_one_line_and_asks_nothing(
    person: Person, typed: str, said: str
) -> None:
    seen = person.types(*typed.split(" "))
    assert (seen.code, seen.out, seen.err.count("\n")) == (2, "", 1)
    assert seen.err.startswith("error: ")
    assert said in seen.err
    assert person.machine.daemon.asked == []


@pytest.mark.parametrize(
    ("typed", "option"),
    [
        ("task watch --exec true --room _", "--room"),
        ("task watch --exec _", "--exec"),
        ("task watch --exec true --capability gpu --capability _", "--capability"),
        ("task poll --room _", "--room"),
        ("task list --room _", "--room"),
        ("task delegate x --room a --peer _", "--peer"),
        ("task delegate x --room a --key _", "--key"),
        ("memory search x --room _", "--room"),
        ("memory list --author _", "--author"),
        ("skill list --room _", "--room"),
    ],
)
@pytest.mark.parametrize("nothing", ["", "  "])
def test_an_option_with_nothing_in_it_is_refused_rather_than_taken_for_none(
    person: Person, typed: str, option: str, nothing: str
) -> None:
    seen = person.types(*(nothing if word == "_" else word for word in typed.split()))
    path = typed.partition(" --")[0].removesuffix(" x")
    assert (seen.code, seen.out, seen.err) == (
        2,
        "",
        f"error: Invalid value for '{option}': it is empty; give it a value or leave it out."
        f" See buddies-cli {path} --help\n",
    )
    assert person.machine.daemon.asked == []


def test_no_command_at_all_shows_the_help(person: Person) -> None:
    seen = person.types()
    assert (seen.code, seen.out) == (2, "")
    assert "Exit codes: 0 done" in seen.err


def test_help_and_version_need_no_daemon(person: Person) -> None:
    person.machine.runs = False
    assert person.types("--version") == Seen(0, f"buddies-cli, version {__version__}\n", "")
    help = person.types("memory", "store", "--help")
    assert (help.code, help.err) == (0, "")
    assert help.out.startswith("Usage: buddies-cli memory store [OPTIONS] TEXT\n")
    assert (person.machine.runs, person.machine.daemon.asked) == (False, [])


def test_a_bug_is_told_in_one_line_without_a_traceback(person: Person) -> None:
    person.machine.daemon.failure = KeyError("oops")
    seen = person.types("rooms")
    assert (seen.code, seen.out) == (1, "")
    assert seen.err == (
        "error: this is a bug in buddies-cli (KeyError('oops')); BUDDIES_LOG=debug shows where\n"
    )


def test_an_interrupt_ends_the_command_quietly(person: Person) -> None:
    person.machine.daemon.failure = KeyboardInterrupt()  # type: ignore[assignment]
    seen = person.types("rooms")
    assert (seen.code, seen.out, seen.err.strip()) == (130, "", "")


def test_what_a_peer_wrote_cannot_move_the_cursor_or_fake_markup(person: Person) -> None:
    hostile = replace(
        MEMORY,
        title="[bold]\x1b[2Jtitle\nerror: fake",
        content="a\x1b]0;owned\x07\u202eb\x9b1m",
        author_name="\x1b[31mbob",
    )
    person.machine.daemon.found = replace(FOUND, results=(hostile,))
    lines = person.types("memory", "search", "x").out.splitlines()
    assert lines[0] == "[bold]�[2Jtitle error: fake"
    assert "by �[31mbob" in lines[1]
    assert lines[3] == "  a�]0;owned��b�1m"
    assert person.types("memory", "search", "x", "--json").out.isascii()


def test_an_answer_that_can_not_be_written_is_an_error_and_one_without_a_reader_is_none(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lost(io.StringIO):
        failure: Exception = OutputLost("can't write to stdout: No space left on device")

        def write(self, _text: str) -> int:
            raise self.failure

    lost = Lost()
    monkeypatch.setattr(sys, "stdout", lost)
    seen = person.types("rooms")
    assert (seen.code, seen.err) == (1, "error: can't write to stdout: No space left on device\n")

    lost.failure = ReaderGone("gone")
    seen = person.types("rooms")
    assert (seen.code, seen.err) == (141, "")

"""What people read when they don't know how a command is used, or got it wrong."""

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest

from buddies_cli.app import App, Command
from buddies_cli.main import COMMANDS, cli
from buddies_core import __version__
from tests.support.commands import every_command
from tests.unit.cli.conftest import Person

EVERY = dict(every_command())
ROOT = Path(__file__).parents[3]
TICKET = "pmrhe33pnu" + "a" * 200
HASH = "9f" * 32
UUID = "8d3e5c1a-7f0b-4c52-9a54-1f0c2b7d9e61"


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_each_command_shows_examples_and_each_of_them_is_understood(
    person: Person, path: tuple[str, ...]
) -> None:
    command = EVERY[path]
    assert isinstance(command, Command)
    assert command.examples
    help = person.types(*path, "--help").out
    for example in command.examples:
        assert f"\n  {example}\n" in help
        words = shlex.split(example.rpartition("| ")[2])
        assert words[: len(path) + 1] == ["buddies-cli", *path]
        typed = words[len(path) + 1 :]
        parent = click.Context(cli, info_name="buddies-cli", obj=App(person.machine))
        command.make_context(path[-1], typed, parent=parent).close()


@pytest.mark.parametrize("path", [(), ("memory",), *EVERY], ids=" ".join)
def test_help_is_the_same_by_each_of_its_names(person: Person, path: tuple[str, ...]) -> None:
    help = person.types(*path, "--help")
    assert (help.code, help.err) == (0, "")
    assert person.types(*path, "-h") == person.types("help", *path) == help
    if path:
        assert person.types(*path[:-1], "help", path[-1]).out == help.out


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_of_a_help_is_wider_than_the_terminal_but_for_examples_and_choices(
    person: Person, width: int
) -> None:
    for path in [(), *EVERY]:
        for line in person.types_at(width, *path, "--help").out.splitlines():
            is_one_word = len(line.split()) == 1
            assert len(line) <= min(width, 78) or is_one_word or "buddies-cli" in line, line


def test_defaults_are_shown_alike_and_empty_ones_not_at_all(person: Person) -> None:
    help = " ".join(person.types("memory", "store", "--help").out.split())
    assert "Short title. [default: (the first line)]" in help
    assert "[default: context]" in help
    for path in EVERY:
        assert '[default: ""' not in person.types(*path, "--help").out, path


def test_the_list_of_commands_says_of_each_what_it_does_in_whole_words(person: Person) -> None:
    listed = person.types("--help").out
    assert [name for name in COMMANDS if f"\n  {name} " not in listed] == []
    for group in {path[:-1] for path in EVERY}:
        commands = person.types(*group, "--help").out.partition("Commands:")[2]
        assert [line for line in commands.splitlines() if line.endswith("...")] == []


@pytest.mark.parametrize("program", ["buddies", "buddies-core", "buddies-cli"])
def test_the_three_programs_know_the_same_words_for_help_and_version(program: str) -> None:
    def says(word: str) -> str:
        done = subprocess.run([program, word], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout

    assert says("-h") == says("--help") == says("help")
    assert re.match(rf"usage: {program} ", says("-h"), re.IGNORECASE)
    assert says("--version") == says("-V")
    assert says("--version").split()[-1] == __version__


def test_the_version_stands_in_one_place() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    assert 'dynamic = ["version"]' in project
    assert __version__ not in project


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        (
            "memory search how is the DB set up",
            "there are more words than arguments. If they all belong to QUERY, quote it: "
            "buddies-cli memory search 'how is the DB set up'.",
        ),
        (
            "notify feature-a on it's way --json",
            "there are more words than arguments. If they all belong to TEXT, quote it: "
            "buddies-cli notify feature-a 'on its way'.",
        ),
        ("rooms mine", "buddies-cli rooms takes no argument such as 'mine'."),
        ("stauts", "No such command 'stauts'. Did you mean: buddies-cli status?"),
        (
            "memory serch x",
            "No such command 'serch'. Did you mean: buddies-cli memory search?",
        ),
        (
            "publish x",
            "No such command 'publish'. Did you mean: buddies-cli skill publish?",
        ),
        ("fly", "No such command 'fly'."),
        ("help memory fly", "No such command 'fly'."),
        (
            "join --room a",
            "the room is an argument here, without --room: buddies-cli join ROOM.",
        ),
        (
            f"join {TICKET}",
            "Invalid value for 'ROOM': that is a ticket. To join its room: buddies-cli join ROOM "
            "--ticket pmrhe33pnuaa….",
        ),
        (
            f"memory list --room {TICKET}",
            "Invalid value for '--room': that is a ticket. To join its room: buddies-cli join ROOM "
            "--ticket pmrhe33pnuaa….",
        ),
        (
            f"skill get {UUID}",
            "Invalid value for 'HASH': that is an id of a memory or a task; a skill is named by "
            "the 64 hex digits of its hash. To read a memory: buddies-cli memory get ID.",
        ),
        (
            f"memory get {HASH}",
            f"Invalid value for 'ID': that is a hash; ids of memories and tasks look like {UUID}. "
            "To read a skill: buddies-cli skill get HASH.",
        ),
        ("task wait", "Missing argument 'ID'. Example: buddies-cli task wait ID."),
        ("memory list --rom a", "No such option '--rom'. Did you mean: --room?"),
    ],
)
def test_a_common_mistake_is_answered_with_what_was_meant(
    person: Person, typed: str, answer: str
) -> None:
    words = [word.replace("'", "") for word in typed.split()]
    seen = person.types(*words)
    assert (seen.code, seen.out) == (2, "")
    assert seen.err.startswith(f"error: {answer} See buddies-cli ")
    assert person.machine.daemon.asked == []

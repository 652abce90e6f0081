"""A shell completes commands, options and rooms, and no room's name is more than a word to it."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from buddies_cli import roomnames
from buddies_cli.commands.completion import SHELLS, VARIABLE
from buddies_core.paths import Paths, hold_data_lock
from tests.unit.cli.conftest import Person


@pytest.fixture
def environ() -> Iterator[dict[str, str]]:
    # Short: the path of a Unix socket ends at about a hundred bytes.
    with tempfile.TemporaryDirectory(prefix="bud-", dir="/tmp") as home:
        found = {"BUDDIES_DATA_DIR": f"{home}/data", "XDG_RUNTIME_DIR": f"{home}/run"}
        Paths.from_environment(found).create()
        yield found


@contextmanager
def daemon(environ: dict[str, str]) -> Iterator[None]:
    """Hold what a daemon holds as long as it runs."""
    with hold_data_lock(Paths.from_environment(environ)):
        yield


def completed(environ: dict[str, str], *typed: str) -> list[str]:
    """Return what a shell offers for the last of these words."""
    done = subprocess.run(
        [sys.executable, "-m", "buddies_cli.main"],
        env=os.environ
        | environ
        | {
            VARIABLE: "bash_complete",
            "COMP_WORDS": " ".join(["buddies-cli", *typed]),
            "COMP_CWORD": str(len(typed)),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_commands_and_options_are_completed(environ: dict[str, str]) -> None:
    assert completed(environ, "me") == ["memory"]
    assert set(completed(environ, "memory", "s")) == {"store", "search"}
    assert completed(environ, "memory", "search", "--ro") == ["--room"]
    assert set(completed(environ, "memory", "list", "--kind", "de")) == {"decision"}


@pytest.mark.parametrize(
    "typed", [("status", "feature-"), ("memory", "list", "--room", "feature-")]
)
def test_rooms_are_completed_without_a_daemon(
    environ: dict[str, str], typed: tuple[str, ...]
) -> None:
    assert completed(environ, *typed) == []
    roomnames.keep(environ, ["feature-a", "feature-b", "other"])
    assert completed(environ, *typed) == ["feature-a", "feature-b"]
    assert not Paths.from_environment(environ).lock.exists(), "no daemon was started"


def test_a_name_that_a_shell_would_obey_is_not_offered(environ: dict[str, str]) -> None:
    roomnames.keep(environ, ["a b", "$(reboot)", "a;b", "a`b`", "日本", "a-b_c.d/e@f+1", "a\nb"])
    assert roomnames.known(environ) == ["日本", "a-b_c.d/e@f+1", "a", "b"]


def test_old_names_are_offered_at_once_and_learned_again_if_a_daemon_runs(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[str] = []
    monkeypatch.setattr(roomnames, "_learn", lambda _environ: learned.append("again"))
    roomnames.keep(environ, ["a"])
    with daemon(environ):
        assert (roomnames.known(environ), learned) == (["a"], [])
        [file] = Paths.from_environment(environ).runtime_dir.glob("room-names")
        assert file.stat().st_mode & 0o777 == 0o600
        long_ago = time.time() - roomnames.FRESH_S - 1  # noqa: TID251 - of files
        os.utime(file, (long_ago, long_ago))
        assert (roomnames.known(environ), learned) == (["a"], ["again"])
    assert (roomnames.known(environ), learned) == (["a"], ["again"])


def test_what_can_not_be_kept_or_read_is_no_error(environ: dict[str, str]) -> None:
    for broken in ({"BUDDIES_DATA_DIR": "/no/such/place", "XDG_RUNTIME_DIR": "/dev/null"}, {}):
        roomnames.keep({**environ, **broken}, [])
        assert roomnames.known({**environ, **broken}) == []
    [file] = Paths.from_environment(environ).runtime_dir.glob("room-names")
    file.write_bytes(b"\xff\xfe")
    assert roomnames.known(environ) == []


@pytest.mark.parametrize("typed", ["rooms", "status"])
def test_commands_that_learn_the_rooms_keep_them(person: Person, typed: str) -> None:
    person.types(typed)
    assert person.machine.rooms_remembered == ["feature-a"]


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_a_script_that_names_the_program(person: Person, shell: str) -> None:
    seen = person.types("completion", shell)
    assert seen.code == 0
    assert f"{VARIABLE}={shell}_complete" in seen.out
    assert person.types("completion", shell, "--json").json["script"] == seen.out.removesuffix("\n")

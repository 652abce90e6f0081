"""logs shows what the programs of a machine have logged, and goes on when a log is changed."""

import time
from contextlib import closing
from pathlib import Path

import pytest

from buddies_cli.commands import logs as module
from buddies_cli.logfiles import LogFile
from tests.unit.cli.conftest import Person

AT = "2026-11-30T22:00:0{}.000Z"


def event(second: int, level: str = "WARNING", text: str = "x") -> str:
    return f"{AT.format(second)} {level} buddies_core.net {text}\n"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BUDDIES_DATA_DIR", str(tmp_path))
    return tmp_path


def test_the_last_lines_of_both_logs_are_shown_by_their_time(person: Person, data: Path) -> None:
    (data / "core.log").write_text(event(1) + event(3, "ERROR", "boom") + "Traceback\n  here\n")
    (data / "host.log").write_text(event(2) + event(4))
    (data / "start.log").write_text("from the start\n")
    seen = person.types("logs")
    assert seen.out == (
        event(1) + event(2) + event(3, "ERROR", "boom") + "Traceback\n  here\n" + event(4)
    )
    assert person.types("logs", "-n", "2").out == seen.out.split("\n", 2)[2]
    assert person.types("logs", "--of", "host").out == event(2) + event(4)
    assert person.types("logs", "--of", "start").out == "from the start\n"


def test_with_json_each_event_is_an_object(person: Person, data: Path) -> None:
    (data / "core.log").write_text(event(1, text="\x1b[2J"))
    assert person.types("logs", "--json").json == {
        "log": "daemon",
        "time": AT.format(1),
        "level": "WARNING",
        "text": event(1, text="\x1b[2J").rstrip("\n"),
    }


def test_nothing_in_a_log_can_command_the_terminal(person: Person, data: Path) -> None:
    (data / "core.log").write_text(event(1, text="\x1b[2Jowned"))
    assert "\x1b[2J" not in person.types("logs").out
    assert "\x1b[33m" in person.types_at(80, "logs").out


def test_a_machine_without_logs_says_where_they_would_be(person: Person, data: Path) -> None:
    seen = person.types("logs")
    assert (seen.code, seen.out) == (0, "")
    assert seen.err == f"nothing is logged in {data / 'core.log'}, {data / 'host.log'}\n"


def test_older_files_are_read_where_the_newest_has_too_few_lines(data: Path) -> None:
    (data / "core.log").write_text(event(3))
    (data / "core.log.1").write_text(event(2))
    (data / "core.log.2").write_text(event(1))
    with closing(LogFile("daemon", data / "core.log")) as file:
        last = file.last(2)
    assert [line.time for line in last] == [AT.format(2), AT.format(3)]


def test_what_comes_later_is_shown_over_a_change_of_files_and_never_by_halves(data: Path) -> None:
    log = data / "core.log"
    file = LogFile("daemon", log)
    assert list(file.last(5)) == []
    log.write_text(event(1) + event(2)[:20])
    assert [line.text for line in file.new()] == [event(1).strip()]
    with log.open("a") as out:
        out.write(event(2)[20:] + event(3))
    log.rename(data / "core.log.1")
    log.write_text(event(4))
    assert [line.time for line in file.new()] == [AT.format(at) for at in (2, 3, 4)]
    assert file.new() == []
    file.close()


def test_following_goes_on_until_it_is_interrupted(
    person: Person, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = iter((event(1), event(2)))

    def sleep(_seconds: float) -> None:
        try:
            with (data / "core.log").open("a") as log:
                log.write(next(pauses))
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(time, "sleep", sleep)
    seen = person.types("logs", "-f", "-n", "0")
    assert (seen.code, seen.out) == (130, event(1) + event(2))
    assert module.PAUSE_S < 1

"""What is written, where, and how a line looks."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from buddies_core import logs
from buddies_core.errors import StoreError
from buddies_core.logs import EventFormatter, LogFilter, parse_filter, request_context, room_context


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    for target in (*logs.TARGETS, "buddies_core.net"):
        logging.getLogger(target).setLevel(logging.NOTSET)


WARN, DEBUG, INFO, ERROR = logging.WARNING, logging.DEBUG, logging.INFO, logging.ERROR
OFF = logging.CRITICAL + 1
OURS = ("buddies_core", "buddies_mcp", "buddies_cli")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", LogFilter(WARN)),
        (" , ", LogFilter(WARN)),
        ("debug", LogFilter(DEBUG)),
        ("INFO", LogFilter(INFO)),
        ("off", LogFilter(OFF)),
        ("trace", LogFilter(DEBUG)),
        ("buddies_core=debug,buddies_mcp=error",
         LogFilter(WARN, (("buddies_core", DEBUG), ("buddies_mcp", ERROR)))),
        ("info, buddies_core::net = debug", LogFilter(INFO, (("buddies_core.net", DEBUG),))),
        ("buddies=debug", LogFilter(WARN, tuple((ours, DEBUG) for ours in OURS))),
        ("hyper=debug,iroh::magicsock=trace,warn", LogFilter(WARN)),
    ],
)  # fmt: skip
def test_a_filter_says_the_least_level_of_all_and_of_some(text: str, wanted: LogFilter) -> None:
    assert parse_filter(text) == wanted


@pytest.mark.parametrize("text", ["loud", "buddies_core=loud", "=", "a=b=c", "debug;info"])
def test_what_is_no_filter_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match="is no level; use one of off, error, warn"):
        parse_filter(text)


def test_buddies_log_goes_before_rust_log_and_warn_is_the_default() -> None:
    levels = []
    for environ in (
        {},
        {"RUST_LOG": "error"},
        {"RUST_LOG": "error", "BUDDIES_LOG": "debug"},
        {"RUST_LOG": "error", "BUDDIES_LOG": ""},
    ):
        logs.configure(environ)
        levels.append(logging.getLogger().level)

    assert levels == [WARN, ERROR, DEBUG, ERROR]


def test_a_target_has_its_own_level() -> None:
    logs.configure({"BUDDIES_LOG": "error,buddies_core::net=debug"})

    assert [
        logging.getLogger(name).isEnabledFor(DEBUG)
        for name in ("buddies_core.net.driver", "buddies_core.store", "asyncio")
    ] == [True, False, False]


def test_a_filter_that_can_not_be_read_gives_one_warning_and_the_default(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure({"BUDDIES_LOG": "loud"})

    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith(
        " WARNING buddies_core.logs log_filter_ignored filter='loud' reason='loud' is no level; "
        "use one of off, error, warn, warning, info, debug, trace"
    )
    assert logging.getLogger().level == WARN


def test_the_same_lines_go_to_stderr_and_to_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure({}, tmp_path / "core.log")

    logging.getLogger("buddies_core.net").warning("peer_dropped peer=%s reason=%s", "ab", "silent")

    err = capsys.readouterr().err
    assert err.endswith(" WARNING buddies_core.net peer_dropped peer=ab reason=silent\n")
    assert (tmp_path / "core.log").read_text() == err


def test_a_stderr_that_is_a_file_gets_nothing_that_the_log_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "start.log").open("w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        logs.configure({}, tmp_path / "core.log")
        logging.getLogger("buddies_core").warning("event")

    assert (tmp_path / "start.log").read_text() == ""
    assert (tmp_path / "core.log").read_text().endswith("buddies_core event\n")


def test_a_log_that_is_full_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "FILE_BYTES_MAX", 200)
    logs.configure({}, tmp_path / "core.log")

    for _ in range(20):
        logging.getLogger("buddies_core").warning("x" * 100)

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "core.log",
        "core.log.1",
        "core.log.2",
        "core.log.3",
    ]


def test_a_log_that_can_not_be_written_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(
        StoreError, match=r"can't write the log .*: Is a directory; set BUDDIES_DATA"
    ):
        logs.configure({}, tmp_path)


def formatted(message: str, *values: object) -> str:
    record = logging.LogRecord("n", INFO, "f", 1, message, values, None)
    record.created, record.msecs = 1_700_000_000.25, 250.0
    return EventFormatter().format(record)


def test_a_line_has_its_time_in_utc_and_the_room_and_request_of_its_context() -> None:
    room, request = room_context.set("feature-a"), request_context.set("rpc-7")
    inside = formatted("stored id=%d", 5)
    room_context.reset(room)
    request_context.reset(request)

    assert inside == "2023-11-14T22:13:20.250Z INFO n stored id=5 room=feature-a request=rpc-7"
    assert formatted("stored") == "2023-11-14T22:13:20.250Z INFO n stored"


def test_what_a_peer_says_can_not_fake_a_line_or_drive_a_terminal() -> None:
    assert formatted("said text=%s", "a\nb\x1b[2J\u2028☺") == (
        "2023-11-14T22:13:20.250Z INFO n said text=a\\nb\\x1b[2J\\u2028☺"
    )

"""Where log lines go and what they look like: events with keys, to stderr and to a rotating file.

A line is `time level logger event key=value … room=… request=…`; the last two come from the context
variables of this module, wherever in the call the line was written.
"""

import logging
import os
import stat
import sys
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO

from buddies_core.errors import StoreError

room_context: ContextVar[str] = ContextVar("room_context", default="")
"""The room that is being dealt with."""

request_context: ContextVar[str] = ContextVar("request_context", default="")
"""The call of an agent, or the request of a peer, that is being answered."""

FILE_BYTES_MAX = 5_000_000
OLDER_FILES = 3

TARGETS = ("buddies_core", "buddies_mcp", "buddies_cli")
EVERYTHING_OF_OURS = "buddies"
"""The one target that programs of buddies 0.1.4 knew."""

LEVELS = {
    "off": logging.CRITICAL + 1,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": logging.DEBUG,
}
DEFAULT_LEVEL = logging.WARNING

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LogFilter:
    """The least level to write: of everything, and of some loggers and what is below them."""

    level: int
    targets: tuple[tuple[str, int], ...] = ()


def parse_filter(text: str) -> LogFilter:
    """Return the filter that `debug`, or `warn,buddies_core::net=debug`, asks for.

    Targets that are not ours are left out: RUST_LOG is often meant for other programs too.

    Raises:
        ValueError: a part is neither a level nor `target=level`.
    """
    level = DEFAULT_LEVEL
    targets: list[tuple[str, int]] = []
    for part in filter(None, map(str.strip, text.split(","))):
        target, equals, level_name = part.rpartition("=")
        wanted = LEVELS.get(level_name.strip().lower())
        if wanted is None:
            raise ValueError(f"{level_name!r} is no level; use one of {', '.join(LEVELS)}")
        if not equals:
            level = wanted
            continue
        name = target.strip().replace("::", ".")
        if name == EVERYTHING_OF_OURS:
            targets += [(ours, wanted) for ours in TARGETS]
        elif name.partition(".")[0] in TARGETS:
            targets.append((name, wanted))
    return LogFilter(level, tuple(targets))


def configure(environ: Mapping[str, str], log_file: Path | None = None) -> None:
    """Send the process's log lines to stderr and to `log_file`, as BUDDIES_LOG or RUST_LOG says.

    A stderr that was redirected to a file gets none if there is a `log_file`: it would hold the
    same again, and nobody rotates it. A filter that can't be read gives one warning and the
    default. Calling it again replaces the handlers, and adds to the levels of single targets.

    Raises:
        StoreError: the file can't be written.
    """
    asked = environ.get("BUDDIES_LOG") or environ.get("RUST_LOG") or ""
    complaint = ""
    try:
        chosen = parse_filter(asked)
    except ValueError as error:
        chosen = LogFilter(DEFAULT_LEVEL)
        complaint = str(error)
    handlers: list[logging.Handler] = []
    if log_file is None or not _is_file(sys.stderr):
        handlers.append(logging.StreamHandler(sys.stderr))
    if log_file is not None:
        try:
            handlers.append(
                RotatingFileHandler(
                    log_file, maxBytes=FILE_BYTES_MAX, backupCount=OLDER_FILES, encoding="utf-8"
                )
            )
        except OSError as error:
            raise StoreError(
                f"can't write the log {log_file}: {error.strerror}; "
                "set BUDDIES_DATA_DIR to a directory that you may write to"
            ) from error
    for handler in handlers:
        handler.setFormatter(EventFormatter())
    logging.basicConfig(level=chosen.level, handlers=handlers, force=True)
    for target, level in chosen.targets:
        logging.getLogger(target).setLevel(level)
    if complaint:
        log.warning("log_filter_ignored filter=%r reason=%s", asked, complaint)


def _is_file(stream: TextIO) -> bool:
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):  # replaced by something in memory, or closed
        return False


class EventFormatter(logging.Formatter):
    """One line an event, whatever a peer put into it; only a traceback takes more."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - its name in the library
        """Return the time in UTC, to the millisecond."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{seconds}.{int(record.msecs):03d}Z"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - its name in the library
        """Return the line with what the context adds, and without line breaks of its own."""
        line = super().formatMessage(record)
        if room := room_context.get():
            line += f" room={room}"
        if request := request_context.get():
            line += f" request={request}"
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)

"""The commands that write a room into a file of lines, and take such lines into a room."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from buddies_cli import terminal
from buddies_cli.app import FAILED, App, Command
from buddies_core.errors import InvalidInput

if TYPE_CHECKING:
    from buddies_core.client import DaemonClient

LINES_AT_ONCE = 500
BYTES_AT_ONCE = 1 << 20
LINE_BYTES_MAX = 8 << 20
"""A content of 1 MiB may take six times as much in JSON. A longer line is read as two lines, and
neither is JSON."""
REFUSED_SHOWN = 20


@click.command(cls=Command)
@click.argument("room")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.pass_obj
def export(app: App, room: str, file: Path) -> None:
    """Write a room's memories and skills to a file.

    FILE gets one line of JSON for each memory, skill and vote of ROOM; - is stdout. Each line has
    its author's signature, so that an import elsewhere keeps the author.

    Example: buddies-cli memory export feature-a feature-a.jsonl
    """
    damaged: list[str] = []

    async def read(daemon: DaemonClient, out: IO[bytes]) -> int:
        written = 0
        with app.progress(f"Exporting {room}") as bar:
            async for part in daemon.export(room):
                bar.total = part.total
                bar.advance(part.done - bar.done)
                out.writelines(line + b"\n" for line in part.lines)
                damaged.extend(part.damaged)
                written += len(part.lines)
        out.flush()
        return written

    with _written(file) as out:
        written = app.ask(lambda daemon: read(daemon, out), doing="")
    for name in damaged:
        app.note(f"left out because it is damaged: {name}")
    if file != Path("-"):
        app.show(
            {"room": room, "file": str(file), "lines": written, "damaged": [*damaged]},
            f"Wrote {terminal.count(written, 'line')} to {file}",
        )


@click.command(name="import", cls=Command)
@click.argument("room")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.pass_context
def import_(context: click.Context, room: str, file: Path) -> None:
    """Import the lines of a file into a room.

    This machine must be in ROOM; as FILE, - is stdin. Lines that `export` wrote keep their authors.
    A line without a proof becomes your own memory: {"content": …}, optionally with title, kind,
    tags, references and created_at_s. Nothing is broadcast. Known lines are skipped, so you can
    simply repeat an import that was interrupted.

    Example: buddies-cli memory import feature-a feature-a.jsonl
    """
    app = context.ensure_object(App)
    refused: list[tuple[int, str]] = []
    counts = {"imported": 0, "known": 0}

    is_stdin = file == Path("-")
    if not is_stdin and not file.exists():
        raise InvalidInput(f"there is no file {file}")
    size = None if is_stdin else file.stat().st_size

    async def write(daemon: DaemonClient, lines: IO[bytes]) -> None:
        with app.progress(f"Importing into {room}", size) as bar:
            for first, batch in _batches(lines):
                sent = [(at, line) for at, line in enumerate(batch, first) if line.strip()]
                done = await daemon.import_lines(room, [line for _, line in sent])
                counts["imported"] += done.imported
                counts["known"] += done.known
                refused.extend((sent[it.line][0], it.reason) for it in done.refused)
                bar.advance(sum(map(len, batch)))

    with click.open_file(str(file), "rb") as lines:
        app.ask(lambda daemon: write(daemon, lines), doing="")
    for number, reason in refused[:REFUSED_SHOWN]:
        app.note(f"line {number} was refused: {reason}")
    if len(refused) > REFUSED_SHOWN:
        app.note(f"and {len(refused) - REFUSED_SHOWN} more; see them all with --json")
    app.show(
        {
            "room": room,
            **counts,
            "refused": [{"line": number, "reason": reason} for number, reason in refused],
        },
        f"Imported {counts['imported']}; {counts['known']} were here; {len(refused)} were refused",
    )
    if refused:
        context.exit(FAILED)


def _batches(lines: IO[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Yield lines, some at a time, each time with the number of the first."""
    number = 1
    batch: list[bytes] = []
    while line := lines.readline(LINE_BYTES_MAX):
        if batch and (len(batch) == LINES_AT_ONCE or sum(map(len, batch)) > BYTES_AT_ONCE):
            yield number, batch
            number, batch = number + len(batch), []
        batch.append(line)
    if batch:
        yield number, batch


@contextlib.contextmanager
def _written(file: Path) -> Iterator[IO[bytes]]:
    """Open a file that gets its name once it is whole; - is stdout."""
    if file == Path("-"):
        yield sys.stdout.buffer
        return
    draft = file.with_name(f"{file.name}.unfinished")
    try:
        with draft.open("wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        draft.replace(file)
    except OSError as error:
        raise InvalidInput(
            f"{error.filename or file} can't be written: {error.strerror}"
        ) from error
    finally:
        draft.unlink(missing_ok=True)

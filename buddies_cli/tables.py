"""Tables, facts and prose for commands: as wide as the terminal, or plain for programs.

At a terminal nothing is wider than the terminal: columns wrap, and a table that cannot fit becomes
a list of its rows. Elsewhere each row of a table is a line, its cells separated by tabs, without
headings or styles: `cut -f1` works.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeAlias

import click

from buddies_cli import terminal
from buddies_core.clock import SystemClock
from buddies_core.model.moments import age

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from buddies_cli.terminal import Screen

GAP = 2
WRAPPED_MIN = 12
"""Cells: a column that may wrap is not made narrower."""


@dataclass(frozen=True, slots=True)
class Styled:
    """A cell that stands out: `style` is one of rich's, such as "green" or "bold"."""

    text: str
    style: str


@dataclass(frozen=True, slots=True)
class When:
    """A moment: people read how long ago it was, programs read it in ISO 8601; 0 is no moment."""

    at_ms: int


Cell: TypeAlias = str | Styled | When
"""Its text may be from elsewhere: it is made safe and put on one line."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    wraps: bool = False
    """Whether cells of the column may wrap; other columns keep each cell on one line."""
    right: bool = False
    is_spare: bool = False
    """Whether the column may be left out if the table does not fit otherwise."""


class Shown(Protocol):
    """Something that commands print."""

    def text(self, screen: Screen) -> str:
        """Return it as it is printed on this screen."""


@dataclass(frozen=True, slots=True)
class Raw:
    """Text that must not be wrapped: contents, and what people copy."""

    content: str

    def text(self, _screen: Screen) -> str:
        """Return it as it is."""
        return self.content


@dataclass(frozen=True, slots=True)
class Prose:
    """Lines that are safe to print and may be styled; each keeps its indentation when it wraps."""

    content: str

    def text(self, screen: Screen) -> str:
        """Return it wrapped to the screen."""
        return "\n".join(_wrapped(line, screen) for line in self.content.split("\n"))


@dataclass(frozen=True, slots=True)
class Facts:
    """Labels with their values; a fact without a value is left out."""

    rows: Sequence[tuple[str, Cell]]

    def text(self, screen: Screen) -> str:
        """Return a line or more for each fact."""
        rows = [(label, value) for label, value in self.rows if _words(value, screen)]
        if screen.width is None or not rows:
            return _tabbed(rows, screen)
        return _printed(_facts(rows, screen), screen)


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in a list of things with long texts."""

    title: str
    lines: Sequence[str]
    """Facts about the item, one per line."""
    id: str
    """The id of the item for other commands."""
    body: str = ""
    """An indented part of the item's text, safe and perhaps styled."""


@dataclass(frozen=True, slots=True)
class Entries:
    """Things with long texts, each a paragraph."""

    entries: Sequence[Entry]

    def text(self, screen: Screen) -> str:
        """Return all of them."""
        return "\n\n".join(paragraph(entry).text(screen) for entry in self.entries)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings; columns with nothing in them are left out at a terminal."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    grouped: int = 0
    """At a terminal, this many first columns are left blank if they repeat the row above."""
    narrow: Shown | None = None
    """The replacement if the table does not fit; a list of facts if left out."""

    def text(self, screen: Screen) -> str:
        """Return the table, or a list of its rows where it does not fit."""
        if screen.width is None or not self.rows:
            return _tabbed(self.rows, screen)
        columns = [
            [_words(row[at], screen) for row in self.rows] for at in range(len(self.columns))
        ]
        used = [at for at, cells in enumerate(columns) if any(cells)]
        needed = [at for at in used if not self.columns[at].is_spare]
        for shown in (used, needed):
            if self._least(columns, shown) <= screen.width:
                return self._as_grid(screen, shown)
        return (self.narrow or self._as_list(used)).text(screen)

    def _least(self, columns: Sequence[Sequence[str]], shown: Sequence[int]) -> int:
        """Return how many cells a line takes at least with these columns."""
        least = GAP * (len(shown) - 1)
        for at in shown:
            widest = max(map(terminal.width, (self.columns[at].title, *columns[at])))
            least += min(widest, WRAPPED_MIN) if self.columns[at].wraps else widest
        return least

    def _as_grid(self, screen: Screen, used: Sequence[int]) -> str:
        from rich import box
        from rich.table import Table as Grid

        # The line between two columns is a blank of its own: with the padding they make GAP.
        grid = Grid(
            box=box.SIMPLE_HEAD,
            show_edge=False,
            padding=(0, GAP - 1, 0, 0),
            pad_edge=False,
            header_style="bold",
            border_style="dim",
        )
        for at in used:
            column = self.columns[at]
            grid.add_column(
                column.title,
                no_wrap=not column.wraps,
                overflow="fold",
                justify="right" if column.right else "left",
            )
        before: Sequence[Cell] = ()
        for row in self.rows:
            is_same = self.grouped and row[: self.grouped] == before[: self.grouped]
            shown = (("",) * self.grouped + tuple(row[self.grouped :])) if is_same else row
            grid.add_row(*(_rich(shown[at], screen) for at in used))
            before = row
        return _printed(grid, screen)

    def _as_list(self, used: Sequence[int]) -> Shown:
        titles = [column.title.lower() for column in self.columns]
        parts: list[Shown] = []
        for row in self.rows:
            facts = [(titles[at], row[at]) for at in used[1:]]
            parts.append(_Item(row[used[0]], facts))
        return Page(parts)


@dataclass(frozen=True, slots=True)
class Page:
    """Parts below each other, with an empty line between them at a terminal or around a content."""

    parts: Sequence[Shown]
    is_spaced: bool = True

    def text(self, screen: Screen) -> str:
        """Return all parts that have something to show."""
        texts = filter(None, (part.text(screen) for part in self.parts))
        is_apart = screen.width is not None or any(isinstance(it, Raw) for it in self.parts)
        return ("\n\n" if self.is_spaced and is_apart else "\n").join(texts)


@dataclass(frozen=True, slots=True)
class _Item:
    """A row of a table that does not fit: its first cell, and below it a line for each other."""

    name: Cell
    facts: Sequence[tuple[str, Cell]]

    def text(self, screen: Screen) -> str:
        heading = _wrapped(terminal.bold(_words(self.name, screen) or "–"), screen)
        rows = [(label, cell) for label, cell in self.facts if _words(cell, screen)]
        body = _printed(_facts(rows, screen, indent=GAP), screen) if rows else ""
        return "\n".join(filter(None, (heading, body)))


def heading(text: str) -> Prose:
    """Return a title above other parts of a page; the text may be from elsewhere."""
    return Prose(terminal.bold(terminal.line(text)))


def paragraph(entry: Entry) -> Prose:
    """Return an entry as people read it."""
    lines = (*entry.lines, entry.id)
    dim = (terminal.dim(terminal.line(line)) for line in lines if line)
    title = terminal.bold(terminal.line(entry.title) or "–")
    return Prose("\n".join([title, *dim, *([entry.body] if entry.body else [])]))


def _wrapped(line: str, screen: Screen) -> str:
    """Return a styled line, broken between words where it is wider than the screen."""
    bare = click.unstyle(line)
    if screen.width is None or terminal.width(bare) <= screen.width:
        return line
    from rich.padding import Padding
    from rich.text import Text

    blanks = len(bare) - len(bare.lstrip(" "))
    indent = min(blanks, screen.width // 2)
    return _printed(Padding(Text.from_ansi(line)[blanks:], (0, 0, 0, indent)), screen)


def _words(cell: Cell, screen: Screen) -> str:
    """Return what a cell says, safe and on one line."""
    match cell:
        case When(0):
            return ""
        case When(at_ms) if screen.width is None:
            return f"{datetime.fromtimestamp(at_ms // 1000, tz=UTC):%Y-%m-%dT%H:%M:%SZ}"
        case When(at_ms):
            return age(at_ms / 1000, SystemClock().wall_ms() / 1000)
        case Styled(text):
            return terminal.line(text)
        case str(text):
            return terminal.line(text)


def _rich(cell: Cell, screen: Screen) -> RenderableType:
    from rich.text import Text

    return Text(_words(cell, screen), style=cell.style if isinstance(cell, Styled) else "")


def _tabbed(rows: Sequence[Sequence[Cell]], screen: Screen) -> str:
    return "\n".join("\t".join(_words(cell, screen) for cell in row) for row in rows)


def _facts(rows: Sequence[tuple[str, Cell]], screen: Screen, indent: int = 0) -> RenderableType:
    from rich.padding import Padding
    from rich.table import Table as Grid

    grid = Grid.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value in rows:
        grid.add_row(label, _rich(value, screen))
    return Padding(grid, (0, 0, 0, indent))


def _printed(what: RenderableType, screen: Screen) -> str:
    from rich.console import Console

    assert screen.width is not None, "programs read plain text"
    out = io.StringIO()
    console = Console(
        file=out,
        width=screen.width,
        height=1000,
        force_terminal=screen.is_styled,
        color_system="standard" if screen.is_styled else None,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
        _environ={},
    )
    console.print(what)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip("\n").split("\n"))

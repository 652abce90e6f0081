"""Progress is shown to somebody who has to wait, and to nobody else."""

import io
import sys
import threading

import pytest

from buddies_cli import progress as module
from buddies_cli.app import App
from buddies_cli.progress import progress
from tests.unit.cli.conftest import FakeMachine


class Terminal(io.StringIO):
    """A terminal that tells when something was drawn on it."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.drawn.set()
        return super().write(text)


def at_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Be at a terminal from now on. (pytest sets stderr anew after the fixtures.)"""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(module, "AFTER_S", 0)
    return terminal


def test_a_wait_shows_what_is_done_and_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = at_terminal(monkeypatch)
    with progress("Exporting\x1b[2J feature-a", 10) as bar:
        assert terminal.drawn.wait(10)
        bar.advance(5)
    text = terminal.getvalue()
    assert "Exporting�[2J feature-a" in text
    assert text.endswith("\x1b[2K")


def test_lines_that_are_told_meanwhile_are_not_drawn_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = at_terminal(monkeypatch)
    app = App(FakeMachine())
    with app.progress("Joining"):
        assert terminal.drawn.wait(10)
        app.note("could not reach bob")
    assert "\x1b[2Kcould not reach bob\n" in terminal.getvalue()


def test_what_is_done_within_a_second_shows_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = at_terminal(monkeypatch)
    monkeypatch.setattr(module, "AFTER_S", 600)
    with progress("Joining") as bar:
        bar.advance()
    assert (bar.done, terminal.getvalue()) == (1, "")


@pytest.mark.parametrize("dumb", [True, False])
def test_nobody_who_reads_a_pipe_or_a_dumb_terminal_sees_a_bar(
    monkeypatch: pytest.MonkeyPatch, dumb: bool
) -> None:
    terminal = at_terminal(monkeypatch)
    if dumb:
        monkeypatch.setenv("TERM", "dumb")
    else:
        monkeypatch.setattr(terminal, "isatty", lambda: False)
    before = threading.active_count()
    with progress("Joining") as bar:
        assert threading.active_count() == before
        bar.advance(3)
    assert (bar.done, terminal.getvalue()) == (3, "")

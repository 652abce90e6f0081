"""The parts that all commands share: a daemon to ask, one way to show answers, exit codes."""

from __future__ import annotations

import json
import math
import os
import re
import select
import shlex
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import (
    AsyncExitStack,
    contextmanager,
    nullcontext,
)
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from buddies_cli import mistakes, terminal
from buddies_cli.progress import progress
from buddies_cli.tables import Prose
from buddies_cli.terminal import Screen
from buddies_core.errors import BuddiesError, DaemonUnavailable, InvalidInput, TimedOut
from buddies_core.model.limits import (
    LIST_ITEMS_DEFAULT,
    LIST_ITEMS_MAX,
    OFFSET_MAX,
    PAGE_CHARS_MAX,
    SEARCH_TIMEOUT_S_DEFAULT,
    SEARCH_TIMEOUT_S_MAX,
    SEARCH_TIMEOUT_S_MIN,
)

if TYPE_CHECKING:  # brings gRPC, which --help must not wait for
    from pathlib import Path

    from buddies_cli.machine import Machine
    from buddies_cli.progress import Bar
    from buddies_cli.tables import Shown
    from buddies_core.client import DaemonClient
    from buddies_core.model.json_view import JsonObject

AnswerT = TypeVar("AnswerT")

OK, FAILED, USAGE, NO_DAEMON, TIMED_OUT = range(5)
CHOICES_CHARS_MAX = 24
"""A longer list of choices goes into the help text of an option, not beside its name."""
TERMINAL_POLL_S = 0.2
INTERRUPTED = 128 + 2  # as a shell reports SIGINT


def exit_code(error: BuddiesError) -> int:
    """Return what a script should learn from an error without reading its text."""
    match error:
        case InvalidInput():
            return USAGE
        case DaemonUnavailable():
            return NO_DAEMON
        case TimedOut():
            return TIMED_OUT
        case _:
            return FAILED


def _run(work: Coroutine[Any, Any, AnswerT]) -> AnswerT:
    import asyncio  # which takes long to import, and --help does without

    return asyncio.run(work)


class App:
    """The command's way to the daemon and to the terminal."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.as_json = False
        self._bar: Bar | None = None

    def ask(
        self,
        question: Callable[[DaemonClient], Awaitable[AnswerT]],
        *,
        start: bool = True,
        doing: str = "Asking the daemon",
    ) -> AnswerT:
        """Return the daemon's answer.

        Args:
            question: What to ask.
            start: Start a daemon where none runs.
            doing: What is shown while it takes long; empty for what tells its progress itself.
        """

        async def asked() -> AnswerT:
            with self.progress("Starting the daemon" if start else "Reaching the daemon"):
                async with AsyncExitStack() as stack:
                    daemon = await stack.enter_async_context(self.machine.client(start=start))
                    rest = stack.pop_all()
            async with rest:
                if daemon.version_warning:
                    self.note(f"warning: {daemon.version_warning}")
                with self.progress(doing) if doing else nullcontext():
                    return await question(daemon)

        return _run(asked())

    @contextmanager
    def progress(self, text: str, total: int | None = None) -> Iterator[Bar]:
        """Show how far the block is if it takes over a second, as `progress.progress` does."""
        with progress(text, total) as bar:
            self._bar = bar
            try:
                yield bar
            finally:
                self._bar = None

    def stop(self) -> int:
        """Stop the daemon and return the process id that it had."""
        return _run(self.machine.stop())

    def stop_host(self) -> int | None:
        """Stop what serves this machine's agents; return its process id, None if none runs."""
        return _run(self.machine.stop_host())

    def restart(self) -> None:
        """Replace the daemon by one with the present settings, once those are found to be good."""
        _run(self.machine.restart())

    def restore(self, backup: Path) -> str:
        """Put a backup in the place of what is kept, and return what was done."""
        with self.progress("Restoring"):
            return _run(self.machine.restore(backup))

    def check(self, environ: Mapping[str, str]) -> None:
        """Raise what is wrong if a daemon with this environment could not start."""
        _run(self.machine.check(environ))

    def show(self, answer: JsonObject, human: Shown | str) -> None:
        """Print an answer: as JSON if asked for, otherwise for people.

        A text is made safe by the caller, and is wrapped to the terminal.
        """
        if self.as_json:
            # ASCII, so that it is the same under every locale and harmless in every terminal.
            click.echo(json.dumps(answer, indent=2))
            return
        shown = Prose(human) if isinstance(human, str) else human
        if text := shown.text(self.screen()):
            click.echo(text)

    def screen(self) -> Screen:
        """Return where answers are shown."""
        return Screen.of(os.environ, sys.stdout)

    def show_line(self, answer: JsonObject, human: str) -> None:
        """Print one of many answers, each a line of its own."""
        click.echo(json.dumps(answer) if self.as_json else human)

    def note_more(self, cursor: str | None) -> None:
        """Tell a person how to get the rest of a list, if there is any."""
        if cursor is not None:
            self.note(f"there is more; continue with: --cursor {shlex.quote(cursor)}")

    def note(self, text: str) -> None:
        """Tell a person something beside the answer."""
        text = terminal.plain(text)
        if self._bar is None or not self._bar.say(text):
            click.echo(Prose(text).text(Screen.of(os.environ, sys.stderr)), err=True)


class Formatter(click.HelpFormatter):
    """Writes help texts for narrow terminals too."""

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """Write names beside what they mean; the names take a third of the width at most."""
        super().write_dl(rows, min(col_max, self.width // 3), col_spacing)


class Context(click.Context):
    """The context of a command."""

    formatter_class = Formatter


class Command(click.Command):
    """A command with `--json`, whose docstring may end in `Example:` or `Examples:`."""

    context_class = Context

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(json_option())
        self.help, self.examples = _without_examples(self.help)
        for param in self.params:
            if isinstance(param, click.Option):
                _fit(param)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take what was typed, and answer common mistakes."""
        ctx.allow_extra_args = True  # they are refused below, in words that help
        try:
            super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise mistakes.unknown_option(ctx, error) from error
        except click.MissingParameter as error:
            if error.ctx is not None and self.examples:
                text = f"{error.format_message()} Example: {self.examples[0]}"
                raise click.UsageError(text, ctx) from error
            raise
        if ctx.args and not ctx.resilient_parsing:
            raise mistakes.too_many_words(ctx, ctx.args)
        return ctx.args

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, unless an option was given with nothing in it.

        `--room "$ROOM"` with an unset variable must not mean all rooms, nor `--exec "$COMMAND"` a
        command that does each task by doing nothing.
        """
        for param in self.params:
            if not isinstance(param, click.Option) or param.name in (None, "ticket"):
                continue  # join has a better text for an empty ticket
            value = ctx.params.get(param.name)
            is_typed = ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE
            given = value if isinstance(value, tuple) else (value,)
            if is_typed and any(isinstance(each, str) and not each.strip() for each in given):
                raise click.BadParameter(
                    "it is empty; give it a value or leave it out.", ctx, param
                )
        return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, each on a line of its own."""
        _write_examples(self.examples, formatter)
        super().format_epilog(ctx, formatter)


class Group(click.Group):
    """A group whose commands all have `--json`."""

    context_class = Context
    command_class = Command
    group_class = type

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.help, self.examples = _without_examples(self.help)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first word names; `help` is one of every group."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None and name == "help":
            root = ctx.find_root()
            assert isinstance(root.command, click.Group), "it is the group of all commands"
            shown = root.command.get_command(root, name)
            return name, shown, [*ctx.command_path.split()[1:], *args[1:]]
        if command is None and not name.startswith("-") and not ctx.resilient_parsing:
            raise mistakes.unknown_command(ctx, self, name)
        return super().resolve_command(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, each on a line of its own."""
        _write_examples(self.examples, formatter)
        super().format_epilog(ctx, formatter)


def _fit(option: click.Option) -> None:
    """Keep the help of an option from being wider than a terminal, and free of empty defaults."""
    if option.default == "" and not isinstance(option.show_default, str):
        option.show_default = False
    if isinstance(option.type, click.Choice) and option.metavar is None:
        choices = ", ".join(map(str, option.type.choices))
        if len(choices) > CHOICES_CHARS_MAX:
            option.metavar = str(option.opts[-1].lstrip("-").upper())
            option.help = f"{option.help or ''} One of: {choices}."


def _without_examples(text: str | None) -> tuple[str | None, tuple[str, ...]]:
    """Return a docstring without the examples that it ends in, and those."""
    if text is None:
        return None, ()
    shown, *listed = re.split(r"\n\s*\n\s*Examples?:\s", text, maxsplit=1)
    joined = " ".join(listed[0].split()) if listed else ""
    # Each begins with the program's name, and a comma is between two.
    return shown, tuple(filter(None, re.split(r",\s+(?=buddies-cli |echo |cat )", joined)))


def _write_examples(examples: Sequence[str], formatter: click.HelpFormatter) -> None:
    if examples:
        with formatter.section("Examples"):
            for example in examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")


class Seconds(click.FloatRange):
    """A number of seconds within a range. Unlike click's own range, it does not take NaN."""

    name = "seconds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds."""
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value} is not in the range {self._describe_range()}.", param, ctx)
        return seconds


class Duration(click.ParamType[float]):
    """A duration such as 90s, 30m, 24h or 7d, in seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds."""
        match = re.fullmatch(r"(\d{1,6})([smhd])", str(value))
        if match is None:
            self.fail(f"{value!r} is not a duration; write one such as 30m, 24h or 7d.", param, ctx)
        return float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[match[2]]


def json_option() -> click.Option:
    """Return the option `--json`, for commands that are not made by a Group."""
    return click.Option(
        ["--json"],
        is_flag=True,
        expose_value=False,
        callback=_choose_json,
        help="Print one JSON object, the one that the MCP tool returns.",
    )


def _choose_json(context: click.Context, _parameter: click.Parameter, chosen: bool) -> None:
    app = context.find_object(App)
    assert app is not None, "main makes the App"
    app.as_json = chosen


cursor_option = click.option(
    "--cursor", default="", help="Continue after an earlier answer: its next_cursor."
)
limit_option = click.option(
    "--limit",
    type=click.IntRange(1, LIST_ITEMS_MAX),
    default=LIST_ITEMS_DEFAULT,
    help="At most this many; fewer if they don't fit into one answer.",
)
search_timeout_option = click.option(
    "--timeout",
    "timeout_s",
    type=Seconds(SEARCH_TIMEOUT_S_MIN, SEARCH_TIMEOUT_S_MAX),
    default=SEARCH_TIMEOUT_S_DEFAULT,
    help="Seconds to wait for peers, at most.",
)
offset_option = click.option(
    "--offset", type=click.IntRange(0, OFFSET_MAX), default=0, help="Begin at this character."
)
page_option = click.option(
    "--limit",
    type=click.IntRange(1, PAGE_CHARS_MAX),
    show_default="all; one page with --json",
    help="Characters to show.",
)


def text_argument(value: str, limit_bytes: int) -> str:
    """Return an argument's text; `-` stands for what comes in by stdin, read up to the limit.

    Raises:
        InvalidInput: stdin's bytes are no UTF-8, or more than the limit.
    """
    if value != "-":
        return value
    if sys.stdin.isatty():
        click.echo("Reading from the terminal; end with Ctrl-D.", err=True)
        # A Ctrl-C in the instant before a read blocks is seen only when that returns.
        while not select.select([sys.stdin], [], [], TERMINAL_POLL_S)[0]:
            pass
    given = sys.stdin.buffer.read(limit_bytes + 1)
    if len(given) > limit_bytes:
        raise InvalidInput(f"stdin has more than {limit_bytes} bytes, which is the limit")
    try:
        return given.decode().rstrip("\n")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"stdin is not UTF-8: byte {error.start} can't be read") from None

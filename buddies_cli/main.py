"""The command line: all commands, and the way errors are shown."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import click

from buddies_cli import streams, terminal
from buddies_cli.app import (
    FAILED,
    INTERRUPTED,
    OK,
    USAGE,
    App,
    Group,
    exit_code,
)
from buddies_cli.machine import LocalDaemon
from buddies_cli.streams import ReaderGone
from buddies_cli.tables import Prose
from buddies_core import __version__, logs
from buddies_core.errors import BuddiesError
from buddies_core.settings import environment_for_logs
from buddies_core.streams import BROKEN_PIPE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from click.shell_completion import CompletionItem

logger = logging.getLogger(__name__)

COMMANDS = {
    "join": "room",
    "ticket": "room",
    "leave": "room",
    "rooms": "room",
    "room": "room",
    "status": "status",
    "watch": "watch",
    "notify": "room",
    "memory": "memory",
    "task": "task",
    "skill": "skill",
    "policy": "policy",
    "whoami": "daemon",
    "identity": "identity",
    "daemon": "daemon",
    "service": "service",
    "doctor": "doctor",
    "logs": "logs",
    "config": "config",
    "setup": "setup",
    "uninstall": "uninstall",
    "backup": "store",
    "restore": "store",
    "store": "store",
    "completion": "completion",
    "help": "help",
}
"""The module in `commands` that each command is in, under its own name."""

HELP_COLUMNS_MAX = 78
CONTEXT = {"help_option_names": ["-h", "--help"], "show_default": True}

EPILOG = """\
Commands start the daemon if none is running, except rooms, status, doctor, service, daemon status
and daemon stop.

Exit codes: 0 done, 1 failed, 2 the command or one of its arguments is wrong, 3 no daemon can be
reached, 4 timed out or still pending. Every command takes --json.
"""


class Commands(Group):
    """The commands, each imported when it is asked for: all of them take as long as the answer."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order of the help text."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """Return the command of this name; None if there is none."""
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(
            import_module(f"buddies_cli.commands.{COMMANDS[name]}"), name
        )
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands that begin so by name alone: what they do would be imported."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name) for name in COMMANDS if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]


@click.group(cls=Commands, epilog=EPILOG, context_settings=CONTEXT)
@click.version_option(__version__, "-V", "--version", prog_name="buddies-cli")
def cli() -> None:
    """Share rooms, memories, skills and work with your teammates' AI agents, machine to machine."""


def main() -> None:
    """Run what was typed and exit."""
    streams.prepare()
    logs.configure(environment_for_logs(os.environ))
    sys.exit(run(sys.argv[1:], App(LocalDaemon(os.environ))))


def run(arguments: Sequence[str], app: App) -> int:
    """Run one command and return its exit code; what went wrong is one line on stderr."""
    try:
        arguments = [_as_text(argument) for argument in arguments]
    except UnicodeDecodeError:
        return _fail("an argument is not valid UTF-8", USAGE)
    try:
        # Commands return nothing; --help and --version end with a number.
        code = cli.main(
            arguments,
            "buddies-cli",
            standalone_mode=False,
            obj=app,
            color=terminal.color(os.environ),
            terminal_width=min(HELP_COLUMNS_MAX, shutil.get_terminal_size().columns),
        )
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USAGE
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "buddies-cli"
        text = error.format_message()
        stop = "" if text.endswith((".", "?")) else "."
        return _fail(f"{text}{stop} See {path} --help", USAGE)
    except click.Abort as aborted:
        if isinstance(aborted.__context__, EOFError):
            return _fail("the question was not answered, so nothing was done", FAILED)
        return INTERRUPTED
    except KeyboardInterrupt:
        return INTERRUPTED
    except ReaderGone:
        return BROKEN_PIPE
    except BuddiesError as error:
        return _fail(str(error), exit_code(error))
    except OSError as error:
        return _fail(str(error), FAILED)
    except Exception as error:  # nobody should be shown a traceback
        logger.debug("command_failed", exc_info=True)
        text = f"this is a bug in buddies-cli ({error!r}); BUDDIES_LOG=debug shows where"
        return _fail(text, FAILED)
    return code or OK


def _as_text(argument: str) -> str:
    """Return an argument as it was typed, in a locale that does not know its characters too."""
    try:
        argument.encode()
    except UnicodeEncodeError:  # bytes that the locale does not know come in as lone surrogates
        return os.fsencode(argument).decode()
    return argument


def _fail(text: str, code: int) -> int:
    said = Prose(f"error: {terminal.plain(text)}")
    click.echo(said.text(terminal.Screen.of(os.environ, sys.stderr)), err=True)
    return code


if __name__ == "__main__":
    main()

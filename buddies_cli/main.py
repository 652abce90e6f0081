"""The command line: all commands, and what becomes of errors."""

from __future__ import annotations

import logging
import os
import sys
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
    LocalDaemon,
    exit_code,
)
from buddies_cli.commands.config import config
from buddies_cli.commands.daemon import daemon, whoami
from buddies_cli.commands.doctor import doctor
from buddies_cli.commands.identity import identity
from buddies_cli.commands.memory import memory
from buddies_cli.commands.policy import policy
from buddies_cli.commands.room import join, leave, notify, room, rooms, ticket
from buddies_cli.commands.service import service
from buddies_cli.commands.setup import setup
from buddies_cli.commands.skill import skill
from buddies_cli.commands.status import status
from buddies_cli.commands.task import task
from buddies_cli.commands.uninstall import uninstall
from buddies_cli.streams import ReaderGone
from buddies_core import __version__, logs
from buddies_core.errors import BuddiesError
from buddies_core.settings import environment_for_logs
from buddies_core.streams import BROKEN_PIPE

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger(__name__)

EPILOG = """\
Commands start the daemon if none runs, except rooms, status, doctor, service, daemon status and
daemon stop.

Exit codes: 0 done, 1 failed, 2 the command or one of its arguments is wrong, 3 no daemon can be
reached, 4 timed out or still pending. Every command takes --json.
"""


@click.group(cls=Group, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="buddies-cli")
def cli() -> None:
    """Share rooms, memories, skills and work with your teammates' AI agents, machine to machine."""


for command in (
    join,
    ticket,
    leave,
    rooms,
    room,
    status,
    notify,
    memory,
    task,
    skill,
    policy,
    whoami,
    identity,
    daemon,
    service,
    doctor,
    config,
    setup,
    uninstall,
):
    cli.add_command(command)


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
    click.echo(f"error: {terminal.plain(text)}", err=True)
    return code


if __name__ == "__main__":
    main()

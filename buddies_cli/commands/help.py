"""The command that shows the help of another."""

from __future__ import annotations

import click

from buddies_cli.app import Command
from buddies_cli.mistakes import unknown_command


@click.command(cls=Command)
@click.argument("words", metavar="[COMMAND]...", nargs=-1)
@click.pass_context
def help(context: click.Context, words: tuple[str, ...]) -> None:
    """Show the help of COMMAND; without COMMAND, list all commands.

    Examples: buddies-cli help, buddies-cli help memory search
    """
    seen = context.find_root()
    for word in words:
        group = seen.command
        found = group.get_command(seen, word) if isinstance(group, click.Group) else None
        if found is None:
            if isinstance(group, click.Group):
                raise unknown_command(seen, group, word)
            break  # an argument of the command
        seen = found.context_class(found, info_name=word, parent=seen)
    click.echo(seen.get_help())

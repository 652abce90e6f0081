"""The commands of buddies-cli, as a person finds them: each by the words that are typed."""

from collections.abc import Iterator

import click

from buddies_cli.main import cli


def every_command(
    group: click.Group = cli, *path: str
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Return each command that is not a group, with the words that are typed for it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, "it is listed"
        if isinstance(command, click.Group):
            yield from every_command(command, *path, name)
        else:
            yield (*path, name), command


def command_at(*path: str) -> click.Command:
    """Return the command or group that these words name."""
    command: click.Command = cli
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None, name
        command = found
    return command

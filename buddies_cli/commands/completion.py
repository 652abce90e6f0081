"""The command that has a shell complete what is typed."""

from __future__ import annotations

import sys

import click
from click.shell_completion import get_completion_class

from buddies_cli.app import App, Command
from buddies_cli.tables import Raw

SHELLS = {
    "bash": '~/.bashrc: eval "$(buddies-cli completion bash)"',
    "zsh": '~/.zshrc, after compinit: eval "$(buddies-cli completion zsh)"',
    "fish": "~/.config/fish/config.fish: buddies-cli completion fish | source",
}
VARIABLE = "_BUDDIES_CLI_COMPLETE"
"""By which the shell asks; click makes the name of the program's."""


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what SHELL needs to complete commands and rooms.

    It is a script. Have your shell read it when it starts: with
    eval "$(buddies-cli completion bash)" in ~/.bashrc, or the same for zsh in ~/.zshrc, after
    compinit. For fish: buddies-cli completion fish | source.

    Examples: buddies-cli completion bash, buddies-cli completion fish
    """
    app = context.ensure_object(App)
    kind = get_completion_class(shell)
    assert kind is not None, "click knows it"
    script = kind(context.find_root().command, {}, "buddies-cli", VARIABLE).source()
    app.show({"shell": shell, "script": script}, Raw(script))
    if sys.stdout.isatty():
        app.note(f"To have it at each start, put into {SHELLS[shell]}")

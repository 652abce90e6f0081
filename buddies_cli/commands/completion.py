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
"""The variable with which the shell asks; click derives it from the program's name."""


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that lets SHELL complete commands and rooms.

    Load the script when your shell starts: put eval "$(buddies-cli completion bash)" into
    ~/.bashrc, or the same for zsh into ~/.zshrc, after compinit. For fish:
    buddies-cli completion fish | source.

    Examples: buddies-cli completion bash, buddies-cli completion fish
    """
    app = context.ensure_object(App)
    kind = get_completion_class(shell)
    assert kind is not None, "click knows it"
    script = kind(context.find_root().command, {}, "buddies-cli", VARIABLE).source()
    app.show({"shell": shell, "script": script}, Raw(script))
    if sys.stdout.isatty():
        app.note(f"To load it at each start, put this into {SHELLS[shell]}")

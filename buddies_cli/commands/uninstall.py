"""The command that removes buddies from this machine."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import click

from buddies_cli.app import FAILED, App, Command
from buddies_cli.commands.setup import remove_everywhere
from buddies_core.errors import BuddiesError, DaemonUnavailable
from buddies_core.paths import Paths, config_file


@click.command(cls=Command)
@click.option("--keep-data", is_flag=True, help="Keep rooms, memories, keys and settings.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@click.pass_obj
def uninstall(app: App, keep_data: bool, yes: bool) -> None:
    """Remove buddies from this machine.

    This removes its entry from every client's configuration, its data, and the program. Running
    programs are stopped first. Everything that stays is listed.

    Example: buddies-cli uninstall --keep-data
    """
    from buddies_cli.service.managers import remove
    from buddies_cli.setup.removing import installation, remove_data

    data_dir = Paths.from_environment(os.environ).data_dir
    if not yes:
        lost = "" if keep_data else f" All rooms, memories and keys in {data_dir} will be lost."
        if app.as_json or not click.confirm(f"Uninstall buddies?{lost}", default=False):
            app.note("nothing was removed; add --yes to do it")
            return
    # What would start another daemon first.
    if (unit := remove(os.environ)) is not None:
        app.note(f"Removed the service, {unit}.")
    if (host := app.stop_host()) is not None:
        app.note(f"Stopped the process that serves the agents, {host}.")
    with suppress(DaemonUnavailable):  # none runs
        app.note(f"Stopped the daemon, which was process {app.stop()}.")
    clients = remove_everywhere(app)
    gone, stays = ([], _kept()) if keep_data else remove_data(os.environ)
    how = installation(os.environ)
    if how.command is None:
        stays.append(f"the program in {sys.prefix}; remove it with: pip uninstall buddies")
    problems = [it["problem"] for it in clients if it["problem"]]
    stays += [f"{it['file']}: {it['problem']}" for it in clients if it["problem"]]
    app.show(
        {"clients": [*clients], "deleted": [*gone], "stays": [*stays], "program": how.kind},
        "\n".join([*(f"deleted {it}" for it in gone), *(f"stays: {it}" for it in stays)]),
    )
    if problems:  # the program can be needed to remove the rest
        app.note(
            "error: the program stays, as those clients still name it; fix them, then try again"
        )
        click.get_current_context().exit(FAILED)
    if how.command is not None:
        app.note("Removing the program.")
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            # In place of this process, whose own files go away.
            os.execv(how.command[0], how.command)  # noqa: S606 - it needs no shell
        except OSError as error:
            raise BuddiesError(f"can't run {how.command[0]}: {error.strerror}") from error


def _kept() -> list[str]:
    settings = config_file(os.environ)
    kept = [Paths.from_environment(os.environ).data_dir, *([settings] if settings else [])]
    return [str(path) for path in kept if path.exists()]

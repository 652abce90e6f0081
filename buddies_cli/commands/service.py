"""The commands that have the system start the daemon."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from buddies_cli import terminal
from buddies_cli.app import FAILED, App, Group
from buddies_core import edits
from buddies_core.errors import DaemonUnavailable

if TYPE_CHECKING:
    from buddies_cli.service.managers import Manager
    from buddies_core.model.json_view import JsonObject

FILE_MODE = 0o644


@click.group(cls=Group)
def service() -> None:
    """Let the system start the daemon at login.

    The system also restarts it after a crash. Agents don't need the service, because the first
    agent starts the daemon, but it keeps this machine in its rooms while no agent runs. It uses
    systemd's user manager or launchd.
    """


@service.command()
@click.option("--dry-run", is_flag=True, help="Show what would change; write nothing.")
@click.option("--yes", is_flag=True, help="Write without asking.")
@click.pass_obj
def install(app: App, dry_run: bool, yes: bool) -> None:
    """Write the service's file, and start the service.

    It replaces a running daemon. The settings are checked first. Run it again to update the file.

    Example: buddies-cli service install --dry-run
    """
    from buddies_cli.service.managers import manager_of, wanted

    manager = manager_of(os.environ)
    edit = wanted(manager, os.environ)
    if not app.as_json:
        shown = edit.diff() if edit.changes_something else "is correct"
        click.echo(f"{terminal.bold(str(manager.file))}:\n{terminal.block(shown)}")
    if dry_run:
        app.show(_json(manager, installed=edit.before is not None, diff=edit.diff()), "")
        return
    if not yes and (app.as_json or not click.confirm("Start it now and at each login?")):
        app.note("nothing was changed; add --yes to do it")
        return
    manager.check()
    app.check(os.environ)
    edits.write(edit, mode=FILE_MODE)
    with suppress(DaemonUnavailable):  # none runs
        app.note(f"Stopped the daemon, which was process {app.stop()}.")
    manager.enable()
    app.show(
        _json(manager, installed=True, diff=edit.diff()),
        f"{manager.name} starts the daemon, now and at each login.",
    )


@service.command()
@click.pass_obj
def status(app: App) -> None:
    """Show whether the system starts the daemon.

    The exit code is 1 if its file is out of date.

    Example: buddies-cli service status
    """
    from buddies_cli.service.managers import manager_of, wanted

    manager = manager_of(os.environ)
    edit = wanted(manager, os.environ)
    if edit.before is None:
        app.show(
            _json(manager, installed=False, diff=""),
            "Not installed: agents start the daemon. To install it: buddies-cli service install",
        )
        return
    state = manager.state()
    words = (
        "starts at login" if state.enabled else "does not start at login",
        "runs" if state.active else "does not run",
    )
    app.show(
        {
            **_json(manager, installed=True, diff=edit.diff() if edit.changes_something else ""),
            "enabled": state.enabled,
            "active": state.active,
        },
        f"{manager.file}: {', '.join(words)}",
    )
    if edit.changes_something:
        app.note("its file is not correct; to fix it: buddies-cli service install")
        click.get_current_context().exit(FAILED)


@service.command()
@click.option("--yes", is_flag=True, help="Do it without asking.")
@click.pass_obj
def uninstall(app: App, yes: bool) -> None:
    """Stop the service and delete its file.

    From then on, the first agent starts the daemon.

    Example: buddies-cli service uninstall
    """
    from buddies_cli.service.managers import manager_of, remove

    manager = manager_of(os.environ)
    is_there = manager.file.exists()
    question = f"Stop the service and delete {manager.file}?"
    if is_there and not yes and (app.as_json or not click.confirm(question, default=True)):
        app.note("nothing was changed; add --yes to do it")
        return
    gone = remove(os.environ)
    app.show(
        {"deleted": str(gone) if gone else None},
        f"Deleted {gone}." if gone else "It was not installed.",
    )


def _json(manager: Manager, *, installed: bool, diff: str) -> JsonObject:
    return {
        "manager": manager.name,
        "file": str(manager.file),
        "installed": installed,
        "diff": diff,
    }

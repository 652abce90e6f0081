"""The commands for what is kept as a whole: backups, and whether it is sound."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from buddies_cli import terminal
from buddies_cli.app import FAILED, App, Command, Group
from buddies_core.sizes import size_text

if TYPE_CHECKING:
    from buddies_core.client import DaemonClient

DAMAGED_SHOWN = 50


@click.command(cls=Command)
@click.argument("directory", type=click.Path(path_type=Path))
@click.pass_obj
def backup(app: App, directory: Path) -> None:
    """Back up everything that this machine keeps.

    DIRECTORY must be new or empty. The daemon keeps running. The backup contains the secret keys of
    this machine, so protect it as you protect those. `buddies-cli restore` restores it.

    Example: buddies-cli backup /media/usb/buddies-monday
    """
    place = str(directory.absolute())
    made = app.ask(lambda daemon: daemon.back_up(place), doing="Writing the backup")
    app.show(
        {"directory": made.directory, "bytes": made.bytes, "memories": made.memories},
        f"Backed up {made.memories} memories, {size_text(made.bytes)}, to {made.directory}",
    )


@click.command(cls=Command)
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask first.")
@click.pass_obj
def restore(app: App, directory: Path, *, yes: bool) -> None:
    """Restore a backup.

    The backup in DIRECTORY replaces the data of this machine, which is moved aside and not deleted.
    The daemon is stopped for that. Members give back everything that came after the backup. The
    search index is rebuilt.

    Example: buddies-cli restore /media/usb/buddies-monday
    """
    if not yes:
        click.confirm(
            "Everything that came to this machine after the backup will be gone. Go on?",
            abort=True,
            err=True,
        )
    said = app.restore(directory.absolute())
    app.show({"restored": str(directory.absolute()), "said": said}, said)


@click.group(cls=Group)
def store() -> None:
    """Check the data that this machine keeps on disk."""


@store.command()
@click.pass_context
def verify(context: click.Context) -> None:
    """Read every record, and name the damaged ones.

    The exit code is 1 if there are any. Members give back the records that they have; restore the
    others from a backup.

    Example: buddies-cli store verify
    """
    app = context.ensure_object(App)

    async def read(daemon: DaemonClient) -> tuple[int, list[str]]:
        done = 0
        damaged: list[str] = []
        with app.progress("Reading every record") as bar:
            async for state in daemon.verify_store():
                bar.advance(state.done - done)
                done = state.done
                damaged += state.damaged
        return done, damaged

    done, damaged = app.ask(read, doing="")
    for name in damaged[:DAMAGED_SHOWN]:
        app.note(f"damaged: {name}")
    if len(damaged) > DAMAGED_SHOWN:
        app.note(f"and {len(damaged) - DAMAGED_SHOWN} more; see them all with --json")
    sound = f"{terminal.count(done, 'record')} read"
    found = f"{len(damaged)} damaged" if damaged else "none is damaged"
    app.show({"records": done, "damaged": [*damaged]}, f"{sound}, {found}")
    if damaged:
        context.exit(FAILED)

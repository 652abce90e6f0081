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
    """Write all that this machine keeps to a directory.

    DIRECTORY must not exist yet, or be empty. The daemon goes on meanwhile. The backup holds the
    secret keys of this machine too: keep it as you keep those. `buddies-cli restore` brings it
    back.

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
    """Bring a backup back.

    What this machine keeps is replaced by the backup in DIRECTORY. The daemon is stopped for that.
    What was kept until now is moved aside, not deleted. Members bring back what came after the
    backup. The search index is made anew.

    Example: buddies-cli restore /media/usb/buddies-monday
    """
    if not yes:
        click.confirm(
            "What came to this machine after the backup will not be here. Go on?",
            abort=True,
            err=True,
        )
    said = app.restore(directory.absolute())
    app.show({"restored": str(directory.absolute()), "said": said}, said)


@click.group(cls=Group)
def store() -> None:
    """Look after what this machine keeps on disk."""


@store.command()
@click.pass_context
def verify(context: click.Context) -> None:
    """Read every record and name damaged ones.

    The exit code is 1 if there are any. What members have of them comes back by itself; the rest is
    in your backups.

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

"""The commands that install skills for agents' clients, update and remove them."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from buddies_cli import terminal
from buddies_cli.app import App, Command
from buddies_cli.mistakes import SKILL
from buddies_cli.snippets import skill_entry
from buddies_cli.tables import Column, Table, paragraph
from buddies_core.clock import SystemClock
from buddies_core.errors import BuddiesError
from buddies_core.model.skill_file import SkillHost, installed_json, plan_json
from buddies_core.model.skill_views import newest_of_publisher

if TYPE_CHECKING:
    from buddies_core.client import DaemonClient
    from buddies_core.client.skill_files import SkillDirectory
    from buddies_core.model.json_view import JsonValue
    from buddies_core.model.skill_file import InstalledSkill, InstallPlan
    from buddies_core.model.skill_views import SkillPage

HOSTS = click.Choice([host.value for host in SkillHost])
LOOK_FOR_UPDATES_S = 3.0
_INSTALLED = (
    Column("SKILL"),
    Column("CLIENT"),
    Column("VERSION", right=True),
    Column("BY", wraps=True),
    Column("HASH"),
    Column("FILE", wraps=True),
)


@click.command(cls=Command)
@click.argument("hash", type=SKILL)
@click.option("--client", type=HOSTS, required=True, help="Client that gets the skill.")
@click.option("--name", show_default="made from the title", help="Name of its directory.")
@click.option("--yes", is_flag=True, help="Install without asking.")
@click.pass_obj
def install(app: App, hash: str, client: str, name: str | None, yes: bool) -> None:
    """Install the skill with this HASH for a client's agents.

    The skill is shown first, and then written as a SKILL.md. With --json and without --yes it is
    only shown.

    Example:
        buddies-cli skill install HASH --client claude
    """
    directory = _directory(SkillHost(client))
    page = app.ask(lambda daemon: daemon.whole_skill(hash))
    plan = directory.plan(page.skill, name)
    done = _carry_out(app, directory, plan, yes=yes)
    app.show(
        plan_json(plan, installed=done),
        f"Installed {plan.path}." if done else "Nothing was installed.",
    )


@click.command(cls=Command)
@click.argument("names", nargs=-1)
@click.option("--client", type=HOSTS, show_default="all clients", help="Only of this client.")
@click.option("--yes", is_flag=True, help="Install without asking.")
@click.pass_obj
def update(app: App, names: tuple[str, ...], client: str | None, yes: bool) -> None:
    """Update installed skills, after showing each.

    Each skill is updated to its publisher's newest version. Versions by other people are ignored.

    Examples: buddies-cli skill update, buddies-cli skill update ship-a-version --client claude
    """
    found = [
        (directory, known)
        for directory in _directories(client)
        for known in directory.installed()
        if not names or known.name in names
    ]
    if not found:
        app.note("no such skill is installed" if names else "no skill is installed")
    shown: list[JsonValue] = []
    lines = []
    for directory, known in found:
        try:
            page = app.ask(partial(_newest, known))
        except BuddiesError as error:
            app.note(f"{known.name}: {error}")
            continue
        if page.skill.hash == known.hash:
            lines.append(f"{known.name} is up to date.")
            continue
        plan = directory.plan(page.skill, known.name)
        done = _carry_out(app, directory, plan, yes=yes)
        shown.append(plan_json(plan, installed=done))
        lines.append(f"Updated {plan.path}." if done else f"{known.name} stays as it is.")
    app.show({"results": shown}, "\n".join(lines))


@click.command(cls=Command)
@click.argument("name")
@click.option("--client", type=HOSTS, required=True, help="Client that has the skill.")
@click.option(
    "--force", is_flag=True, help="Remove it even if it was changed since it was installed."
)
@click.pass_obj
def uninstall(app: App, name: str, client: str, force: bool) -> None:
    """Remove the installed skill with this NAME.

    Example: buddies-cli skill uninstall ship-a-version --client claude
    """
    directory = _directory(SkillHost(client))
    gone = directory.uninstall(name, force=force)
    path = str(directory.path(name))
    app.show(
        {"uninstalled": True, **installed_json(directory.host, gone, path)}, f"Removed {path}."
    )


def list_installed(app: App) -> None:
    """Show the skills that were installed for agents' clients."""
    found = [
        (directory, known) for directory in _directories(None) for known in directory.installed()
    ]
    if not found:
        app.note("no skill is installed")
    rows = [
        (
            known.name,
            directory.host.value,
            str(known.version),
            f"{known.author_name} ({known.verified})",
            known.hash[:12],
            str(directory.path(known.name)),
        )
        for directory, known in found
    ]
    results: list[JsonValue] = [
        installed_json(directory.host, known, str(directory.path(known.name)))
        for directory, known in found
    ]
    app.show({"results": results}, Table(_INSTALLED, rows))


def _directory(host: SkillHost) -> SkillDirectory:
    from buddies_core.client.skill_files import SkillDirectory

    return SkillDirectory.of(host, os.environ, Path.cwd())


def _directories(client: str | None) -> list[SkillDirectory]:
    return [_directory(host) for host in SkillHost if client in (None, host.value)]


def _carry_out(app: App, directory: SkillDirectory, plan: InstallPlan, *, yes: bool) -> bool:
    """Show what is planned, ask, and do it; return whether it was done."""
    if not app.as_json:
        click.echo(_plan(plan))
    if not yes and (app.as_json or not click.confirm("Install this?", default=False)):
        return False
    directory.install(plan, plan.confirm, SystemClock())
    return True


async def _newest(known: InstalledSkill, daemon: DaemonClient) -> SkillPage:
    """Return the newest version that its publisher has made of an installed skill."""
    page = await daemon.whole_skill(known.hash)
    try:
        found = await daemon.search_skills(
            known.title, room=known.room, timeout_s=LOOK_FOR_UPDATES_S
        )
    except BuddiesError:  # The room was left, for one: what is here is looked at.
        found = None
    # What a member has of it and this machine has not is fetched, and is in the chain from then on.
    line = {version.hash for version in page.chain}
    for other in found.results if found else ():
        if other.parent_hash in line and other.hash not in line:
            await daemon.get_skill(other.hash, limit=1)
            line.add(other.hash)
    page = await daemon.whole_skill(known.hash)
    newest = newest_of_publisher(page.chain, known.hash, known.publisher)
    if newest is None or newest.hash == known.hash:
        return page
    return await daemon.whole_skill(newest.hash)


def _plan(plan: InstallPlan) -> str:
    skill = plan.skill
    warnings = "".join(f"\nwarning: {terminal.line(warning)}" for warning in plan.warnings)
    signed = terminal.line(skill.signed_by) if skill.signed_by else "no person's key"
    origin = f"from {terminal.line(skill.author_name)}, endpoint {terminal.line(skill.author)}"
    return (
        f"{paragraph(skill_entry(skill, body=False)).content}\n\n{origin}\nsigned by {signed}\n"
        f"to {plan.path}{warnings}\n\n"
        f"{terminal.plain(plan.diff) or 'The file is already the same.'}\n"
    )

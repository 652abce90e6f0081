"""The commands for skills: publishing, finding, voting on, reading and installing them."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from buddies_cli import terminal
from buddies_cli.app import (
    App,
    Group,
    cursor_option,
    limit_option,
    offset_option,
    page_option,
    search_timeout_option,
    text_argument,
)
from buddies_cli.snippets import origin, snippet
from buddies_cli.tables import (
    Column,
    Entries,
    Entry,
    Page,
    Raw,
    Table,
    heading,
    paragraph,
)
from buddies_core.clock import SystemClock
from buddies_core.errors import BuddiesError
from buddies_core.model import skill_json
from buddies_core.model.identity import Verified
from buddies_core.model.limits import PAGE_CHARS_DEFAULT
from buddies_core.model.memory import CONTENT_BYTES_MAX
from buddies_core.model.skill import VERSION_MAX
from buddies_core.model.skill_file import SkillHost, installed_json, plan_json
from buddies_core.model.skill_views import newest_of_publisher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buddies_cli.tables import Shown
    from buddies_core.client import DaemonClient
    from buddies_core.client.skill_files import SkillDirectory
    from buddies_core.model.json_view import JsonValue
    from buddies_core.model.skill_file import InstalledSkill, InstallPlan
    from buddies_core.model.skill_views import SkillPage, SkillVersion, SkillView

_INSTALLED = (
    Column("SKILL"),
    Column("CLIENT"),
    Column("VERSION", right=True),
    Column("BY", wraps=True),
    Column("HASH"),
    Column("FILE", wraps=True),
)
_VERSIONS = (
    Column("VERSION", right=True),
    Column(""),
    Column("RANK", right=True),
    Column("BY", wraps=True),
    Column("HASH", wraps=True),
)
HOSTS = click.Choice([host.value for host in SkillHost])
SCORES = {"up": 1, "down": -1}
LOOK_FOR_UPDATES_S = 3.0


@click.group(cls=Group)
def skill() -> None:
    """Share, find and install procedures that work."""


@skill.command()
@click.argument("text")
@click.option("--room", required=True, help="Room to share it with; you must have joined it.")
@click.option("--title", required=True, help="What it does, in a few words.")
@click.option("--tag", "tags", multiple=True, help="A word to filter by; may be given often.")
@click.option("--parent", default="", help="Hash of the version that this one improves.")
@click.option(
    "--version",
    type=click.IntRange(1, VERSION_MAX),
    help="Its number; one more than the parent's if left out.",
)
@click.pass_obj
def publish(
    app: App,
    text: str,
    room: str,
    title: str,
    tags: tuple[str, ...],
    parent: str,
    version: int | None,
) -> None:
    """Share the skill TEXT, which is Markdown, with the room; - reads it from stdin."""
    content = text_argument(text, CONTENT_BYTES_MAX)
    view = app.ask(
        lambda daemon: daemon.publish_skill(
            room=room,
            title=title,
            content=content,
            tags=tags,
            version=version or 0,
            parent_hash=parent,
        )
    )
    signed = f", signed by {terminal.signer(view.signed_by)}" if view.signed_by else ", unsigned"
    app.show(
        skill_json.skill_json(view),
        f"Published {view.hash} in {terminal.line(view.room)}, version {view.version}{signed}.",
    )


@skill.command()
@click.argument("query")
@click.option("--room", help="In this room; in all of them if left out.")
@click.option("--tag", "tags", multiple=True, help="With this tag, or another one given.")
@search_timeout_option
@limit_option
@click.pass_obj
def search(
    app: App, query: str, room: str | None, tags: tuple[str, ...], timeout_s: float, limit: int
) -> None:
    """Search by meaning, here and at every member who is present."""
    found = app.ask(
        lambda daemon: daemon.search_skills(
            query, room=room, tags=tags, timeout_s=timeout_s, limit=limit
        )
    )
    for peer in found.answered:
        count = terminal.count(peer.results, "result")
        app.note(f"{peer.name} answered in {peer.elapsed_ms} ms: {count}")
    for silent in found.unanswered:
        app.note(f"{silent.name} did not answer: {silent.reason}")
    for note in found.notes:
        app.note(note)
    if not found.results:
        app.note("nothing found")
    app.show(skill_json.skill_search_json(found), _entries(found.results))


@skill.command()
@click.argument("hash")
@click.argument("opinion", type=click.Choice(list(SCORES)))
@click.option("--room", required=True, help="The room that the skill is in.")
@click.pass_obj
def vote(app: App, hash: str, opinion: str, room: str) -> None:
    """Vote for (up) or against (down) the skill with this HASH; the newest vote counts."""
    report = app.ask(lambda daemon: daemon.vote_skill(room=room, hash=hash, score=SCORES[opinion]))
    if not report.counted:
        app.note("the room's policy does not count this machine's votes")
    app.show(skill_json.vote_json(report), f"Voted {opinion}; its rank is {report.rank} now.")


@skill.command()
@click.argument("hash")
@offset_option
@page_option
@click.pass_obj
def get(app: App, hash: str, offset: int, limit: int | None) -> None:
    """Read the skill with this HASH, its versions and what it changes."""

    async def read(daemon: DaemonClient) -> SkillPage:
        if limit is None and not offset and not app.as_json:
            return await daemon.whole_skill(hash)
        return await daemon.get_skill(hash, offset, limit or PAGE_CHARS_DEFAULT)

    page = app.ask(read)
    if page.next_offset is not None:
        app.note(f"{page.total} characters in all; go on with --offset {page.next_offset}")
    parts: list[Shown] = [
        paragraph(_entry(page.skill, body=False)),
        Raw(terminal.plain(page.skill.content)),
    ]
    if len(page.chain) > 1:
        rows = [_version_row(version, page.skill.hash) for version in page.chain]
        parts += [heading("Versions"), Table(_VERSIONS, rows)]
    if page.diff:
        parts += [heading("Changes"), Raw(terminal.plain(page.diff))]
    app.show(skill_json.skill_page_json(page), Page(parts))


@skill.command(name="list")
@click.option("--room", help="In this room; in all of them if left out.")
@click.option("--tag", "tags", multiple=True, help="With this tag, or another one given.")
@limit_option
@cursor_option
@click.option("--installed", is_flag=True, help="Those that were installed for agents' clients.")
@click.pass_obj
def list_(
    app: App, room: str | None, tags: tuple[str, ...], limit: int, cursor: str, installed: bool
) -> None:
    """List this machine's skills, the latest first."""
    if installed:
        _list_installed(app)
        return
    found = app.ask(
        lambda daemon: daemon.list_skills(room=room, tags=tags, limit=limit, cursor=cursor)
    )
    if not found.results:
        app.note("no skill")
    if found.damaged:
        app.note(f"warning: {terminal.count(found.damaged, 'damaged record')} skipped")
    app.show(skill_json.skill_list_json(found), _entries(found.results))
    app.note_more(found.next_cursor)


@skill.command()
@click.argument("hash")
@click.option("--client", type=HOSTS, required=True, help="Whose skill directory it goes to.")
@click.option("--name", help="Name of its directory; made of the title if left out.")
@click.option("--yes", is_flag=True, help="Install without asking.")
@click.pass_obj
def install(app: App, hash: str, client: str, name: str | None, yes: bool) -> None:
    """Write the skill with this HASH as a SKILL.md for a client's agents, after showing it.

    With --json and without --yes it is only shown.
    """
    directory = _directory(SkillHost(client))
    page = app.ask(lambda daemon: daemon.whole_skill(hash))
    plan = directory.plan(page.skill, name)
    done = _carry_out(app, directory, plan, yes=yes)
    app.show(
        plan_json(plan, installed=done),
        f"Installed {plan.path}." if done else "Nothing was installed.",
    )


@skill.command()
@click.argument("names", nargs=-1)
@click.option("--client", type=HOSTS, help="Of this client; of all if left out.")
@click.option("--yes", is_flag=True, help="Install without asking.")
@click.pass_obj
def update(app: App, names: tuple[str, ...], client: str | None, yes: bool) -> None:
    """Bring installed skills to their publishers' newest versions, after showing each.

    Versions that somebody else has made of a skill are left alone.
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


@skill.command()
@click.argument("name")
@click.option("--client", type=HOSTS, required=True, help="Whose skill directory it is in.")
@click.option("--force", is_flag=True, help="Also if it was changed since it was installed.")
@click.pass_obj
def uninstall(app: App, name: str, client: str, force: bool) -> None:
    """Remove the installed skill of this NAME."""
    directory = _directory(SkillHost(client))
    gone = directory.uninstall(name, force=force)
    path = str(directory.path(name))
    app.show(
        {"uninstalled": True, **installed_json(directory.host, gone, path)}, f"Removed {path}."
    )


def _list_installed(app: App) -> None:
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
        f"{paragraph(_entry(skill, body=False)).content}\n\n{origin}\nsigned by {signed}\n"
        f"to {plan.path}{warnings}\n\n"
        f"{terminal.plain(plan.diff) or 'The file is the same already.'}\n"
    )


def _version_row(version: SkillVersion, shown: str) -> tuple[str, ...]:
    mark = "→" if version.hash == shown else ""
    who = f"{version.author_name} ({version.verified})"
    return f"{version.version}", mark, str(version.rank), who, version.hash


def _entries(views: Sequence[SkillView]) -> Entries:
    return Entries([_entry(view) for view in views])


def _entry(view: SkillView, *, body: bool = True) -> Entry:
    author = f"{view.author_name} ({view.agent})" if view.agent else view.author_name
    how = {
        Verified.SIGNER: ", signed",
        Verified.PEER: ", not signed by a person",
        Verified.UNVERIFIED: ", unverified",
    }[view.verified]
    tags = f", tagged {', '.join(view.tags)}" if view.tags else ""
    apart = view.uncounted.up + view.uncounted.down
    uncounted = f" and {apart} that do not count" if apart else ""
    said = (
        f"version {view.version} in {view.room} by {author}{how},"
        f" {terminal.when(view.created_at_s * 1000)}{tags}"
    )
    votes = f"rank {view.votes.rank}: {view.votes.up} up, {view.votes.down} down{uncounted}"
    return Entry(
        title=view.title,
        lines=(said, votes, origin(view.match)),
        id=view.hash,
        body=snippet("", view.content, view.match) if body else "",
    )

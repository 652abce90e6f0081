"""The commands for skills: publishing, finding, voting on, reading and installing them."""

from __future__ import annotations

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
from buddies_cli.commands.skill_install import install, list_installed, uninstall, update
from buddies_cli.mistakes import ROOM, SKILL
from buddies_cli.snippets import skill_entry
from buddies_cli.tables import Column, Entries, Page, Raw, Table, heading, paragraph
from buddies_core.model import json_view
from buddies_core.model.limits import PAGE_CHARS_DEFAULT
from buddies_core.model.memory import CONTENT_BYTES_MAX
from buddies_core.model.skill import VERSION_MAX

if TYPE_CHECKING:
    from buddies_cli.tables import Shown
    from buddies_core.client import DaemonClient
    from buddies_core.model.skill_views import SkillPage, SkillVersion

_VERSIONS = (
    Column("VERSION", right=True),
    Column(""),
    Column("RANK", right=True),
    Column("BY", wraps=True),
    Column("HASH", wraps=True),
)
SCORES = {"up": 1, "down": -1}


@click.group(cls=Group)
def skill() -> None:
    """Share, find and install procedures that work."""


@skill.command()
@click.argument("text")
@click.option("--room", type=ROOM, required=True, help="Room that this machine is in.")
@click.option("--title", required=True, help="Its purpose, in a few words.")
@click.option("--tag", "tags", multiple=True, help="A word to filter by; may be given often.")
@click.option("--parent", default="", help="Hash of the version that this one improves.")
@click.option(
    "--version",
    type=click.IntRange(1, VERSION_MAX),
    show_default="one more than the parent's",
    help="Its number.",
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
    """Share the skill TEXT with the room.

    TEXT is Markdown; - reads it from stdin.

    Example: cat release.md | buddies-cli skill publish - --room feature-a --title "Ship a version"
    """
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
        json_view.json_of(view),
        f"Published {view.hash} in {terminal.line(view.room)}, version {view.version}{signed}.",
    )


@skill.command()
@click.argument("query")
@click.option("--room", type=ROOM, help="Only of this room.", show_default="all rooms")
@click.option(
    "--tag",
    "tags",
    multiple=True,
    help="Only with this tag; may be given often, for any of several.",
)
@search_timeout_option
@limit_option
@click.pass_obj
def search(
    app: App, query: str, room: str | None, tags: tuple[str, ...], timeout_s: float, limit: int
) -> None:
    """Search by meaning, here and at every member who is present.

    Example: buddies-cli skill search "ship a new version"
    """
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
    app.show(json_view.json_of(found), Entries([*map(skill_entry, found.results)]))


@skill.command()
@click.argument("hash", type=SKILL)
@click.argument("opinion", type=click.Choice(list(SCORES)))
@click.option("--room", type=ROOM, required=True, help="The room that the skill is in.")
@click.pass_obj
def vote(app: App, hash: str, opinion: str, room: str) -> None:
    """Vote for (up) or against (down) the skill with this HASH.

    Only the latest vote of a machine counts.

    Example:
        buddies-cli skill vote HASH up --room feature-a
    """
    report = app.ask(lambda daemon: daemon.vote_skill(room=room, hash=hash, score=SCORES[opinion]))
    if not report.counted:
        app.note("the room's policy does not count this machine's votes")
    app.show(json_view.vote_json(report), f"Voted {opinion}; its rank is {report.rank} now.")


@skill.command()
@click.argument("hash", type=SKILL)
@offset_option
@page_option
@click.pass_obj
def get(app: App, hash: str, offset: int, limit: int | None) -> None:
    """Read the skill with this HASH, and see its versions.

    The changes since the previous version are shown, too.

    Example: buddies-cli skill get HASH
    """

    async def read(daemon: DaemonClient) -> SkillPage:
        if limit is None and not offset and not app.as_json:
            return await daemon.whole_skill(hash)
        return await daemon.get_skill(hash, offset, limit or PAGE_CHARS_DEFAULT)

    page = app.ask(read)
    if page.next_offset is not None:
        app.note(f"{page.total} characters in all; go on with --offset {page.next_offset}")
    parts: list[Shown] = [
        paragraph(skill_entry(page.skill, body=False)),
        Raw(terminal.plain(page.skill.content)),
    ]
    if len(page.chain) > 1:
        rows = [_version_row(version, page.skill.hash) for version in page.chain]
        parts += [heading("Versions"), Table(_VERSIONS, rows)]
    if page.diff:
        parts += [heading("Changes"), Raw(terminal.plain(page.diff))]
    app.show(json_view.json_of(page), Page(parts))


@skill.command(name="list")
@click.option("--room", type=ROOM, help="Only of this room.", show_default="all rooms")
@click.option(
    "--tag",
    "tags",
    multiple=True,
    help="Only with this tag; may be given often, for any of several.",
)
@limit_option
@cursor_option
@click.option(
    "--installed", is_flag=True, help="Only the skills that are installed for agents' clients."
)
@click.pass_obj
def list_(
    app: App, room: str | None, tags: tuple[str, ...], limit: int, cursor: str, installed: bool
) -> None:
    """List this machine's skills, the latest first.

    Examples: buddies-cli skill list, buddies-cli skill list --installed
    """
    if installed:
        list_installed(app)
        return
    found = app.ask(
        lambda daemon: daemon.list_skills(room=room, tags=tags, limit=limit, cursor=cursor)
    )
    if not found.results:
        app.note("no skill")
    if found.damaged:
        app.note(f"warning: {terminal.count(found.damaged, 'damaged record')} skipped")
    app.show(json_view.json_of(found), Entries([*map(skill_entry, found.results)]))
    app.note_more(found.next_cursor)


def _version_row(version: SkillVersion, shown: str) -> tuple[str, ...]:
    mark = "→" if version.hash == shown else ""
    who = f"{version.author_name} ({version.verified})"
    return f"{version.version}", mark, str(version.rank), who, version.hash


for command in (install, update, uninstall):
    skill.add_command(command)

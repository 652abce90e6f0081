"""The commands for memories: storing, finding, reading, deleting and forgetting them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, Unpack

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
from buddies_cli.commands.transfer import export, import_
from buddies_cli.mistakes import ID, ROOM
from buddies_cli.snippets import origin, snippet
from buddies_cli.tables import Column, Entries, Entry, Page, Raw, Table, paragraph
from buddies_core.clock import SystemClock
from buddies_core.model import json_view
from buddies_core.model.fields import FilterFields, MemoryFields
from buddies_core.model.identity import Verified
from buddies_core.model.limits import PAGE_CHARS_DEFAULT
from buddies_core.model.memory import CONTENT_BYTES_MAX, MemoryKind
from buddies_core.model.moments import FORMS, moment_ms
from buddies_core.model.views import Relation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from buddies_core.client import DaemonClient
    from buddies_core.model.views import MemoryPage, MemoryView, SearchResult

KINDS = click.Choice([kind.value for kind in MemoryKind])

CommandT = TypeVar("CommandT", bound="Callable[..., Any]")


def filter_options(command: CommandT) -> CommandT:
    """Give a command the options that fill FilterFields, and how many to show."""
    for option in (
        limit_option,
        click.option(
            "--include-superseded",
            is_flag=True,
            help="Also show memories that newer ones have replaced.",
        ),
        click.option(
            "--since", "since_ms", callback=_moment, help=f"Only created since then: {FORMS}."
        ),
        click.option("--agent", help="Only stored by this agent, such as claude-code."),
        click.option("--author", help="Only by this author: a user name or an endpoint id."),
        click.option(
            "--tag",
            "tags",
            multiple=True,
            help="Only with this tag; may be given often, for any of several.",
        ),
        click.option("--kind", type=KINDS, help="Only of this kind."),
        click.option("--room", type=ROOM, help="Only of this room.", show_default="all rooms"),
    ):
        command = option(command)
    return command


def _moment(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    return None if text is None else moment_ms(text, SystemClock().wall_ms())


@click.group(cls=Group)
def memory() -> None:
    """Store, find and read the team's memories."""


@memory.command()
@click.argument("text")
@click.option("--room", type=ROOM, required=True, help="Room that this machine is in.")
@click.option("--title", default="", show_default="the first line", help="Short title.")
@click.option("--kind", type=KINDS, default=MemoryKind.CONTEXT.value, help="What it is.")
@click.option("--tag", "tags", multiple=True, help="A word to filter by; may be given often.")
@click.option("--reference", "references", multiple=True, help="Id of a memory that it builds on.")
@click.option("--supersedes", type=ID, default="", help="Id of a memory that it replaces.")
@click.pass_obj
def store(app: App, text: str, room: str, **fields: Unpack[MemoryFields]) -> None:
    """Store TEXT and send it to every member of the room.

    - reads TEXT from stdin.

    Examples:
        buddies-cli memory store "We use PostgreSQL 16" --room feature-a --kind decision,
        cat notes.md | buddies-cli memory store - --room feature-a
    """
    content = text_argument(text, CONTENT_BYTES_MAX)
    view = app.ask(lambda daemon: daemon.store_memory(room=room, content=content, **fields))
    for old in view.proposed_for:
        app.note(f"somebody else wrote {old}, so this one is shown as a proposal beside it")
    told = terminal.count(view.told or 0, "member")
    app.show(
        json_view.json_of(view),
        f"Stored {view.id} in {terminal.line(view.room)}; {told} present to receive it.",
    )


@memory.command(name="list")
@filter_options
@click.option("--oldest-first", is_flag=True, help="Begin with the oldest, not the newest.")
@cursor_option
@click.pass_obj
def list_(
    app: App, cursor: str, limit: int, *, oldest_first: bool, **filter: Unpack[FilterFields]
) -> None:
    """List this machine's memories, newest first.

    Examples: buddies-cli memory list, buddies-cli memory list --room feature-a --since 7d
    """
    found = app.ask(
        lambda daemon: daemon.list_memories(
            **filter, limit=limit, oldest_first=oldest_first, cursor=cursor
        )
    )
    if not found.results:
        app.note("no memory")
    if found.damaged:
        app.note(f"warning: {terminal.count(found.damaged, 'damaged record')} skipped")
    app.show(json_view.json_of(found), _entries(found.results))
    app.note_more(found.next_cursor)


@memory.command()
@click.argument("query")
@search_timeout_option
@filter_options
@click.pass_obj
def search(
    app: App, query: str, timeout_s: float, limit: int, **filter: Unpack[FilterFields]
) -> None:
    """Search by meaning, here and at every member who is present.

    Examples:
        buddies-cli memory search "how is the DB set up?",
        buddies-cli memory search migrations --room feature-a --kind decision
    """
    result = app.ask(
        lambda daemon: daemon.search_memory(query, timeout_s=timeout_s, limit=limit, **filter)
    )
    for note in _asked(result):
        app.note(note)
    app.show(json_view.json_of(result), _entries(result.results))


@memory.command()
@click.argument("id", type=ID)
@offset_option
@page_option
@click.pass_obj
def get(app: App, id: str, offset: int, limit: int | None) -> None:
    """Read the memory with this ID.

    Example: buddies-cli memory get ID
    """

    async def read(daemon: DaemonClient) -> MemoryPage:
        if limit is None and not app.as_json:
            return await daemon.whole_memory(id, offset)
        return await daemon.get_memory(id, offset, limit or PAGE_CHARS_DEFAULT)

    page = app.ask(read)
    view = page.memory
    if page.next_offset is not None:
        app.note(f"{page.total} characters in all; go on with --offset {page.next_offset}")
    elif view.truncated:
        app.note("only its beginning has reached this machine so far")
    human = Page(
        [paragraph(_entry(view, body=False)), Raw(terminal.plain(view.content)), _links(page)]
    )
    app.show(json_view.json_of(page), human)


@memory.command()
@click.argument("id", type=ID)
@click.option("--reason", default="", help="The reason, for people who ask for it later.")
@click.pass_obj
def delete(app: App, id: str, reason: str) -> None:
    """Erase the memory with this ID on all machines, for ever.

    This machine, or another one with the same identity, must have stored it. Machines that are off
    erase it as soon as they hear of the deletion. If several authors share an ID, add @ and the
    beginning of the author's id.

    Example: buddies-cli memory delete ID --reason outdated
    """
    deleted = app.ask(lambda daemon: daemon.delete_memory(id, reason))
    what = terminal.line(f"{deleted.id} ({deleted.title}) from {deleted.room}")
    app.show(json_view.json_of(deleted), f"Deleted {what}.")


@memory.command()
@click.argument("id", type=ID)
@click.option("--undo", is_flag=True, help="Show it again.")
@click.pass_obj
def forget(app: App, id: str, undo: bool) -> None:
    """Hide the memory with this ID on this machine only.

    Anyone may have written it. Lists and searches leave it out, and members that search don't get
    it from this machine. Its text stays on the disk, so that --undo can show it again.

    Examples:
        buddies-cli memory forget ID,
        buddies-cli memory forget ID --undo
    """
    titles = app.ask(lambda daemon: daemon.forget_memory(id, undo=undo))
    what = "Shown again" if undo else "Forgotten"
    human = "\n".join(f"{what}: {terminal.line(title)}" for title in titles)
    app.show(json_view.forgotten_json(id, titles, undo=undo), human)


_RELATIONS = {
    Relation.SUPERSEDES: "replaces",
    Relation.SUPERSEDED_BY: "replaced by",
    Relation.PROPOSED_FOR: "proposed in place of",
    Relation.PROPOSALS: "proposed in its place",
    Relation.REFERS_TO: "refers to",
    Relation.REFERRED_BY: "referred to by",
}


def _links(page: MemoryPage) -> Table:
    """Return the memories that this one has to do with, a line each."""
    columns = [Column("LINK"), Column("MEMORY"), Column("TITLE", wraps=True), Column("AUTHOR")]
    rows = [
        (
            _RELATIONS[link.relation],
            str(link.id),
            link.title or "(not on this machine)",
            link.author_name,
        )
        for link in page.links
    ]
    return Table(columns, rows)


def _asked(result: SearchResult) -> list[str]:
    """Return what a person should know of who was asked."""
    answered = [
        f"{peer.name} answered in {peer.elapsed_ms} ms: {terminal.count(peer.results, 'result')}"
        for peer in result.answered
    ]
    unanswered = [f"{peer.name} did not answer: {peer.reason}" for peer in result.unanswered]
    nothing = [] if result.results else ["nothing found"]
    return [*answered, *unanswered, *result.notes, *nothing]


def _entries(views: Sequence[MemoryView]) -> Entries:
    return Entries([_entry(view) for view in views])


def _entry(view: MemoryView, *, body: bool = True) -> Entry:
    author = f"{view.author_name} ({view.agent})" if view.agent else view.author_name
    doubt = {
        Verified.SIGNER: f", signed by {terminal.signer(view.signed_by)}",
        Verified.PEER: "",
        Verified.UNVERIFIED: ", unverified",
    }[view.verified]
    tags = f", tagged {', '.join(view.tags)}" if view.tags else ""
    said = (
        f"{view.kind} in {view.room} by {author}{doubt},"
        f" {terminal.when(view.created_at_s * 1000)}{tags}"
    )
    return Entry(
        title=view.title,
        lines=(said, *(_replaced(view) if body else ()), origin(view.match)),
        id=str(view.id),
        body=snippet(view.title, view.content, view.match) if body else "",
    )


memory.add_command(export)
memory.add_command(import_)


def _replaced(view: MemoryView) -> list[str]:
    """Return a line for each kind of memory that is linked with a listed one."""
    kinds = (
        (Relation.SUPERSEDED_BY, view.superseded_by),
        (Relation.PROPOSALS, view.proposals),
        (Relation.PROPOSED_FOR, view.proposed_for),
    )
    return [f"{_RELATIONS[it]} {', '.join(map(str, ids))}" for it, ids in kinds if ids]

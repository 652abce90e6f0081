"""The commands for policies: whom this machine hears in a room."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import click

from buddies_cli import terminal
from buddies_cli.app import App, Group, cursor_option
from buddies_cli.mistakes import ROOM
from buddies_cli.tables import Column, Page, Prose, Table, heading
from buddies_core.errors import InvalidInput, NotAllowed
from buddies_core.model.ids import short
from buddies_core.model.json_view import json_of

if TYPE_CHECKING:
    from buddies_cli.tables import Shown
    from buddies_core.client import DaemonClient
    from buddies_core.model.policy import AffectedMember, PolicyReport, PolicyView

Change: TypeAlias = "Callable[[DaemonClient, bool], Awaitable[PolicyReport]]"
"""Asks for a change; the second argument says that the person has confirmed it."""

_AFFECTED = (
    Column("MEMBER", wraps=True),
    Column("ENDPOINT"),
    Column("HERE"),
    Column("KEY", wraps=True),
)
_YES = click.option(
    "--yes", is_flag=True, help="Do it even if it locks this machine out or opens the room."
)


@click.group(cls=Group)
def policy() -> None:
    """Decide whose messages this machine accepts in a room.

    LABEL is ssh: and a public key line, or gpg: and the full fingerprint of a key. A policy applies
    to this machine only.
    """


@policy.command()
@click.argument("room", type=ROOM)
@cursor_option
@click.pass_obj
def show(app: App, room: str, cursor: str) -> None:
    """Show whose messages this machine accepts in ROOM.

    Example: buddies-cli policy show feature-a
    """
    view = app.ask(lambda daemon: daemon.get_policy(room, cursor))
    _warn(app, view)
    app.show(json_of(view), _page(view))
    app.note_more(view.next_cursor)


@policy.command(name="set")
@click.argument("room", type=ROOM)
@click.option(
    "--require-signed/--no-require-signed",
    default=False,
    help="Accept only machines for which a person's key vouches.",
)
@click.option(
    "--identity", "identities", multiple=True, help="LABEL to accept; may be given often."
)
@_YES
@click.pass_obj
def set_(app: App, room: str, require_signed: bool, identities: tuple[str, ...], yes: bool) -> None:
    """Give ROOM a new policy, which replaces the current one.

    Example: buddies-cli policy set feature-a --require-signed
    """
    if not identities and not require_signed:
        raise InvalidInput(
            "there is nothing to set: give --identity or --require-signed; to hear everybody "
            "again: buddies-cli policy clear ROOM"
        )
    _change(
        app,
        lambda daemon, confirm: daemon.set_policy(
            room, identities, require_signed=require_signed, confirm=confirm
        ),
        yes=yes,
    )


@policy.command()
@click.argument("room", type=ROOM)
@click.argument("label")
@_YES
@click.pass_obj
def add(app: App, room: str, label: str, yes: bool) -> None:
    """Put LABEL on the whitelist of ROOM.

    The first one closes the room to all others.

    Example: buddies-cli policy add feature-a "ssh:ssh-ed25519 AAAAC3Nz…"
    """
    _change(
        app,
        lambda daemon, confirm: daemon.add_to_policy(room, label, confirm=confirm),
        yes=yes,
    )


@policy.command()
@click.argument("room", type=ROOM)
@click.argument("label")
@_YES
@click.pass_obj
def remove(app: App, room: str, label: str, yes: bool) -> None:
    """Take LABEL off the whitelist of ROOM.

    Example: buddies-cli policy remove feature-a gpg:0123456789ABCDEF0123456789ABCDEF01234567
    """
    _change(
        app,
        lambda daemon, confirm: daemon.remove_from_policy(room, label, confirm=confirm),
        yes=yes,
    )


@policy.command()
@click.argument("room", type=ROOM)
@click.pass_obj
def clear(app: App, room: str) -> None:
    """Accept messages from everyone in ROOM again.

    Example: buddies-cli policy clear feature-a
    """
    _change(app, lambda daemon, confirm: daemon.set_policy(room, confirm=confirm), yes=False)


def _change(app: App, change: Change, *, yes: bool) -> None:
    """Make a change and show what it does; what has to be confirmed is asked at a terminal."""
    try:
        report = app.ask(lambda daemon: change(daemon, yes))
    except NotAllowed as refused:
        if app.as_json or not sys.stdin.isatty():
            raise
        app.note(f"warning: {refused}")
        if not click.confirm("Do it all the same?", default=False, err=True):
            raise NotAllowed("the policy is unchanged") from refused
        report = app.ask(lambda daemon: change(daemon, True))
    _warn(app, report.view)
    parts = [
        _page(report.view),
        *_affected("Not accepted any more, or still not", report.shut_out, report.shut_out_total),
        *_affected("Accepted from now on", report.admitted, report.admitted_total),
    ]
    app.show(json_of(report), Page(parts))


def _warn(app: App, view: PolicyView) -> None:
    for warning in view.warnings:
        app.note(f"warning: {warning}")


def _page(view: PolicyView) -> Shown:
    rows = [
        (label, "this machine's" if label == view.local_identity else "")
        for label in view.identities
    ]
    own = f"This machine's own identity: {view.local_identity or 'none'}"
    return Page(
        [
            heading(f"{view.room}: {view.meaning}"),
            Table((Column("IDENTITY", wraps=True), Column("WHOSE")), rows),
            Prose(terminal.dim(terminal.line(own))),
        ]
    )


def _affected(title: str, members: Sequence[AffectedMember], total: int) -> list[Shown]:
    if not members:
        return []
    rows = [
        (
            member.name,
            short(member.endpoint) or "unknown",
            "present" if member.present else "absent",
            member.signed_by or "no key known",
        )
        for member in members
    ]
    more = [Prose(f"and {total - len(members)} more")] if total > len(members) else []
    return [heading(f"{title} ({total})"), Table(_AFFECTED, rows), *more]

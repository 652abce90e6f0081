"""The commands for identities: whose things are hidden on this machine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from buddies_cli import terminal
from buddies_cli.app import App, Group
from buddies_core.clock import SystemClock
from buddies_core.errors import NotAllowed
from buddies_core.model.json_view import json_of, restored_json
from buddies_core.model.moments import FORMS, moment_ms

if TYPE_CHECKING:
    from buddies_core.model.revocation import ItemCounts, RevocationView


@click.group(cls=Group)
def identity() -> None:
    """Hide everything from an identity, and show it again.

    LABEL is 'ssh:PUBLIC-KEY-LINE' or gpg:FINGERPRINT, as results show it in signed_by, or
    peer:ENDPOINT-ID for a machine whose owner signs with no key.
    """


@identity.command()
@click.argument("label")
@click.option("--since", required=True, help=f"Entries first received here since then: {FORMS}.")
@click.option("--yes", is_flag=True, help="Do it even if it is this machine's own identity.")
@click.pass_obj
def revoke(app: App, label: str, since: str, yes: bool) -> None:
    """Hide everything that came from the identity LABEL since a time.

    This hides its memories, skills and votes on this machine, from your agents and from peers that
    ask this machine; later ones are hidden, too. Nothing is deleted. Give the time when the key
    was lost or the machine was taken over, and older entries stay visible.

    Example: buddies-cli identity revoke "ssh:ssh-ed25519 AAAAC3Nz…" --since 2d
    """
    since_ms = moment_ms(since, SystemClock().wall_ms())
    try:
        view = app.ask(lambda daemon: daemon.revoke_identity(label, since_ms, own_too=yes))
    except NotAllowed as refusal:
        if app.as_json or not sys.stdin.isatty():
            raise
        app.note(str(refusal))
        if not click.confirm(
            "Hide the entries of this machine all the same?", default=False, err=True
        ):
            raise NotAllowed("nothing is hidden") from refusal
        view = app.ask(lambda daemon: daemon.revoke_identity(label, since_ms, own_too=True))
    app.show(json_of(view), _revoked(view))


@identity.command()
@click.argument("label")
@click.pass_obj
def restore(app: App, label: str) -> None:
    """Undo the revocation of the identity LABEL.

    Example: buddies-cli identity restore "ssh:ssh-ed25519 AAAAC3Nz…"
    """
    view = app.ask(lambda daemon: daemon.restore_identity(label))
    app.show(
        restored_json(view),
        f"{terminal.line(view.revocation.label)} is restored. Shown again: {_items(view.hidden)}.",
    )


@identity.command(name="list")
@click.pass_obj
def list_(app: App) -> None:
    """List the revoked identities and how much each hides.

    Example: buddies-cli identity list
    """
    views = app.ask(lambda daemon: daemon.revoked_identities())
    if not views:
        app.note("no identity is revoked")
    app.show({"results": [json_of(it) for it in views]}, "\n".join(map(_revoked, views)))


def _revoked(view: RevocationView) -> str:
    revocation = view.revocation
    whose = ", which is this machine's own," if view.is_own else ""
    lines = [
        f"{terminal.line(revocation.label)}{whose} is revoked since "
        f"{terminal.when(revocation.since_ms)}."
    ]
    if view.hidden.total or view.shown.total:
        lines.append(f"  Hidden: {_items(view.hidden)}.")
        if view.shown.total:
            lines.append(f"  Received before, and still shown: {_items(view.shown)}.")
    else:
        lines.append("  This machine has nothing from it; later entries will be hidden.")
    return "\n".join(lines)


def _items(counts: ItemCounts) -> str:
    memories = "1 memory" if counts.memories == 1 else f"{counts.memories} memories"
    skills = terminal.count(counts.skills, "skill")
    return f"{memories}, {skills}, {terminal.count(counts.votes, 'vote')}"

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
    """Hide what an identity has said, and bring it back.

    LABEL is 'ssh:PUBLIC-KEY-LINE' or gpg:FINGERPRINT, as results show it in signed_by, or
    peer:ENDPOINT-ID for a machine whose owner signs with no key.
    """


@identity.command()
@click.argument("label")
@click.option("--since", required=True, help=f"First received here since then: {FORMS}.")
@click.option("--yes", is_flag=True, help="Also if it is this machine's own identity.")
@click.pass_obj
def revoke(app: App, label: str, since: str, yes: bool) -> None:
    """Hide what the identity LABEL has brought here since a time.

    That is its memories, skills and votes: on this machine, from your agents and from the peers
    that ask it; what comes in later is hidden too. Nothing is deleted. To see the older things as
    before, give the time when the key was lost or the machine taken over.

    Example: buddies-cli identity revoke "ssh:ssh-ed25519 AAAAC3Nz…" --since 2d
    """
    since_ms = moment_ms(since, SystemClock().wall_ms())
    try:
        view = app.ask(lambda daemon: daemon.revoke_identity(label, since_ms, own_too=yes))
    except NotAllowed as refusal:
        if app.as_json or not sys.stdin.isatty():
            raise
        app.note(str(refusal))
        if not click.confirm("Hide what is said here all the same?", default=False, err=True):
            raise NotAllowed("nothing is hidden") from refusal
        view = app.ask(lambda daemon: daemon.revoke_identity(label, since_ms, own_too=True))
    app.show(json_of(view), _revoked(view))


@identity.command()
@click.argument("label")
@click.pass_obj
def restore(app: App, label: str) -> None:
    """Show again what revoking the identity LABEL has hidden.

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
    """List the identities that are revoked, and what that hides.

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
        lines.append("  Nothing of it is on this machine; what comes will be hidden.")
    return "\n".join(lines)


def _items(counts: ItemCounts) -> str:
    memories = "1 memory" if counts.memories == 1 else f"{counts.memories} memories"
    skills = terminal.count(counts.skills, "skill")
    return f"{memories}, {skills}, {terminal.count(counts.votes, 'vote')}"

"""The commands for the daemon itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from buddies_cli import terminal
from buddies_cli.app import App, Command, Group
from buddies_cli.tables import Facts
from buddies_core.model import json_view

if TYPE_CHECKING:
    from buddies_core.model.views import AgentView, DaemonInfo, DaemonStatus


@click.group(cls=Group)
def daemon() -> None:
    """Start, stop and inspect this machine's daemon."""


@daemon.command()
@click.pass_obj
def start(app: App) -> None:
    """Start the daemon if none is running.

    Example: buddies-cli daemon start
    """
    status = app.ask(lambda client: client.status())
    app.show(json_view.json_of(status), f"The daemon runs as process {status.info.pid}.")


@daemon.command()
@click.pass_obj
def stop(app: App) -> None:
    """Stop the daemon and wait until it is gone.

    A daemon that does not answer is ended after 20 s; nothing that was acknowledged is lost.

    Example: buddies-cli daemon stop
    """
    pid = app.stop()
    app.show({"stopped": pid}, f"Stopped the daemon, which was process {pid}.")


@daemon.command()
@click.pass_context
def restart(context: click.Context) -> None:
    """Restart the daemon with the current settings.

    If none is running, one is started. The settings are checked before the running daemon is
    stopped. A daemon that does not answer is ended after 20 s; nothing that was acknowledged is
    lost.

    Example: buddies-cli daemon restart
    """
    context.ensure_object(App).restart()
    context.invoke(start)


@daemon.command()
@click.pass_obj
def status(app: App) -> None:
    """Show the daemon's state, with all its counters.

    Example: buddies-cli daemon status
    """
    overview = app.ask(lambda client: client.status(), start=False)
    app.show(json_view.json_of(overview), _facts(overview))


def _facts(status: DaemonStatus) -> Facts:
    """Return everything that a daemon says of its state."""
    info = status.info
    network = f"{info.network}, relay {info.relay_url}" if info.relay_url else info.network
    rows = [
        ("daemon", f"{info.version}, process {info.pid}, up {terminal.span(status.uptime_s)}"),
        ("user", info.user),
        ("endpoint", info.endpoint.hex()),
        ("identity", _identity(info)),
        ("network", network),
        ("0.1.4 peers", "" if info.legacy else "refused (BUDDIES_LEGACY=off)"),
        ("addresses", ", ".join(status.addresses)),
        ("data", info.data_dir),
        ("rooms", ", ".join(status.rooms) or "none"),
        *(("agent", _agent(agent)) for agent in status.agents),
        ("peers", terminal.count(status.peers_connected, "connection")),
        ("memories", str(status.memories)),
        ("disk", terminal.disk_use(status.disk)),
        ("index", status.index),
        ("model", status.model),
        ("counters", ", ".join(f"{name} {number}" for name, number in status.counters)),
        *(("history", terminal.catching_up(it)) for it in status.catching_up),
        *(("warning", warning) for warning in status.warnings),
    ]
    return Facts(rows)


@click.command(cls=Command)
@click.pass_obj
def whoami(app: App) -> None:
    """Show this machine's identity, and the key that vouches for it.

    Example: buddies-cli whoami
    """
    info = app.ask(lambda client: client.status()).info
    rows = [
        ("user", info.user),
        ("endpoint", info.endpoint.hex()),
        ("identity", _identity(info)),
        ("problem", info.signer_problem),
    ]
    app.show(json_view.whoami_json(info), Facts(rows))


def _identity(info: DaemonInfo) -> str:
    return info.identity or f"none (signer {info.signer}): your messages are not signed"


def _agent(agent: AgentView) -> str:
    who = f"{agent.name} of {agent.user}" if agent.user else agent.name
    return f"{who}, process {agent.pid}, in {', '.join(agent.rooms) or 'no room'}"

"""The commands that configure the MCP clients of this machine, and that take it back."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from buddies_cli import terminal
from buddies_cli.app import FAILED, App, Group, json_option
from buddies_cli.tables import Column, Table
from buddies_core.clock import SystemClock
from buddies_core.errors import BuddiesError, NotFound
from buddies_core.mcp_clients import CLIENT_NAMES, CLIENTS, Places, client_named
from buddies_core.settings import BY_DEFAULT, IN_FILE, NAMED, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from buddies_cli.setup.looking import Found
    from buddies_cli.setup.plans import Plan
    from buddies_core.model.json_view import JsonObject, JsonValue

_COLUMNS = (
    Column("CLIENT"),
    Column("STATE"),
    Column("FILE", wraps=True),
    Column("PROBLEM", wraps=True),
)

client_option = click.option(
    "--client",
    "names",
    type=click.Choice(CLIENT_NAMES),
    multiple=True,
    help="Only this client; may be given often.",
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Show what would change; write nothing."
)
yes_option = click.option("--yes", is_flag=True, help="Write without asking.")


class SetupGroup(Group):
    """A group that does something itself, and so has `--json` too."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(json_option())


@click.group(cls=SetupGroup, invoke_without_command=True)
@client_option
@click.option(
    "--all", "is_all", is_flag=True, help="Every client that is installed; without asking."
)
@dry_run_option
@yes_option
@click.pass_context
def setup(
    context: click.Context, names: tuple[str, ...], is_all: bool, dry_run: bool, yes: bool
) -> None:
    """Configure buddies in the MCP clients of this machine.

    It shows the changes and asks. If a client has a command of its own, that is used; otherwise the
    client's file is changed, with a backup beside it. Nothing but the entry "buddies" is touched.

    Examples: buddies-cli setup, buddies-cli setup --client cursor --dry-run
    """
    if context.invoked_subcommand is not None:
        return
    app = context.ensure_object(App)
    _do(app, _installed(app, names), _plan_adding, dry_run=dry_run, yes=yes or is_all)
    _note_settings_of_this_shell(app)


@setup.command()
@click.pass_obj
def status(app: App) -> None:
    """Show which clients are configured, and which are out of date.

    An entry is out of date if buddies-cli would write another one. The exit code is 1 if an entry
    is out of date or can't be read.

    Example: buddies-cli setup status
    """
    found = [it for it in map(_look, CLIENTS) if it.state != "not installed"]
    results: list[JsonValue] = [_found_json(it) for it in found]
    if not found:
        app.note(f"no client was found; buddies-cli knows {', '.join(CLIENT_NAMES)}")
    rows = [(it.client.title, it.state.value, _short(it.file), it.problem) for it in found]
    app.show({"clients": results}, Table(_COLUMNS, rows))
    if any(it.state in ("differs", "unreadable") for it in found):
        app.note("to bring them up to date: buddies-cli setup")
        click.get_current_context().exit(FAILED)


@setup.command()
@client_option
@dry_run_option
@yes_option
@click.pass_obj
def remove(app: App, names: tuple[str, ...], dry_run: bool, yes: bool) -> None:
    """Remove buddies from the clients' configurations.

    Everything else in them stays.

    Example: buddies-cli setup remove --client cursor
    """
    _do(app, _configured(names), _plan_removing, dry_run=dry_run, yes=yes)


@setup.command()
@yes_option
@click.pass_obj
def identity(app: App, yes: bool) -> None:
    """Find the key that can sign for this machine, and set it.

    This is the key that git signs with, or else the first SSH key in ~/.ssh that works without a
    passphrase. It shows teammates that this machine's messages are yours.

    Example: buddies-cli setup identity
    """
    from buddies_cli.commands.config import keep
    from buddies_cli.setup.identity import find_identity

    found = find_identity(os.environ, app.check)
    is_set = found.is_chosen
    if found.signer and not found.is_chosen and not app.as_json:
        yes = yes or click.confirm(f"Sign with {found.key}?", default=True)
    if found.signer and not found.is_chosen and yes:
        keep({"signer": found.signer, "ssh_private_key": found.key})
        is_set = True
    if not found.signer:
        said = (
            "No key signs for this machine. To make one only for buddies: buddies-cli config set"
            " signer generated"
        )
    elif is_set:
        said = f"This machine signs by {found.signer}{f', with {found.key}' if found.key else ''}."
    else:
        said = "Nothing was set."
    app.show({"signer": found.signer or None, "key": found.key or None, "set": is_set}, said)


def remove_everywhere(app: App) -> list[JsonObject]:
    """Remove our entry from every client; return what was done, an object for each."""
    return [_done(app, it, dry_run=False) for it in _proposed(app, _configured(()), _plan_removing)]


@dataclass(frozen=True, slots=True)
class Proposal:
    """The plan for one client, or the problem that prevents it."""

    found: Found
    plan: Plan | None
    problem: str = ""

    @property
    def does_something(self) -> bool:
        """Whether the plan has steps that can be taken."""
        return self.plan is not None and self.plan.does_something


def _do(
    app: App,
    found: Sequence[Found],
    plan: Callable[[Found], Plan],
    *,
    dry_run: bool,
    yes: bool,
) -> None:
    proposed = _proposed(app, found, plan)
    to_do = [it.found.client.title for it in proposed if it.does_something]
    is_wanted = yes or dry_run or not to_do
    if not is_wanted:
        question = f"Change {', '.join(to_do)}?"
        is_wanted = not app.as_json and click.confirm(question, default=True)
    results = [_done(app, it, dry_run=dry_run or not is_wanted) for it in proposed]
    listed: list[JsonValue] = [*results]
    app.show({"results": listed}, "")
    if to_do and not is_wanted:
        app.note("nothing was changed" + ("; add --yes to do it" if app.as_json else ""))
    elif any(it["done"] for it in results):
        app.note("Restart those clients to use it.")
    if any(it["problem"] for it in results):
        click.get_current_context().exit(FAILED)


def _proposed(app: App, found: Sequence[Found], plan: Callable[[Found], Plan]) -> list[Proposal]:
    """Return a plan for each, or what is in its way, after showing it."""
    proposed = []
    for one in found:
        try:
            proposal = Proposal(one, plan(one))
        except BuddiesError as error:
            proposal = Proposal(one, None, str(error))
        proposed.append(proposal)
        if not app.as_json:
            click.echo(_shown(proposal))
    return proposed


def _done(app: App, proposal: Proposal, *, dry_run: bool) -> JsonObject:
    """Carry a plan out, and return what came of it."""
    from buddies_cli.setup.plans import carry_out

    found, plan, problem = proposal.found, proposal.plan, proposal.problem
    backup, done = None, False
    if plan is not None and plan.does_something and not dry_run:
        try:
            backup = carry_out(plan, os.environ, _today())
            done = True
        except BuddiesError as error:
            problem = str(error)
            app.note(f"error: {found.client.title}: {problem}")
    if backup is not None:
        app.note(f"{found.client.title}: a copy of the old file is kept as {_short(backup)}")
    return {
        "client": found.client.name,
        "file": str(found.file),
        "state": found.state.value,
        "commands": [list(command) for command in plan.commands] if plan else [],
        "diff": plan.edit.diff() if plan and plan.edit else "",
        "done": done,
        "backup": str(backup) if backup else None,
        "problem": problem or None,
    }


def _shown(proposal: Proposal) -> str:
    from buddies_cli.setup.plans import shown_command

    found, plan = proposal.found, proposal.plan
    heading = terminal.bold(found.client.title)
    if plan is None:
        return f"{heading}: error: {terminal.plain(proposal.problem)}\n"
    if not plan.does_something:
        return f"{heading}: {found.state.value}, in {_short(found.file)}\n"
    because = f" ({terminal.plain(found.problem)})" if found.problem else ""
    what = [f"  $ {shown_command(command)}" for command in plan.commands]
    if plan.edit is not None:
        what.append(terminal.block(plan.edit.diff()))
    return "\n".join([f"{heading}{because}", *what, ""])


def _installed(app: App, names: Sequence[str]) -> list[Found]:
    """Return the clients that were named, else all that are here.

    Raises:
        NotFound: one that was named is not here.
    """
    if not names:
        found = [it for it in map(_look, CLIENTS) if it.state != "not installed"]
        if not found:
            app.note(f"no client was found; buddies-cli knows {', '.join(CLIENT_NAMES)}")
        return found
    found = [_look(client_named(name)) for name in dict.fromkeys(names)]
    for one in found:
        if one.state == "not installed":
            programs = " or ".join(one.client.programs)
            raise NotFound(
                f"{one.client.title} is not installed here: {programs} is not on the PATH, and "
                f"there is no {_short(one.file.parent)}; install it and start it once, then try "
                "again"
            )
    return found


def _configured(names: Sequence[str]) -> list[Found]:
    wanted = [client_named(name) for name in dict.fromkeys(names)] or CLIENTS
    found = map(_look, wanted)
    return [it for it in found if names or it.entry is not None or it.state == "unreadable"]


def _look(client: object) -> Found:
    from buddies_cli.setup.looking import look
    from buddies_core.mcp_clients import McpClient

    assert isinstance(client, McpClient)
    return look(client, os.environ)


def _note_settings_of_this_shell(app: App) -> None:
    """Tell which settings a client may not hand on to the daemon that it starts."""
    current = Settings.load(os.environ)
    for name in NAMED:
        value = current.value(name)
        is_here_alone = value.source not in (IN_FILE, BY_DEFAULT) and name != "log"
        if is_here_alone and current.in_file.get(name) != value.text:
            app.note(
                f"{value.source} is set in this environment alone, and not every client hands it "
                f"on. To keep it: buddies-cli config set {name} {shlex.quote(value.text)}"
            )


def _plan_adding(found: Found) -> Plan:
    from buddies_cli.setup.plans import plan_adding

    return plan_adding(found, os.environ)


def _plan_removing(found: Found) -> Plan:
    from buddies_cli.setup.plans import plan_removing

    return plan_removing(found)


def _found_json(found: Found) -> JsonObject:
    return {
        "client": found.client.name,
        "file": str(found.file),
        "state": found.state.value,
        "problem": found.problem or None,
    }


def _short(path: object) -> str:
    home = str(Places.of(os.environ).home)
    text = str(path)
    return f"~{text[len(home) :]}" if text.startswith(f"{home}/") else text


def _today() -> str:
    return terminal.when(SystemClock().wall_ms()).partition(" ")[0]

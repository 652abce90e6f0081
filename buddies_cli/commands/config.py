"""The commands for the settings: where each comes from, and changing those in config.toml."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from buddies_cli.app import App, Group
from buddies_cli.tables import Column, Table
from buddies_core import edits, settings
from buddies_core.errors import InvalidInput, NotFound
from buddies_core.paths import config_file
from buddies_core.settings import AGENTS, BY_DEFAULT, IN_FILE, SETTINGS, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tomlkit import TOMLDocument

    from buddies_core.model.json_view import JsonValue

_COLUMNS = (
    Column("SETTING"),
    Column("VALUE", wraps=True),
    Column("FROM", wraps=True),
    Column("MEANING", wraps=True),
)
HOW_TO_APPLY = "The daemon reads settings when it starts; run: buddies-cli daemon restart"


@click.group(cls=Group)
def config() -> None:
    """Show and change this machine's settings.

    They are kept in config.toml. An environment variable overrides the file.
    """


@config.command()
@click.pass_obj
def path(app: App) -> None:
    """Print the path of the settings' file, which need not exist.

    Example: buddies-cli config path
    """
    app.show({"path": str(_path())}, str(_path()))


@config.command()
@click.pass_obj
def show(app: App) -> None:
    """Show each setting with its value and its source.

    The source is the file, a variable in the environment, or the default.

    Example: buddies-cli config show
    """
    current = Settings.load(os.environ)
    values = [current.value(setting.name) for setting in SETTINGS]
    listed: list[JsonValue] = [
        {"name": value.setting.name, "value": value.text, "source": value.source}
        for value in values
    ]
    listed += [
        {"name": f"{AGENTS}.{agent}", "value": shown, "source": IN_FILE}
        for agent, shown in current.agents.items()
    ]
    rows = [
        *((it.setting.name, it.text, it.source, it.setting.meaning) for it in values),
        *(
            (f"{AGENTS}.{agent}", shown, IN_FILE, "the name of this agent for others")
            for agent, shown in current.agents.items()
        ),
    ]
    app.show(
        {"path": str(current.path) if current.path else None, "settings": listed},
        Table(_COLUMNS, rows),
    )


@config.command(name="set")
@click.argument("name")
@click.argument("value")
@click.pass_obj
def set_(app: App, name: str, value: str) -> None:
    """Set NAME to VALUE in config.toml.

    agents.NAME sets the name under which others see the agent NAME.

    Examples: buddies-cli config set network lan, buddies-cli config set agents.codex "Ann's Codex"
    """
    checked = settings.checked_value(name, value)

    def put(document: TOMLDocument) -> None:
        table, dot, agent = name.partition(".")
        if dot:
            _agents(document, table)[agent] = checked
        else:
            document[name] = checked

    file = _change(put)
    app.show(
        {"path": str(file), "name": name, "value": checked},
        f"{name} is {checked!r} in {file}. {HOW_TO_APPLY}",
    )
    _note_overruled(app, name)


@config.command()
@click.argument("name")
@click.pass_obj
def unset(app: App, name: str) -> None:
    """Remove NAME from config.toml, so that the default applies.

    Example: buddies-cli config unset network
    """

    def remove(document: TOMLDocument) -> None:
        table, dot, agent = name.partition(".")
        place = _agents(document, table) if dot and name not in document else document
        key = agent if place is not document else name
        if key not in place:
            raise NotFound(f"{name} is not set in {_path()}; see: buddies-cli config show")
        del place[key]
        if place is not document and not place:
            del document[table]

    file = _change(remove)
    app.show(
        {"path": str(file), "name": name}, f"{name} is no longer set in {file}. {HOW_TO_APPLY}"
    )
    _note_overruled(app, name)


def keep(values: Mapping[str, str]) -> Path:
    """Set several settings at once, and return where they are kept."""

    def put(document: TOMLDocument) -> None:
        document.update({name: settings.checked_value(name, it) for name, it in values.items()})

    return _change(put)


def _agents(document: TOMLDocument, table: str) -> TOMLDocument:
    import tomlkit

    agents = document.setdefault(table, tomlkit.table())
    if not isinstance(agents, dict):
        raise InvalidInput(
            f"{table} must be a table in {_path()}; remove it: buddies-cli config unset {table}"
        )
    return agents  # type: ignore[return-value] # a table has a document's methods


def _change(change: Callable[[TOMLDocument], None]) -> Path:
    """Change the file, keeping the rest of it as it is, and return where it is."""
    import tomlkit

    file = _path()
    before = edits.read(file, settings.FILE_BYTES_MAX)
    try:
        text = (before or b"").decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file} is not UTF-8 ({error}); move it away, then try again") from None
    settings.parse(text, file)  # which says what is wrong better than tomlkit does
    document = tomlkit.parse(text)
    change(document)
    after = tomlkit.dumps(document)
    edits.write(edits.FileEdit(file, before, after.encode()))
    return file


def _path() -> Path:
    found = config_file(os.environ)
    if found is None:
        raise InvalidInput(
            "this user has no home directory, so there is no place for settings; set HOME or "
            "XDG_CONFIG_HOME to an absolute path"
        )
    return found


def _note_overruled(app: App, name: str) -> None:
    """Tell what still counts more than the file, and what else is wrong with that."""
    try:
        current = Settings.load(os.environ)
    except InvalidInput as error:
        app.note(f"warning: {error}")
        return
    if name in settings.NAMED:
        value = current.value(name)
        if value.source not in (IN_FILE, BY_DEFAULT):
            app.note(
                f"warning: {value.source}={value.text} in this environment overrides the file; "
                "unset it"
            )

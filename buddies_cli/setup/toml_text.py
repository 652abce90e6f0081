"""Changes one key in a text of TOML, and not a byte of the rest. tomlkit keeps what it parses."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from buddies_core.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from buddies_core.model.json_view import JsonObject


def read(text: str) -> dict[str, Any]:
    """Return what the text holds.

    Raises:
        InvalidInput: it is not TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"it is not valid TOML: {error}") from None
    except RecursionError:
        raise InvalidInput("it is nested too deeply") from None


def put(text: str, keys: Sequence[str], value: JsonObject) -> str:
    """Return the text with this value, as a table, at the place that the keys lead to.

    Raises:
        InvalidInput: the text is not TOML, or something that is no table is on the way.
    """
    document = _parsed(text)
    parent: MutableMapping[str, Any] = document
    for key in keys[:-1]:
        if key not in parent:
            parent[key] = tomlkit.table(is_super_table=True)
        if not hasattr(parent[key], "keys"):
            raise InvalidInput(f"{key} in it is not a table")
        parent = parent[key]
    is_inline = not isinstance(parent, Table) and len(keys) > 1 and not _holds_tables(parent)
    try:
        parent[keys[-1]] = _table(value, is_inline=is_inline)
    except ValueError:
        path = ".".join(keys[:-1])
        raise InvalidInput(
            f"{path} in it is an inline table, so no table can be added to it; write it as "
            f"[{path}] with a line for each key"
        ) from None
    return tomlkit.dumps(document)


def remove(text: str, keys: Sequence[str], *, prune: int = 0) -> str:
    """Return the text without the key that the keys lead to; the same text if it has none.

    Of the tables around it the innermost `prune` are removed too where nothing else is in them.

    Raises:
        InvalidInput: the text is not TOML.
    """
    document = _parsed(text)
    parents: list[MutableMapping[str, Any]] = [document]
    for key in keys[:-1]:
        if not hasattr(parents[-1].get(key), "keys"):
            return text
        parents.append(parents[-1][key])
    if keys[-1] not in parents[-1]:
        return text
    del parents[-1][keys[-1]]
    for depth in range(len(keys) - 2, max(-1, len(keys) - 2 - prune), -1):
        if len(parents[depth + 1]):
            break
        del parents[depth][keys[depth]]
    after = tomlkit.dumps(document)
    # A line break that came in with it goes out with it.
    shorter = after.removesuffix("\n")
    value = _at(read(text), keys)
    is_ours = isinstance(value, dict) and _makes(text, shorter, keys, value)
    return shorter if is_ours else after


def _makes(text: str, before: str, keys: Sequence[str], value: JsonObject) -> bool:
    """Whether putting the value into `before` makes this text."""
    try:
        return put(before, keys, value) == text
    except InvalidInput:
        return False


def _at(data: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        data = data[key]
    return data


def _parsed(text: str) -> tomlkit.TOMLDocument:
    read(text)  # which tells what is wrong better, and refuses more
    try:
        return tomlkit.parse(text)
    except (TOMLKitError, RecursionError) as error:
        raise InvalidInput(f"it can't be parsed: {error}") from None


def _holds_tables(parent: MutableMapping[str, Any]) -> bool:
    return any(isinstance(it, Table) for it in parent.values())


def _table(value: JsonObject, *, is_inline: bool) -> Any:
    table = tomlkit.inline_table() if is_inline else tomlkit.table()
    for key, item in value.items():
        # An inner table comes last in any case, and one line of it is easy to read.
        table[key] = _table(item, is_inline=True) if isinstance(item, dict) else item
    return table

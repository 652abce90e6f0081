"""Plans what to change in clients' configurations, and does it.

A client's own command is used where it has one that can be run here; otherwise its file is edited.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buddies_cli import programs
from buddies_cli.setup.entries import merged, wanted_server
from buddies_cli.setup.looking import State, at, look
from buddies_core import edits
from buddies_core.errors import InvalidInput
from buddies_core.mcp_clients import OUR_NAME, Format, Server

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from buddies_cli.setup.looking import Found
    from buddies_core.model.json_view import JsonObject

JSON_BYTES_MAX = 1_000_000
"""json-five takes 12 s for a file of this size."""
COMMAND_TIMEOUT_S = 60.0
LINES_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps for one client: its own commands, or one edit."""

    found: Found
    commands: tuple[tuple[str, ...], ...] = ()
    edit: edits.FileEdit | None = None
    entry: JsonObject | None = None
    """Our new entry; None if it is to be removed."""
    drops_backup: bool = False
    """Whether the file will be restored from the backup."""

    @property
    def does_something(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.commands) or self.edit is not None


def plan_adding(found: Found, environ: Mapping[str, str]) -> Plan:
    """Return how our entry gets in, or is brought up to date.

    Raises:
        InvalidInput: the configuration can't be changed; the text says why, and what to do.
    """
    client = found.client
    if found.state is State.READY:
        return Plan(found=found)
    if found.state is State.UNREADABLE:
        raise _refused(found, found.problem)
    server = wanted_server(client, environ)
    entry = merged(found.entry, found.layout.shape(server))
    if client.own is not None and found.program is not None:
        env = entry.get("env")
        if isinstance(env, dict):  # with what a person has added to it
            server = Server(server.command, server.args, {it: str(env[it]) for it in env})
        first = () if found.entry is None or client.own.replaces else (client.own.remove,)
        commands = tuple((found.program, *words) for words in (*first, client.own.add(server)))
        return Plan(found=found, commands=commands, entry=entry)
    return Plan(found=found, edit=_putting_in(found, entry), entry=entry)


def plan_removing(found: Found) -> Plan:
    """Return how our entry gets out.

    Raises:
        InvalidInput: the configuration can't be changed; the text says why, and what to do.
    """
    if found.state is State.UNREADABLE:
        raise _refused(found, found.problem)
    if found.entry is None:
        return Plan(found=found)
    own = found.client.own
    if own is not None and found.program is not None:
        return Plan(found=found, commands=((found.program, *own.remove),))
    return _taking_out(found)


def carry_out(plan: Plan, environ: Mapping[str, str], date: str) -> Path | None:
    """Do what is planned, and return the backup that was made, if one was.

    Raises:
        NotAllowed, StoreError: the file has changed since, or can't be written.
        InvalidInput: the client's own command failed; the text says how.
    """
    for command in plan.commands:
        _run(command, environ)
    edit = _rest_after_commands(plan, environ) if plan.commands else plan.edit
    if edit is None or not edit.changes_something:
        return None
    # An earlier backup is from before we were in there, which is what somebody may want back.
    is_first = plan.found.entry is None and not plan.commands and edit.before is not None
    edits.write(edit, backup_as=date if is_first else "")
    backup = edits.backup_of(edit.path)
    if plan.drops_backup and backup is not None:
        backup.unlink(missing_ok=True)
    return backup if is_first else None


def shown_command(command: Sequence[str]) -> str:
    """Return a command as a person would type it."""
    return shlex.join([Path(command[0]).name, *command[1:]])


def _rest_after_commands(plan: Plan, environ: Mapping[str, str]) -> edits.FileEdit | None:
    """Return what the client's own command could not write.

    Raises:
        InvalidInput: it has not done what it was to do.
    """
    now, own = look(plan.found.client, environ), plan.found.client.own
    is_done = now.state is not State.UNREADABLE and (now.entry is None) == (plan.entry is None)
    if not is_done:
        raise InvalidInput(
            f"{shown_command(plan.commands[-1])} reported no error, but {now.file} is not as it "
            f"should be: {now.problem or now.state}"
        )
    if plan.entry is None or own is None or own.is_complete:
        return None
    return _putting_in(now, merged(now.entry, plan.entry))


def _putting_in(found: Found, entry: JsonObject) -> edits.FileEdit:
    _check_edited(found)
    try:
        _check_size(found)
        after = found.codec.put(found.text, found.place, entry)
        _check(found, found.codec.read(after), entry)
    except InvalidInput as error:
        raise _refused(found, str(error), entry) from error
    return edits.FileEdit(found.file, found.content, after.encode())


def _taking_out(found: Found) -> Plan:
    _check_edited(found)
    backup = edits.backup_of(found.file)
    original = None if backup is None else edits.read(backup)
    try:
        _check_size(found)
        if _was_made_from(original, found):
            edit = edits.FileEdit(found.file, found.content, original)
            return Plan(found=found, edit=edit, drops_backup=True)
        after = found.codec.remove(found.text, found.place, prune=_ours_around(found, original))
        _check(found, found.codec.read(after), None)
    except InvalidInput as error:
        raise _refused(found, str(error)) from error
    return Plan(found=found, edit=edits.FileEdit(found.file, found.content, after.encode()))


def _was_made_from(original: bytes | None, found: Found) -> bool:
    """Whether the file is just what putting our entry into this makes of it, or into no file."""
    assert isinstance(found.entry, dict), "it is an entry"
    try:
        text = (original or b"").decode()
        return found.codec.put(text, found.place, found.entry) == found.text
    except (InvalidInput, UnicodeDecodeError):
        return False


def _ours_around(found: Found, original: bytes | None) -> int:
    """Return how many of the objects around our entry were not there before it."""
    if original is None:
        return 0
    try:
        had = found.codec.read(original.decode())
    except (InvalidInput, UnicodeDecodeError):
        return 0
    keys = found.layout.keys
    return sum(at(had, keys[: depth + 1]) is None for depth in range(len(keys)))


def _run(command: Sequence[str], environ: Mapping[str, str]) -> None:
    ended = programs.run(command, environ, COMMAND_TIMEOUT_S)
    if ended.code == 0:
        return
    why = ended.problem or " ".join(ended.output.split("\n")[-LINES_SHOWN:]).strip()
    raise InvalidInput(f"{shown_command(command)} failed: {why or f'exit code {ended.code}'}")


def _check(found: Found, after: dict[str, Any], entry: JsonObject | None) -> None:
    """Return if nothing but our entry has changed.

    Raises:
        InvalidInput: something has, by a fault of a parser; the file is better left alone.
    """
    before = found.codec.read(found.text)
    if at(after, found.place) != entry or _apart(before, found) != _apart(after, found):
        raise InvalidInput("buddies can't change its layout safely")


def _apart(data: dict[str, Any], found: Found) -> str:
    """Return all but our entry; the objects around it count only if something is in them."""

    def without(data: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
        rest = {key: value for key, value in data.items() if key != keys[0]}
        inner = data.get(keys[0])
        if len(keys) > 1 and isinstance(inner, dict) and (left := without(inner, keys[1:])):
            rest[keys[0]] = left
        return rest

    return repr(sorted(without(data, found.place).items()))  # NaN is not equal to itself


def _check_size(found: Found) -> None:
    if found.client.format is Format.JSON and len(found.content or b"") > JSON_BYTES_MAX:
        raise InvalidInput(f"it has more than {JSON_BYTES_MAX} bytes")


def _check_edited(found: Found) -> None:
    if not found.client.is_edited:
        program = found.client.programs[0]
        raise InvalidInput(
            f"{found.client.title} can be set up only by its own command, but {program} is not on "
            "the PATH; put it there, then try again"
        )


def _refused(found: Found, why: str, entry: JsonObject | None = None) -> InvalidInput:
    where = ".".join(found.layout.keys)
    by_hand = (
        f"correct it, then try again, or change {OUR_NAME} below {where} by hand"
        if entry is None
        else f"put this below {where} by hand: {json.dumps({OUR_NAME: entry})[1:-1]}"
    )
    return InvalidInput(f"{found.file} was left unchanged: {why}; {by_hand}")

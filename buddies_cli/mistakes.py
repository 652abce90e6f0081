"""Answers to mistakes that people make when they type commands."""

from __future__ import annotations

import os
import re
import shlex
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click

from buddies_cli import roomnames

if TYPE_CHECKING:
    from collections.abc import Sequence

    from click.shell_completion import CompletionItem

TICKET = re.compile(r"pmrhe33pn[a-z2-7]{60,}", re.IGNORECASE)
"""A ticket of today's form begins with the base32 of {"room.."""
CLOSE = 0.7
"""The least similarity of two words at which one is suggested for the other."""
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
HASH = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)


def too_many_words(ctx: click.Context, extra: Sequence[str]) -> click.UsageError:
    """Return the error for words that no argument takes: mostly a text without quotes."""
    texts = [it for it in ctx.command.params if isinstance(it, click.Argument) and it.nargs == 1]
    if not texts:
        return click.UsageError(f"{ctx.command_path} takes no argument such as {extra[0]!r}.", ctx)
    values = {it: ctx.params.get(it.name or "") for it in texts}
    typed = [str(value) for value in values.values() if value is not None]
    last = texts[-1].human_readable_name
    quoted = " ".join([*typed[:-1], shlex.quote(" ".join([*typed[-1:], *extra]))])
    return click.UsageError(
        f"there are more words than arguments. If they all belong to {last}, quote it: "
        f"{ctx.command_path} {quoted}.",
        ctx,
    )


def unknown_command(ctx: click.Context, group: click.Group, name: str) -> click.UsageError:
    """Return the error for a command that is not there, with those that may be meant."""
    names = group.list_commands(ctx)
    path = ctx.command_path
    near = [f"{path} {it}" for it in get_close_matches(name, names, cutoff=CLOSE)]
    for other in names:  # `buddies-cli search`: the groups know it
        inner = group.get_command(ctx, other)
        if isinstance(inner, click.Group) and name in inner.list_commands(ctx):
            near.append(f"{path} {other} {name}")
    meant = f" Did you mean: {', '.join(near)}?" if near else ""
    return click.UsageError(f"No such command {name!r}.{meant}", ctx)


def unknown_option(ctx: click.Context, error: click.NoSuchOption) -> click.UsageError:
    """Return the error for an option that is not there; `--room` may be an argument here."""
    is_argument = any(
        isinstance(it, click.Argument) and f"--{it.name}" == error.option_name
        for it in ctx.command.params
    )
    if not is_argument:
        names = [name for it in ctx.command.params for name in it.opts if name.startswith("--")]
        near = get_close_matches(error.option_name, names, cutoff=CLOSE)
        meant = f" Did you mean: {', '.join(near)}?" if near else ""
        return click.UsageError(f"No such option {error.option_name!r}.{meant}", ctx)
    word = error.option_name.removeprefix("--")
    return click.UsageError(
        f"the {word} is an argument here, without {error.option_name}: "
        f"{ctx.command_path} {word.upper()}.",
        ctx,
    )


class Named(click.ParamType[str]):
    """An argument that names something, and is often confused with what names something else."""

    def __init__(self, what: str) -> None:
        self.name = what

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the value as it is, unless it clearly names something else."""
        if TICKET.fullmatch(value.strip()) and self.name != "ticket":
            self.fail(
                f"that is a ticket. To join its room: buddies-cli join ROOM --ticket {value[:12]}…",
                param,
                ctx,
            )
        if self.name == "id" and HASH.fullmatch(value):
            self.fail(
                "that is a hash; ids of memories and tasks look like "
                "8d3e5c1a-7f0b-4c52-9a54-1f0c2b7d9e61. To read a skill: buddies-cli skill get HASH",
                param,
                ctx,
            )
        if self.name == "hash" and UUID.fullmatch(value):
            self.fail(
                "that is an id of a memory or a task; a skill is named by the 64 hex digits of its "
                "hash. To read a memory: buddies-cli memory get ID",
                param,
                ctx,
            )
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the rooms of this machine that begin so."""
        if self.name != "room":
            return []
        from click.shell_completion import CompletionItem

        names = roomnames.known(os.environ)
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


ROOM, ID, SKILL = Named("room"), Named("id"), Named("hash")

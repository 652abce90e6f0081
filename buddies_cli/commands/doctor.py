"""The command that looks for what is wrong with buddies on this machine."""

from __future__ import annotations

import asyncio
import os
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from buddies_cli import terminal
from buddies_cli.app import FAILED, App, Command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buddies_cli.doctor.findings import Finding
    from buddies_core.model.json_view import JsonObject, JsonValue

COLORS = {"ok": "green", "warn": "yellow", "fail": "red"}
WIDTH_PLAIN = 100_000
"""Lines are wrapped only for terminals."""
WIDTH_MIN = 40
GUIDE = "docs/troubleshooting.md"


@click.command(cls=Command)
@click.option("--probe", is_flag=True, help="Also send one request to the relay.")
@click.option(
    "--bundle",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.tar.gz",
    help="Write logs, settings and these findings to a file, without secrets.",
)
@click.pass_obj
def doctor(app: App, probe: bool, bundle: Path | None) -> None:
    """Find problems on this machine, and say what to do.

    Each line is ok, warn or fail. The doctor works even if no daemon answers, and starts none.
    Without --probe it sends nothing to other machines. The exit code is 1 if any line is fail,
    otherwise 0.

    Examples: buddies-cli doctor, buddies-cli doctor --bundle problem.tar.gz
    """
    from buddies_cli.doctor.bundle import write_bundle
    from buddies_cli.doctor.checks import examine
    from buddies_cli.doctor.looking import look
    from buddies_core.model.json_view import json_of

    facts = asyncio.run(look(os.environ, probe=probe))
    findings = examine(facts)
    is_failed = any(it.level == "fail" for it in findings)
    report = report_json(findings)
    written: list[JsonValue] = []
    if bundle is not None:
        status = facts.daemon.status
        names = write_bundle(bundle, os.environ, report, json_of(status) if status else None)
        written = [*names]
    width = max(WIDTH_MIN, app.screen().width or WIDTH_PLAIN)
    app.show({**report, "bundle": written}, shown(findings, width))
    if bundle is not None:
        app.note(
            f"Wrote {bundle}: {', '.join(map(str, written))}. Secrets and your home directory are "
            "left out; names of rooms and addresses are not. Look through it before you share it."
        )
    if is_failed:
        click.get_current_context().exit(FAILED)


def report_json(findings: Sequence[Finding]) -> JsonObject:
    """Return the findings as JSON."""
    return {
        "ok": not any(it.level == "fail" for it in findings),
        "findings": [
            {
                "check": it.check,
                "level": it.level.value,
                "text": it.text,
                "remedy": it.remedy or None,
            }
            for it in findings
        ],
    }


def shown(findings: Sequence[Finding], width: int) -> str:
    """Return the findings for people, one below the other, with what to do below those not ok."""
    names = max(len(it.check) for it in findings)
    indent = " " * (6 + names + 2)
    lines = []
    for it in findings:
        level = click.style(f"{it.level.value:<4}", fg=COLORS[it.level], bold=it.level != "ok")
        first, *more = _wrapped(it.text, width - len(indent))
        lines.append(f"{level}  {it.check:<{names}}  {first}")
        lines += [f"{indent}{line}" for line in more]
        if it.remedy:
            first, *more = _wrapped(it.remedy, width - len(indent) - 2)
            lines += [f"{indent}→ {first}", *(f"{indent}  {line}" for line in more)]
    return "\n".join([*lines, "", _summary(findings)])


def _summary(findings: Sequence[Finding]) -> str:
    levels = [it.level.value for it in findings]
    failed, warned = levels.count("fail"), levels.count("warn")
    if failed or warned:
        what = f"{terminal.count(failed, 'failure')}, {terminal.count(warned, 'warning')}"
        return f"{what}. More on each: {GUIDE}"
    return "Nothing is wrong."


def _wrapped(text: str, width: int) -> list[str]:
    line = terminal.line(text)
    return textwrap.wrap(line, max(width, 20), break_on_hyphens=False) or [""]

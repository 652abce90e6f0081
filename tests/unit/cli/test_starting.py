"""A command imports what it needs and no more: importing everything takes as long as the answer."""

import importlib
import pkgutil
import subprocess
import sys

import click
import pytest

from buddies_cli import commands
from buddies_cli.main import COMMANDS, cli

HEAVY = ("asyncio", "grpc", "rich", "buddies_core.client", "buddies_core.launcher", "tomlkit")


def imported_by(*arguments: str) -> set[str]:
    """Return which of the heavy modules a command has imported by its end."""
    code = (
        "import sys; from buddies_cli.main import run;"
        "from buddies_cli.app import App; from buddies_cli.machine import LocalDaemon;"
        f"run({arguments!r}, App(LocalDaemon({{}})));"
        f"sys.stderr.write(' '.join(it for it in {HEAVY!r} if it in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [("--version",), ("rooms", "--help"), ("--help",)])
def test_what_needs_no_daemon_imports_neither_grpc_nor_rich(arguments: tuple[str, ...]) -> None:
    assert imported_by(*arguments) <= {"asyncio"}


def test_every_command_that_a_module_defines_is_offered_once() -> None:
    defined = {}
    for module in pkgutil.iter_modules(commands.__path__):
        for value in vars(importlib.import_module(f"{commands.__name__}.{module.name}")).values():
            if isinstance(value, click.Command) and value.callback is not None:
                home = value.callback.__module__.rpartition(".")[2]
                defined[(value.name, home)] = value
    context = click.Context(cli)
    for name, home in COMMANDS.items():
        assert cli.get_command(context, name) is defined.pop((name, home))
    in_groups = {
        it
        for name in COMMANDS
        for it in getattr(cli.get_command(context, name), "commands", {}).values()
    }
    assert set(defined.values()) <= in_groups

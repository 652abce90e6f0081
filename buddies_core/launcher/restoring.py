"""Brings a backup back, while no daemon runs."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from buddies_core.errors import DaemonUnavailable, StoreError
from buddies_core.launcher.spawning import DAEMON_COMMAND, daemon_environment, reasons_in
from buddies_core.launcher.starting import only_starter
from buddies_core.launcher.stopping import stop_daemon
from buddies_core.paths import Paths

RESTORE = "--restore"
"""The daemon's option to put a backup in the place of what is kept, and end."""


async def restore_backup(
    paths: Paths,
    environ: Mapping[str, str],
    backup: Path,
    command: Sequence[str] = DAEMON_COMMAND,
) -> str:
    """Stop the daemon, put a backup in the place of what it has kept, and return what was done.

    Until then no agent starts another daemon. What was kept lies beside it afterwards.

    Raises:
        StoreError: it could not be restored; all is as it was.
        TimedOut: the daemon did not end.
    """
    paths.create()
    async with only_starter(paths):
        with contextlib.suppress(DaemonUnavailable):
            await stop_daemon(paths)
        process = await asyncio.create_subprocess_exec(
            *command,
            RESTORE,
            str(backup),
            env=daemon_environment(paths, environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output, _ = await process.communicate()
    said = output.decode(errors="replace").strip()
    if process.returncode != 0:
        raise StoreError("; ".join(reasons_in(said.splitlines())) or said)
    return said

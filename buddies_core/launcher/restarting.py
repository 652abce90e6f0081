"""Replaces this machine's daemon by one with other settings, once those have been checked."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import Mapping, Sequence

from buddies_core import __version__
from buddies_core.errors import DaemonUnavailable, InvalidInput
from buddies_core.launcher.spawning import (
    DAEMON_COMMAND,
    daemon_environment,
    listening_where_it_did,
    reasons_in,
)
from buddies_core.launcher.starting import ensure_daemon
from buddies_core.launcher.stopping import host_answers, stop_daemon, stop_host
from buddies_core.paths import Paths, host_lock_holder, host_version

CHECK = "--check"
"""The daemon's option to look at its settings, say what is wrong with them, and end."""
CHECK_TIMEOUT_S = 20.0
"""A signer may take 5 s to prove itself, and the imports some seconds on a busy machine."""
LINES_SHOWN = 12


async def restart_daemon(
    paths: Paths, environ: Mapping[str, str], command: Sequence[str] = DAEMON_COMMAND
) -> None:
    """Replace the daemon, if one runs, by one with this environment.

    An MCP host of another version, or one that does not answer, ends too; agents start the new one
    with their next call. The
    daemon that runs is stopped only after the new settings have been found to be good, and the
    new one listens at the same place, so that agents find it.

    Raises:
        InvalidInput: the new settings are wrong; the daemon goes on as it was.
        DaemonUnavailable, StoreError, TimedOut: as `ensure_daemon` and `stop_daemon` do.
    """
    try:
        await check_settings(paths, environ, command)
    except InvalidInput as error:
        raise InvalidInput(
            f"the daemon was not restarted and goes on as it was: {error}"
        ) from error
    environ = listening_where_it_did(paths, environ)
    # One of another version runs the code of before an update; it may not understand the daemon.
    is_good = host_version(paths) == __version__ and await host_answers(paths)
    if host_lock_holder(paths) is not None and not is_good:
        await stop_host(paths)
    with contextlib.suppress(DaemonUnavailable):
        await stop_daemon(paths)
    await ensure_daemon(paths, environ, command)


async def check_settings(
    paths: Paths, environ: Mapping[str, str], command: Sequence[str] = DAEMON_COMMAND
) -> None:
    """Return if a daemon with this environment could start, as far as can be told beside another.

    Raises:
        InvalidInput: it could not; the text says why.
        StoreError: the data directory can't be used.
    """
    paths.create()
    process = await asyncio.create_subprocess_exec(
        *command,
        CHECK,
        cwd=paths.data_dir,  # as the daemon: relative paths in the environment mean the same
        env=daemon_environment(paths, environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            output, _ = await process.communicate()
    except TimeoutError:
        raise InvalidInput(
            f"the settings could not be checked within {CHECK_TIMEOUT_S:g} s; try again"
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        said = output.decode(errors="replace").splitlines()[-LINES_SHOWN:]
        why = "; ".join(reasons_in(said)) or "\n".join(said) or f"exit code {process.returncode}"
        raise InvalidInput(why)

"""The program `buddies`: what an MCP client's configuration names."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import threading
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from buddies_core import __version__, launcher, logs, streams
from buddies_core.errors import InvalidInput
from buddies_core.paths import Paths
from buddies_core.settings import Settings, environment_for_logs
from buddies_mcp.patience import tool_timeout_s

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from buddies_core.client import DaemonClient

PARENT_CHECK_PAUSE_S = 1.0
DEFAULT_AGENT = "unknown-agent"


def main() -> None:
    """Serve one MCP client on stdin and stdout until it is gone."""
    streams.open_missing()
    parser = argparse.ArgumentParser(
        prog="buddies",
        add_help=False,  # argparse would not tell that it can't be written
        description="The MCP server of buddies, on stdin and stdout: name it in the configuration"
        " of an MCP client. People use buddies-cli.",
    )
    parser.add_argument("-h", "--help", action="store_true", help="show this text and exit")
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    asked = parser.parse_args()
    if asked.help:
        raise SystemExit(streams.say(parser.format_help()))
    if asked.version:
        raise SystemExit(streams.say(f"buddies {__version__}\n"))
    transport = os.environ.get("BUDDIES_TRANSPORT") or "stdio"
    if transport != "stdio":
        parser.error(f"BUDDIES_TRANSPORT is {transport!r}; this version serves stdio alone")
    try:
        timeout_s = tool_timeout_s(os.environ)
    except InvalidInput as error:
        parser.error(str(error))

    # To die at once loses nothing: the daemon sees the connection end. SIGPIPE stays ignored, as
    # gRPC raises it when its last channel closes: one of its threads may wake a loop that has gone.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    logs.configure(environment_for_logs(os.environ))
    watcher = threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True)
    watcher.start()
    asyncio.run(_serve(os.environ, timeout_s))


def _end_with_parent(parent_pid: int) -> None:
    """End this process when its parent has: stdin stays open if the parent left other children."""
    while os.getppid() == parent_pid:
        time.sleep(PARENT_CHECK_PAUSE_S)
    os._exit(0)


async def _serve(environ: Mapping[str, str], timeout_s: float) -> None:
    from buddies_mcp.link import DaemonLink
    from buddies_mcp.server import build_server, serve_stdio
    from buddies_mcp.waking import Waking

    waking = Waking()
    async with DaemonLink.open(lambda: attached_daemon(environ), waking.tell) as link:
        await serve_stdio(build_server(link, waking, timeout_s))


@asynccontextmanager
async def attached_daemon(environ: Mapping[str, str]) -> AsyncIterator[DaemonClient]:
    """Start the daemon if none runs, and attach the agent that the environment names to it.

    The environment and the settings are read here, so that what is wrong with them is told to
    whoever asks a question.
    """
    from buddies_core.client import DaemonClient

    settings = Settings.load(environ)
    paths = Paths.from_environment(environ)
    await launcher.ensure_daemon(paths, environ)
    async with DaemonClient.connect(paths) as daemon:
        await daemon.attach(
            settings.agent_name(environ.get("BUDDIES_AGENT") or DEFAULT_AGENT),
            environ.get("BUDDIES_USER", ""),  # empty: the name that the daemon goes by
            tuple(filter(None, map(str.strip, environ.get("BUDDIES_CAPABILITIES", "").split(",")))),
        )
        yield daemon


if __name__ == "__main__":
    main()

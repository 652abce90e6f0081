"""A server for one agent in the relay's own process: where no host can run, or none is wanted."""

from __future__ import annotations

import asyncio
import os
import socket
import threading

from buddies_core import logs
from buddies_core.settings import environment_for_logs
from buddies_mcp.host.serving import Agents


def serve_here() -> socket.socket:
    """Return a socket at whose other end a thread serves the relay that greets it."""
    logs.configure(environment_for_logs(os.environ))
    ours, theirs = socket.socketpair()
    # The end of the process does not wait for it: to die at once loses nothing, as the daemon sees
    # the connection end.
    threading.Thread(
        target=lambda: asyncio.run(_serve(theirs)), name="own-server", daemon=True
    ).start()
    return ours


async def _serve(relay: socket.socket) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=relay)
    await Agents(os.environ).serve(reader, writer)

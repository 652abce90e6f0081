"""The program `python -m buddies_mcp.host`: the MCP server of all agents of a machine.

Relays start it by themselves. It ends when no agent has been there for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys

from buddies_core import __version__, logs, streams
from buddies_core.errors import BuddiesError
from buddies_core.paths import Paths, hold_host_lock
from buddies_core.settings import environment_for_logs
from buddies_mcp.host.serving import AGENTS_MAX, Agents
from buddies_mcp.reaching import is_own

IDLE_S = 600.0
"""Seconds that the host stays after the last agent, so that an agent that returns finds it warm."""
LOOKS_EVERY_S = 5.0
ENDS_WITHIN_S = 5.0
READ_BYTES_MAX = 1 << 16
"""The read-ahead of each relay, which may be doubled; also the longest greeting."""


def main() -> None:
    """Serve agents until none has come for a while; exit with 1 and a line of text if it can't."""
    streams.open_missing()
    try:
        paths = Paths.from_environment(os.environ)
        paths.create()
        os.chdir(paths.data_dir)  # it keeps no client's directory busy
        # For its owner alone, also in a directory that is open to others. The umask stays the one
        # of a client: it is for the skills that agents install.
        os.close(os.open(paths.host_log, os.O_WRONLY | os.O_CREAT, 0o600))
        with hold_host_lock(paths, __version__):
            logs.configure(environment_for_logs(os.environ), paths.host_log)
            asyncio.run(_run(paths))
    except BuddiesError as error:
        streams.complain(str(error))
        sys.exit(1)
    except OSError as error:
        streams.complain(f"can't serve agents at {error.filename or 'a socket'}: {error.strerror}")
        sys.exit(1)


async def _run(paths: Paths) -> None:
    agents = Agents(os.environ, AGENTS_MAX)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with asyncio.TaskGroup() as tasks:

        def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if is_own(writer.get_extra_info("socket")):
                sessions.add(session := tasks.create_task(agents.serve(reader, writer)))
                session.add_done_callback(sessions.discard)
            else:
                writer.close()

        sessions = set[asyncio.Task[None]]()
        with contextlib.suppress(FileNotFoundError):
            paths.host_socket.unlink()  # of one that was killed: the lock is ours
        server = await asyncio.start_unix_server(
            come, paths.host_socket, limit=READ_BYTES_MAX, backlog=AGENTS_MAX
        )
        paths.host_socket.chmod(0o600)  # its directory is its owner's alone in any case
        watchers = [
            tasks.create_task(ended.wait()),
            tasks.create_task(agents.outdated.wait()),
            tasks.create_task(_idle(agents)),
        ]
        await asyncio.wait(watchers, return_when=asyncio.FIRST_COMPLETED)
        server.close()
        paths.host_socket.unlink(missing_ok=True)
        # First, so that relays see that this is on purpose: they don't start another at once.
        paths.host_lock.write_bytes(b"")
        for task in (*watchers, *sessions):
            task.cancel()
        if sessions:
            await asyncio.wait(sessions, timeout=ENDS_WITHIN_S)
        # What has not closed within its time does not hold up the end.
        os._exit(0)


async def _idle(agents: Agents) -> None:
    """Return when no agent has been there for a while."""
    loop = asyncio.get_running_loop()
    busy_s = loop.time()
    while loop.time() - busy_s < IDLE_S:
        await asyncio.sleep(LOOKS_EVERY_S)
        if agents.count:
            busy_s = loop.time()


if __name__ == "__main__":
    main()

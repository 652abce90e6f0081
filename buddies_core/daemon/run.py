"""Runs the daemon until it is told to stop."""

import asyncio
import faulthandler
import logging
import os
import signal
import sys

from buddies_core.daemon.build import build
from buddies_core.daemon.config import Config
from buddies_core.paths import hold_data_lock
from buddies_core.rpc.server import serve

CLOSE_DEADLINE_S = 15.0
"""An endpoint takes 3 s to close while a dial is pending; measured."""

log = logging.getLogger(__name__)


async def run(config: Config) -> None:
    """Serve agents and peers until SIGTERM, SIGINT or a Stop request.

    Raises:
        BuddiesError: the daemon could not start; the text says why and what to do.
    """
    config.paths.create()
    with hold_data_lock(config.paths):
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        async with build(config, stop) as parts, asyncio.TaskGroup() as group:
            working = [
                group.create_task(parts.store.upgrade()),
                group.create_task(parts.inbound.run()),
                group.create_task(parts.memories.run()),
                group.create_task(parts.tasks.run()),
                group.create_task(parts.skills.run()),
                group.create_task(parts.history.run()),
            ]
            if parts.legacy:
                working.append(group.create_task(parts.legacy.run()))
            async with serve(config.paths, parts.services):
                parts.embedder.warm()
                log.info("daemon_ready pid=%d socket=%s", os.getpid(), config.paths.socket)
                await stop.wait()
                # What is acknowledged is on disk: better gone than hanging for ever.
                loop.call_later(CLOSE_DEADLINE_S, _give_up)
            for task in working:
                task.cancel()
        log.info("daemon_stopped pid=%d", os.getpid())


def _give_up() -> None:
    log.error("daemon_stuck: closing took longer than %.0f s", CLOSE_DEADLINE_S)
    faulthandler.dump_traceback(sys.stderr)
    os._exit(1)

"""Runs the daemon until it is told to stop."""

import asyncio
import contextlib
import faulthandler
import logging
import os
import signal
import sys

from buddies_core.daemon.build import build
from buddies_core.daemon.config import Config
from buddies_core.errors import StoreGone
from buddies_core.files import identity
from buddies_core.paths import Paths, hold_data_lock
from buddies_core.rpc.server import serve
from buddies_core.store.rocks import RocksStore

LOOK_EVERY_S = 2.0
"""How often to check that the data directory still exists. Commits check it themselves."""
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
            working = [group.create_task(loop) for loop in parts.loops()]
            group.create_task(_watch(config.paths, parts.store, stop))
            async with serve(config.paths, parts.services):
                parts.embedder.warm()
                log.info("daemon_ready pid=%d socket=%s", os.getpid(), config.paths.socket)
                await stop.wait()
                # Acknowledged data is on disk, so exiting is better than hanging for ever.
                loop.call_later(CLOSE_DEADLINE_S, _give_up)
            for task in working:
                task.cancel()
        log.info("daemon_stopped pid=%d", os.getpid())


async def _watch(paths: Paths, store: RocksStore, stop: asyncio.Event) -> None:
    """Return when the daemon should end.

    Raises:
        StoreGone: its data was deleted or replaced while it ran.
    """
    lock = identity(paths.lock)
    while not stop.is_set():
        if identity(paths.lock) != lock or store.gone():
            log.error("data_directory_gone path=%s", paths.data_dir)
            asyncio.get_running_loop().call_later(CLOSE_DEADLINE_S, _give_up)
            raise StoreGone(
                store.gone()
                or f"{paths.lock} was deleted or replaced while the daemon held it, so another one "
                "could start on the same data. It ends; start one: buddies-cli daemon start"
            )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY_S):
                await stop.wait()


def _give_up() -> None:
    log.error("daemon_stuck: closing took longer than %.0f s", CLOSE_DEADLINE_S)
    faulthandler.dump_traceback(sys.stderr)
    os._exit(1)

"""This machine's daemon, as commands reach it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from buddies_cli import roomnames
from buddies_core.paths import Paths

if TYPE_CHECKING:  # what brings gRPC or asyncio is imported when it is needed
    from collections.abc import AsyncIterator, Iterable, Mapping
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from buddies_core.client import DaemonClient


class Machine(Protocol):
    """This machine's daemon, running or not."""

    def client(self, *, start: bool) -> AbstractAsyncContextManager[DaemonClient]:
        """Open a connection; `start` starts a daemon where none runs."""

    async def stop(self) -> int:
        """Stop the daemon and wait until it is gone; return the process id that it had."""

    async def stop_host(self) -> int | None:
        """Stop what serves this machine's agents; return its process id, None if none runs."""

    def remember_rooms(self, rooms: Iterable[str]) -> None:
        """Keep the names of all rooms that this machine is in, for completion."""

    async def restart(self) -> None:
        """Replace the daemon by one with the present settings, once those are found to be good."""

    async def restore(self, backup: Path) -> str:
        """Put a backup in the place of what is kept, and return what was done."""

    async def check(self, environ: Mapping[str, str]) -> None:
        """Raise what is wrong if a daemon with this environment could not start."""


class LocalDaemon:
    """The daemon of the data directory that the environment names."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    @asynccontextmanager
    async def client(self, *, start: bool) -> AsyncIterator[DaemonClient]:
        """Open a connection; `start` starts a daemon where none runs."""
        from buddies_core.client import DaemonClient

        paths = Paths.from_environment(self._environ)
        if start:
            from buddies_core import launcher
            from buddies_core.settings import Settings

            Settings.load(self._environ)  # what is wrong with the file is told in one line
            await launcher.ensure_daemon(paths, self._environ)
        async with DaemonClient.connect(paths) as daemon:
            yield daemon

    async def stop(self) -> int:
        """Stop the daemon and wait until it is gone; return the process id that it had."""
        from buddies_core import launcher

        return await launcher.stop_daemon(Paths.from_environment(self._environ))

    async def stop_host(self) -> int | None:
        """Stop what serves this machine's agents; return its process id, None if none runs."""
        from buddies_core import launcher

        return await launcher.stop_host(Paths.from_environment(self._environ))

    def remember_rooms(self, rooms: Iterable[str]) -> None:
        """Keep the names of all rooms that this machine is in, for completion."""
        roomnames.keep(self._environ, rooms)

    async def restart(self) -> None:
        """Replace the daemon by one with the present settings, once those are found to be good."""
        from buddies_core import launcher

        await launcher.restart_daemon(Paths.from_environment(self._environ), self._environ)

    async def restore(self, backup: Path) -> str:
        """Put a backup in the place of what is kept, and return what was done."""
        from buddies_core import launcher

        paths = Paths.from_environment(self._environ)
        return await launcher.restore_backup(paths, self._environ, backup)

    async def check(self, environ: Mapping[str, str]) -> None:
        """Raise what is wrong if a daemon with this environment could not start."""
        from buddies_core import launcher

        await launcher.check_settings(Paths.from_environment(self._environ), environ)

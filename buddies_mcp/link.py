"""The shim's link to the daemon: one connection, kept while it holds and made again when not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import anyio.lowlevel

from buddies_core.errors import DaemonUnavailable, VersionMismatch

if TYPE_CHECKING:
    from buddies_core.client import DaemonClient
    from buddies_core.model.task import InboxChange

logger = logging.getLogger(__name__)
AnswerT = TypeVar("AnswerT")

Connect: TypeAlias = "Callable[[], AbstractAsyncContextManager[DaemonClient]]"
"""Yields a daemon that answers, after starting one if none is running."""

Tell: TypeAlias = "Callable[[InboxChange], Awaitable[None]]"
"""Hears of each change of what waits for the agent."""


async def tell_nobody(_change: InboxChange) -> None:
    """Take a change, and keep it to oneself."""


class DaemonLink:
    """Asks the daemon; each question is put at most once, because it may change something."""

    def __init__(self, connect: Connect, tell: Tell, tasks: asyncio.TaskGroup) -> None:
        self._connect = connect
        self._tell = tell
        self._tasks = tasks
        self._holder: asyncio.Task[None] | None = None
        self._connected: asyncio.Future[DaemonClient] | None = None
        self._questions = 0
        """The number of questions in progress."""

    @classmethod
    @asynccontextmanager
    async def open(cls, connect: Connect, tell: Tell = tell_nobody) -> AsyncIterator[DaemonLink]:
        """Return a link that connects when it is first used, and closes with the block."""
        async with asyncio.TaskGroup() as tasks:
            link = cls(connect, tell, tasks)
            try:
                yield link
            finally:
                link.close()

    def close(self) -> None:
        """Detach the agent; questions that are still put have a minute to be answered."""
        self._let_go()

    async def ask(self, question: Callable[[DaemonClient], Awaitable[AnswerT]]) -> AnswerT:
        """Put one question to the daemon, after making sure that it is there.

        Raises:
            DaemonUnavailable: none can be started, or it went away before it answered.
        """
        self._questions += 1
        try:
            daemon = await self._daemon()
            try:
                return await question(daemon)
            except VersionMismatch:
                raise
            except DaemonUnavailable as error:
                raise DaemonUnavailable(
                    f"{error}. The next call starts the daemon if necessary; before you repeat "
                    "this one, check whether it was done"
                ) from error
        except asyncio.CancelledError as cancelled:
            await _raise_own_cancellation()
            raise DaemonUnavailable(
                "the call was interrupted inside buddies; before you repeat it, check whether "
                "it was done"
            ) from cancelled
        finally:
            self._questions -= 1

    async def warm_up(self) -> None:
        """Begin to connect, so that the first question need not wait; failing is for it to tell."""
        if self._connected is None:
            self._begin()

    async def _daemon(self) -> DaemonClient:
        connected = self._connected
        # Several questions may look at once: behind each other, each would wait for a daemon that
        # hangs, and all for all. The first that finds the connection broken makes a new one.
        if (connected is None or not await self._holds(connected)) and (
            self._connected is connected
        ):
            self._begin()
        assert self._connected is not None, "a connection was begun"
        # Shielded: a cancelled call must not cancel the connection that others wait for.
        return await asyncio.shield(self._connected)

    async def _holds(self, connected: asyncio.Future[DaemonClient]) -> bool:
        if not connected.done():
            return True
        if connected.exception() is not None or self._holder is None or self._holder.done():
            return False
        daemon = connected.result()
        try:
            # Whether a daemon that runs answers, the question finds out by itself. To ask it that
            # before would make each call wait twice.
            if not daemon.is_there:
                await daemon.list_rooms()
            # Connecting replaces it. Another question that is being put to it would be cut off.
            return self._questions > 1 or not await daemon.is_replaceable()
        except DaemonUnavailable as error:
            logger.info("daemon_lost reason=%s", error)
            return False

    def _begin(self) -> None:
        self._let_go()
        self._connected = asyncio.get_running_loop().create_future()
        self._holder = self._tasks.create_task(self._hold(self._connected))

    def _let_go(self) -> None:
        if self._holder is not None:
            self._holder.cancel()

    async def _hold(self, connected: asyncio.Future[DaemonClient]) -> None:
        """Keep a connection until cancelled; opened and closed here, as its tasks belong to one.

        Questions that are still put by it when it is cancelled have a minute to be answered.
        """
        try:
            async with self._connect() as daemon:
                connected.set_result(daemon)
                async for change in daemon.inbox_changes():
                    await self._tell(change)
        except Exception as error:  # noqa: BLE001 - the next question gets it; the shim lives on
            if connected.done():
                logger.warning("daemon_connection_ended reason=%r", error)
            else:
                connected.set_exception(error)
        finally:
            if not connected.done():
                connected.set_exception(DaemonUnavailable("this MCP server is ending"))
            connected.exception()  # seen, even if nobody asks


async def _raise_own_cancellation() -> None:
    """Raise the cancellation of this task as anyio knows it; return if nobody has cancelled it.

    A library may raise a CancelledError of its own. If one of the server's tasks ended in it, anyio
    would cancel the whole server.
    """
    await anyio.lowlevel.checkpoint_if_cancelled()
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError

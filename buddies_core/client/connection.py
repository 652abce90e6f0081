"""The connection under the client: handshake, attachment, deadlines, and errors as our own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeAlias, TypeVar

import grpc
from grpc import aio

from buddies_core import __version__
from buddies_core.client.alive import is_alive
from buddies_core.client.answers import answer_of, nobody_cancelled
from buddies_core.client.inbox import Inbox
from buddies_core.client.reasons import ERRORS, reason_of
from buddies_core.client.versions import mismatch
from buddies_core.convert.codec import from_proto
from buddies_core.errors import (
    BuddiesError,
    DaemonUnavailable,
    InvalidInput,
    NotAttached,
    TimedOut,
    VersionMismatch,
)
from buddies_core.local_protocol import (
    AGENT_METADATA,
    CHANNEL_OPTIONS,
    PROTOCOL,
    WAITING_METADATA,
    grpc_address,
)
from buddies_core.model.task import InboxChange
from buddies_core.model.views import DaemonInfo
from buddies_core.paths import Paths, daemon_socket
from buddies_core.pb import daemon_pb2
from buddies_core.pb.daemon_pb2_grpc import DaemonStub

CALL_TIMEOUT_S = 10.0
RECONNECT_TIMEOUT_S = 1.0
"""A daemon that is back is found within the longest pause of gRPC, 0.5 s below."""
CLOSE_GRACE_S = 60.0
"""The time that calls in progress have when a connection closes; no single one takes longer."""
REATTACH_PAUSES_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)

CLIENT_OPTIONS = (
    *CHANNEL_OPTIONS,
    # By default gRPC waits for more than a second before it tries again (measured). The option
    # min_reconnect_backoff_ms stays alone: it bounds a single attempt, and a busy daemon is no
    # missing one.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    # Otherwise a new client would inherit the pause of an old one that has failed to connect.
    ("grpc.use_local_subchannel_pool", 1),
)

RequestT = TypeVar("RequestT")
ReplyT = TypeVar("ReplyT")
AttachStream: TypeAlias = "aio.UnaryStreamCall[daemon_pb2.AttachRequest, daemon_pb2.AttachEvent]"

log = logging.getLogger(__name__)


@contextmanager
def sendable() -> Iterator[None]:
    """Raise InvalidInput for what protobuf rejects: half a surrogate pair, a negative number."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"an argument can't be sent to the daemon: {error}") from error


@asynccontextmanager
async def open_connection(paths: Paths, timeout_s: float) -> AsyncIterator[Connection]:
    """Connect to the daemon, of any version, until the block ends.

    At the end the agent is detached at once and new calls fail. Calls that other tasks are making
    are answered as long as the daemon answers within a minute; after that they fail too.

    Raises:
        DaemonUnavailable: none answers.
    """
    failure: Exception | None = None
    socket = daemon_socket(paths)
    channel = aio.insecure_channel(grpc_address(socket), options=CLIENT_OPTIONS)
    try:
        async with asyncio.TaskGroup() as tasks:
            connection = Connection(paths, socket, channel, tasks)
            try:
                await connection.shake_hands(timeout_s)
                yield connection
            except Exception as error:  # noqa: BLE001 - raised below; the group would wrap it
                failure = error
            finally:
                connection.detach()
    finally:
        await channel.close(CLOSE_GRACE_S)
    if failure is not None:
        raise failure


class Connection:
    """A channel to the daemon, and the agent that is attached by it. Use `open_connection`."""

    info: DaemonInfo
    """The daemon that answered the last handshake."""
    inbox: Inbox
    """The daemon's news of tasks that wait for the attached agent."""
    waiting: int
    """How many tasks the attached agent could claim when the last answer was given."""

    def __init__(
        self, paths: Paths, socket: Path, channel: aio.Channel, tasks: asyncio.TaskGroup
    ) -> None:
        self.channel = channel
        self.inbox = Inbox()
        self.waiting = 0
        self._paths = paths
        self._socket = socket
        self._tasks = tasks
        self._daemon = DaemonStub(channel)
        self._attachment: daemon_pb2.AttachRequest | None = None
        self._agent_id = ""
        self._stream: AttachStream | None = None
        self._attaching = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None
        self._detached = False

    async def shake_hands(self, timeout_s: float) -> None:
        """Learn which daemon answers.

        Raises:
            DaemonUnavailable: nobody does.
        """
        request = daemon_pb2.HandshakeRequest(protocol=PROTOCOL, version=__version__)
        with self._our_errors(timeout_s):
            try:
                reply = await answer_of(self._daemon.Handshake(request, timeout=timeout_s))
            except aio.AioRpcError as failed:
                if failed.code() is grpc.StatusCode.UNAVAILABLE:
                    raise self._nobody() from failed
                if failed.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise DaemonUnavailable(
                        f"the daemon at {self._socket} does not answer; {self._if_it_hangs()}"
                    ) from failed
                raise
        self.info = from_proto(reply, DaemonInfo)

    def check_version(self) -> None:
        """Return if both ends understand each other.

        Raises:
            VersionMismatch: they don't.
        """
        if why := mismatch(self.info):
            raise VersionMismatch(why)

    async def ask(
        self,
        method: aio.UnaryUnaryMultiCallable[RequestT, ReplyT],
        request: RequestT,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> ReplyT:
        """Return the daemon's answer, given to the attached agent if there is one."""
        try:
            return await self._ask_once(method, request, timeout_s)
        except NotAttached:
            if not self._was_replaced():
                raise
        return await self._ask_once(method, request, timeout_s)

    async def _ask_once(
        self,
        method: aio.UnaryUnaryMultiCallable[RequestT, ReplyT],
        request: RequestT,
        timeout_s: float,
    ) -> ReplyT:
        metadata = await self._metadata()
        with self._our_errors(timeout_s):
            call = method(request, timeout=timeout_s, metadata=metadata)
            return await answer_of(call, self._answered(call))

    async def _answered(self, call: aio.UnaryUnaryCall[RequestT, ReplyT]) -> ReplyT:
        reply = await call
        self._take_in(await call.trailing_metadata())
        return reply

    def _take_in(self, metadata: aio.Metadata | None) -> None:
        """Note how many tasks wait, which the daemon tells only attached agents."""
        for key, value in metadata or ():
            if key == WAITING_METADATA:
                self.waiting = int(value)

    def _was_replaced(self) -> bool:
        """Return whether attaching again is worth trying: to a daemon started this moment.

        The attachment's stream shows a moment late that the previous daemon has gone.
        """
        self._stream = None
        return self._attachment is not None

    async def follow(
        self,
        method: aio.UnaryStreamMultiCallable[RequestT, ReplyT],
        request: RequestT,
        timeout_s: float,
    ) -> AsyncGenerator[ReplyT]:
        """Return the daemon's answers to one question, as they come."""
        metadata = await self._metadata()
        with self._our_errors(timeout_s):
            call = method(request, timeout=timeout_s, metadata=metadata)
        replies = aiter(call)
        try:
            while True:
                with self._our_errors(timeout_s):
                    reply = await answer_of(call, anext(replies, None))
                    if reply is None:
                        self._take_in(await answer_of(call, call.trailing_metadata()))
                        return
                yield reply
        finally:
            call.cancel()  # for a reader that has had enough; otherwise it has ended

    async def attach(self, request: daemon_pb2.AttachRequest) -> None:
        """Attach an agent, and keep it attached over restarts of the daemon."""
        assert self._attachment is None, "a client attaches one agent"
        stream = await self._attach_now(request)
        self._attachment = request
        self._keeper = self._tasks.create_task(self._stay_attached(request, stream))

    def detach(self) -> None:
        """Hang up for the agent, for good; the daemon sees it at once."""
        self._detached = True
        if self._keeper is not None:
            self._keeper.cancel()
        if self._stream is not None:
            self._stream.cancel()

    def remember_room(self, room: str, *, joined: bool) -> None:
        """Have a restarted daemon know whether the attached agent has joined this room."""
        if self._attachment is not None:
            others = [name for name in self._attachment.rooms if name != room]
            self._attachment.rooms[:] = [*others, room] if joined else others

    async def _stay_attached(self, request: daemon_pb2.AttachRequest, stream: AttachStream) -> None:
        while True:
            with contextlib.suppress(BuddiesError):
                while (event := await self._next_event(stream)) is not None:
                    if event.HasField("inbox"):
                        self.inbox.put(from_proto(event.inbox, InboxChange))
            for pause_s in itertools.chain(
                REATTACH_PAUSES_S, itertools.repeat(REATTACH_PAUSES_S[-1])
            ):
                await asyncio.sleep(pause_s)
                try:
                    stream = await self._attach_now(request)
                    break
                except BuddiesError as error:
                    log.debug("attach_failed error=%s", error)

    async def _attach_now(self, request: daemon_pb2.AttachRequest) -> AttachStream:
        """Return the stream of the one attachment, made now unless another call has made it."""
        async with self._attaching:
            if self._stream is not None and not self._stream.done():
                return self._stream
            await self.shake_hands(CALL_TIMEOUT_S)
            self.check_version()  # the daemon may have been replaced by a newer one
            with self._our_errors(CALL_TIMEOUT_S):
                stream = self._daemon.Attach(request)
            try:
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    event = await self._next_event(stream)
            except TimeoutError as late:
                raise self._late(CALL_TIMEOUT_S) from late
            if event is None:
                raise self._nobody()  # it is ending and hung up at once
            if self._detached:
                stream.cancel()
                raise self._closed()
            self._agent_id = event.attached.agent_id
            self._stream = stream
            return stream

    async def _next_event(self, stream: AttachStream) -> daemon_pb2.AttachEvent | None:
        """Return the daemon's next event for the attached agent; None when it has hung up."""
        with self._our_errors(CALL_TIMEOUT_S):
            event = await answer_of(stream, stream.read())
        return event if isinstance(event, daemon_pb2.AttachEvent) else None

    @property
    def is_there(self) -> bool:
        """Whether the daemon with the agent attached is running, found out without asking it.

        A process that was killed is seen dead before its last thread has closed the socket. False
        where its process can't be seen, as from another container.
        """
        return self._is_attached and is_alive(self.info.pid)

    @property
    def _is_attached(self) -> bool:
        ready = self.channel.get_state() is grpc.ChannelConnectivity.READY
        return ready and self._stream is not None and not self._stream.done()

    async def _metadata(self) -> tuple[tuple[str, str], ...]:
        """Return the agent's metadata for a call, after making sure that a daemon answers."""
        if not self._is_attached:
            await self._reconnect()
            if self._attachment is not None:
                await self._attach_now(self._attachment)
        return ((AGENT_METADATA, self._agent_id),) if self._agent_id else ()

    async def _reconnect(self) -> None:
        try:
            with self._our_errors(RECONNECT_TIMEOUT_S):
                async with asyncio.timeout(RECONNECT_TIMEOUT_S):
                    await self.channel.channel_ready()
        except TimeoutError:
            raise self._nobody() from None

    @contextmanager
    def _our_errors(self, timeout_s: float) -> Iterator[None]:
        """Raise an error of `errors` for whatever gRPC raises, except where we are cancelled."""
        try:
            yield
        except aio.AioRpcError as failed:
            raise self._error_of(failed, timeout_s) from failed
        except aio.UsageError as closed:  # gRPC's name for a call on a closed channel
            raise self._closed() from closed
        except asyncio.CancelledError as cancelled:
            if nobody_cancelled():
                raise self._closed() from cancelled
            raise

    def _closed(self) -> DaemonUnavailable:
        return DaemonUnavailable(
            f"the connection to the daemon at {self._socket} was closed; what it was asked "
            "for may have happened or not"
        )

    def _nobody(self) -> DaemonUnavailable:
        return DaemonUnavailable(
            f"no daemon at {self._socket}; start it with: buddies-cli daemon start"
        )

    def _late(self, timeout_s: float) -> TimedOut:
        return TimedOut(
            f"the daemon did not answer within {timeout_s:g} s; what it was asked for may still "
            f"happen; {self._if_it_hangs()}"
        )

    def _if_it_hangs(self) -> str:
        return f"its log is {self._paths.log}; if it stays so: buddies-cli daemon restart"

    def _error_of(self, failed: aio.AioRpcError, timeout_s: float) -> BuddiesError:
        text = failed.details() or ""
        known = ERRORS.get(reason_of(failed))
        if known is not None:
            return known(text)
        match failed.code():
            case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
                return DaemonUnavailable(
                    f"the daemon at {self._socket} ended during the call; what it was asked "
                    "for may have happened or not. Start it with: buddies-cli daemon start"
                )
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return self._late(timeout_s)
            case grpc.StatusCode.UNIMPLEMENTED:
                return VersionMismatch(
                    "the daemon that runs does not know this call; it is older than this program: "
                    "buddies-cli daemon restart"
                )
            case grpc.StatusCode.RESOURCE_EXHAUSTED:
                return InvalidInput(f"the request or its answer is too large: {text}")
            case code:
                return BuddiesError(f"the call to the daemon failed ({code.name}): {text}")

"""A peer's request, as the answering side sees it."""

import asyncio

import iroh

from buddies_core.model.ids import EndpointId
from buddies_core.net.context import NetContext
from buddies_core.net.exchange import REFUSAL_CHARS_MAX, REPLY_BYTES_MAX
from buddies_core.net.iroh_calls import Failure, IrohFailed
from buddies_core.net.links import CloseReason, Link
from buddies_core.pb.peer_pb2 import PeerReply, PeerRequest, Refusal
from buddies_core.wire.frames import frame


class IncomingRequest:
    """A peer's request, to be answered once: by `reply` or by `refuse`."""

    def __init__(
        self,
        caller: EndpointId,
        request: PeerRequest,
        stream: iroh.SendStream,
        link: Link,
        context: NetContext,
    ) -> None:
        self.caller = caller
        self.request = request
        self._stream = stream
        self._link = link
        self._context = context
        self._answer_begun = False
        self._answered = asyncio.Event()

    async def reply(self, *replies: PeerReply) -> None:
        """Send the answer, whose last reply is marked as such here; none at all is an answer, too.

        A caller that has gone meanwhile is no error. One that does not read is hung up on, as a
        write that hangs would keep its stream for ever.

        Raises:
            InvalidInput: a reply is over `REPLY_BYTES_MAX`; nothing was sent.
        """
        answer = replies or (PeerReply(),)
        answer[-1].end = True
        frames = [frame(reply.SerializeToString(), REPLY_BYTES_MAX) for reply in answer]
        if self._answer_begun:
            return  # it was refused, having waited for too long
        self._answer_begun = True
        calls, stall_s = self._context.calls, self._context.timing.write_stall_s
        try:
            for framed in frames:
                await calls.run(self._stream.write_all(framed), stall_s)
            await calls.run(self._stream.finish(), stall_s)
        except IrohFailed as error:
            self._context.counters["answers_unheard"] += 1
            if error.failure is Failure.TIMED_OUT:
                self._link.close(CloseReason.STALLED)
        finally:
            self._answered.set()

    async def refuse(self, reason: Refusal.Reason.ValueType, text: str) -> None:
        """Send a refusal in place of an answer; the caller gets an error with this text."""
        refusal = Refusal(reason=reason, text=text[:REFUSAL_CHARS_MAX])
        await self.reply(PeerReply(refusal=refusal))

    async def wait_answered(self, timeout_s: float) -> None:
        """Wait for the answer; refuse the request if none has begun by then."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._answered.wait()
        except TimeoutError:
            if not self._answer_begun:
                self._context.counters["requests_unanswered"] += 1
                await self.refuse(Refusal.FAILED, f"no answer was found within {timeout_s:g} s")
            await self._answered.wait()

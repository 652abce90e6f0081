"""One request and all replies to it, on one stream, as the asking side sees it."""

import iroh
from google.protobuf.message import DecodeError

from buddies_core.errors import (
    BuddiesError,
    Busy,
    InvalidInput,
    LeftOut,
    NotAllowed,
    NotFound,
    Rotated,
    Unreachable,
    WireError,
)
from buddies_core.model.ids import short
from buddies_core.net.context import NetContext
from buddies_core.net.iroh_calls import IrohFailed
from buddies_core.net.links import CloseReason, Link
from buddies_core.pb.peer_pb2 import PeerReply, Refusal
from buddies_core.wire.frames import FrameReader

REPLY_BYTES_MAX = 256 * 1024
ANSWER_BYTES_MAX = 8 * 1024 * 1024
"""All replies to one request together; the largest content has 1 MiB."""
REFUSAL_CHARS_MAX = 500

_READ_BYTES_MAX = 65_536


async def exchange(
    link: Link, stream: iroh.BiStream, framed_request: bytes, context: NetContext
) -> list[PeerReply]:
    """Return the peer's replies, the last of which has `end`.

    Raises:
        Unreachable: the answer is not complete, and nothing more of it will come.
        Busy, NotAllowed, NotFound, InvalidInput, BuddiesError: what the peer's refusal says.
    """
    name = f"peer {short(link.peer)}"
    try:
        await context.calls.run(stream.send().write_all(framed_request))
        await context.calls.run(stream.send().finish())
        replies = await _read_replies(link, stream.recv(), context)
    except WireError as error:
        context.counters["bad_replies"] += 1
        link.close(CloseReason.BAD_FRAME)
        raise Unreachable(f"{name} sent an answer that makes no sense: {error}") from None
    except IrohFailed as error:
        raise Unreachable(f"{name} was lost before its answer was complete: {error}") from None
    if not replies or not replies[-1].end:
        context.counters["answers_broken_off"] += 1
        raise Unreachable(f"{name} broke off its answer; try again")
    if replies[-1].HasField("refusal"):
        raise _refused(name, replies[-1].refusal)
    return replies


async def _read_replies(
    link: Link, stream: iroh.RecvStream, context: NetContext
) -> list[PeerReply]:
    """Return the replies up to the one with `end`, or to the end of the stream."""
    frames = FrameReader(REPLY_BYTES_MAX)
    replies: list[PeerReply] = []
    size = 0
    while data := await context.calls.run(stream.read(_READ_BYTES_MAX)):
        link.hear()
        size += len(data)
        if size > ANSWER_BYTES_MAX:
            raise WireError(f"it is longer than {ANSWER_BYTES_MAX} bytes")
        for body in frames.feed(data):
            try:
                replies.append(PeerReply.FromString(body))
            except DecodeError:
                raise WireError("a reply does not decode") from None
            if replies[-1].end:
                return replies
    return replies


def _refused(name: str, refusal: Refusal) -> BuddiesError:
    said = "".join(char if char.isprintable() else " " for char in refusal.text[:REFUSAL_CHARS_MAX])
    text = f"{name} refused: {said}"
    match refusal.reason:
        case Refusal.BUSY:
            return Busy(text)
        case Refusal.NOT_ALLOWED:
            return NotAllowed(text)
        case Refusal.LEFT_OUT:
            return LeftOut(text)
        case Refusal.ROTATED:
            return Rotated(text)
        case Refusal.NOT_FOUND:
            return NotFound(text)
        case Refusal.INVALID:
            return InvalidInput(text)
        case _:
            return BuddiesError(text)

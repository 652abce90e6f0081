"""One request and all replies to it, on one stream, as the asking side sees it."""

import iroh
from google.protobuf.message import DecodeError

from buddies_core.errors import (
    BuddiesError,
    Busy,
    InvalidInput,
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
ITEMS_MAX = 1024
"""Found things, presences, votes or items in one reply. An empty one takes two bytes on the wire
and more than a hundred in memory. A full reply of ours has 320."""
ANSWER_BYTES_MAX = 2 * 1024 * 1024
"""All replies to one request together: a content has 1 MiB at most, and comes with 1,024 votes."""
REPLIES_MAX = {
    "hello": 64,
    "search_skills": 4,
    "fetch_memory": 64,
    "fetch_skill": 64,
    "fetch_output": 64,
    "fetch_items": 16,
}
"""How many replies answer a request of this kind; all others are answered by one."""
ABANDONED_MAX = 16
"""Requests on one connection that the peer left unanswered. Each keeps a stream open, of which
there are 100, as a pending read keeps it from being refused (measured): the connection is closed,
and the next request makes a new one."""
REFUSAL_CHARS_MAX = 500

_READ_BYTES_MAX = 65_536


async def exchange(
    link: Link, stream: iroh.BiStream, framed_request: bytes, context: NetContext, replies_max: int
) -> list[PeerReply]:
    """Return the peer's replies, at most so many; the last of them has `end`.

    Cancelling the caller gives up on the answer. A connection on which the peer has left too many
    requests unanswered is closed.

    Raises:
        Unreachable: the answer is not complete, and nothing more of it will come.
        Busy, NotAllowed, NotFound, InvalidInput, BuddiesError: what the peer's refusal says.
    """
    name = f"peer {short(link.peer)}"
    ended = False
    try:
        await context.calls.run(stream.send().write_all(framed_request), late=link.let_go)
        await context.calls.run(stream.send().finish(), late=link.let_go)
        replies = await _read_replies(link, stream.recv(), context, replies_max)
        ended = True
    except WireError as error:
        context.counters["bad_replies"] += 1
        link.close(CloseReason.BAD_FRAME)
        raise Unreachable(f"{name} sent an answer that makes no sense: {error}") from None
    except IrohFailed as error:
        raise Unreachable(f"{name} was lost before its answer was complete: {error}") from None
    finally:
        if not ended and link.abandon() >= ABANDONED_MAX:
            context.counters["connections_abandoned"] += 1
            link.close(CloseReason.STALLED)
    if not replies or not replies[-1].end:
        context.counters["answers_broken_off"] += 1
        raise Unreachable(f"{name} broke off its answer; try again")
    if replies[-1].HasField("refusal"):
        raise _refused(name, replies[-1].refusal)
    return replies


async def _read_replies(
    link: Link, stream: iroh.RecvStream, context: NetContext, replies_max: int
) -> list[PeerReply]:
    """Return the replies up to the one with `end`, or to the end of the stream."""
    frames = FrameReader(REPLY_BYTES_MAX)
    replies: list[PeerReply] = []
    size = 0
    while data := await context.calls.run(stream.read(_READ_BYTES_MAX), late=link.let_go):
        link.hear()
        size += len(data)
        if size > ANSWER_BYTES_MAX:
            raise WireError(f"it is longer than {ANSWER_BYTES_MAX} bytes")
        for body in frames.feed(data):
            replies.append(_decoded(body))
            if replies[-1].end:
                return replies
            if len(replies) >= replies_max:
                raise WireError(f"it has more than {len(replies)} replies")
    return replies


def _decoded(body: bytes) -> PeerReply:
    try:
        reply = PeerReply.FromString(body)
    except DecodeError:
        raise WireError("a reply does not decode") from None
    found = (*reply.search.found, *reply.skills_found.found)
    # The votes are counted only in a list that is not too long itself.
    votes = sum(len(it.votes) for it in found) if len(found) <= ITEMS_MAX else 0
    items = (
        len(reply.hello.presences),
        len(found),
        votes,
        len(reply.memory_part.votes),
        len(reply.skill_part.votes),
        len(reply.bindings.presences),
        len(reply.items.proofs),
        len(reply.items_taken.refused),
    )
    if max(items) > ITEMS_MAX:
        raise WireError(f"a reply has {max(items)} items; at most {ITEMS_MAX} are sent")
    return reply


def _refused(name: str, refusal: Refusal) -> BuddiesError:
    said = "".join(char if char.isprintable() else " " for char in refusal.text[:REFUSAL_CHARS_MAX])
    text = f"{name} refused: {said}"
    match refusal.reason:
        case Refusal.BUSY:
            return Busy(text)
        case Refusal.NOT_ALLOWED:
            return NotAllowed(text)
        case Refusal.ROTATED:
            return Rotated(text)
        case Refusal.NOT_FOUND:
            return NotFound(text)
        case Refusal.INVALID:
            return InvalidInput(text)
        case _:
            return BuddiesError(text)

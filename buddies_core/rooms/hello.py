"""Telling each other who is in a room: what a newcomer asks its first neighbor. Pure."""

from collections.abc import Sequence

from buddies_core.pb import peer_pb2

HELLO_TIMEOUT_S = 3.0
ABOUT_US_EVERY_S = 20.0
"""How often a node asks what was heard of it. A twin's presence lasts 30 s there, until ours."""
COPIES_PER_FRAME = 32
"""Presences of at most 4057 bytes each, in a frame of at most 256 KiB."""
COPIES_MAX = 128
"""In one answer, of the most trusted members and those heard last: 0.5 MB at most. The others make
themselves heard within half a minute. No more are taken from an answer either."""


def hello_replies(own: bytes, others: Sequence[tuple[bytes, float]]) -> list[peer_pb2.HelloReply]:
    """Return the members' latest presences, ours first; the others come with their ages in s."""
    copies = [
        peer_pb2.PresenceCopy(proof=own),
        *(peer_pb2.PresenceCopy(proof=proof, age_ms=int(age_s * 1000)) for proof, age_s in others),
    ]
    return [
        peer_pb2.HelloReply(presences=copies[start : start + COPIES_PER_FRAME])
        for start in range(0, len(copies), COPIES_PER_FRAME)
    ]


def hello_reply(known: bytes | None) -> peer_pb2.HelloReply:
    """Return the answer about one member, whose latest presence this is."""
    return peer_pb2.HelloReply(presences=[peer_pb2.PresenceCopy(proof=known)] if known else [])

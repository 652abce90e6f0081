"""Exchanging the members of a room: what a newcomer asks its first neighbor. Pure."""

from collections.abc import Sequence

from buddies_core.pb import peer_pb2

HELLO_TIMEOUT_S = 3.0
ABOUT_US_EVERY_S = 20.0
"""How often a node asks for its own presence. A twin's presence lasts 30 s there, until ours."""
COPIES_PER_FRAME = 32
"""Presences in a frame of at most 256 KiB, of at most 4057 bytes each."""
COPIES_MAX = 128
"""The most presences in one answer, for the most trusted members and those heard last: at most
0.5 MB. The other members are heard within half a minute. Receivers process no more either."""


def hello_replies(own: bytes, others: Sequence[tuple[bytes, float]]) -> list[peer_pb2.HelloReply]:
    """Return the members' latest presences, ours first, and those of the others with ages in s."""
    copies = [
        peer_pb2.PresenceCopy(proof=own),
        *(peer_pb2.PresenceCopy(proof=proof, age_ms=int(age_s * 1000)) for proof, age_s in others),
    ]
    return [
        peer_pb2.HelloReply(presences=copies[start : start + COPIES_PER_FRAME])
        for start in range(0, len(copies), COPIES_PER_FRAME)
    ]


def hello_reply(known: bytes | None) -> peer_pb2.HelloReply:
    """Return the answer about one member, with its latest presence."""
    return peer_pb2.HelloReply(presences=[peer_pb2.PresenceCopy(proof=known)] if known else [])

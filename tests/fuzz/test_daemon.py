"""A whole daemon is asked and told what is almost right: it refuses it, and never meets a bug.

What is asked and told decodes; decoders have tests of their own. BUDDIES_FUZZ_EXAMPLES says how
much of it: `make fuzz` sets more.
"""

import asyncio
import os
from random import Random

import pytest
from google.protobuf.message import DecodeError, Message

from buddies_core.errors import BuddiesError
from buddies_core.gossip.messages import SwarmScope
from buddies_core.identity.node_key import NodeKey
from buddies_core.model.ids import topic_of
from buddies_core.net.driver import ContentDelivered
from buddies_core.pb.peer_pb2 import PeerRequest
from buddies_core.wire.room_messages import Trailer, seal
from tests.fuzz.mutations import edited_by
from tests.fuzz.targets import TARGETS
from tests.support.memories import DEMO
from tests.support.worlds.person import some_person
from tests.support.worlds.whole_daemon import WholeDaemon, a_whole_daemon

EXAMPLES = int(os.environ.get("BUDDIES_FUZZ_EXAMPLES", "400"))
BEN = NodeKey(b"b" * 32)
ASKS = [field.name for field in PeerRequest.DESCRIPTOR.oneofs_by_name["ask"].fields]
TEXTS = [b"", b"claude", b"\xff", b"a" * 300, b"0" * 64]
IDS = [bytes(16), b"i" * 16, b"k" * 32, BEN.endpoint, b"x" * 100_000]
NUMBERS = [0, 1, 500, 2**31 - 1, 2**63 - 1]
FLOATS = [0.0, 1.5, -1.0, float("nan"), float("inf")]


def some_of(message: Message, random: Random) -> None:
    """Fill some fields of a protobuf message, of whatever type they are."""
    for field in message.DESCRIPTOR.fields:
        if random.random() < 0.3 or field.containing_oneof is not None:
            continue
        for _ in range(random.randrange(1, 4) if field.is_repeated else 1):
            value: object
            match field.cpp_type:
                case field.CPPTYPE_MESSAGE:
                    value = None
                case field.CPPTYPE_STRING if field.type == field.TYPE_BYTES:
                    value = random.choice(IDS)
                case field.CPPTYPE_STRING:
                    value = random.choice(TEXTS).decode("latin-1")
                case field.CPPTYPE_BOOL:
                    value = True
                case field.CPPTYPE_DOUBLE | field.CPPTYPE_FLOAT:
                    value = random.choice(FLOATS)
                case field.CPPTYPE_ENUM:
                    value = 1
                case _:
                    bits = (
                        31 if field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_UINT32) else 63
                    )
                    value = min(NUMBERS[random.randrange(len(NUMBERS))], 2**bits - 1)
            if value is None:
                inner = getattr(message, field.name)
                some_of(inner.add() if field.is_repeated else inner, random)
            elif field.is_repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)


def requests(random: Random) -> list[PeerRequest]:
    """Return requests of every kind about a room, some of them changed as bytes."""
    made: list[PeerRequest] = []
    while len(made) < EXAMPLES:
        request = PeerRequest(topic=topic_of(DEMO))
        asked = getattr(request, ASKS[len(made) % len(ASKS)])
        asked.SetInParent()
        some_of(asked, random)
        data = request.SerializeToString()
        if random.randrange(2):
            data = edited_by(random, data, [data], 1)
        try:
            made.append(PeerRequest.FromString(data))
        except DecodeError:
            made.append(request)
    return made


def messages(random: Random) -> list[bytes]:
    """Return messages that Ben has signed, whose bytes are almost those of a message."""
    (target,) = [target for target in TARGETS if target.name == "room-message"]
    corpus = target.corpus()
    return [
        seal(
            edited_by(random, corpus[random.randrange(len(corpus))], corpus, random.randrange(3)),
            Trailer(sender=BEN.endpoint, sent_at_ms=1_700_000_000_000 + index, agent="claude"),
            topic_of(DEMO),
            BEN.sign,
        )
        for index in range(EXAMPLES)
    ]


async def hears(daemon: WholeDaemon, content: bytes) -> None:
    room = daemon.parts.inbound.rooms.by_topic(topic_of(DEMO))
    delivery = ContentDelivered(topic_of(DEMO), content, BEN.endpoint, SwarmScope(0))
    async with asyncio.TaskGroup() as work:
        await daemon.parts.inbound._on_delivery(room, delivery, work)


@pytest.mark.timeout(60 + EXAMPLES / 10)
async def test_whatever_is_asked_and_told_meets_no_bug() -> None:
    random = Random(1)
    with some_person() as alice:
        async with a_whole_daemon(alice.home, {}) as daemon:
            await daemon.client.join_room(DEMO)
            inbound, answered = daemon.parts.inbound, 0
            for request in requests(random):
                try:
                    await inbound._answer(BEN.endpoint, request)
                    answered += 1
                except BuddiesError:
                    pass
            for content in messages(random):
                await hears(daemon, content)
            assert answered > 0, "some requests are good ones"
            assert inbound.counters["bugs"] == 0

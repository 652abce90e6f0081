"""Whatever a peer sends: no crash, memory within a bound, and the others never notice."""

import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

import pytest
from nacl.signing import SigningKey

from buddies_core.errors import WireError
from buddies_core.gossip.commands import Command, SendMessage
from buddies_core.gossip.config import OURS
from buddies_core.gossip.events import BroadcastRequested, JoinRequested, MessageReceived
from buddies_core.gossip.messages import (
    CONTENT_BYTES_MAX,
    Disconnect,
    ForwardJoin,
    Gossip,
    Graft,
    IHave,
    Join,
    Message,
    Neighbor,
    PeerInfo,
    Priority,
    Prune,
    Shuffle,
    ShuffleReply,
    SwarmScope,
)
from buddies_core.gossip.node import Node
from buddies_core.gossip.plumtree import message_id
from buddies_core.model.ids import EndpointId, MessageId, TopicId
from buddies_core.wire.frames import FrameReader, frame
from buddies_core.wire.gossip_messages import decode_message, decode_stream_header, encode_message
from tests.simulation.simulator import Cluster
from tests.unit.gossip.given import MY_DATA, TOPIC

MIB = 1024 * 1024
HELD_BYTES_MAX = 64 * MIB
"""What one topic may hold, with every limit of the configuration reached at once."""


def public_key(number: int) -> EndpointId:
    return EndpointId(bytes(SigningKey(number.to_bytes(32, "big")).verify_key))


ME, HONEST, HOSTILE = (public_key(number) for number in range(3))


def node_with_neighbors() -> Node:
    node = Node(ME, MY_DATA, OURS, random.Random(0))
    node.handle(JoinRequested(TOPIC, ()), 0.0)
    for peer in (HONEST, HOSTILE):
        node.handle(MessageReceived(TOPIC, peer, Join(None)), 0.0)
    return node


def receive(node: Node, peer: EndpointId, stream: bytes) -> bool:
    """Do with a stream what the network layer does; return whether it made sense to its end."""
    frames, topic = FrameReader(), None
    try:
        for body in frames.feed(stream):
            if topic is None:
                topic = decode_stream_header(body)
            else:
                node.handle(MessageReceived(topic, peer, decode_message(body)), 0.0)
        frames.end()
    except WireError:
        return False
    return True


def still_works(node: Node) -> bool:
    """Return whether what an honest neighbor says is delivered, and what we say goes to it."""
    content = b"still there?"
    gossip = Gossip(message_id(content), content, SwarmScope(0))
    delivered = node.handle(MessageReceived(TOPIC, HONEST, gossip), 1.0)
    said = node.handle(BroadcastRequested(TOPIC, b"yes"), 1.0)
    sent_to = [command.peer for command in said if isinstance(command, SendMessage)]
    return any(getattr(it, "content", None) == content for it in delivered) and HONEST in sent_to


HEADER = frame(TOPIC)


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(frame(b""), id="empty header"),
        pytest.param(frame(TOPIC[:31]), id="short header"),
        pytest.param((4097).to_bytes(4, "big") + bytes(4097), id="header over the limit"),
        pytest.param(HEADER + frame(b""), id="empty frame"),
        pytest.param(HEADER + (4097).to_bytes(4, "big"), id="frame over the limit"),
        pytest.param(HEADER + b"\xff\xff\xff\xff", id="frame of 4 GiB"),
        pytest.param(HEADER + frame(b"\x02\x00"), id="unknown layer"),
        pytest.param(HEADER + frame(b"\x00\x06"), id="unknown HyParView message"),
        pytest.param(HEADER + frame(b"\x01\x04"), id="unknown PlumTree message"),
        pytest.param(HEADER + frame(b"\x00\x04\x02\x00"), id="unknown priority"),
        pytest.param(HEADER + frame(b"\x00\x05\x02\x00"), id="neither true nor false"),
        pytest.param(HEADER + frame(b"\x01\x00" + bytes(32)), id="gossip cut short"),
        pytest.param(HEADER + frame(b"\x01\x03\xff\xff\xff\xff\x0f"), id="four billion ids"),
        pytest.param(
            HEADER + frame(b"\x00\x01" + b"\x02" + bytes(31) + b"\x00\x06"), id="no public key"
        ),
        pytest.param(HEADER + frame(encode_message(Prune()))[:-1], id="end inside of a frame"),
    ],
)
def test_malformed_bytes_end_their_stream_and_nothing_else(stream: bytes) -> None:
    node = node_with_neighbors()
    assert not receive(node, HOSTILE, stream)
    assert still_works(node)


def test_a_stream_for_a_topic_that_is_not_joined_is_read_and_ignored() -> None:
    node = node_with_neighbors()
    other = TopicId(b"x" * 32)
    assert receive(node, HOSTILE, frame(other) + frame(encode_message(Join(None))))
    assert (node.topics, node.neighbors(other)) == ((TOPIC,), ())
    assert still_works(node)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(Shuffle(ME, (PeerInfo(ME, None),), 0), id="shuffle of ourselves"),
        pytest.param(Shuffle(HOSTILE, (PeerInfo(ME, None),) * 100, 0), id="us 100 times"),
        pytest.param(ShuffleReply((PeerInfo(ME, b"x"), PeerInfo(ME, None))), id="us in a reply"),
        pytest.param(ForwardJoin(PeerInfo(ME, None), 0), id="that we join ourselves"),
        pytest.param(ForwardJoin(PeerInfo(ME, None), 3), id="that we are an address"),
    ],
)
def test_nobody_makes_us_our_own_peer(message: Message) -> None:
    node = node_with_neighbors()
    commands = node.handle(MessageReceived(TOPIC, HOSTILE, message), 0.0)
    views = node._topics[TOPIC].hyparview
    assert ME not in (*views.active, *views.passive)
    assert ME not in [command.peer for command in commands if isinstance(command, SendMessage)]
    assert still_works(node)


@pytest.mark.parametrize("ttl", [7, 255, 65_535])
def test_a_walk_that_claims_to_be_long_goes_one_step_per_message(ttl: int) -> None:
    node = node_with_neighbors()
    stranger = PeerInfo(public_key(9), None)
    for message in (Shuffle(stranger.id, (stranger,), ttl), ForwardJoin(stranger, ttl)):
        commands = node.handle(MessageReceived(TOPIC, HOSTILE, message), 0.0)
        onward = [command for command in commands if isinstance(command, SendMessage)]
        assert onward == [SendMessage(TOPIC, HONEST, replace(message, ttl=ttl - 1))]


def test_joining_again_changes_nothing() -> None:
    node = node_with_neighbors()
    before = node.neighbors(TOPIC)
    for _ in range(1000):
        node.handle(MessageReceived(TOPIC, HOSTILE, Join(None)), 0.0)
    assert node.neighbors(TOPIC) == before
    assert still_works(node)


# Floods


def contents(size: int) -> Iterator[bytes]:
    number = 0
    while True:
        yield b"%d" % number + bytes(size)
        number += 1


def random_id(rng: random.Random) -> EndpointId:
    """The state machine does not look into ids, so they need not be public keys here."""
    return EndpointId(rng.randbytes(32))


def a_flood(kind: str, seed: int = 0) -> Iterator[Message]:
    """Yield messages of one kind without end, each as costly to remember as it can be."""
    rng = random.Random(seed)
    data = bytes(3000)
    for content in contents(4000):
        match kind:
            case "Prune":
                yield Prune()
            case "Graft":
                yield Graft(MessageId(rng.randbytes(32)), 0)
            case "Graft without id":
                yield Graft(None, 0)
            case "IHave":
                yield IHave(tuple((MessageId(rng.randbytes(32)), 0) for _ in range(116)))
            case "IHave of one id":
                yield IHave(((MessageId(bytes(32)), 0),) * 116)
            case "Gossip":
                yield Gossip(message_id(content[:CONTENT_BYTES_MAX]), content, SwarmScope(0))
            case "Gossip, false id":
                yield Gossip(MessageId(rng.randbytes(32)), content, SwarmScope(0))
            case "ForwardJoin":
                yield ForwardJoin(PeerInfo(random_id(rng), data + rng.randbytes(8)), 0)
            case "Shuffle":
                nodes = tuple(PeerInfo(random_id(rng), rng.randbytes(64)) for _ in range(35))
                yield Shuffle(random_id(rng), nodes, 0)
            case "ShuffleReply":
                yield ShuffleReply((PeerInfo(random_id(rng), data + rng.randbytes(8)),))
            case "Neighbor":
                yield Neighbor(Priority.HIGH, data + rng.randbytes(8))
            case "Disconnect":
                yield from (Disconnect(alive=True), Join(None))
            case _:
                raise AssertionError(kind)


KINDS = (
    *("Prune", "Graft", "Graft without id", "IHave", "IHave of one id", "Gossip"),
    *("Gossip, false id", "ForwardJoin", "Shuffle", "ShuffleReply", "Neighbor", "Disconnect"),
)


def held_bytes(root: object) -> int:
    """Return the size of an object and of all it refers to, code and classes aside."""
    seen: set[int] = set()
    todo, size = [root], 0
    while todo:
        it = todo.pop()
        if id(it) in seen or isinstance(it, type | Callable):
            continue
        seen.add(id(it))
        size += sys.getsizeof(it)
        if isinstance(it, dict):
            todo += [*it.keys(), *it.values()]
        elif not isinstance(it, str | bytes) and hasattr(it, "__iter__") and hasattr(it, "__len__"):
            todo += it
        todo += vars(it).values() if hasattr(it, "__dict__") else ()
        for name in getattr(type(it), "__slots__", ()):
            todo.append(getattr(it, name))
    return size


def flood(node: Node, kind: str, count: int, seed: int = 0) -> int:
    """Return the most that one of so many messages had us say."""
    return max(
        len(node.handle(MessageReceived(TOPIC, HOSTILE, message), 0.5))
        for message in islice(a_flood(kind, seed), count)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_flood_of_one_kind_is_held_in_bounded_memory_and_answered_in_proportion(
    kind: str,
) -> None:
    node = node_with_neighbors()
    said = flood(node, kind, 6000)
    held = held_bytes(node)
    flood(node, kind, 2000, seed=1)
    assert held_bytes(node) <= held * 1.05 + 4096
    assert said <= 250
    assert still_works(node)


def test_all_floods_together_are_held_within_the_bound(
    capsys: pytest.CaptureFixture[str],
) -> None:
    node = node_with_neighbors()
    for kind in KINDS:
        flood(node, kind, 4500)
    for content in islice(contents(0), OURS.message_ids_max + 1000):
        gossip = Gossip(message_id(content), content, SwarmScope(0))
        node.handle(MessageReceived(TOPIC, HOSTILE, gossip), 0.5)
    held = held_bytes(node)
    with capsys.disabled():
        sys.stdout.write(
            f"\none topic, all floods: {held / MIB:.0f} of {HELD_BYTES_MAX // MIB} MiB\n"
        )
    assert held <= HELD_BYTES_MAX
    assert still_works(node)


def test_strangers_who_join_in_numbers_leave_nothing_but_an_address_behind() -> None:
    node = node_with_neighbors()
    rng = random.Random(1)
    sizes = []
    for start_s in (0, 3000):
        for now_s in range(start_s, start_s + 3000):
            node.handle(MessageReceived(TOPIC, random_id(rng), Join(rng.randbytes(300))), now_s)
        sizes.append(held_bytes(node))
    assert sizes[1] <= sizes[0] * 1.05 + 4096
    assert len(node.neighbors(TOPIC)) == OURS.active_view_capacity


# The others


class _Deaf:
    """A topic of a peer that is there, but reads nothing and says nothing."""

    def __init__(self, cluster: Cluster, index: int) -> None:
        self.hyparview = cluster.topics[index].hyparview

    def receive(self, *_: object) -> list[Command]:
        return []

    expire = peer_disconnected = receive


@pytest.mark.parametrize("seed", range(3))
def test_a_peer_that_never_reads_keeps_nothing_from_the_others(seed: int) -> None:
    cluster = Cluster(seed, 30)
    cluster.join_all(contacts=3)
    cluster.run_for(60)
    for index in (0, 7, 8):
        cluster.topics[index] = _Deaf(cluster, index)  # type: ignore[call-overload]
    hearing = [index for index in cluster.alive if index not in (0, 7, 8)]
    for n in range(5):
        cluster.broadcast(hearing[n], b"%d" % n)
        cluster.run_for(5)
        assert cluster.delivered(b"%d" % n) == hearing


@pytest.mark.parametrize("seed", range(3))
def test_a_peer_that_floods_its_neighbors_keeps_nothing_from_the_others(seed: int) -> None:
    cluster = Cluster(seed, 30)
    cluster.join_all(contacts=3)
    cluster.run_for(60)
    rng = random.Random(seed)
    hostile, dead = 5, PeerInfo(cluster.ids[cluster.crash(1)[0]], b"nobody")
    nonsense: list[Message] = [
        Prune(),
        Graft(None, 0),
        Graft(MessageId(rng.randbytes(32)), 65_535),
        Join(None),
        ForwardJoin(dead, 255),
        ForwardJoin(dead, 0),
        Shuffle(cluster.ids[hostile], (dead,) * 35, 255),
        IHave(tuple((MessageId(rng.randbytes(32)), 0) for _ in range(116))),
        Gossip(MessageId(bytes(32)), b"not what the id says", SwarmScope(0)),
        Neighbor(Priority.HIGH, None),
    ]
    for n in range(20):
        for _ in range(20):
            target = rng.choice([index for index in cluster.alive if index != hostile])
            cluster.hear(target, hostile, rng.choice(nonsense))
        author = rng.choice(cluster.alive)
        cluster.broadcast(author, b"%d" % n)
        cluster.run_for(2)
        others = [index for index in cluster.alive if index != hostile]
        assert set(others) <= set(cluster.delivered(b"%d" % n))

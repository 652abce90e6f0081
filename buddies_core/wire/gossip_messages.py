"""Gossip messages ↔ bytes: the bodies of the frames of one topic's stream.

    stream := frame(topic[32]) · frame(message)*            one direction, one topic
    message := layer:variant · kind:variant · fields        layer 0 HyParView, 1 PlumTree
    peer_info := id[32] · option(data:blob)
    scope := 00 · round:u16 for everybody | 01 for neighbors

The kinds are numbered in the order in which `gossip/messages.py` declares them.
"""

from buddies_core.errors import InvalidInput
from buddies_core.gossip.messages import (
    CONTENT_BYTES_MAX,
    DeliveryScope,
    Disconnect,
    ForwardJoin,
    Gossip,
    Graft,
    IHave,
    Join,
    Message,
    Neighbor,
    NeighborsScope,
    PeerInfo,
    PlumTreeMessage,
    Priority,
    Prune,
    Shuffle,
    ShuffleReply,
    SwarmMessage,
    SwarmScope,
)
from buddies_core.model.ids import EndpointId, MessageId, TopicId
from buddies_core.wire.endpoint_ids import endpoint_id
from buddies_core.wire.frames import frame
from buddies_core.wire.postcard import Reader, blob, boolean, option, seq, u16, variant

_HYPARVIEW, _PLUMTREE = variant(0), variant(1)


def check_content_size(content: bytes) -> None:
    """Return if the content fits into one broadcast.

    Raises:
        InvalidInput: the content is too long; every peer would refuse it.
    """
    if len(content) > CONTENT_BYTES_MAX:
        raise InvalidInput(
            f"a broadcast holds {CONTENT_BYTES_MAX} bytes, not {len(content)}; shorten the content"
        )


def stream_header(topic: TopicId) -> bytes:
    """Return the frame that opens a stream and names the topic of its messages."""
    return frame(topic)


def decode_stream_header(body: bytes) -> TopicId:
    """Return the topic that the first frame of a stream names.

    Raises:
        WireError: the body is shorter than a topic.
    """
    return TopicId(Reader(body).raw(32))


def encode_message(message: Message) -> bytes:
    """Return the body of the message's frame; `frame` refuses one that is too long."""
    match message:
        case Gossip() | Prune() | Graft() | IHave():
            return _PLUMTREE + _encode_plumtree(message)
        case _:
            return _HYPARVIEW + _encode_hyparview(message)


def decode_message(body: bytes) -> Message:
    """Return the message in a frame; ignore any bytes after it.

    Raises:
        WireError: the message does not decode, or has an endpoint id that is not a public key.
    """
    reader = Reader(body)
    return _decode_plumtree(reader) if reader.variant(2) else _decode_hyparview(reader)


def _encode_hyparview(message: SwarmMessage) -> bytes:
    match message:
        case Join(data):
            return variant(0) + option(data, blob)
        case ForwardJoin(peer, ttl):
            return variant(1) + _write_peer(peer) + u16(ttl)
        case Shuffle(origin, nodes, ttl):
            return variant(2) + origin + seq(nodes, _write_peer) + u16(ttl)
        case ShuffleReply(nodes):
            return variant(3) + seq(nodes, _write_peer)
        case Neighbor(priority, data):
            return variant(4) + variant(priority) + option(data, blob)
        case Disconnect(alive):
            # The second field, `respond`, is obsolete: iroh-gossip writes false and ignores it.
            return variant(5) + boolean(alive) + boolean(False)


def _decode_hyparview(reader: Reader) -> SwarmMessage:
    match reader.variant(6):
        case 0:
            return Join(reader.option(reader.blob))
        case 1:
            return ForwardJoin(_read_peer(reader), reader.u16())
        case 2:
            return Shuffle(_read_id(reader), _read_peers(reader), reader.u16())
        case 3:
            return ShuffleReply(_read_peers(reader))
        case 4:
            return Neighbor(Priority(reader.variant(2)), reader.option(reader.blob))
        case _:
            alive, _respond = reader.boolean(), reader.boolean()
            return Disconnect(alive)


def _encode_plumtree(message: PlumTreeMessage) -> bytes:
    match message:
        case Gossip(id, content, scope):
            return variant(0) + id + blob(content) + _write_scope(scope)
        case Prune():
            return variant(1)
        case Graft(wanted, round):
            return variant(2) + option(wanted, bytes) + u16(round)
        case IHave(ids):
            return variant(3) + seq(ids, lambda one: one[0] + u16(one[1]))


def _decode_plumtree(reader: Reader) -> PlumTreeMessage:
    match reader.variant(4):
        case 0:
            return Gossip(_read_message_id(reader), reader.blob(), _read_scope(reader))
        case 1:
            return Prune()
        case 2:
            return Graft(reader.option(lambda: _read_message_id(reader)), reader.u16())
        case _:
            return IHave(reader.seq(lambda: (_read_message_id(reader), reader.u16())))


def _write_scope(scope: DeliveryScope) -> bytes:
    match scope:
        case SwarmScope(round):
            return variant(0) + u16(round)
        case NeighborsScope():
            return variant(1)


def _read_scope(reader: Reader) -> DeliveryScope:
    return NeighborsScope() if reader.variant(2) else SwarmScope(reader.u16())


def _write_peer(peer: PeerInfo) -> bytes:
    return peer.id + option(peer.data, blob)


def _read_peer(reader: Reader) -> PeerInfo:
    return PeerInfo(_read_id(reader), reader.option(reader.blob))


def _read_peers(reader: Reader) -> tuple[PeerInfo, ...]:
    return reader.seq(lambda: _read_peer(reader))


def _read_id(reader: Reader) -> EndpointId:
    return endpoint_id(reader.raw(32))


def _read_message_id(reader: Reader) -> MessageId:
    return MessageId(reader.raw(32))

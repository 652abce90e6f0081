"""What peers say to each other, in the layers and the order of iroh-gossip's enums."""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from buddies_core.model.ids import EndpointId, MessageId


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """A peer and what it last said of itself: an encoded AddressInfo, opaque in this layer."""

    id: EndpointId
    data: bytes | None


class Priority(IntEnum):
    """How much the sender of a Neighbor needs us. HyParView, p. 5."""

    HIGH = 0
    LOW = 1


@dataclass(frozen=True, slots=True)
class Join:
    """HyParView: let me into your topic."""

    data: bytes | None


@dataclass(frozen=True, slots=True)
class ForwardJoin:
    """HyParView: somebody came in; pass it on, `ttl` more steps."""

    peer: PeerInfo
    ttl: int


@dataclass(frozen=True, slots=True)
class Shuffle:
    """HyParView: a sample of the peers that `origin` knows, on a random walk."""

    origin: EndpointId
    nodes: tuple[PeerInfo, ...]
    ttl: int


@dataclass(frozen=True, slots=True)
class ShuffleReply:
    """HyParView: a sample in return."""

    nodes: tuple[PeerInfo, ...]


@dataclass(frozen=True, slots=True)
class Neighbor:
    """HyParView: take me into your active view."""

    priority: Priority
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Disconnect:
    """HyParView: you are no longer in my active view; `alive` says whether I stay in the topic."""

    alive: bool


@dataclass(frozen=True, slots=True)
class SwarmScope:
    """For everybody in the topic; `round` counts the relays before this hop."""

    round: int


@dataclass(frozen=True, slots=True)
class NeighborsScope:
    """For the author's neighbors only."""


DeliveryScope: TypeAlias = SwarmScope | NeighborsScope


@dataclass(frozen=True, slots=True)
class Gossip:
    """PlumTree: a broadcast; `id` is BLAKE3 of the content."""

    id: MessageId
    content: bytes
    scope: DeliveryScope


@dataclass(frozen=True, slots=True)
class Prune:
    """PlumTree: don't send me contents, announce them."""


@dataclass(frozen=True, slots=True)
class Graft:
    """PlumTree: send me contents again, and this one now, if it has an id."""

    id: MessageId | None
    round: int


@dataclass(frozen=True, slots=True)
class IHave:
    """PlumTree: contents I could send, with the round each would have."""

    ids: tuple[tuple[MessageId, int], ...]


SwarmMessage: TypeAlias = Join | ForwardJoin | Shuffle | ShuffleReply | Neighbor | Disconnect
PlumTreeMessage: TypeAlias = Gossip | Prune | Graft | IHave
Message: TypeAlias = SwarmMessage | PlumTreeMessage

CONTENT_BYTES_MAX = 4057
"""Largest content of one broadcast: a frame body has at most 4095 bytes, 38 of them header."""
